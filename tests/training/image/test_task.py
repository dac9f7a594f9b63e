"""Encoders of pictures are trained, exported and published by every loss, from a small network."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import picture_data
import pytest
import tiny
import torch

from bundle import Store, publish
from bundle.preprocess.image import Image
from training.commands import make_task, train
from training.config import parse_config
from training.errors import ConfigError, TeacherError
from training.image.backbone import read_lite0
from training.image.encoders.assembled import ImageEncoder
from training.image.encoders.lite import NORM_EPSILON, Lite0, folded, names_in_package
from training.image.task import ImageTask

CONFIG = """
kind = "image"
name = "colours"
description = "Plain colours."

[data]
train = [{train}]
validation = ["colours-val.jsonl"]

[model]
side = 32
output_dim = {dim}
normalize = {normalize}

[model.network]
widths = [8, 16]
activation = "silu"
pooling = "max"

{losses}

[train]
epochs = 12
batch_size = 16
learning_rate = 0.01
threads = 1
metric = "{metric}"
"""
LOSSES: dict[str, tuple[str, str]] = {
    "caption": ('[anchor]\nmodel = "text"\n[loss.caption]\ntemperature = 0.1', "caption@1"),
    "label": ("[loss.label]", "knn"),
    "supervised": ("[loss.supervised]", "knn"),
    "reconstruction": ("[loss.reconstruction]\nside = 16\nwidth = 16\nnoise = 0.05", "reconstruction"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    picture_data.write_sets(root)
    return root


@pytest.fixture
def models(tmp_path: Path) -> Path:
    publish(tmp_path / "models", [tiny.text_draft()])
    return tmp_path / "models"


def config(loss: str, train: str = '"colours-train.jsonl"', **changes: Any) -> str:
    losses, metric = LOSSES[loss]
    values = {"dim": tiny.DIM, "normalize": "true", "losses": losses, "metric": metric, "train": train}
    return CONFIG.format(**(values | changes))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_and_its_encoder_is_published(
    loss: str, data: Path, models: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(config(loss))
    [manifest] = train(path, data=data, models=models, run=tmp_path / "run", force=True)
    encoder = Store(models).load("colours")
    metric = LOSSES[loss][1]

    assert (manifest.kind, manifest.dim, manifest.metric) == ("image", tiny.DIM, "cosine")
    metrics = manifest.trained.metrics
    found = next(one for name, one in metrics.items() if name.startswith(f"validation {metric}"))
    assert found.value > found.baselines["start"] or found.value == 1.0
    joins = Store(models).manifest("text", "1").space if loss == "caption" else None
    assert (manifest.joins and manifest.joins.space) == joins
    assert encoder.encode([encoder.read([encoder.examples[0]])[0]]).shape == (1, tiny.DIM)
    if loss == "reconstruction":
        rate = manifest.trained.metrics["compression rate, bytes of pixels to bytes of the vector"]
        assert rate.value == 32 * 32 * 3 / (4 * tiny.DIM)
        error = manifest.trained.metrics["reconstruction error at 16 pixels"]
        assert error.value < error.baselines["mean picture"]


def test_a_folder_of_folders_has_its_names_as_labels(data: Path, models: Path) -> None:
    task = task_of(config("label", train='"train"'), data, models)

    assert {one.label for one in task.examples} == set(picture_data.COLOURS)


def task_of(text: str, data: Path, models: Path) -> ImageTask:

    task = make_task(parse_config(tomllib.loads(text)), data, models)
    assert isinstance(task, ImageTask)
    return task


def test_a_batch_follows_from_seed_and_step(data: Path, models: Path) -> None:
    """So a run that was stopped goes on as one that was not."""
    first, again = (task_of(config("label"), data, models) for _ in range(2))
    whole, rest = list(first.batches(1, 0)), list(again.batches(1, 1))

    for one, other in zip(whole[1:], rest, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        assert torch.equal(first._views(*one), again._views(*other))


def test_a_published_encoder_gives_what_was_trained(data: Path, models: Path, tmp_path: Path) -> None:
    task = task_of(config("label"), data, models)
    publish(models, task.drafts({}))
    encoder = Store(models).load("colours")
    inputs = encoder.read([one.content() for one in task.examples[:5]])

    np.testing.assert_allclose(encoder.encode(inputs), task.encoders()["colours"](inputs), atol=1e-5)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"losses": '[anchor]\nmodel = "text"\n[loss.caption]', "dim": 5}, "output_dim must be 8"),
    ({"losses": '[anchor]\nmodel = "texts"\n[loss.caption]'}, "there is no model texts"),
    ({"losses": "[loss.caption]"}, "belong together"),
    ({"losses": "[loss]"}, "loss needs one of"),
    ({"losses": '[anchor]\nmodel = "text"\n[loss.caption]', "normalize": "false"}, "normalize must be true"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_settings_that_contradict_each_other_are_refused(
    changes: dict[str, Any], message: str, data: Path, models: Path
) -> None:
    with pytest.raises(Exception, match=message):
        task_of(config("caption", **changes), data, models)


def test_a_file_that_is_no_picture_is_named(data: Path, models: Path) -> None:
    (data / "bad" / "x").mkdir(parents=True, exist_ok=True)
    (data / "bad" / "x" / "notes.txt").write_text("notes")
    task = task_of(config("reconstruction", train='"bad"'), data, models)

    with pytest.raises(ConfigError, match=r"bad/x/notes\.txt: .*no JPEG"):
        task.loss(next(task.batches(0, 0)))


def weights_of(network: Lite0) -> dict[str, torch.Tensor]:
    """Weights with batch norms, as the package has them, that fold to those of the network."""
    theirs = dict[str, torch.Tensor]()

    state = network.state_dict()
    for name, conv, norm in names_in_package():
        bias = state[f"{name}.bias"]
        theirs[f"{conv}.weight"] = state[f"{name}.weight"] / 2
        theirs[f"{norm}.weight"] = torch.full_like(bias, 4.0)
        theirs[f"{norm}.running_var"] = torch.full_like(bias, 4.0 - NORM_EPSILON)
        theirs[f"{norm}.running_mean"] = torch.full_like(bias, 0.5)
        theirs[f"{norm}.bias"] = bias + 1.0
    return theirs


def teacher(path: Path) -> str:
    """Weights of a network that tells pictures apart, though nothing was learned: what distils of it."""
    torch.manual_seed(1)
    network = Lite0()
    for one in network.modules():
        if isinstance(one, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(one.weight)
            torch.nn.init.zeros_(one.bias)
    torch.save(weights_of(network), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f'[loss.distill]\nsource = "{path}"\nsha256 = "{digest}"'


def test_a_student_comes_nearer_to_its_teacher(data: Path, models: Path, tmp_path: Path) -> None:
    """On pictures that it did not learn from: which of them are alike, by the teacher's features."""
    text = config("label", losses=teacher(tmp_path / "weights.pth"), metric="knn", dim=32)
    path = tmp_path / "run.toml"
    path.write_text(text)
    task = task_of(text, data, models)
    inputs = task.encoders()["colours"]
    unseen = [Image.from_bytes(one.content()) for one in task._held[0].examples]
    before = inputs(unseen)
    train(path, data=data, models=models, run=tmp_path / "run", force=True)
    after = Store(models).load("colours").encode(unseen)
    learned = read_lite0(str(tmp_path / "weights.pth"), re.search('sha256 = "(.*)"', text)[1])
    with torch.no_grad():
        squares = torch.from_numpy(task._held[0].squares)
        features = ImageEncoder(learned, 1, normalize=False).lower(squares).numpy()

    assert likeness(features, features) > 0.99
    assert likeness(after, features) > likeness(before, features) + 0.1
    assert likeness(after, features) > 0.8


