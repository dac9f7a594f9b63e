"""Files that are not what they should be, given to all four that read files: the same words from each."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
from pyarrow import Table, parquet

from bundle import EncoderyError, publish
from encodery.bulk.command import Job, run
from tabular import BadRows
from training.recommender.config.features import FeatureConfig, InteractionsConfig
from training.recommender.data.interactions import read_interactions
from training.recommender.infer import infer
from training.text.config.data import SourceConfig
from training.text.data.readers import read_texts

HEADER = "user_id,item_id,time,text\n"
GOOD = "u1,i1,2020-01-01,hello\nu2,i2,2020-01-02,dog\n"
CONTENT = (HEADER + GOOD).encode()
UNCLOSED = "the quote that opens here is never closed"
OBJECT = {"user_id": "u1", "item_id": "i1", "time": "2020-01-01", "text": "hello"}
HISTORY, ID = (
    FeatureConfig(name="history", kind="history"),
    FeatureConfig(name="id", kind="category", column="item_id"),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    publish(directory, [tiny.text_draft()])
    return directory


def log_of(path: Path, **options: Any) -> Any:
    columns = {"user": "user_id", "item": "item_id", "time": "time"}
    config = InteractionsConfig(path=path.name, core=1, **(columns | options))
    return read_interactions(config, path.parent, [HISTORY], [ID])


def texts_of(path: Path, bad: BadRows | None = None) -> list[str]:
    return read_texts(path.parent, SourceConfig(path=path.name, columns={"text": "text"}), bad)


def encoded(path: Path, models: Path) -> tuple[int, list[dict[str, Any]]]:
    """How many rows were encoded, and the bad ones."""
    out = path.with_name("out.npy")
    done = run(Job(path, out, "text", None, models, None))
    bad = path.with_name("out.npy.bad.jsonl")
    return done.rows, [json.loads(line) for line in bad.read_text().splitlines()] if bad.exists() else []


USES: dict[str, Callable[[Path, Path], object]] = {
    "texts": lambda path, models: texts_of(path),
    "log": lambda path, models: log_of(path),
    "infer": lambda path, models: infer([path]),
    "bulk": encoded,
}


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.csv"), HEADER + GOOD)  # of no time
    return file.getvalue()


def of_parquet(*rows: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(Table.from_pylist(list(rows)), file)
    return file.getvalue()


# Name, content -> what every use says of the file as a whole.
FILES: list[tuple[str, bytes, str]] = [
    ("a.csv", (HEADER + 'u1,"i1,2020-01-01,hello\n' + GOOD).encode(), f"a.csv, line 2: {UNCLOSED}"),
    (
        "a.csv",
        (HEADER + GOOD + 'u3,i3,"2020-01-03,dog\nu4,"i4",2020-01-04,cat\n' + GOOD).encode(),
        "a.csv, line 4: the quote that opens here closes amid line 5",
    ),
    ("a.csv", (HEADER + 'u1,i1,2020-01-01,"a ""b""\n').encode(), f"a.csv, line 2: {UNCLOSED}"),
    ("a.csv", CONTENT.decode().encode("utf-16"), "a.csv is UTF-16; convert it to UTF-8"),
    ("a.csv", CONTENT.decode().encode("utf-16-le"), "a.csv is no UTF-8 text, perhaps UTF-16"),
    ("a.jsonl", json.dumps(OBJECT).encode("utf-16"), "a.jsonl is UTF-16"),
    ("a.csv", HEADER.replace("e,t", "e,\xe9t").encode("latin-1"), "a.csv, line 1: byte 0xE9 at character 22"),
    ("a.csv.gz", gzip.compress(CONTENT, mtime=0)[:-12], "a.csv.gz, after line 0: the gzip file is cut short"),
    ("a.csv.gz", CONTENT, "a.csv.gz is no gzip file"),
    ("a.csv", gzip.compress(CONTENT, mtime=0), "a.csv is a gzip file; add .gz to its name"),
    ("a.jsonl", of_parquet(OBJECT), "a.jsonl is a Parquet file; call it .parquet"),
    ("a.csv", zipped(), "a.csv is a zip archive or an .xlsx spreadsheet"),
    ("a.tsv.gz", gzip.compress(zipped(), mtime=0), "a.tsv.gz is a zip archive"),
    ("a.parquet", CONTENT, "a.parquet: it is no sound Parquet file"),
    ("a.parquet", of_parquet(OBJECT)[:-20], "a.parquet: it is no sound Parquet file"),
    ("a.csv", b"\n <!DOCTYPE html><html><body>Not found", "a.csv is an HTML page"),
    ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "a.jsonl is a pointer of Git LFS"),
    ("a.jsonl", json.dumps([OBJECT]).encode(), "a.jsonl is one JSON array, not JSONL"),
    ("a.csv", json.dumps(OBJECT).encode(), "a.csv holds JSON"),
    ("a.csv", b"", "a.csv is empty; expected a line of column names"),
    ("a.csv", b"user_id,item_id,time,text,text\n", "a.csv has two columns 'text'; rename one of them"),
    ("a.tsv", b"user_id\titem_id\t\ttime\ttext\t\n", "a.tsv: column 3 has no name"),
    ("a.csv", b"user_id,item_id, ,time,text\n", "a.csv: column 3 has no name"),
    ("a.csv", CONTENT.replace(b",", b";"), "a.csv has one column, 'user_id;item_id;time;text': its"),
    ("a.csv", CONTENT.replace(b",", b"|"), "a.csv has one column, 'user_id|item_id|time|text': its"),
    ("a.csv", b"sep=,\n" + CONTENT, "a.csv: the first line is for Excel alone, 'sep='; take it out"),
    ("a.csv", b"sep=;\n" + CONTENT, "a.csv: the first line is for Excel alone, 'sep=;'; take it out"),
    ("a.xlsx", zipped(), "a.xlsx: rows are read from .csv, .tsv, .jsonl, .parquet"),
]  # fmt: skip


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(("name", "content", "message"), FILES)
def test_a_file_without_rows_to_tell_apart_is_named_with_the_way_out(  # noqa: PLR0917  # pytest gives them by name
    tmp_path: Path, models: Path, use: str, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(EncoderyError) as caught:
        USES[use](path, models)

    assert str(caught.value).removeprefix("data.path: ").startswith(message)
    assert not (tmp_path / "out.npy").exists()


# Name, a row of it -> why the row is bad.
ROWS: list[tuple[str, bytes, str]] = [
    ("a.csv", b"u3,i3,2020-01-03\n", "3 fields, expected 4"),
    ("a.csv", b"u3,i3,2020-01-03,a,b\n", "5 fields, expected 4"),
    ("a.csv", b'u3,"i3"x,2020-01-03,a\n', "characters between a closing quote and the next comma"),
    ("a.csv", b'u3,"i3,\n2020-01-03,a"\n', "2 fields, expected 4; a quoted field takes up 2 lines"),
    (
        "a.csv",
        b'u3,i3,2020-01-03,"40 inch\nu4,i4,2020-01-03,a\nu5,i5,2020-01-03,b\nu6,i6,2020-01-03,TV 40"\n',
        "a quoted field takes up 4 lines, and each looks like a row; is its quote closed where",
    ),
    ("a.csv", b"u3,i3,2020-01-03,caf\xe9\n", "byte 0xE9 at character 21 is no UTF-8; convert the file"),
    ("a.csv", b"u3,i3,2020-01-03,a\0b\n", "a NUL byte at character 19"),
    ("a.jsonl", b'{"user_id": 1, "user_id": 2}\n', "the key 'user_id' comes twice"),
    ("a.jsonl", b'{"text": NaN}\n', "NaN is no JSON; write null"),
    ("a.jsonl", b'{"text": -Infinity}\n', "-Infinity is no JSON"),
    ("a.jsonl", b'{"text": "\\ud83d"}\n', "half of a character (a lone surrogate)"),
    ("a.jsonl", b'{"text": ' + b"[" * 100_000 + b"\n", "nested deeper than 64 levels"),
    ("a.jsonl", b'{"text": ' + b"[" * 70 + b"]" * 70 + b"}\n", "nested deeper than 64 levels"),
    ("a.jsonl", b'{"text": "a"} {"text": "b"}\n', "no JSON: Extra data at character 15"),
    (
        "a.jsonl",
        b"{\n",
        "no JSON: Expecting property name enclosed in double quotes at character 3; write each",
    ),
    ("a.jsonl", b'{"text": "caf\xe9"}\n', "byte 0xE9 at character 14 is no UTF-8"),
    ("a.jsonl", b'{"text": ' + b"1" * 5000 + b"}\n", "no JSON: Exceeds the limit (4300 digits)"),
]


def with_a_bad_row(path: Path, row: bytes) -> None:
    """Two good rows, the row in line 3, and a good one."""
    if path.suffix == ".csv":
        path.write_bytes(
            (HEADER + GOOD.splitlines(keepends=True)[0]).encode() + row + GOOD.splitlines()[1].encode()
        )
    else:
        one = json.dumps(OBJECT).encode() + b"\n"
        path.write_bytes(one + b"\n" + row + one)


@pytest.mark.parametrize("use", ["texts", "log"])
@pytest.mark.parametrize(("name", "row", "fault"), ROWS)
def test_a_bad_row_stops_with_file_line_and_reason(  # noqa: PLR0917  # pytest gives them by name
    tmp_path: Path, models: Path, use: str, name: str, row: bytes, fault: str
) -> None:
    with_a_bad_row(tmp_path / name, row)

    with pytest.raises(EncoderyError) as caught:
        USES[use](tmp_path / name, models)

    assert str(caught.value).removeprefix("data.path: ").startswith(f"{name}, line 3: {fault}")


@pytest.mark.parametrize(("name", "row", "fault"), ROWS)
def test_a_bad_row_is_left_out_where_that_is_wanted_and_counted_by_all(  # noqa: PLR0917  # as above
    tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str], name: str, row: bytes, fault: str
) -> None:
    with_a_bad_row(tmp_path / name, row)
    bad = BadRows("skip")

    assert len(texts_of(tmp_path / name, bad)) == 2
    count, aside = encoded(tmp_path / name, models)
    log_of(tmp_path / name, bad_rows="skip")

    assert f"read 3 rows of {name}, used 2, left out 1: 1 x {fault[:100]}" in bad.report()
    assert bad.report() in capsys.readouterr().err
    assert (count, [one["line"] for one in aside]) == (2, [3])
    assert aside[0]["reason"].startswith(fault)
