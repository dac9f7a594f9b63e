"""A run that goes on from a published encoder and follows a teacher, and one that joins a teacher's space."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_pretrained
import tiny_training
from pydantic import ValidationError

from bundle.preprocess.text import Text
from bundle.publish import publish
from bundle.store import Store
from training.errors import ConfigError, TeacherError
from training.text.axes import nearest_rotation, principal_axes
from training.text.config.model import TeacherConfig
from training.text.data.readers import read_texts
from training.text.imported import imported
from training.text.metrics import cosines
from training.text.rules import check
from training.text.settings import TextRun
from training.text.task import TextTask
from training.text.teacher import PublishedTeacher, teacher_of
from training.trainer import Trainer

TEXTS = ["ship", "the ship of the sailor near the harbour", "bread and coin", "rose hedge " * 12]
SAME = 1e-5
DIM = tiny_training.HIDDEN
NARROW = DIM // 2


@pytest.fixture(scope="module")
def models(data: Path, teacher_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`large`, an imported transformer (`raw` without its norm), classic ones of its width and of half."""
    root = tmp_path_factory.mktemp("models")
    network = shutil.copytree(teacher_directory, tmp_path_factory.mktemp("network"), dirs_exist_ok=True)
    publish(root, [imported(network, "raw", max_length=32)])
    tiny_pretrained.write_modules(network, ("Pooling", {"pooling_mode": "mean"}), ("Normalize", {}))
    publish(root, [imported(network, "large", max_length=32)])
    for name, dim in (("small", DIM), ("narrow", NARROW)):
        run = tiny_training.text_run(
            name=name,
            model={"embedding_dim": 32, "hidden": {"widths": [24], "output_dim": dim}, "dimensions": [8]},
        )
        task = TextTask(run, data, models=root)
        Trainer(task, run.train, seed=0, directory=tmp_path_factory.mktemp("run")).fit()
        publish(root, task.drafts(task.score(task.encoders())))
    return root


def run_of(*, epochs: int = 8, teacher: dict[str, Any], **changes: Any) -> TextRun:
    train = {"epochs": epochs, "batch_size": 64, "learning_rate": 5e-3, "metric": "teacher_cosine"}
    given: dict[str, Any] = {
        "name": "follower",
        "data": {"texts": ["texts.txt"], "graded": "graded.csv"},
        "teacher": {"max_tokens": 32} | teacher,
        "vocabulary": {},
        "model": {"start": "small"},
        "loss": {"cosine": {}},
        "train": train,
    }
    return tiny_training.text_run(**(given | changes))


def test_the_nearest_rotation_is_orthonormal_and_found_again() -> None:
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(6, 6)))[0]
    vectors = random.normal(size=(50, 6))
    found = nearest_rotation(vectors, vectors @ rotation)

    np.testing.assert_allclose(found, rotation, atol=1e-6)
    np.testing.assert_allclose(found @ found.T, np.eye(6), atol=1e-6)


def test_a_published_teacher_gives_its_bundles_vectors(models: Path) -> None:
    teacher = teacher_of(TeacherConfig(model="large", max_tokens=32), models)
    inputs = [Text(text) for text in TEXTS]

    assert isinstance(teacher, PublishedTeacher)
    np.testing.assert_allclose(teacher.encode(TEXTS), Store(models).load("large").encode(inputs), atol=SAME)
    assert teacher.digest != PublishedTeacher(teacher.published, 16).digest


@pytest.mark.usefixtures("cache")
def test_a_start_is_turned_to_its_teacher_and_then_learns_from_it(
    models: Path, data: Path, teacher_directory: Path, tmp_path: Path
) -> None:
    """Turned, its vectors stay as far from each other as they were, and begin nearer to the teacher's."""
    run = run_of(teacher={"source": str(teacher_directory)})
    task = TextTask(run, data, models=models)
    first = task.evaluate().metrics["teacher_cosine"].mean  # after the turn
    inputs = [Text(text) for text in TEXTS]
    before, turned = Store(models).load("small").encode(inputs), task._encode(inputs)
    texts = read_texts(data, run.data.texts[0])
    assert task.teacher is not None
    unturned = cosines(
        Store(models).load("small").encode([Text(one) for one in texts]), task.teacher.encode(texts)
    ).mean()
    best = Trainer(task, run.train, seed=0, directory=tmp_path).fit().best

    np.testing.assert_allclose(turned @ turned.T, before @ before.T, atol=1e-4)
    assert task.starts_learned  # the turn follows from the data, so it may be published as it is
    assert first > unturned + 0.2
    assert best > first + 0.05


