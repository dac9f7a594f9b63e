"""`encodery encode`: every input format to every output, bad rows, kills, servers."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiny
from pyarrow import parquet
from running import serving

from bundle import KINDS, EncoderyError, Features, Store, Text, publish
from bundle.preprocess.facts import warning_names
from bundle.preprocess.features import FeatureFacts
from encodery.bulk.arrow_types import types_of
from encodery.bulk.backends import LocalBackend, Options, RemoteBackend
from encodery.bulk.command import Job, Summary, run
from encodery.bulk.errors import BulkError
from encodery.bulk.outputs import assemble
from encodery.bulk.parts import Parts
from encodery.bulk.rows import Selection, read_rows
from encodery_client import Client
from encodery_client.testing import FakeServer

ROOT = Path(__file__).parents[2]
SAME = 1e-5  # float32 through another batch shape
TEXTS = ["hello world", "the cat sat", "a red lamp", "dog", "unheard"]
USERS = [{"country": "GB", "history": ["A1", "B2"]}, {"country": None, "history": ["C1"]}, {"country": "DE"}]


def job(published: Path, source: Path, out: Path, **options: Any) -> Job:
    return Job(
        source, out, **({"model": "text", "version": None, "models": published, "url": None} | options)
    )


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows in the format of the path's ending."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="," if path.suffix == ".csv" else "\t")
            writer.writeheader()
            for row in rows:
                writer.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()})
    else:
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(path: Path) -> tuple[list[int], np.ndarray]:
    """Row numbers and vectors of an output."""
    if path.suffix == ".npy":
        return np.load(f"{path}.rows.npy").tolist(), np.load(path)
    if path.suffix == ".parquet":
        rows = parquet.read_table(path).to_pylist()
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row["row"] for row in rows], np.array([row["embedding"] for row in rows], np.float32)


def expected(published: Path, texts: list[str]) -> np.ndarray:
    return Store(published).load("text").encode(list(map(Text, texts)))


@pytest.mark.parametrize("output", ["out.jsonl", "out.npy", "out.parquet"])
@pytest.mark.parametrize("source", ["in.jsonl", "in.jsonl.gz", "in.csv", "in.tsv", "in.parquet"])
def test_every_format_becomes_every_other(published: Path, tmp_path: Path, source: str, output: str) -> None:
    path = write(tmp_path / source, [{"id": n, "text": text} for n, text in enumerate(TEXTS)])
    out = tmp_path / output

    done = run(job(published, path, out))

    rows, vectors = read(out)
    assert (done.rows, done.bad, rows) == (5, 0, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(vectors, expected(published, TEXTS), atol=SAME)
    assert sorted(each.name for each in tmp_path.iterdir() if ".partial" in each.name) == []


@pytest.mark.parametrize("source", ["in.jsonl", "in.csv", "in.parquet"])
def test_features_are_read_by_the_models_schema(published: Path, tmp_path: Path, source: str) -> None:
    rows = [{"other": 1, "country": "", "history": []} | user for user in USERS]
    out = tmp_path / "out.npy"

    run(job(published, write(tmp_path / source, rows), out, model="shop-user", options=Options(now=tiny.NOW)))

    users = [Features({k: v for k, v in user.items() if v}, tiny.NOW) for user in USERS]
    np.testing.assert_allclose(np.load(out), Store(published).load("shop-user").encode(users), atol=SAME)


def test_the_output_says_which_vectors_these_are(published: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [{"text": text} for text in TEXTS])
    out = tmp_path / "out.parquet"

    run(job(published, path, out, options=Options(dim=4)))

    manifest = Store(published).load("text").manifest
    meta = json.loads((tmp_path / "out.parquet.meta.json").read_text())
    assert (meta["model"], meta["version"], meta["dim"]) == ("text", "1", 4)
    assert meta["space"] == manifest.space_of(4)
    assert (meta["metric"], meta["normalized"], meta["dtype"]) == ("cosine", True, "float32")
    inside = parquet.read_schema(out).metadata
    assert inside[b"encodery.space"].decode() == meta["space"]
    assert (inside[b"encodery.metric"], inside[b"encodery.normalized"]) == (b"cosine", b"true")
    assert json.loads(inside[b"encodery.warnings"]) == meta["warnings"]
    assert parquet.read_schema(out).field("embedding").type == pa.list_(pa.float32(), 4)


@pytest.mark.parametrize(
    ("prompt", "read"), [("passage", "the dog hello"), (None, "the cat hello"), ("", "hello")]
)
def test_a_prompt_is_put_before_every_text(tmp_path: Path, prompt: str | None, read: str) -> None:
    prompts = {"query": "the cat ", "passage": "the dog "}
    publish(tmp_path / "models", [tiny.text_draft(prompts=prompts, default_prompt="query")])
    path, out = write(tmp_path / "in.jsonl", [{"text": "hello"}]), tmp_path / "out.npy"

    done = run(job(tmp_path / "models", path, out, options=Options(prompt=prompt)))

    encoder = Store(tmp_path / "models").load("text")
    np.testing.assert_allclose(np.load(out), encoder.run(encoder.prepare([Text(read)])), atol=SAME)
    assert (done.meta["prompt"], done.meta["space"]) == (prompt, encoder.manifest.space)


def test_columns_are_kept_and_cut_rows_are_marked(published: Path, tmp_path: Path) -> None:
    rows = [{"sku": "a", "text": "hello"}, {"sku": None, "text": "the " * 30}]
    out = tmp_path / "out.jsonl"

    done = run(job(published, write(tmp_path / "in.jsonl", rows), out, keep=["sku"], options=Options("end")))

    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["sku"], row["truncated"]) for row in found] == [("a", False), (None, True)]
    assert (done.warnings["truncated"], done.meta["truncated"]) == (1, 1)


MIXED: list[list[Any]] = [
    [1, "x", None, {"a": 1}, [1, "a"]],
    [1, 2.5, None],
    [10**30, 1],
    [{}, {}],
    [{"a": [{}]}],
    [{"a": 1}, {"a": "b"}],
    [True, 1],
    [["a"], ["b", None], None],
    [None, None],
    [2**60 + 1, 0.5],
]


@pytest.mark.parametrize("values", MIXED, ids=str)
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_whatever_json_holds_is_kept(published: Path, tmp_path: Path, name: str, values: list[Any]) -> None:
    """In Parquet as text where its values have no type in common, and otherwise as they are."""
    path = write(tmp_path / "in.jsonl", [{"text": "hello", "kept": value} for value in values])
    out = tmp_path / name

    run(job(published, path, out, keep=["kept"]))

    if out.suffix == ".jsonl":
        assert [json.loads(line)["kept"] for line in out.read_text().splitlines()] == values
        return
    column = parquet.read_table(out)["kept"]
    found = column.to_pylist()
    if column.type == pa.string():
        found = [
            one if one is None or (isinstance(one, str) and one == "x") else json.loads(one) for one in found
        ]
    assert found == values


def test_types_of_kept_columns_are_those_of_all_parts() -> None:
    """Integers here and text there, integers and fractions, a column that only one part has."""
    found = types_of([[{"a": 1, "b": 1, "c": None}], [{"a": "x", "b": 0.5, "c": None, "d": True}]])

    assert found == {"a": pa.string(), "b": pa.float64(), "c": pa.null(), "d": pa.bool_()}


def test_an_input_that_changes_while_it_is_read_is_refused(published: Path, tmp_path: Path) -> None:
    path, out = write(tmp_path / "in.jsonl", [{"history": ["A1"]}]), tmp_path / "out.npy"

    def grow(sentence: str) -> None:
        with path.open("a") as file:
            file.write('{"history": ["B2"]}\n')

    with pytest.raises(BulkError, match=r"in\.jsonl changed while it was read"):
        run(job(published, path, out, model="shop-user", tell=grow))

    assert not out.exists()


ODD_USERS: list[dict[str, Any]] = [
    {"country": "GB", "history": ["A1"]},
    {"country": "XX", "history": ["never seen", "A1"]},
    {"history": []},
    {"history": [{"id": "A1", "time": "2099-01-01"}, "B2", {"id": "C1", "time": tiny.NOW}]},
]
TOLD: list[dict[str, Any]] = [
    {},
    {"unknown": ["history", "country"], "unknown_entries": [0]},
    {"empty_history": True},
    {"undated_entries": [1], "future_entries": [0]},
]


@pytest.mark.parametrize("output", ["out.jsonl", "out.npy", "out.parquet"])
def test_what_the_api_warns_of_is_kept(published: Path, tmp_path: Path, output: str) -> None:
    """Beside each vector, and counted in the metadata, under the names of the HTTP API."""
    source, out = write(tmp_path / "in.jsonl", ODD_USERS), tmp_path / output

    run(job(published, source, out, model="shop-user", options=Options(now=tiny.NOW)))

    counts = json.loads((tmp_path / f"{output}.meta.json").read_text())["warnings"]
    assert counts == dict.fromkeys(warning_names(FeatureFacts), 0) | {
        name: sum(name in told for told in TOLD) for one in TOLD for name in one
    }
    if out.suffix == ".jsonl":
        assert [json.loads(line)["warnings"] for line in out.read_text().splitlines()] == TOLD
    if out.suffix == ".parquet":
        rows = parquet.read_table(out)["warnings"].to_pylist()
        assert rows[0] is None
        assert [{name: value for name, value in row.items() if value} for row in rows[1:]] == TOLD[1:]


def test_histories_of_parquet_may_have_times_and_gaps(published: Path, tmp_path: Path) -> None:
    """A list of structs has all of their fields in every entry, and times of a type of their own."""
    first, later = datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 11, 3, tzinfo=UTC)
    rows = [
        {
            "history": [
                {"id": "B2", "time": later, "weight": None},
                {"id": "A1", "time": first, "weight": None},
            ]
        },
        {"history": [{"id": "B2", "time": None, "weight": None}]},
    ]
    out = tmp_path / "out.npy"

    done = run(job(published, write(tmp_path / "in.parquet", rows), out, model="shop-user"))

    entries = [{"id": "B2", "time": later.timestamp()}, {"id": "A1", "time": first.timestamp()}]
    users = [Features({"history": entries}), Features({"history": ["B2"]})]
    assert done.bad == 0
    np.testing.assert_allclose(np.load(out), Store(published).load("shop-user").encode(users), atol=SAME)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"history": [{"id": "A1", "time": 1_700_000_000_000}]},
            "history[0].time: expected seconds since 1970",
        ),
        ({"history": ["A1", 5.5]}, "history[1]: expected an item id or an object"),
        ({"history": [{"id": "A1", "time": "soon"}]}, "history[0].time: not an ISO 8601 time"),
    ],
)
@pytest.mark.parametrize("source", ["in.jsonl", "in.csv"])
def test_a_bad_value_is_a_bad_row_with_its_place(
    published: Path, tmp_path: Path, source: str, row: dict[str, Any], reason: str
) -> None:
    rows = [row, {"history": ["A1"]}]

    done = run(job(published, write(tmp_path / source, rows), tmp_path / "out.npy", model="shop-user"))

    (bad,) = map(json.loads, (tmp_path / "out.npy.bad.jsonl").read_text().splitlines())
    assert (done.rows, bad["row"]) == (1, 0)
    assert bad["reason"].startswith(reason)


def test_every_kinds_warnings_have_columns_in_parquet(tmp_path: Path) -> None:
    """The schema is that of the kind, whatever the rows have, so that files can be put together."""
    meta = {"dim": 2}
    for name, kind in KINDS.items():
        assemble(tmp_path / f"{name}.parquet", [], meta, kind.facts)
        told = parquet.read_schema(tmp_path / f"{name}.parquet").field("warnings").type
        assert [field.name for field in told] == list(warning_names(kind.facts))


BAD = [
    b'{"text": "hello"}',
    b"{",
    b'{"text": 5}',
    b'{"other": "hello"}',
    b'{"text": ""}',
    b'\xff\xfe"',
    b'{"text": "\\ud800"}',
    b'"hello world"',
    json.dumps({"text": "the " * 30}).encode(),
]


def test_bad_rows_are_set_aside_with_reasons_and_cost_no_other(published: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out.npy"
    path.write_bytes(b"\n".join(BAD))

    done = run(job(published, path, out))

    bad = [json.loads(line) for line in (tmp_path / "out.npy.bad.jsonl").read_text().splitlines()]
    assert (done.rows, done.bad) == (2, 7)
    assert read(out)[0] == [0, 7]
    assert [one["row"] for one in bad] == [1, 2, 3, 4, 5, 6, 8]
    assert all(one["reason"] for one in bad)
    assert bad[1]["input"] == {"text": 5}
    assert "the limit is 16" in bad[-1]["reason"]
    np.testing.assert_allclose(np.load(out), expected(published, ["hello", "hello world"]), atol=SAME)


def test_a_value_of_another_kind_errs_alone(published: Path) -> None:
    with closing(LocalBackend(Store(published).load("text"), Options(), workers=1)) as backend:
        encoded = backend.encode(["hello", 5, {"text": "dog"}, "dog"])

    assert encoded.faults.keys() == {1, 2}
    assert "takes texts" in encoded.faults[1]
    np.testing.assert_allclose(encoded.vectors, expected(published, ["hello", "dog"]), atol=SAME)


def test_a_csv_row_with_a_field_too_many_is_set_aside(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('text\n"hello\nworld"\na,b\ndog\n')

    done = run(job(published, path, tmp_path / "out.npy"))

    assert (done.rows, done.bad) == (2, 1)
    assert read(tmp_path / "out.npy")[0] == [0, 2]


@pytest.mark.parametrize("output", ["out.jsonl", "out.npy", "out.parquet"])
def test_nothing_in_nothing_out(published: Path, tmp_path: Path, output: str) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / output
    path.write_bytes(b"")

    assert run(job(published, path, out)).rows == 0
    assert read(out)[0] == []


def test_parts_that_do_not_join_on_are_refused(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "out.partial")
    parts.begin({})
    nothing = np.zeros((0, 4), np.float32)
    parts.add(0, 5, nothing, [], [])
    parts.add(7, 9, nothing, [], [])

    with pytest.raises(BulkError, match="lacks rows before 7"):
        parts.all()


def test_a_part_without_its_vectors_is_not_there(tmp_path: Path) -> None:
    """They are written last, so a kill before leaves the other two files, and the rows are encoded again."""
    parts = Parts(tmp_path / "out.partial")
    parts.begin({})
    parts.add(0, 5, np.zeros((0, 4), np.float32), [], [])
    (tmp_path / "out.partial" / "000000000005-000000000009.kept.jsonl").write_text("{}")

    assert [(part.start, part.end) for part in parts.all()] == [(0, 5)]


def test_two_runs_do_not_write_the_same_output(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "out.partial")

    with parts.locked(), pytest.raises(BulkError, match="another run"), parts.locked():
        pass


def test_a_run_that_was_begun_otherwise_is_not_gone_on_with(published: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [{"text": text} for text in TEXTS])
    out = tmp_path / "out.npy"
    Parts(tmp_path / "out.npy.partial").begin({"space": "sp_other"})

    with pytest.raises(BulkError, match=r"another .*space.*remove it"):
        run(job(published, path, out))


@pytest.mark.parametrize(
    ("source", "output", "options", "message"),
    [
        ("absent.jsonl", "out.npy", {}, "does not exist"),
        ("in.txt", "out.npy", {}, "rows are read from .csv, .tsv, .jsonl, .parquet"),
        ("in.jsonl", "out.txt", {}, "written are .parquet, .npy, .jsonl"),
        ("in.jsonl", "none/out.npy", {}, "there is no directory"),
        ("in.jsonl", "in.jsonl", {}, "exists; remove it"),
        ("in.csv", "out.npy", {"column": "body"}, "has no column body; it has: text"),
        ("in.csv", "out.npy", {"keep": ["sku"]}, "has no column sku"),
        ("in.csv", "out.npy", {"keep": ["row"]}, "already"),
        ("in.csv", "out.npy", {"model": "shop-user"}, "none of the model's columns"),
        ("in.csv", "out.npy", {"options": Options(dim=5)}, "--dimensions is one of 8, 4"),
        ("in.csv", "out.npy", {"options": Options(prompt="query")}, "--prompt: text/1 has no prompts"),
        ("bad.parquet", "out.npy", {}, "bad.parquet"),
        ("bad.jsonl.gz", "out.npy", {}, "bad.jsonl.gz"),
    ],
)
def test_what_cannot_begin_says_why(  # noqa: PLR0917  # pytest gives them by name
    published: Path, tmp_path: Path, source: str, output: str, options: dict[str, Any], message: str
) -> None:
    for name in ("in.jsonl", "in.csv"):
        write(tmp_path / name, [{"text": "hello"}])
    for name in ("in.txt", "bad.parquet", "bad.jsonl.gz"):
        (tmp_path / name).write_bytes(b"nothing")

    with pytest.raises(EncoderyError, match=message):
        run(job(published, tmp_path / source, tmp_path / output, **options))


@pytest.fixture(scope="module")
def url(published: Path) -> Iterator[str]:
    with serving(published) as base:
        yield base


@pytest.mark.e2e
def test_a_server_gives_the_same_and_bad_rows_err_alone(published: Path, tmp_path: Path, url: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join([*BAD, *(json.dumps({"text": text}).encode() for text in TEXTS * 100)]))
    locally, remotely = tmp_path / "local.npy", tmp_path / "remote.npy"

    run(job(published, path, locally, options=Options(dim=4)))
    done: Summary = run(job(published, path, remotely, url=url, options=Options(dim=4)))

    assert read(remotely)[0] == read(locally)[0]
    np.testing.assert_allclose(np.load(remotely), np.load(locally), atol=SAME)
    assert done.meta["space"].endswith("@4")
    assert done.bad == 7


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("options", "message"),
    [(Options(prompt="query"), "no prompt of that name"), (Options(dim=5), "no vectors of that length")],
)
def test_an_option_that_a_server_refuses_ends_the_run_in_a_sentence(
    published: Path, tmp_path: Path, url: str, options: Options, message: str
) -> None:
    path = write(tmp_path / "in.jsonl", [{"text": "hello"}])

    with pytest.raises(BulkError, match=message):
        run(job(published, path, tmp_path / "out.npy", url=url, options=options))


@pytest.mark.parametrize(
    ("version", "kind", "message"),
    [(None, "smell", "kind 'smell'; upgrade"), ("7", "text", "has not loaded fake/7")],
)
def test_a_server_whose_inputs_are_unknown_here_is_refused(
    version: str | None, kind: str, message: str
) -> None:
    client = Client("http://fake", transport=FakeServer(kind=kind).transport)

    with closing(client), pytest.raises(BulkError, match=message):
        RemoteBackend(client, "fake", version, Options())


def test_what_a_server_warns_of_is_kept() -> None:
    server = FakeServer()
    server.warnings = [{"index": 0, "unknown": ["text"]}, {"index": 1, "truncated": [{"length": 9}]}]
    client = Client("http://fake", transport=server.transport)

    with closing(RemoteBackend(client, "fake", None, Options())) as backend:
        encoded = backend.encode(["a", "b", "c"])

    assert encoded.warnings == {0: {"unknown": ["text"]}, 1: {"truncated": [{"length": 9}]}}


@pytest.mark.e2e
def test_a_server_that_is_not_there_is_named(published: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [{"text": "hello"}])

    with pytest.raises(BulkError, match="no answer"):
        run(job(published, path, tmp_path / "out.npy", url="http://127.0.0.1:9"))


@pytest.mark.e2e
def test_a_killed_command_goes_on_and_loses_and_doubles_nothing(published: Path, tmp_path: Path) -> None:
    """SIGKILL, three times, wherever it happens to be; then to the end."""
    count = 60_000
    path = write(tmp_path / "in.jsonl", [{"text": f"{'the ' * (n % 12)}cat"} for n in range(count)])
    out = tmp_path / "out.npy"
    line = [sys.executable, "-m", "encodery", "encode", str(path), str(out), "--models-dir", str(published)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENCODERY_")}
    partial = tmp_path / "out.npy.partial"

    for _ in range(3):
        before = len(list(partial.glob("*.npy"))) if partial.exists() else 0
        process = subprocess.Popen(line, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (partial.exists() and len(list(partial.glob("*.npy"))) > before):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(120)
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    rows, vectors = read(out)
    assert rows == list(range(count))
    distinct = expected(published, [f"{'the ' * n}cat" for n in range(12)])
    np.testing.assert_allclose(vectors, distinct[np.arange(count) % 12], atol=SAME)
    assert not partial.exists()


def test_a_csv_field_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(f"text\n{'x' * 200_000}\n")  # Python's own limit is 131,072
    [row] = read_rows(path, Selection(KINDS["text"].columns({}, None)))

    assert len(row.value) == 200_000


def test_what_a_file_lacks_is_told_before_anything_is_encoded(published: Path, tmp_path: Path) -> None:
    """A model needs one of its columns; the others are missing values, and may be slips."""
    path, told = write(tmp_path / "in.jsonl", [{"histroy": ["A1"], "country": "GB"}]), list[str]()

    run(
        job(
            published,
            path,
            tmp_path / "out.npy",
            model="shop-user",
            options=Options(now=tiny.NOW),
            tell=told.append,
        )
    )

    assert "in.jsonl has no column history; did you mean 'histroy'? it is missing in every row" in told


@pytest.mark.parametrize("source", ["in.jsonl", "in.csv", "in.tsv", "in.parquet"])
def test_the_nearest_column_is_offered(published: Path, tmp_path: Path, source: str) -> None:
    path = write(tmp_path / source, [{"Text": "hello", "id": "a"}])

    with pytest.raises(
        BulkError, match=rf"{source} has no column text; did you mean 'Text'\? it has: Text, id"
    ):
        run(job(published, path, tmp_path / "out.npy"))


@pytest.mark.parametrize("history", ["['A1', 'B2']", "A1|B2", ' ["A1", "B2"] '])
def test_lists_may_be_written_as_python_prints_them_or_parted(
    published: Path, tmp_path: Path, history: str
) -> None:
    (tmp_path / "in.tsv").write_text(f"country\thistory\nGB\t{history}\n")

    run(
        job(
            published,
            tmp_path / "in.tsv",
            tmp_path / "o.npy",
            model="shop-user",
            options=Options(now=tiny.NOW),
        )
    )

    user = Features(USERS[0], tiny.NOW)
    np.testing.assert_allclose(
        np.load(tmp_path / "o.npy"), Store(published).load("shop-user").encode([user]), atol=SAME
    )


def test_ids_that_pandas_wrote_as_floats_are_those_that_were_meant(tmp_path: Path) -> None:
    """An integer column with a missing value among them comes out of pandas as 1001.0."""
    columns = KINDS["features"].columns(
        {"properties": {"shop": {"type": ["string", "integer", "null"]}}}, None
    )
    (tmp_path / "in.csv").write_text("shop,n\n1001.0,1\n,2\n 7.0 ,3\n")
    (tmp_path / "mixed.csv").write_text("shop\n1.0\n1.1\n")

    def values(name: str) -> list[Any]:
        return [row.value for row in read_rows(tmp_path / name, Selection(columns))]

    assert values("in.csv") == [{"shop": "1001"}, {}, {"shop": "7"}]
    assert values("mixed.csv") == [{"shop": "1.0"}, {"shop": "1.1"}]
