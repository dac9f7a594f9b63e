"""What an encoder can learn from: each objective alone, on sentences whose topics are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training
import torch

from bundle.preprocess import Facts, Prepared
from training.errors import ConfigError
from training.text.data.tokenised import IDS
from training.text.objectives.denoising import damage
from training.text.rules import check
from training.text.settings import TextRun
from training.text.task import TextTask
from training.trainer import Trainer

MODEL = {
    "embedding_dim": 16,
    "hidden": {"widths": [24], "output_dim": 16, "dropout": 0.1},
    "dimensions": [8],
}
TRIPLETS = {"triplets": ["triplets.tsv"]}
LABELS = {"labels": ["labels.csv"]}
# Losses, data, figure, and what it must reach. By chance half of triplets and 0.2 of labels are right; a
# decoder that knows nothing of the text says 0.03 of its words right, one that knows the topic 0.11.
LEARNED: dict[str, tuple[dict[str, Any], dict[str, Any], str, float]] = {
    "triplet": ({"triplet": {}}, TRIPLETS, "triplet_accuracy", 0.9),
    "euclidean": ({"triplet": {"distance": "euclidean", "margin": 1.0}}, TRIPLETS, "triplet_accuracy", 0.9),
    "hard_infonce": ({"hard_infonce": {}}, TRIPLETS, "triplet_accuracy", 0.9),
    "cosent": ({"cosent": {}}, {"graded_pairs": ["graded.csv"]}, "graded_spearman", 0.6),
    "supervised_contrast": ({"supervised_contrast": {}}, LABELS, "neighbour_accuracy", 0.7),
    "cross_entropy": ({"cross_entropy": {}}, LABELS, "accuracy", 0.7),
    "simcse": ({"simcse": {}}, {"texts": ["texts.txt"]}, "uniformity", 2.0),
    "denoising": ({"denoising": {"width": 24}}, {"texts": ["texts.txt"]}, "reconstruction", 0.07),
}


@pytest.fixture(scope="module")
def files(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared files; triplets whose negative is of another topic; many graded pairs."""
    directory = tmp_path_factory.mktemp("objectives")
    for name in ("texts.txt", "labels.csv", "pairs.tsv.gz"):
        (directory / name).write_bytes((data / name).read_bytes())
    random, topics = np.random.default_rng(0), list(tiny_training.TOPICS)

    def about(number: int) -> str:
        return tiny_training.sentence(random, topics[number % len(topics)], int(random.integers(4, 12)))

    (directory / "triplets.tsv").write_text(
        "".join(f"{about(i)}\t{about(i)}\t{about(i + 1 + i % 4)}\n" for i in range(600))
    )
    (directory / "graded.csv").write_text(
        "".join(f"{about(i)},{about(i + i % 2)},{5.0 * (i % 2 == 0)}\n" for i in range(1000))
    )
    return directory


def run_of(name: str, *, epochs: int = 8, **train: Any) -> TextRun:
    loss, data, figure, _ = LEARNED[name]
    return tiny_training.text_run(
        data=data, model=MODEL, loss=loss,
        train={"epochs": epochs, "batch_size": 64, "learning_rate": 1e-2, "metric": figure} | train,
    )  # fmt: skip


@pytest.mark.parametrize("name", LEARNED)
def test_each_objective_alone_learns(name: str, files: Path, tmp_path: Path) -> None:
    run, figure, wanted = run_of(name), *LEARNED[name][2:]
    task = TextTask(run, files)
    before = task.evaluate()
    best = Trainer(task, run.train, seed=0, directory=tmp_path).fit().best

    assert set(before.metrics) == {figure}
    assert best > max(wanted, before.metrics[figure].mean)


@pytest.mark.parametrize("name", LEARNED)
def test_every_objective_asks_at_each_matryoshka_length(name: str, files: Path) -> None:
    """The loss over 16 and 8 dimensions is the mean of the losses over either."""
    task = TextTask(run_of(name), files)
    task.model.eval()
    (objective,) = task._learning.objectives
    both = objective.loss(0, task._vectors)
    plan = objective._plan  # type: ignore[attr-defined]  # every one has it
    each = []
    for dimensions in ([16], [8]):
        object.__setattr__(plan, "dimensions", dimensions)
        each.append(objective.loss(0, task._vectors))

    assert {term: value.item() for term, value in both.items()} == pytest.approx(
        {term: (each[0][term].item() + each[1][term].item()) / 2 for term in both}, rel=1e-5
    )
    assert each[0] != each[1]


@pytest.mark.parametrize("name", ["hard_infonce", "denoising"])
def test_chunks_change_no_gradient(name: str, files: Path) -> None:
    gradients = []
    for chunk_tokens in (0, 70):
        task = TextTask(run_of(name, chunk_tokens=chunk_tokens), files)
        task.model.eval()  # no dropout: its draws follow the order of the work
        task.loss(0)["loss"].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in task.model.parameters() if p.grad is not None]))

    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)
    assert gradients[0].abs().max() > 1e-3


def test_a_resumed_denoising_run_deletes_the_same_tokens(files: Path) -> None:
    first, second = (TextTask(run_of("denoising"), files) for _ in range(2))
    for task in (first, second):
        task.model.eval()
    _ = first.loss(0), first.loss(1)

    assert first.loss(2)["loss"].item() == second.loss(2)["loss"].item()
    assert first.loss(2)["loss"].item() != second.loss(3)["loss"].item()


SPECIALS = np.array([2, 3])


def prepared(ids: list[int]) -> Prepared:
    return Prepared({IDS: np.array(ids)}, cost=len(ids), facts=Facts(tokens=len(ids)))


def test_deleting_keeps_special_tokens_and_the_order() -> None:
    text = [2, *range(10, 1010), 3]
    left = damage(prepared(text), 0.6, SPECIALS, np.random.default_rng(0)).arrays[IDS].tolist()

    assert (left[0], left[-1]) == (2, 3)
    assert left == [*sorted(left[:-1]), 3]
    assert 350 < len(left) - 2 < 450  # 400 of 1000, five standard deviations around it


def test_deleting_leaves_at_least_one_token() -> None:
    for seed in range(20):
        left = damage(prepared([2, 10, 11, 3]), 0.999, SPECIALS, np.random.default_rng(seed)).arrays[IDS]

        assert len(left) >= 3


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"triplet": {}}, "loss.triplet needs data.triplets"),
        ({"hard_infonce": {}}, "loss.hard_infonce needs data.triplets"),
        ({"cosent": {}}, "loss.cosent needs data.graded_pairs"),
        ({"supervised_contrast": {}}, "loss.supervised_contrast needs data.labels"),
        ({"denoising": {}}, "loss.denoising needs data.texts"),
        ({"simcse": {}}, "loss.simcse needs data.texts"),
    ],
)
def test_an_objective_without_its_data_is_refused(loss: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tiny_training.text_run(loss=loss))

    assert str(caught.value) == message


def test_simcse_without_dropout_is_refused() -> None:
    run = tiny_training.text_run(loss={"simcse": {}}, data={"texts": ["t.txt"]})
    with pytest.raises(ConfigError, match=r"loss\.simcse needs dropout"):
        check(run)


def test_too_few_examples_are_refused(files: Path, tmp_path: Path) -> None:
    (tmp_path / "triplets.tsv").write_text("ship\twave\tbread\n")
    with pytest.raises(ConfigError, match=r"data\.triplets has 1 usable examples; at least 2 are needed"):
        _ = TextTask(run_of("triplet"), tmp_path).model
