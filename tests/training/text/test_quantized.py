"""An encoder in int8: a model and space of its own, the same in every batch, and proven as such."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bundle import Draft, Encoder, GoldenError, Store, Text, publish
from bundle.golden import INT8_COSINE, TOLERANCE, Golden, cosines
from encodery.cli import app
from training.errors import ConfigError
from training.text.commands import quantize

MODELS = Path(__file__).parents[3] / "models"
NAME, TO = "text-small", "text-small-int8"
TEXTS = ["where is my parcel", "a", "two ships left the harbour at dawn " * 12, "Größe", "3.5 kg of rice"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the bundled encoder, and with what the command makes of it. Read only."""
    models = tmp_path_factory.mktemp("models")
    store = Store(MODELS)
    publish(models, [replace(Draft.of(store.read(NAME, store.current(NAME))), joins=None)])
    done = CliRunner().invoke(app, ["quantize", NAME, "--models-dir", str(models)])
    assert done.exit_code == 0, done.output
    assert f"published {TO}/1, space sp_" in done.output
    return models


@pytest.fixture(scope="module")
def encoder(models: Path) -> Encoder:
    return Store(models).load(TO)


def test_its_vectors_are_near_and_of_another_space(models: Path, encoder: Encoder) -> None:
    first = Store(models).load(NAME)
    inputs = [Text(text) for text in TEXTS]

    assert cosines(encoder.encode(inputs), first.encode(inputs)).min() > 0.98
    assert encoder.manifest.space != first.manifest.space
    assert encoder.manifest.joins is not None
    assert encoder.manifest.joins.space == first.manifest.space


def test_it_is_half_the_size_at_most(models: Path) -> None:
    small, large = ((models / name / "1" / "model.onnx").stat().st_size for name in (TO, NAME))

    assert small < 0.6 * large  # whose table was in int8 before


def test_neighbours_change_nothing(encoder: Encoder) -> None:
    prepared = encoder.prepare([Text(text) for text in TEXTS])
    alone = np.concatenate([encoder.run([one]) for one in prepared])

    np.testing.assert_allclose(encoder.run(prepared), alone, atol=1e-6)


def test_the_card_says_what_it_is_made_from(models: Path) -> None:
    card = (models / TO / "1" / "README.md").read_text()
    origin = Store(models).manifest(NAME, "1")

    assert f"Started from {NAME}/1, space {origin.space};" in card
    assert "against the same graph in float32 over" in card
    assert "cosine to text-small/1: 0.99" in card


def test_the_proof_is_by_cosine_to_what_was_recorded(encoder: Encoder, models: Path) -> None:
    golden = Golden.from_bytes((models / TO / "1" / "golden.json").read_bytes())
    rng = np.random.default_rng(0)
    noise = rng.normal(size=golden.vectors.shape).astype(np.float32) / np.sqrt(golden.vectors.shape[1])
    near, far = (
        replace(golden, vectors=golden.vectors + share * noise)
        for share in (0.5 * (1 - INT8_COSINE) ** 0.5, 0.4)
    )

    assert golden.precision == "int8"
    assert golden.check(encoder) <= TOLERANCE
    assert near.check(encoder) <= TOLERANCE
    with pytest.raises(GoldenError, match=r"cosine of 0\.9\d+ to the recorded vectors; the least"):
        far.check(encoder)


def test_a_golden_file_cannot_name_a_tolerance_of_its_own(models: Path) -> None:
    """Only one of the precisions that there are."""
    content = json.loads((models / TO / "1" / "golden.json").read_text())

    with pytest.raises(GoldenError, match="precision"):
        Golden.from_bytes(json.dumps(content | {"precision": "int2"}).encode())


def test_what_cannot_be_quantised_is_refused_with_the_reason(models: Path) -> None:
    with pytest.raises(ConfigError, match="under another name, as text-small-int8"):
        quantize(NAME, NAME, models=models)
    with pytest.raises(ConfigError, match="for encoders of texts; retail-user is of the kind features"):
        quantize("retail-user", "tower-int8", models=MODELS)
    with pytest.raises(ConfigError, match="text-small-int8 has no float32 layer"):
        quantize(TO, "again", models=models)
