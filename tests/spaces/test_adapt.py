"""Adapters: maps that are known, fits that gain and fits that do not, files in and out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import two_spaces
from pyarrow import parquet
from typer.testing import CliRunner, Result

from bundle import BundleError, Store, publish
from encodery.cli import app
from encodery.spaces.adapt import (
    AGAIN,
    KEPT,
    RECALL,
    STAYING,
    FitFiles,
    fit_adapter,
    publish_adapter,
)
from encodery.spaces.affine import METHODS, cross_fitted, fit
from encodery.spaces.apply import apply
from encodery.spaces.errors import SpaceError
from encodery.spaces.vectors import VectorFile

SAME = 1e-5  # float32 through onnxruntime, against float64


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def adapted(trainings: Path, documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, with an adapter from `text` 1 to 3."""
    models = Path(shutil.copytree(trainings, tmp_path_factory.mktemp("adapted") / "models"))
    done = run("adapt", "fit", "text@1", "text@3", "--texts", documents, "--models-dir", models)
    assert done.exit_code == 0, done.stderr
    assert "published: text-1-to-text-3/1" in done.stderr
    assert KEPT in done.stdout
    return models


@pytest.fixture(scope="module")
def old_files(adapted: Path, documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents by `text` 1, in every format."""
    directory = tmp_path_factory.mktemp("old")
    for suffix in ("npy", "jsonl", "parquet"):
        done = run(
            "encode", documents, directory / f"old.{suffix}", "--version", "1", "--keep", "id",
            "--truncate", "end", "--models-dir", adapted,
        )  # fmt: skip
        assert done.exit_code == 0, done.stderr
    return directory


def vectors_of(path: Path) -> np.ndarray:
    return np.concatenate([block.vectors for block in VectorFile.open(path).blocks()])


@pytest.mark.parametrize("method", METHODS)
def test_a_turn_is_found_by_every_method(method: str) -> None:
    random = np.random.default_rng(0)
    turn, _ = np.linalg.qr(random.standard_normal((6, 6)))
    old = random.standard_normal((500, 6)).astype(np.float32)
    new = ((old @ turn) * 3 + 1).astype(np.float32)

    found = fit(old, new, method, normalizes=False)

    # Ridge holds the matrix a little nearer to 0: by lambda in units of one of 500 rows.
    np.testing.assert_allclose(found(old), new, atol=0.15)
    np.testing.assert_allclose(cross_fitted(old, new, method, normalizes=False), new, atol=0.2)
    unit = fit(old, new, method, normalizes=True)(old)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


def test_a_fit_does_not_see_what_it_is_judged_by() -> None:
    """Of noise nothing can be learned: rows that a fit has seen look learned, rows that it has not do not."""
    random = np.random.default_rng(0)
    old, new = (random.standard_normal((60, 30)).astype(np.float32) for _ in range(2))

    seen = fit(old, new, "ridge, lambda 0.03", normalizes=False)(old)
    unseen = cross_fitted(old, new, "ridge, lambda 0.03", normalizes=False)

    assert np.square(seen - new).mean() < 0.6
    assert np.square(unseen - new).mean() > 1


def test_spaces_of_different_lengths_can_be_adapted() -> None:
    random = np.random.default_rng(0)
    old = random.standard_normal((400, 6)).astype(np.float32)
    new = (old @ random.standard_normal((6, 9))).astype(np.float32)

    for method in METHODS:
        assert fit(old, new, method, normalizes=False)(old).shape == (400, 9)
    np.testing.assert_allclose(fit(old, new, "ridge, lambda 0.03", normalizes=False)(old), new, atol=0.1)


def test_the_manifest_says_what_it_is(adapted: Path) -> None:
    store = Store(adapted)
    manifest = store.load("text-1-to-text-3").manifest

    old, new = store.manifest("text", "1"), store.manifest("text", "3")
    adapts = manifest.adapts
    assert adapts is not None
    assert (adapts.source.space, adapts.target.space) == (old.space, new.space)
    assert (adapts.kind, adapts.documents) == ("text", 300)
    assert manifest.space not in (old.space, new.space)
    assert manifest.joins is None  # its vectors are not the new encoder's, whoever asks
    figure = manifest.trained.metrics[KEPT]
    assert figure.value > figure.baselines[STAYING]


def test_the_space_depends_on_what_is_adapted(trainings: Path) -> None:
    """The same matrix between other spaces gives other vectors."""
    store = Store(trainings)
    one, two, three = (store.manifest("text", version) for version in "123")

    ids = {
        publish_to(trainings, tiny.adapter_draft(f"from-{source.version}", source, three)).space
        for source in (one, two)
    }

    assert len(ids) == 2


def publish_to(models: Path, draft: Any) -> Any:
    (manifest,) = publish(models, [draft])
    shutil.rmtree(models / draft.name)
    return manifest


@pytest.mark.parametrize("suffix", ["npy", "jsonl", "parquet"])
def test_a_file_is_adapted_row_by_row(adapted: Path, old_files: Path, tmp_path: Path, suffix: str) -> None:
    source, out = old_files / f"old.{suffix}", tmp_path / f"new.{suffix}"

    done = run("adapt", "apply", "text-1-to-text-3", source, out, "--models-dir", adapted)

    assert done.exit_code == 0, done.stderr
    encoder = Store(adapted).load("text-1-to-text-3")
    old = vectors_of(source)
    np.testing.assert_allclose(vectors_of(out), encoder.encode(encoder.read(old.tolist())), atol=SAME)
    meta = json.loads(Path(f"{out}.meta.json").read_text())
    assert (meta["model"], meta["space"], meta["rows"]) == ("text-1-to-text-3", encoder.manifest.space, 300)
    assert meta["near"] == Store(adapted).manifest("text", "3").space
    assert not Path(f"{out}.partial").exists()


def test_what_a_row_says_stays(adapted: Path, old_files: Path, tmp_path: Path) -> None:
    apply(Store(adapted), "text-1-to-text-3", old_files / "old.parquet", tmp_path / "new.parquet")

    before, after = (
        parquet.read_table(path).drop_columns(["embedding"])
        for path in (old_files / "old.parquet", tmp_path / "new.parquet")
    )
    assert after.to_pylist() == before.to_pylist()
    assert after.schema.remove_metadata() == before.schema.remove_metadata()


def test_one_format_becomes_another(adapted: Path, old_files: Path, tmp_path: Path) -> None:
    apply(Store(adapted), "text-1-to-text-3", old_files / "old.jsonl", tmp_path / "a.parquet")
    apply(Store(adapted), "text-1-to-text-3", old_files / "old.parquet", tmp_path / "b.jsonl")

    assert [json.loads(line)["id"] for line in (tmp_path / "b.jsonl").read_text().splitlines()] == [
        f"d{at}" for at in range(300)
    ]
    np.testing.assert_allclose(
        vectors_of(tmp_path / "a.parquet"), vectors_of(tmp_path / "b.jsonl"), atol=SAME
    )
    with pytest.raises(SpaceError, match="vectors only, no columns"):
        apply(Store(adapted), "text-1-to-text-3", old_files / "old.npy", tmp_path / "c.parquet")


def test_vectors_of_another_space_are_refused(adapted: Path, old_files: Path, tmp_path: Path) -> None:
    done = apply(Store(adapted), "text-1-to-text-3", old_files / "old.npy", tmp_path / "new.npy")

    with pytest.raises(SpaceError, match=f"is of the space {done['space']}"):
        apply(Store(adapted), "text-1-to-text-3", tmp_path / "new.npy", tmp_path / "twice.npy")
    with pytest.raises(SpaceError, match="text is no adapter"):
        apply(Store(adapted), "text", old_files / "old.npy", tmp_path / "twice.npy")


def test_without_metadata_somebody_must_say_the_space(adapted: Path, old_files: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.npy"
    shutil.copy(old_files / "old.npy", bare)
    space = Store(adapted).manifest("text", "1").space

    with pytest.raises(SpaceError, match="say it by --space"):
        apply(Store(adapted), "text-1-to-text-3", bare, tmp_path / "new.npy")
    apply(Store(adapted), "text-1-to-text-3", bare, tmp_path / "new.npy", space)
    with pytest.raises(SpaceError, match="not of the one you say"):
        apply(Store(adapted), "text-1-to-text-3", old_files / "old.npy", tmp_path / "again.npy", "sp_other")

    np.testing.assert_array_equal(np.load(f"{tmp_path}/new.npy.rows.npy"), np.arange(300))


@pytest.mark.parametrize("suffix", ["npy", "jsonl", "parquet"])
def test_a_file_that_was_joined_with_another_is_noticed(
    adapted: Path, old_files: Path, tmp_path: Path, suffix: str
) -> None:
    joined = tmp_path / f"joined.{suffix}"
    if suffix == "npy":
        np.save(joined, np.concatenate([np.load(old_files / "old.npy")] * 2))
    elif suffix == "jsonl":
        joined.write_text((old_files / "old.jsonl").read_text() * 2)
    else:
        table = parquet.read_table(old_files / "old.parquet")
        parquet.write_table(table.slice(0, 299), joined)
    shutil.copy(f"{old_files}/old.{suffix}.meta.json", f"{joined}.meta.json")

    with pytest.raises(SpaceError, match="was changed, or joined with another"):
        VectorFile.open(joined)


def test_rows_that_say_another_space_are_noticed(adapted: Path, old_files: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (old_files / "old.jsonl").read_text().splitlines()]
    rows[7]["space"] = "sp_other"
    mixed = two_spaces.write_jsonl(tmp_path / "mixed.jsonl", rows)
    shutil.copy(old_files / "old.jsonl.meta.json", f"{mixed}.meta.json")

    with pytest.raises(SpaceError, match="1 rows say another one, the first is row 7"):
        apply(Store(adapted), "text-1-to-text-3", mixed, tmp_path / "new.jsonl")


BAD_LINES = {"[1]": "no JSON object", "{": "no JSON object", '{"row": 1}': "without a vector"}
BAD_LINES |= {'{"embedding": [1.0]}': "of another length", '{"embedding": "x"}': "without a vector"}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.items())
def test_a_line_that_is_no_vector_is_refused(adapted: Path, tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"embedding": [1, 2, 3, 4, 5, 6, 7, 8]}\n' + line + "\n")
    space = Store(adapted).manifest("text", "1").space

    with pytest.raises(SpaceError, match=reason):
        apply(Store(adapted), "text-1-to-text-3", path, tmp_path / "new.jsonl", space)


def test_an_interrupted_run_goes_on(adapted: Path, old_files: Path, tmp_path: Path) -> None:
    """What is done lies beside OUT; another command may not take it up."""
    from encodery.bulk.parts import Parts

    out = tmp_path / "new.npy"
    whole = apply(Store(adapted), "text-1-to-text-3", old_files / "old.npy", tmp_path / "whole.npy")
    Parts(tmp_path / "new.npy.partial").begin({"space": "another"})

    with pytest.raises(Exception, match="begun with another"):
        apply(Store(adapted), "text-1-to-text-3", old_files / "old.npy", out)
    shutil.rmtree(tmp_path / "new.npy.partial")
    again = apply(Store(adapted), "text-1-to-text-3", old_files / "old.npy", out)

    assert again == whole
    np.testing.assert_array_equal(np.load(out), np.load(tmp_path / "whole.npy"))


def test_where_nothing_is_gained_no_adapter_is_made(documents: Path, tmp_path: Path) -> None:
    """Vectors that point the other way have the same neighbours: nobody finds more than by staying."""
    for table in (tiny.token_table(), -tiny.token_table()):
        publish(tmp_path, [tiny.text_draft(table=table)])
    store = Store(tmp_path)

    fitted = fit_adapter(store, "text@1", "text@2", FitFiles(documents))
    assert fitted.figures[KEPT].baselines[STAYING] == 1.0
    with pytest.raises(SpaceError, match=r"no adapter was made: neighbours kept@10 is .* by staying with"):
        publish_adapter(store, fitted)
    assert store.names() == ["text"]


def test_labels_judge_where_they_are_given(trainings: Path, documents: Path, tmp_path: Path) -> None:
    labels = tmp_path / "qrels.tsv"
    labels.write_text("query-id\tcorpus-id\n" + "".join(f"d{at}\td{at}\n" for at in range(50)))

    files = FitFiles(documents, documents, labels)
    fitted = fit_adapter(Store(trainings), "text@1", "text@3", files)

    found = fitted.figures[RECALL]
    assert found.baselines == {STAYING: 1.0, AGAIN: 1.0}  # a text finds itself
    assert found.value > 0.9
    assert fitted.refusal != ""  # 1.0 cannot be beaten


def test_item_vectors_are_adapted_and_judged_by_users(trainings: Path, tmp_path: Path) -> None:
    items = two_spaces.write_jsonl(
        tmp_path / "items.jsonl",
        [{"id": one, "price": 0.1 * price, "title": word} for one in tiny.ITEMS for price in range(20)
         for word in ("red", "blue")],
    )  # fmt: skip
    users = two_spaces.write_jsonl(tmp_path / "users.jsonl", [{"history": [one]} for one in tiny.ITEMS])

    fitted = fit_adapter(Store(trainings), "shop-item@1", "shop-item@2", FitFiles(items, users))

    assert fitted.documents == 240
    assert fitted.figures[KEPT].value > fitted.figures[KEPT].baselines[STAYING]


def test_pairs_that_cannot_be_adapted_are_named(adapted: Path, documents: Path, tmp_path: Path) -> None:
    store = Store(adapted)
    few = two_spaces.write_jsonl(tmp_path / "few.jsonl", two_spaces.sentences(150))

    with pytest.raises(SpaceError, match="are of one space"):
        fit_adapter(store, "text@1", "text@1", FitFiles(documents))
    with pytest.raises(SpaceError, match="two encoders of the same inputs"):
        fit_adapter(store, "text@1", "shop-item", FitFiles(documents))
    with pytest.raises(SpaceError, match="two encoders of the same inputs"):
        fit_adapter(store, "text@1", "text-1-to-text-3", FitFiles(documents))
    with pytest.raises(SpaceError, match="150 documents are encoded by both; a fit needs 200"):
        fit_adapter(store, "text@1", "text@3", FitFiles(few))
    with pytest.raises(BundleError, match="no version 9"):
        fit_adapter(store, "text@1", "text@9", FitFiles(documents))


def test_documents_of_a_fit_are_spread_over_the_file(trainings: Path, documents: Path) -> None:
    fitted = fit_adapter(Store(trainings), "text@1", "text@3", FitFiles(documents, most=210))

    assert fitted.documents == 210


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [("parquet", "cut"), ("parquet", "empty"), ("parquet", "flipped"), ("npy", "cut"), ("npy", "empty")],
)
def test_a_damaged_file_is_told_in_one_sentence(
    adapted: Path, old_files: Path, tmp_path: Path, suffix: str, damage: str
) -> None:
    """A file that was cut, or whose bytes have rotted, is neither a traceback nor vectors."""
    content = bytearray((old_files / f"old.{suffix}").read_bytes())
    content[len(content) // 2] ^= 0x40
    old = tmp_path / f"old.{suffix}"
    old.write_bytes(content[: {"cut": len(content) // 2, "empty": 0, "flipped": len(content)}[damage]])
    shutil.copy(old_files / f"old.{suffix}.meta.json", tmp_path)
    done = run("adapt", "apply", "text-1-to-text-3", old, tmp_path / "new.npy", "--models-dir", adapted)

    assert done.exit_code == 2
    assert f"{old.name} cannot be read" in done.stderr
    assert not (tmp_path / "new.npy").exists()


def test_a_file_that_is_not_there_is_told_by_its_name(adapted: Path, tmp_path: Path) -> None:
    done = run(
        "adapt", "apply", "text-1-to-text-3", tmp_path / "no.parquet", "n.npy", "--models-dir", adapted
    )

    assert done.exit_code == 2
    assert "no.parquet: No such file" in done.stderr
