"""Import: a directory becomes a bundle that is served and says where it comes from, without a path."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_pretrained as tiny
from typer.testing import CliRunner, Result

from bundle import BundleError, Manifest, Store, Text
from encodery.cli import app
from training.errors import ConfigError
from training.export import GOLDEN_INPUTS
from training.text.commands import import_pretrained
from training.text.imported import GOLDEN_WORDS, imported, parity_texts
from training.text.pretrained.directory import WEIGHTS, read_pretrained

SAME = 1e-5  # float32: other kernels


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers directory: the first token, normalised, with a prompt."""
    directory = tiny.write_network(tmp_path_factory.mktemp("hub") / "tiny-bert")
    tiny.write_modules(directory, ("Pooling", {"pooling_mode": "cls"}), ("Normalize", {}))
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    tiny.write_json(directory / "config_sentence_transformers.json", prompts)
    return directory


@pytest.fixture(scope="module")
def models(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `tiny`, imported. Read only."""
    models = tmp_path_factory.mktemp("models")
    import_pretrained(source, "tiny", models=models)
    return models


@pytest.fixture
def manifest(models: Path) -> Manifest:
    return Store(models).manifest("tiny", "1")


def test_an_imported_encoder_gives_the_vectors_of_its_library(models: Path, source: Path) -> None:
    """The first state of transformers' own network, normalised; with the default prompt, as theirs has it."""
    texts = ["the ship", "rose and hedge", "bread " * 30]
    vectors = Store(models).load("tiny").encode([Text(text) for text in texts])
    first = np.array([tiny.hidden_states(source, f"query: {text}")[0] for text in texts])

    np.testing.assert_allclose(vectors, first / np.linalg.norm(first, axis=1, keepdims=True), atol=SAME)


def test_an_imported_bert_is_packed(models: Path) -> None:
    assert Store(models).load("tiny").is_packed


def test_the_manifest_says_what_the_directory_says(manifest: Manifest, source: Path) -> None:
    weights = hashlib.sha256((source / WEIGHTS).read_bytes()).hexdigest()

    assert (manifest.kind, manifest.dim, manifest.dimensions) == ("text", tiny.HIDDEN, [tiny.HIDDEN])
    assert (manifest.normalized, manifest.metric, manifest.max_length) == (True, "cosine", tiny.POSITIONS)
    assert manifest.description == "Imported from tiny-bert: bert of 2 layers, first pooling, L2 norm."
    assert manifest.trained.data_sha256 == hashlib.sha256(weights.encode()).hexdigest()
    assert (manifest.prompts, manifest.default_prompt) == ({"query": "query: "}, "query")
    assert manifest.trained.metrics == {}
    assert manifest.parity.inputs >= 64
    assert max(manifest.parity.max_abs_diff, manifest.parity.batch_max_abs_diff) <= SAME


def test_the_card_names_the_source_the_weights_and_the_prompts(models: Path, source: Path) -> None:
    card = (models / "tiny" / "1" / "README.md").read_text()
    weights = hashlib.sha256((source / WEIGHTS).read_bytes()).hexdigest()

    assert "`encodery import` on " in card
    assert "directory `tiny-bert`" in card
    assert f"| {WEIGHTS} | `{weights}` |" in card
    assert "- query: `query: `" in card
    assert "`query` is put before every text unless" in card
    assert "Not measured yet" in card


def test_no_file_names_a_directory_of_the_machine(models: Path, source: Path) -> None:
    for path in (models / "tiny" / "1").iterdir():
        assert str(source.parent).encode() not in path.read_bytes(), path.name


def test_probes_are_many_and_reach_from_one_token_to_the_most(models: Path) -> None:
    texts = parity_texts(tiny.POSITIONS)
    lengths = [one.cost for one in Store(models).load("tiny").prepare([Text(text) for text in texts], "end")]

    assert len(texts) >= 64
    assert (min(lengths), max(lengths)) == (3, tiny.POSITIONS)
    assert len(set(lengths)) > 20
    words = sorted(len(text.split()) for text in parity_texts(500))
    assert words[-1] == 500
    assert sum(count > 100 for count in words) >= 10


def test_golden_inputs_are_short_whatever_the_encoder_reads() -> None:
    """The server runs them, in one batch, each time it starts."""
    golden = parity_texts(8192)[:GOLDEN_INPUTS]

    assert max(len(text.split()) for text in golden) <= GOLDEN_WORDS
    assert max(map(len, golden)) <= 300


def test_the_same_directory_gives_the_same_graph_and_space(
    models: Path, source: Path, tmp_path: Path, manifest: Manifest
) -> None:
    again = import_pretrained(Path(shutil.copytree(source, tmp_path / "other")), "again", models=tmp_path)

    assert again.space == manifest.space
    assert again.files["model.onnx"] == manifest.files["model.onnx"]


def test_a_shorter_length_may_be_asked_for_and_no_longer_one(source: Path) -> None:
    assert imported(source, "short", max_length=10, description="Short.").max_length == 10
    with pytest.raises(ConfigError, match="max-length is 41; tiny-bert reads 1 to 40 tokens"):
        imported(source, "long", max_length=41)


def test_weights_beyond_what_a_graph_holds_are_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.text.imported.MAX_GRAPH_BYTES", 1000)
    with pytest.raises(ConfigError, match=r"tiny-bert has 0\.0 GiB of weights; a graph holds at most"):
        imported(source, "big")


def test_languages_are_those_that_are_named(source: Path, tmp_path: Path) -> None:
    """And a text in another one is told so by the very same bundle."""
    import_pretrained(source, "english", models=tmp_path, languages=["en"])
    encoder = Store(tmp_path).load("english")

    assert encoder.manifest.languages == ["en"]
    told = [one.facts.warned for one in encoder.prepare([Text("привет"), Text("hello")], "end")]
    assert ["other_language" in one for one in told] == [True, False]


def test_what_is_no_language_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a language is two small letters"):
        import_pretrained(tmp_path / "nowhere", "one", models=tmp_path, languages=["English"])


def test_a_wrong_name_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="a name is"):
        import_pretrained(tmp_path / "nowhere", "No Name", models=tmp_path)


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["import", *(str(one) for one in arguments)])


