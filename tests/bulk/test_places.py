"""IN and OUT of `encodery encode` as addresses and directories; in a bucket of moto's where there is one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from bundle import EncoderyError
from encodery.bulk.errors import BulkError
from encodery.bulk.places import Object, are_directories, place_of
from encodery.cli import app

ROWS = '{"text": "hello world"}\n{"text": "the cat sat"}\n'


def encode(published: Path, source: object, out: object, *options: object) -> Result:
    arguments = ["encode", source, out, "--models-dir", published, *options]
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Two tables, and what is none."""
    directory = tmp_path / "in"
    directory.mkdir()
    (directory / "a.jsonl").write_text(ROWS)
    (directory / "b.csv").write_text("text\ndog\n")
    (directory / "_SUCCESS").write_text("")
    (directory / ".hidden.jsonl").write_text(ROWS)
    return directory


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("a/b.jsonl", Path("a/b.jsonl")),
        ("file:///a/b%20c.jsonl", Path("/a/b c.jsonl")),
        ("file://localhost/a", Path("/a")),
        ("s3://bucket/a/b.jsonl", Object("bucket", "a/b.jsonl")),
        ("s3://bucket/a%20b/", Object("bucket", "a%20b/")),  # as the object is called
        ("s3://bucket", Object("bucket", "")),
    ],
)
def test_an_address_is_a_path_or_an_object_of_a_bucket(address: str, place: Path | Object) -> None:
    assert place_of(address) == place


@pytest.mark.parametrize(
    "address",
    ["gs://bucket/a", "https://host/a.jsonl", "s3:///a", "s3://key:secret@bucket/a", "file://host/a"],
)
def test_other_addresses_are_refused_without_being_repeated(address: str) -> None:
    with pytest.raises(BulkError, match=r"^IN and OUT are a path, file:///PATH or s3://BUCKET/KEY$"):
        place_of(address)


def test_each_table_of_a_directory_has_an_output_of_its_own(
    published: Path, tables: Path, tmp_path: Path
) -> None:
    done = encode(published, tables, f"{tmp_path / 'out'}/")

    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.parquet", "a.parquet.meta.json", "b.parquet", "b.parquet.meta.json",
    ]  # fmt: skip
    assert parquet.read_table(tmp_path / "out" / "a.parquet").num_rows == 2