@pytest.mark.usefixtures("cache")
def test_a_start_follows_a_wider_teacher_on_its_principal_axes(
    models: Path, data: Path, teacher_directory: Path, tmp_path: Path
) -> None:
    """What it learns are the teacher's vectors, cut to the axes that say most of them."""
    run = run_of(teacher={"source": str(teacher_directory)}, model={"start": "narrow"})
    task = TextTask(run, data, models=models)
    first = task.evaluate().metrics["teacher_cosine"].mean  # after the turn
    best = Trainer(task, run.train, seed=0, directory=tmp_path).fit().best
    texts = read_texts(data, run.data.texts[0])
    assert task.teacher is not None
    theirs, ours = task.teacher.encode(texts), task._encode([Text(text) for text in texts])
    cut = theirs @ principal_axes(theirs.astype(np.float16))[:, :NARROW]

    assert ours.shape[1] == NARROW
    assert best > first + 0.05
    assert cosines(ours, cut).mean() > first


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("is_new", [False, True])
def test_who_joins_a_space_is_compared_with_the_teachers_vectors(
    is_new: bool, models: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chance: the teacher's vector of another text."""
    changes: dict[str, Any] = {}
    if is_new:
        hidden = {"widths": [24], "output_dim": DIM}
        changes = {
            "model": {"embedding_dim": 32, "init": "teacher", "hidden": hidden},
            "vocabulary": {"source": "teacher", "max_length": 32},
        }
    run = run_of(teacher={"model": "large", "share_space": True}, **changes)
    task = TextTask(run, data, models=models)
    Trainer(task, run.train, seed=0, directory=tmp_path).fit()
    metrics = task.score(task.encoders())
    (manifest,) = publish(tmp_path / "models", task.drafts(metrics))
    theirs = Store(models).manifest("large", "1")
    texts = list(dict.fromkeys(read_texts(data, run.data.texts[0])))[:60]
    inputs = [Text(text) for text in texts]
    near = Store(tmp_path / "models").load("follower").encode(inputs) @ (
        Store(models).load("large").encode(inputs).T
    )
    card = (tmp_path / "models" / "follower" / "1" / "README.md").read_text()

    assert manifest.joins is not None
    assert (manifest.joins.name, manifest.joins.space) == ("large", theirs.space)
    assert manifest.space != theirs.space
    assert manifest.spaces_of(8, "int8") == [f"{manifest.space}@8+int8", f"{theirs.space}@8+int8"]
    chance = (near.sum() - near.trace()) / (near.size - len(near))
    assert near.trace() / len(near) > chance + 0.2 * (1 - chance)
    assert "spearman graded, second texts by large/1" in metrics
    assert f"compared with those of `large` version 1, space `{theirs.space}`" in card
    assert "learns to be compared with large/1" in capsys.readouterr().err


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "both": ({"source": "x", "model": "y"}, "give source or model, one of the two"),
    "neither": ({}, "give source or model"),
    "digest": ({"model": "y", "sha256": "0"}, "fixed by NAME@VERSION"),
    "moved": ({"model": "large", "share_space": True, "centred": True}, "centred moves the vectors away"),
    "no space": ({"source": "x", "share_space": True}, "only its vectors have a space"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_teacher_is_a_directory_or_a_published_encoder(case: str) -> None:
    changes, says = REFUSED[case]
    with pytest.raises(ValidationError, match=says):
        TeacherConfig.model_validate(changes)


def test_similarities_alone_do_not_make_a_space() -> None:
    run = run_of(teacher={"model": "large", "share_space": True}, loss={"similarity_kl": {}})
    with pytest.raises(ConfigError, match=r"share_space needs loss\.cosine, mse or teacher_infonce"):
        check(run)


@pytest.mark.parametrize(("teacher", "normalize"), [("raw", True), ("large", False)])
def test_a_space_of_vectors_without_norm_1_is_not_joined(
    teacher: str, normalize: bool, models: Path, data: Path
) -> None:
    model = {"embedding_dim": 8, "normalize": normalize, "hidden": {"output_dim": DIM}}
    run = run_of(teacher={"model": teacher, "share_space": True}, model=model)
    whose = "raw/1" if normalize else "this run"
    with pytest.raises(ConfigError, match=f"needs vectors of norm 1, and those of {whose} are not"):
        _ = TextTask(run, data, models=models).model


def test_a_teacher_of_another_length_than_the_start_is_refused(models: Path, data: Path) -> None:
    narrow = {"embedding_dim": 8, "hidden": {"output_dim": 16}}
    run = run_of(teacher={"model": "large", "share_space": True}, model=narrow)
    with pytest.raises(ConfigError, match="the teacher's vectors have 32 dimensions, the encoder's 16"):
        _ = TextTask(run, data, models=models).model


def test_a_published_teacher_reads_no_more_than_it_can(models: Path) -> None:
    with pytest.raises(TeacherError, match="large/1 reads at most 32"):
        teacher_of(TeacherConfig(model="large", max_tokens=64), models)
