"""`encodery migrate`: every step, kills in between, and files that are not what they are said to be."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import two_spaces
from typer.testing import CliRunner, Result

from bundle import Store, Text, publish
from encodery.bulk.errors import BulkError
from encodery.cli import app
from encodery.spaces.errors import SpaceError
from encodery.spaces.migrate import Migration, Report, migrate
from encodery.spaces.reembed import read_first
from encodery.spaces.vectors import VectorFile

ROOT = Path(__file__).parents[2]
SAME = 1e-5
ROWS, KILLS = 9000, 4  # three parts of either step


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def encoded(models: Path, inputs: Path, out: Path, version: str = "1") -> Path:
    done = run(
        "encode", inputs, out, "--version", version, "--truncate", "end", "--models-dir", models,
        *(("--keep", "id") if out.suffix != ".npy" else ()),
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return out


@pytest.fixture
def own(trainings: Path, tmp_path: Path) -> Path:
    """The models, one's own to change."""
    return Path(shutil.copytree(trainings, tmp_path / "models"))


@pytest.fixture(scope="module")
def old(trainings: Path, documents: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The documents by `text` 1, by format."""
    directory = tmp_path_factory.mktemp("old")
    return {
        suffix: encoded(trainings, documents, directory / f"old.{suffix}")
        for suffix in ("npy", "jsonl", "parquet")
    }


def migrated(models: Path, source: Path, out: Path, inputs: Path, **options: Any) -> Report:
    told = list[str]()
    asked = Migration("text@1", "text@3", source, out, inputs, tell=told.append, **options)
    return migrate(Store(models), asked)


def expected(models: Path, inputs: Path, version: str = "3") -> np.ndarray:
    texts = [Text(json.loads(line)["text"]) for line in inputs.read_text().splitlines()]
    return Store(models).load("text", version).encode(texts)


def vectors_of(path: Path) -> np.ndarray:
    return np.concatenate([block.vectors for block in VectorFile.open(path).blocks()])


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for block in VectorFile.open(path).blocks() for row in block.kept]


@pytest.mark.parametrize("suffix", ["npy", "jsonl", "parquet"])
def test_what_comes_out_is_what_the_new_encoder_gives(
    own: Path, old: dict[str, Path], documents: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"new.{suffix}"

    report = migrated(own, old[suffix], out, documents)

    np.testing.assert_allclose(vectors_of(out), expected(own, documents), atol=SAME)
    assert [row["row"] for row in rows_of(out)] == list(range(300))
    meta = json.loads(Path(f"{out}.meta.json").read_text())
    manifest = Store(own).manifest("text", "3")
    assert (meta["version"], meta["space"], meta["rows"]) == ("3", manifest.space, 300)
    assert (report.is_done, report.encoded, report.bad, report.foreign) == (True, 300, 0, [])
    assert json.loads(Path(f"{out}.report.json").read_text())["encoded"] == 300
    adapted = tmp_path / f"new.adapted.{suffix}"
    assert VectorFile.open(adapted).space == Store(own).manifest("text-1-to-text-3", "1").space
    assert not Path(f"{out}.partial").exists()


def test_what_was_kept_of_a_row_stays(
    own: Path, old: dict[str, Path], documents: Path, tmp_path: Path
) -> None:
    migrated(own, old["parquet"], tmp_path / "new.parquet", documents)

    assert [row["id"] for row in rows_of(tmp_path / "new.parquet")] == [f"d{at}" for at in range(300)]


def test_wanted_rows_come_first_and_every_row_says_its_space(
    own: Path, old: dict[str, Path], documents: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first.csv"
    first.write_text("row,asked\n250,90\n7,80\n250,1\n9999,1\n31,70\n")
    out, options = tmp_path / "new.jsonl", {"first": first}

    report = migrated(own, old["jsonl"], out, documents, limit=3, **options)

    store = Store(own)
    new, bridge = store.manifest("text", "3").space, store.manifest("text-1-to-text-3", "1").space
    mixed = tmp_path / "new.mixed.jsonl"
    assert (report.is_done, report.encoded, report.searched) == (False, 3, mixed.name)
    assert {row["row"] for row in rows_of(mixed) if row["space"] == new} == {250, 7, 31}
    assert json.loads(Path(f"{mixed}.meta.json").read_text())["spaces"] == {new: 3, bridge: 297}
    assert VectorFile.open(mixed).space == bridge
    assert not out.exists()

    migrated(own, old["jsonl"], out, documents, limit=100, **options)
    assert json.loads(Path(f"{mixed}.meta.json").read_text())["spaces"][new] == 103
    migrated(own, old["jsonl"], out, documents, **options)
    np.testing.assert_allclose(vectors_of(out), expected(own, documents), atol=SAME)
    assert "space" not in rows_of(out)[0]


def test_a_file_of_mixed_spaces_is_not_taken_for_an_old_one(
    own: Path, old: dict[str, Path], documents: Path, tmp_path: Path
) -> None:
    migrated(own, old["jsonl"], tmp_path / "new.jsonl", documents, limit=3)
    mixed = tmp_path / "new.mixed.jsonl"

    refused = run("adapt", "apply", "text-1-to-text-3", mixed, tmp_path / "x.jsonl", "--models-dir", own)
    with pytest.raises(SpaceError, match="is of the space"):
        migrated(own, mixed, tmp_path / "y.jsonl", documents)

    assert refused.exit_code == 2


def test_one_foreign_vector_is_found(own: Path, documents: Path, tmp_path: Path) -> None:
    """Without a word in the metadata: by what its document is worth."""
    vectors = expected(own, documents, "1")
    vectors[123] = expected(own, documents, "3")[123]
    source = tmp_path / "old.npy"
    np.save(source, vectors)

    report = migrated(
        own, source, tmp_path / "new.npy", documents, space=Store(own).manifest("text", "1").space
    )

    assert report.foreign == [123]
    np.testing.assert_allclose(np.load(tmp_path / "new.npy"), expected(own, documents), atol=SAME)


def test_half_a_file_of_another_model_is_refused(own: Path, documents: Path, tmp_path: Path) -> None:
    vectors = expected(own, documents, "1")
    vectors[::2] = expected(own, documents, "2")[::2]
    np.save(tmp_path / "old.npy", vectors)

    space = Store(own).manifest("text", "1").space
    with pytest.raises(SpaceError, match=r"of 100 rows that were looked at, .* the file is of another model"):
        migrated(own, tmp_path / "old.npy", tmp_path / "new.npy", documents, space=space)


def test_rows_that_the_new_encoder_refuses_are_set_aside(trainings: Path, tmp_path: Path) -> None:
    """A text that is none any more; none is lost without a word."""
    own = Path(shutil.copytree(trainings, tmp_path / "models"))
    rows: list[Any] = [{"text": text} for text in two_spaces.sentences(300)]
    inputs = two_spaces.write_jsonl(tmp_path / "in.jsonl", rows)
    source = encoded(own, inputs, tmp_path / "old.npy")
    rows[150] = {"text": 3}
    two_spaces.write_jsonl(inputs, rows)

    report = migrated(own, source, tmp_path / "new.npy", inputs)

    [bad] = [json.loads(line) for line in (tmp_path / "new.npy.bad.jsonl").read_text().splitlines()]
    assert (bad["row"], report.encoded, report.bad) == (150, 299, 1)
    assert np.load(tmp_path / "new.npy.rows.npy").tolist() == [row for row in range(300) if row != 150]


def test_where_no_adapter_is_any_good_all_is_encoded_again_at_once(documents: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    for table in (tiny.token_table(), tiny.token_table(), -tiny.token_table()):
        publish(models, [tiny.text_draft(table=table)])
    source = encoded(models, documents, tmp_path / "old.jsonl")

    paused = migrated(models, source, tmp_path / "new.jsonl", documents, limit=10)
    report = migrated(models, source, tmp_path / "new.jsonl", documents)

    assert "no adapter was made" in report.fit["refusal"]
    assert (paused.encoded, paused.searched) == (10, None)
    assert not (tmp_path / "new.adapted.jsonl").exists()
    np.testing.assert_allclose(vectors_of(tmp_path / "new.jsonl"), expected(models, documents), atol=SAME)


def test_items_of_a_pair_are_migrated_with_their_content(own: Path, tmp_path: Path) -> None:
    rows = [
        {"id": one, "price": price, "title": word}
        for one in tiny.ITEMS for price in range(20) for word in ("red", "blue")
    ]  # fmt: skip
    inputs, out = two_spaces.write_jsonl(tmp_path / "items.jsonl", rows), tmp_path / "new.npy"
    options = ("--model", "shop-item", "--version", "1", "--models-dir", own)
    assert run("encode", inputs, tmp_path / "old.npy", *options).exit_code == 0

    done = run(
        "migrate", "shop-item@1", "shop-item@2", tmp_path / "old.npy", out,
        "--inputs", inputs, "--models-dir", own,
    )  # fmt: skip

    assert done.exit_code == 0, done.stderr
    item = Store(own).load("shop-item", "2")
    np.testing.assert_allclose(np.load(out), item.encode(item.read(rows)), atol=SAME)
    assert "search new.npy" in done.stdout


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"old": "text@2"}, SpaceError, "vectors of text/2 are of"),
        ({"new": "text@1"}, SpaceError, "are of one space"),
        ({"limit": 3}, SpaceError, "cannot say which rows"),
        ({"inputs": "few.jsonl"}, SpaceError, "few.jsonl has 10 rows, and the vectors are of rows up to 299"),
        ({"first": "first.csv"}, SpaceError, "expected the number of a row"),
        ({"out": "new.txt"}, BulkError, "written are"),
        ({"out": "few.jsonl"}, BulkError, "exists"),
        ({"column": "body"}, BulkError, "has no column body"),
    ],
)
def test_what_cannot_begin_says_why(  # noqa: PLR0917  # pytest gives them by name
    own: Path,
    old: dict[str, Path],
    documents: Path,
    tmp_path: Path,
    change: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    two_spaces.write_jsonl(tmp_path / "few.jsonl", two_spaces.sentences(10))
    (tmp_path / "first.csv").write_text("row\nseven\n")
    paths = {name: tmp_path / change[name] for name in ("inputs", "first", "out") if name in change}
    asked: dict[str, Any] = {"old": "text@1", "new": "text@3", "source": old["npy"], "inputs": documents}
    asked |= {"out": tmp_path / "new.npy"} | change | paths

    with pytest.raises(error, match=message):
        migrate(Store(own), Migration(**asked))


def test_a_row_that_is_there_twice_is_refused(own: Path, documents: Path, tmp_path: Path) -> None:
    source = encoded(own, documents, tmp_path / "old.npy")
    rows = np.arange(300)
    rows[8] = 7
    np.save(f"{source}.rows.npy", rows)

    with pytest.raises(SpaceError, match="has row 7 more than once"):
        migrated(own, source, tmp_path / "new.npy", documents)


def test_another_command_does_not_take_up_the_work(
    own: Path, old: dict[str, Path], documents: Path, tmp_path: Path
) -> None:
    migrated(own, old["jsonl"], tmp_path / "new.jsonl", documents, limit=3)

    asked = Migration("text@1", "text@2", old["jsonl"], tmp_path / "new.jsonl", documents)
    with pytest.raises(BulkError, match="was begun with another new"):
        migrate(Store(own), asked)


def test_rows_to_encode_first_are_numbers(tmp_path: Path) -> None:
    assert read_first(two_spaces.write_jsonl(tmp_path / "first.jsonl", [{"row": 3}, {"row": 1}])) == [3, 1]


@pytest.mark.e2e
def test_killed_anywhere_it_goes_on_and_loses_and_doubles_nothing(own: Path, tmp_path: Path) -> None:
    """SIGKILL after random times, within all steps; then to the end."""
    rows = [{"text": f"{'the ' * (n % 12)}cat {tiny.WORDS[1 + n % 13]}"} for n in range(ROWS)]
    inputs = two_spaces.write_jsonl(tmp_path / "in.jsonl", rows)
    source, out = encoded(own, inputs, tmp_path / "old.npy"), tmp_path / "new.npy"
    line = [sys.executable, "-m", "encodery", "migrate", "text@1", "text@3", str(source), str(out)]
    line += ["--inputs", str(inputs), "--models-dir", str(own)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENCODERY_")}
    chosen = random.Random(0)

    for _ in range(KILLS):
        process = subprocess.Popen(
            line, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not Path(f"{out}.partial").exists():
            time.sleep(0.01)
        time.sleep(chosen.uniform(0, 4))
        process.send_signal(signal.SIGKILL)
        process.wait(120)
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0 or "exists" in done.stderr, done.stderr  # it may have been done before
    assert np.load(f"{out}.rows.npy").tolist() == list(range(ROWS))
    np.testing.assert_allclose(np.load(out), expected(own, inputs), atol=SAME)
    assert not Path(f"{out}.partial").exists()