def test_the_command_publishes(source: Path, tmp_path: Path) -> None:
    result = cli(
        source, "--name", "mine", "--models-dir", tmp_path, "--max-length", "20", "--description", "My own."
    )

    assert result.exit_code == 0, result.stderr
    assert "published mine/1, space sp_" in result.stderr
    manifest = Store(tmp_path).manifest("mine", "1")
    assert (manifest.description, manifest.max_length) == ("My own.", 20)


@pytest.mark.parametrize("case", ["no directory", "decoder", "wrong name"])
def test_a_refusal_is_one_sentence(source: Path, tmp_path: Path, case: str) -> None:
    directory = Path(shutil.copytree(source, tmp_path / "model"))
    if case == "decoder":
        tiny.edit_json(directory / "config.json", model_type="gpt2")
    name = "no name" if case == "wrong name" else "mine"
    result = cli(
        directory / "x" if case == "no directory" else directory, "--name", name, "--models-dir", tmp_path
    )

    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert {"no directory": "config.json is missing", "decoder": "'gpt2'", "wrong name": "a name is"}[
        case
    ] in line
    assert not (tmp_path / "mine").exists()


def test_what_was_read_decides_the_digest_of_the_settings(source: Path) -> None:
    from training.text.imported import provenance

    spec = read_pretrained(source)
    one, other = provenance(spec, b"a"), provenance(spec, b"b")

    assert one.config_sha256 != other.config_sha256
    assert (one.data_sha256, one.seed) == (other.data_sha256, 0)
    assert json.dumps(one.details).count(str(source.parent)) == 0
