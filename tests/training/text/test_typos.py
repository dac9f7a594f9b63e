"""Misspelt copies: slips where letters are, none that leaves nothing, and the same for a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bundle.preprocess import Prepared
from training.errors import ConfigError
from training.text.config.data import TyposConfig
from training.text.data.tokenised import IDS, Tokenised
from training.text.data.typos import misspelt
from training.text.objectives.distillation import DistillationObjective
from training.text.rules import check
from training.text.settings import TextRun
from training.text.task import TextTask

PARAGRAPH = "the quick brown fox jumps over the lazy dog and runs into the forest " * 40


@given(st.lists(st.text(), max_size=5), st.floats(0.01, 0.99), st.integers(0, 3))
def test_a_copy_follows_from_the_seed_and_is_blank_only_where_the_text_is(
    texts: list[str], rate: float, seed: int
) -> None:
    config = TyposConfig(rate=rate)
    copies = misspelt(texts, config, seed)

    assert copies == misspelt(texts, config, seed)
    assert len(copies) == len(texts)
    for text, copy in zip(texts, copies, strict=True):
        assert bool(copy.strip()) == bool(text.strip())
        assert len(copy) <= 2 * len(text)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_slips_are_as_many_as_asked_for(rate: float) -> None:
    """Words of a copy that the text has not: a word of five letters is hit with 1 - (1 - rate)^5."""
    words, copy = PARAGRAPH.split(), misspelt([PARAGRAPH], TyposConfig(rate=rate), 0)[0]
    hit = 1 - sum(word in set(words) for word in copy.split()) / len(copy.split())
    letters = np.mean([len(word) for word in words])

    assert hit == pytest.approx(1 - (1 - rate) ** (letters + 1), abs=0.12)


def test_seeds_differ() -> None:
    assert misspelt([PARAGRAPH], TyposConfig(), 0) != misspelt([PARAGRAPH], TyposConfig(), 1)


@pytest.fixture
def run_of(teacher_directory: Path) -> Callable[..., TextRun]:
    def make(**typos: float) -> TextRun:
        data: dict[str, Any] = {"texts": ["texts.txt"], "graded": "graded.csv"}
        return tiny_training.text_run(
            data=data | ({"typos": typos} if typos else {}),
            teacher={"source": str(teacher_directory)},
            vocabulary={"source": "teacher", "max_length": 32},
            model={"embedding_dim": 16, "hidden": {"output_dim": 16}},
            loss={"cosine": {}},
            train={"epochs": 1, "batch_size": 64, "learning_rate": 1e-3, "metric": "teacher_cosine"},
        )

    return make


class Recorder:
    """Vectors of ones, and the token ids of what was to be encoded."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def __call__(self, prepared: Sequence[Prepared]) -> Tensor:
        self.seen += [one.arrays[IDS].tolist() for one in prepared]
        return torch.ones(len(prepared), 16)


def read(task: TextTask, steps: range) -> list[list[int]]:
    objective, recorder = task._learning.objectives[0], Recorder()
    for step in steps:
        objective.loss(step, recorder)
    return recorder.seen


@pytest.mark.usefixtures("cache")
def test_a_share_of_each_step_is_read_misspelt_and_both_are_measured(
    run_of: Callable[..., TextRun], data: Path
) -> None:
    clean, misspelt_ = (TextTask(run_of(**typos), data) for typos in ({}, {"share": 0.5, "rate": 0.3}))
    steps = range(clean.steps_per_epoch)
    texts, with_slips = read(clean, steps), read(misspelt_, steps)
    changed = np.mean([one != other for one, other in zip(texts, with_slips, strict=True)])

    assert 0.4 < changed < 0.55  # a slip within a word that the vocabulary has not either changes no token
    assert read(misspelt_, steps) == with_slips
    measured, found = (Recorder(), Recorder()), list[dict[str, Any]]()
    for task, recorder in zip((clean, misspelt_), measured, strict=True):
        objective = task._learning.objectives[0]
        found.append(objective._measure(objective._split.held_out, recorder))
    texts, both = measured[0].seen, measured[1].seen
    assert both[: len(texts)] == texts
    assert 0.7 < np.mean([one != other for one, other in zip(texts, both[len(texts) :], strict=True)]) <= 1
    assert [list(one) for one in found] == [["teacher_cosine"], ["teacher_cosine", "misspelt_cosine"]]


@pytest.mark.usefixtures("cache")
def test_every_pass_has_slips_of_its_own(run_of: Callable[..., TextRun], data: Path) -> None:
    task = TextTask(run_of(share=0.5, rate=0.3), data)
    objective, steps = task._learning.objectives[0], task.steps_per_epoch
    assert isinstance(objective, DistillationObjective)
    assert objective._misspelt is not None
    clean = as_ids(objective._texts[0])
    copies = [as_ids(objective._misspelt(number)) for number in range(3)]

    assert all(len(one - other - clean) > 0.5 * len(one) for one, other in pairwise(copies))
    for number, copy in enumerate(copies):
        seen = set(map(tuple, read(task, range(number * steps, (number + 1) * steps))))
        assert seen - clean <= copy
        assert len(seen - clean) > 0.3 * len(seen)


def as_ids(texts: Tokenised) -> set[tuple[int, ...]]:
    return {tuple(one.arrays[IDS].tolist()) for one in texts.at(np.arange(len(texts)))}


def test_typos_without_a_teacher_are_refused() -> None:
    data = {"pairs": ["pairs.tsv.gz"], "graded": "graded.csv", "typos": {}}
    with pytest.raises(ConfigError, match=r"data\.typos needs a loss of texts that follows a teacher"):
        check(tiny_training.text_run(data=data))
