"""Encoders of sounds, from files to a bundle that stands in the space of texts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sounds
import tiny
import torch
from tones import CONFIG, HEIGHTS, STARTED, config, onnx_of, write_set
from typer.testing import CliRunner

from bundle import Store, Text, publish
from bundle.preprocess.audio import AudioPreprocessor, Sound
from encodery.cli import app as cli
from training.audio.augment import augmented
from training.audio.network import AudioEncoder
from training.audio.reading import FrozenReading, LiveReading
from training.audio.reading import frozen as frozen_session
from training.audio.settings import AugmentConfig
from training.audio.task import AudioTask
from training.commands import train
from training.errors import ConfigError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    publish(root, [tiny.text_draft()])
    return root


def toml_of(value: Any) -> str:
    """A value of a config, tables in line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_of(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_of, value))}]"
    return json.dumps(value)


@pytest.fixture(scope="module")
def published(data: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, with `tones` trained beside `text`."""
    directory = tmp_path_factory.mktemp("run")
    path = directory / "tones.toml"
    path.write_text("".join(f"{key} = {toml_of(value)}\n" for key, value in CONFIG.items()))
    train(path, data=data, models=models, run=directory / "run")
    return models


def test_texts_find_sounds_after_training(published: Path) -> None:
    store = Store(published)
    tones, text = store.load("tones"), store.load("text")
    made = [sounds.sound_of(sounds.tone(0.25, hz)) for hz, _ in HEIGHTS.values()]
    scores = text.encode([Text(caption) for _, caption in HEIGHTS.values()]) @ tones.encode(made).T

    assert scores.argmax(1).tolist() == [0, 1, 2]
    assert tones.manifest.joins is not None
    assert tones.manifest.joins.space == text.manifest.space
    assert tones.manifest.kind == "audio"


@pytest.mark.usefixtures("published")
def test_the_suite_reports_labels_captions_and_unseen_groups(
    data: Path, models: Path, tmp_path: Path
) -> None:
    places = ["--data", str(data), "--models-dir", str(models), "--out", str(tmp_path)]
    found = CliRunner().invoke(
        cli, ["evaluate", "audio", "tones", "tones", "--split", "test", "--group", "speaker", *places]
    )

    assert found.exit_code == 0, found.output
    content = json.loads((tmp_path / "results.json").read_text())
    figures = {row["figure"]: row["value"] for row in content["figures"]}
    assert set(figures) == {
        "probe accuracy",
        "neighbour accuracy",
        "unseen group, probe accuracy",
        "caption recall@1",
        "caption recall@10",
        "caption accuracy",
    }
    assert figures["caption recall@1"] == figures["probe accuracy"] == 1.0
    assert "caption recall@1: 1.0000" in found.stdout
    assert "tones/1 on tones" in (tmp_path / "results.html").read_text()
    described = CliRunner().invoke(
        cli,
        [
            "models",
            "describe",
            "tones",
            "--results",
            str(tmp_path / "results.json"),
            "--models-dir",
            str(models),
        ],
    )
    assert described.exit_code == 0, described.output
    metrics = Store(models).manifest("tones", "2").trained.metrics
    assert metrics["caption recall@1 tones, test"].value == 1.0


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tones", "nowhere"], "has no train.jsonl"),
        (["text", "tones"], "text takes no sounds"),
        (["tones", "tones", "--split", "best"], "it is dev or test"),
    ],
)
def test_the_suite_says_what_it_cannot_measure(
    data: Path, models: Path, arguments: list[str], message: str
) -> None:
    found = CliRunner().invoke(
        cli, ["evaluate", "audio", *arguments, "--data", str(data), "--models-dir", str(models)]
    )
    assert found.exit_code == 2
    assert message in found.stderr


def frozen_model(path: Path) -> dict[str, Any]:
    content = onnx_of(AudioEncoder(config().front_end, STARTED, AugmentConfig()))
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    plain = {"batch_norm": False, "activation": "leaky_floor"}
    return CONFIG["model"] | plain | {"start": {"source": str(path), "sha256": digest}}


def test_frozen_convolutions_stay_and_the_rest_learns(data: Path, models: Path, tmp_path: Path) -> None:
    task = AudioTask(config(model=frozen_model(tmp_path / "a.onnx")), data, models=models)
    loss = task.loss(0)["loss"]
    loss.backward()

    grown = {name.split(".")[1] for name, one in task.model.named_parameters() if one.grad is not None}
    assert grown == {"hidden", "weight", "bias"}
    front = config().front_end
    own = AudioEncoder(front, STARTED, AugmentConfig()).eval()
    preprocessor = AudioPreprocessor(front.file.to_bytes(), front.max_windows)
    made, rows = [sounds.tone(0.2), sounds.noise(0, 0.7)], np.array([1, 0])
    live = LiveReading(own, preprocessor, made, AugmentConfig(), seed=0)
    once = FrozenReading(
        frozen_session(own, preprocessor), preprocessor, made, AugmentConfig(), copies=1, seed=0
    )
    with torch.no_grad():
        for found, expected in zip(once.clean(rows), live.clean(rows), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(once.altered(rows, 5), once.altered(rows, 5))


def test_batches_follow_from_the_step(data: Path, models: Path) -> None:
    run = config(augment={"gain_db": 6, "noise_db": 20, "shift_s": 0.1, "speed": 0.1})
    one, other = (AudioTask(run, data, models=models) for _ in range(2))
    for task in (one, other):
        task.model.eval()
    losses = [float(task.loss(3)["loss"].detach()) for task in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert float(one.loss(4)["loss"].detach()) != pytest.approx(losses[0], rel=1e-6)


def test_without_a_validation_set_every_label_is_held_out_in_its_share(data: Path, models: Path) -> None:
    task = AudioTask(config(data={"train": ["tones/train.jsonl"]}), data, models=models)
    task.model.eval()
    with torch.no_grad():
        found = task.evaluate()
    assert found.metrics["nearest_label"].n == 4


def test_a_sound_that_cannot_be_read_stops_the_run_or_is_left_out(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path)
    (data / "tones" / "train-0.flac").write_bytes(b"fLaC")
    with pytest.raises(ConfigError, match=r"train\.jsonl, line 1: the sound cannot be decoded"):
        AudioTask(config(), data, models=models).steps_per_epoch  # noqa: B018  # reads the files
    skipping = config(data=CONFIG["data"] | {"bad_rows": "skip"})
    task = AudioTask(skipping, data, models=models)
    assert task.steps_per_epoch == 2
    assert "left out 1 of 33 sounds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"anchor": None}, "belong together"),
        ({"loss": {}}, "no loss is named"),
        ({"augment": {"copies": 2}}, "augment.copies is about frozen"),
        ({"front_end": {"high_hz": 9000.0}}, "at most half of sample_rate"),
        ({"front_end": {"hop_s": 2.0}}, "hop_s is longer than window_s"),
        ({"front_end": {"lead_s": 1.5}}, "lead_s is as long"),
        ({"model": CONFIG["model"] | {"start": {"source": "a", "sha256": "0" * 64}}}, "batch_norm is folded"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**changes)


def test_an_anchor_of_another_length_is_refused(data: Path, models: Path) -> None:
    hidden = CONFIG["model"] | {"hidden": {"output_dim": tiny.DIM + 1}}
    with pytest.raises(ConfigError, match="the anchor's vectors have"):
        AudioTask(config(model=hidden), data, models=models)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"gain_db": 6.0}, lambda before, after: np.ptp(after / before) < 1e-4),
        ({"noise_db": 30.0}, lambda before, after: 0 < np.abs(after - before).std() < 0.1 * before.std()),
        ({"shift_s": 0.2}, lambda before, after: np.array_equal(after[-len(before) :], before)),
        ({"speed": 0.2}, lambda before, after: 0.8 < len(before) / len(after) < 1.21),
    ],
)
def test_a_sound_is_altered_as_it_says(change: dict[str, float], check: Any) -> None:
    before = sounds.tone(0.2) + np.float32(1.0)
    after = augmented(before, AugmentConfig(**change), sounds.RATE, np.random.default_rng(1))
    assert after.dtype == np.float32
    assert not np.array_equal(after, before)
    assert check(before, after)
    same = augmented(before, AugmentConfig(), sounds.RATE, np.random.default_rng(1))
    np.testing.assert_array_equal(same, before)


def test_golden_sounds_are_proven_when_the_bundle_is_loaded(published: Path) -> None:
    tones = Store(published).load("tones", "1")
    assert all(isinstance(one, Sound) for one in tones.read(tones.examples))
