"""Named columns from every format alike, and what happens with rows that cannot be used."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import tiny_training
from pyarrow import parquet

from tabular import BadRows
from training.config import parse_config
from training.errors import ConfigError
from training.text.config.data import SourceConfig, TextDataConfig
from training.text.data.readers import read_labels, read_pairs, read_scored_pairs, read_texts, read_triplets
from training.text.task import TextTask

FORMATS = ("jsonl", "jsonl.gz", "csv", "tsv", "parquet")
ROWS = [
    {"id": "1", "question": "where, then?", "answer": "here", "wrong": "there", "mark": "4.5", "kind": "b"},
    {"id": "2", "question": "größe", "answer": "7", "wrong": "8", "mark": "0", "kind": "a"},
]


def write(directory: Path, ending: str, rows: Sequence[Mapping[str, Any]] = ROWS) -> str:
    path = directory / f"rows.{ending}"
    if ending == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, row_group_size=1)
        return path.name
    if ending.startswith("jsonl"):
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
        return path.name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="," if ending == "csv" else "\t")
        writer.writerows([list(rows[0]), *(list(row.values()) for row in rows)])
    return path.name


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_gives_the_same_by_named_columns(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, ending)

    def source(**columns: str) -> SourceConfig:
        return SourceConfig(path=path, columns=columns)

    pair = {"first": "question", "second": "answer"}
    pairs = read_pairs(tmp_path, [source(**pair)], [])
    triplets = read_triplets(tmp_path, [source(**pair, negative="wrong")])
    grades = read_scored_pairs(tmp_path, [source(**pair, score="mark")])
    labelled = read_labels(tmp_path, [source(text="question", label="kind")])

    assert read_texts(tmp_path, source(text="answer")) == ["here", "7"]
    assert (pairs.first, pairs.second) == (["where, then?", "größe"], ["here", "7"])
    assert (triplets.first, triplets.negative) == (pairs.first, ["there", "8"])
    assert (grades.second, grades.scores.tolist()) == (pairs.second, [4.5, 0.0])
    assert (labelled.texts, labelled.labels.tolist(), labelled.names) == (pairs.first, [1, 0], ["a", "b"])


def test_what_is_not_named_is_in_the_column_of_its_own_name(tmp_path: Path) -> None:
    path = write(tmp_path, "csv", [{"second": "b", "question": "a", "source": "faq"}])
    source = SourceConfig(path=path, columns={"first": "question"})

    assert read_pairs(tmp_path, [source], ["faq"]).second == ["b"]
    assert read_pairs(tmp_path, [source], ["wiki"]).second == []


def test_numbers_of_jsonl_are_scores_and_labels(tmp_path: Path) -> None:
    rows = [{"first": "a", "second": "b", "text": "c", "score": 3, "label": 7}]
    source = SourceConfig(path=write(tmp_path, "jsonl", rows))

    assert read_scored_pairs(tmp_path, [source]).scores.tolist() == [3.0]
    assert read_labels(tmp_path, [source]).names == ["7"]


BAD = [
    ('{"first": "a"}', "second missing"),
    ('{"first": "a", "Second": "b"}', "second missing; did you mean 'Second'?"),
    ('{"first": "a", "second": null}', "second: null, expected a text"),
    ('{"first": "a", "second": 7}', "second: a number, expected a text"),
    ('{"first": " ", "second": "b"}', "first is empty"),
    ('{"first": "a", ', "no JSON: "),
    ('["a", "b"]', "a list, expected an object"),
    ('"a"', "a bare string, expected an object"),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_row_is_named_with_file_line_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "p.jsonl").write_text('{"first": "a", "second": "b"}\n\n' + line + "\n")
    source, skipped = SourceConfig(path="p.jsonl"), BadRows("skip")
    with pytest.raises(ConfigError) as caught:
        read_pairs(tmp_path, [source], [])

    assert str(caught.value).startswith(f"p.jsonl, line 3: {reason}")
    assert read_pairs(tmp_path, [source], [], skipped).first == ["a"]
    assert skipped.report().startswith(f"read 2 rows of p.jsonl, used 1, left out 1: 1 x {reason}")
    assert skipped.report().endswith(" (line 3)")


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_line_with_too_few_fields_is_a_bad_row(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, ending, [{"first": "a", "second": "b"}])
    with (tmp_path / path).open("a") as file:
        file.write("lonely\n")
    skipped = BadRows("skip")
    pairs = read_pairs(tmp_path, [SourceConfig(path=path, columns={"first": "first"})], [], skipped)

    assert pairs.first == ["a"]
    told = "1 x 1 fields, expected 2 (line 3)"
    assert skipped.report() == f"read 2 rows of rows.{ending}, used 1, left out 1: {told}"


def test_bad_rows_of_plain_formats_may_be_skipped_too(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text("s\ta\tb\ns\tc\n")
    (tmp_path / "g.csv").write_text("a,b,1\na,b,much\na,b,nan\n")
    skipped = BadRows("skip")

    assert read_pairs(tmp_path, [SourceConfig(path="p.tsv")], [], skipped).first == ["a"]
    assert read_scored_pairs(tmp_path, [SourceConfig(path="g.csv")], skipped).scores.tolist() == [1.0]
    assert skipped.report().splitlines() == [
        "read 2 rows of p.tsv, used 1, left out 1: 1 x 2 fields, expected source, first, second (line 2)",
        "read 3 rows of g.csv, used 1, left out 2: 1 x score: 'much' is no number (line 2); "
        "1 x score: 'nan' is no finite number; leave it empty if it is missing (line 3)",
    ]


def test_parquet_names_rows_that_lack_something_and_files_that_are_none(tmp_path: Path) -> None:
    rows = [{"first": "a", "second": "b"}, {"first": "c", "second": None}, {"first": "d", "second": "e"}]
    source, skipped = SourceConfig(path=write(tmp_path, "parquet", rows)), BadRows("skip")
    pairs = read_pairs(tmp_path, [source], [], skipped)
    (tmp_path / "no.parquet").write_bytes(b"no such thing")

    assert pairs.first == ["a", "d"]
    told = "1 x second: null, expected a text (row 2)"
    assert skipped.report() == f"read 3 rows of rows.parquet, used 2, left out 1: {told}"
    with pytest.raises(ConfigError, match=r"no\.parquet: it is no sound Parquet file"):
        read_pairs(tmp_path, [SourceConfig(path="no.parquet")], [])
    with pytest.raises(ConfigError, match=r"rows\.parquet has no column 'x'; it has first, second"):
        read_pairs(tmp_path, [source.model_copy(update={"columns": {"second": "x"}})], [])


def test_pyarrow_is_imported_for_parquet_only() -> None:
    code = "import sys, training.commands, training.text.task; sys.exit('pyarrow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_limit_counts_rows_good_or_bad(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n{}\n{"text": "b"}\n')
    source = SourceConfig(path="t.jsonl", limit=2)

    assert read_texts(tmp_path, source, BadRows("skip")) == ["a"]


def test_a_column_that_is_not_there_stops_in_any_case(tmp_path: Path) -> None:
    source = SourceConfig(path=write(tmp_path, "csv"), columns={"text": "body"})
    with pytest.raises(ConfigError, match=r"rows\.csv has no column 'body'; it has id, question"):
        read_texts(tmp_path, source, BadRows("skip"))


def test_columns_of_an_unknown_kind_of_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<a/>")
    with pytest.raises(ConfigError, match=r"a\.xml: rows are read from \.csv, \.tsv, \.jsonl"):
        read_texts(tmp_path, SourceConfig(path="a.xml", columns={"text": "body"}))


def test_a_plain_string_is_a_source() -> None:
    data = TextDataConfig.model_validate({"pairs": ["a.tsv"], "graded": {"path": "g.jsonl"}})

    assert data.pairs == [SourceConfig(path="a.tsv")]
    assert data.graded == SourceConfig(path="g.jsonl")


def test_a_column_that_is_never_read_is_refused() -> None:
    raw = tiny_training.text_run().model_dump(mode="json")
    raw["data"]["pairs"][0]["columns"] = {"question": "first"}
    with pytest.raises(ConfigError, match="data: pairs has no column question; it has first, second, source"):
        parse_config(raw)


def test_a_task_lists_what_it_left_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in its digest: the same files, read otherwise, are other data."""
    for name in ("pairs.tsv.gz", "graded.csv"):
        (tmp_path / name).write_bytes((data / name).read_bytes())
    content = gzip.decompress((data / "pairs.tsv.gz").read_bytes()) + b"made\tlonely\n"
    (tmp_path / "pairs.tsv.gz").write_bytes(gzip.compress(content))
    given = tiny_training.text_run().data.model_dump()
    strict, lenient = (
        TextTask(tiny_training.text_run(data=given | {"bad_rows": policy}), tmp_path)
        for policy in ("stop", "skip")
    )
    with pytest.raises(ConfigError, match=r"pairs\.tsv\.gz, line 651: 2 fields"):
        _ = strict.model

    assert lenient.steps_per_epoch > 0
    told = "left out 1: 1 x 2 fields, expected source, first, second (line 651)"
    assert f"read 651 rows of pairs.tsv.gz, used 650, {told}" in capsys.readouterr().err
    assert strict.data_sha256 != lenient.data_sha256