def likeness(some: np.ndarray, others: np.ndarray) -> float:
    """Linear CKA of two sets of vectors of the same pictures: 1 where the same ones are alike."""
    x, y = (one - one.mean(0) for one in (some.astype(np.float64), others.astype(np.float64)))
    return float(np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def test_batch_norms_are_folded_into_the_convolutions() -> None:
    network = Lite0()
    state = folded(weights_of(network))

    for name, value in network.state_dict().items():
        torch.testing.assert_close(state[name], value)


@pytest.mark.parametrize("tune", [0, 2, 16])
def test_a_backbone_is_the_same_wherever_it_is_cut(tune: int) -> None:
    torch.manual_seed(0)
    whole, cut = Lite0(), Lite0(tune)
    cut.load_state_dict(whole.state_dict())
    colours = torch.randn(2, 3, 32, 32)

    torch.testing.assert_close(cut.upper(cut.lower(colours)), whole(colours))
    assert bool(cut.tuned()) == bool(tune)


def test_a_backbone_is_proven_by_its_digest(data: Path, models: Path, tmp_path: Path) -> None:

    path = tmp_path / "weights.pth"
    torch.save(weights_of(Lite0()), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def task(sha256: str) -> ImageTask:
        before, _, after = config("label").partition("[model.network]")
        backbone = f'[model.backbone]\nsource = "{path}"\nsha256 = "{sha256}"\ntune = 1\n'
        return task_of(f"{before}{backbone}\n[loss.label]{after.partition('[loss.label]')[2]}", data, models)

    good = task(digest)
    good.loss(next(good.batches(0, 0)))["loss"].backward()
    trained = {name for name, one in good.model.encoder.named_parameters() if one.grad is not None}
    assert {name.partition(".")[0] for name in trained} == {"body", "output"}
    assert not any(name.startswith("body.blocks.14.") for name in trained)
    with pytest.raises(TeacherError, match="is not the file"):
        task("0" * 64).model  # noqa: B018  # it is made when asked for