def test_what_is_done_stays_when_the_command_is_given_again(
    published: Path, tables: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    encode(published, tables, out, "--format", "npy")
    before = (out / "a.npy").stat().st_mtime_ns
    (out / "b.npy").unlink()  # as if it had been stopped between the two
    done = encode(published, tables, out, "--format", "npy")

    assert done.exit_code == 0, done.output
    assert "a.npy: is there, and stays" in done.output
    assert (out / "a.npy").stat().st_mtime_ns == before
    assert np.load(out / "b.npy").shape[0] == 1


def test_a_directory_never_gets_vectors_of_two_spaces(published: Path, tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    encode(published, tables, f"{out}/", "--format", "jsonl")
    meta = json.loads((out / "a.jsonl.meta.json").read_text())
    (out / "a.jsonl.meta.json").write_text(json.dumps(meta | {"space": "sp_other"}))
    done = encode(published, tables, f"{out}/", "--format", "jsonl")

    assert done.exit_code != 0
    assert "those before it of sp_other, which do not compare" in done.output


def test_a_directory_and_a_file_do_not_go_together(published: Path, tables: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    with pytest.raises(BulkError, match=r"no directory and .* is a directory"):
        are_directories(str(tables / "a.jsonl"), str(tmp_path / "out"))
    with pytest.raises(BulkError, match=r"is a directory and .* is no directory"):
        are_directories("s3://bucket/in/", "out.parquet")
    assert not are_directories(str(tables), str(tmp_path / "out.npy"))  # the inputs are files
    assert "takes texts; give a file" in encode(published, tables, tmp_path / "out.npy").output


def test_two_tables_of_one_name_and_none_are_refused(published: Path, tables: Path, tmp_path: Path) -> None:
    (tables / "a.tsv").write_text("text\ndog\n")
    (tmp_path / "empty").mkdir()

    assert "a.jsonl and a.tsv would have one OUT" in encode(published, tables, f"{tmp_path}/out/").output
    assert (
        "has no tables (.csv, .tsv, .jsonl, .parquet)"
        in encode(published, tmp_path / "empty", f"{tmp_path}/out/").output
    )


def test_format_is_refused_where_the_name_of_a_file_says_it(
    published: Path, tables: Path, tmp_path: Path
) -> None:
    done = encode(published, tables / "a.jsonl", tmp_path / "a.npy", "--format", "jsonl")

    assert done.exit_code != 0
    assert "--format is for a directory OUT" in done.output
    assert not (tmp_path / "a.npy").exists()


def test_a_file_address_is_the_file(published: Path, tables: Path, tmp_path: Path) -> None:
    source, out = (tables / "a.jsonl").as_uri(), (tmp_path / "a b.npy").as_uri()

    assert encode(published, source, out).exit_code == 0
    assert np.load(tmp_path / "a b.npy").shape[0] == 2


@pytest.mark.stores
@pytest.mark.e2e
def test_rows_of_a_bucket_go_back_to_it(published: Path, tables: Path, tmp_path: Path, bucket: str) -> None:
    """A file, a directory, and the run that finds all of it there."""
    place = place_of(f"{bucket}/")
    assert isinstance(place, Object)
    for name in ("a.jsonl", "b.csv"):
        place.store.send_file(f"{place.key}in/{name}", tables / name)
    work = tmp_path / "work"
    work.mkdir()

    one = encode(published, f"{bucket}/in/a.jsonl", f"{bucket}/one.npy", "--work", work)
    again = encode(published, f"{bucket}/in/a.jsonl", f"{bucket}/one.npy", "--work", work)
    both = encode(published, f"{bucket}/in/", f"{bucket}/out/", "--work", work)
    rest = encode(published, f"{bucket}/in/", f"{bucket}/out/", "--work", work)

    assert one.exit_code == both.exit_code == rest.exit_code == 0, (one.output, both.output, rest.output)
    assert "one.npy exists; remove it, or choose another name" in again.output
    assert rest.output.count("is there, and stays") == 2
    assert list(work.iterdir()) == []
    names = sorted(place.store.keys(f"{place.key}out/"))
    assert [name.rpartition("/")[2] for name in names] == [
        "a.parquet", "a.parquet.meta.json", "b.parquet", "b.parquet.meta.json",
    ]  # fmt: skip
    assert "there is no s3://" in encode(published, f"{bucket}/none.jsonl", tmp_path / "x.npy").output


@pytest.mark.stores
@pytest.mark.e2e
def test_an_object_that_changed_since_the_run_was_stopped_is_told(
    published: Path, tables: Path, tmp_path: Path, bucket: str
) -> None:
    place = place_of(f"{bucket}/a.jsonl")
    assert isinstance(place, Object)
    place.store.send_file(place.key, tables / "a.jsonl")
    (tmp_path / "out.npy").touch()  # so that the run stops when the object is here
    first = encode(published, place, tmp_path / "out.npy", "--work", tmp_path)
    place.store.send_file(place.key, tables / "b.csv")
    second = encode(published, place, tmp_path / "out.npy", "--work", tmp_path)

    assert "exists; remove it" in first.output
    assert "has changed since the run began; remove" in second.output


def test_a_bucket_that_cannot_be_reached_is_a_sentence(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = encode(published, "s3://bucket/a.jsonl", tmp_path / "a.npy", "--work", tmp_path)

    assert isinstance(done.exception, SystemExit)
    assert not isinstance(done.exception, EncoderyError)
    assert "127.0.0.1:9 cannot be reached" in done.output
