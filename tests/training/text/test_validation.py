"""What a text run measures by: files of its own, no copies of what it learns, no leak."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training

from training.errors import ConfigError
from training.text.metrics import first_hits
from training.text.objectives.copies import alike, partners
from training.text.rules import check
from training.text.settings import TextRun
from training.text.task import TextTask
from training.trainer import Trainer
from training.verdict import has_learned, verdict

MODEL = {"embedding_dim": 16, "hidden": {"widths": [24], "output_dim": 16, "dropout": 0.1}}
TOPICS = list(tiny_training.TOPICS)
# Key of [data] -> the loss that learns from it, its metric, what that is by chance, and the columns.
KINDS: dict[str, tuple[dict[str, Any], str, float, Sequence[str]]] = {
    "pairs": ({"infonce": {}}, "pair_mrr@10", 0.03, ("first", "second")),
    "triplets": ({"triplet": {}}, "triplet_accuracy", 0.5, ("first", "second", "negative")),
    "labels": ({"cross_entropy": {}}, "accuracy", 0.2, ("text", "label")),
    "graded_pairs": ({"cosent": {}}, "graded_spearman", 0.0, ("first", "second", "score")),
    "texts": ({"simcse": {}}, "uniformity", 0.0, ("text",)),
}


def rows_of(kind: str, count: int, seed: int) -> list[list[str]]:
    """Rows about topics that are known: second as first, negative about another; score 1 for the same.

    The second of pairs is the first with every word turned round.
    """
    chance = np.random.default_rng(seed)

    def about(number: int) -> str:
        return tiny_training.sentence(chance, TOPICS[number % 5], int(chance.integers(6, 12)))

    rows = []
    for i in range(count):
        other = i + 1 + i % 4
        same = kind != "graded_pairs" or i % 2 == 0
        first, second, negative = about(i), about(i if same else other), about(other)
        if kind == "pairs":
            second = " ".join(word[::-1] for word in first.split())
        row = {
            "first": first, "text": first, "second": second, "negative": negative,
            "label": TOPICS[i % 5], "score": str(float(same)),
        }  # fmt: skip
        rows.append([row[column] for column in KINDS[kind][3]])
    return rows


def write(path: Path, kind: str, rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """A CSV file; returns its source."""
    columns = KINDS[kind][3]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return {"path": path.name, "columns": {name: name for name in columns}}


def run_of(kind: str, data: dict[str, Any], **train: Any) -> TextRun:
    loss, metric, *_ = KINDS[kind]
    settings = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-2, "metric": metric} | train
    return tiny_training.text_run(data=data, model=MODEL, loss=loss, train=settings)


@pytest.mark.parametrize("kind", KINDS)
def test_files_to_measure_by_are_used_whole(kind: str, tmp_path: Path) -> None:
    learned = write(tmp_path / "learned.csv", kind, rows_of(kind, 90, 0))
    own = write(tmp_path / "own.csv", kind, rows_of(kind, 35, 1))
    alone = TextTask(run_of(kind, {kind: [learned]}), tmp_path)
    given = TextTask(run_of(kind, {kind: [learned], "validation": {kind: [own]}}), tmp_path)
    (part,), (whole,) = ({value.n for value in task.evaluate().metrics.values()} for task in (alone, given))

    assert 16 <= part <= 26  # a fifth, and perhaps a few that belong to the last of them
    assert whole == 35
    assert given.steps_per_epoch > alone.steps_per_epoch  # nothing is held out of the others
    assert given.data_sha256 != alone.data_sha256


def test_what_is_measured_is_not_learned_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten pairs stand in both files, in other letters and blanks."""
    rows = rows_of("pairs", 90, 0)
    source = write(tmp_path / "learned.csv", "pairs", rows)
    own = write(tmp_path / "own.csv", "pairs", [[f" {text.upper()} " for text in row] for row in rows[:10]])
    task = TextTask(run_of("pairs", {"pairs": [source], "validation": {"pairs": [own]}}), tmp_path)
    split = task._learning.objectives[0]._split  # type: ignore[attr-defined]  # every one has it

    assert set(split.held_out) == set(range(90, 100))
    assert len(split.learned) <= 80
    assert not set(range(10)) & set(split.learned)
    assert "examples that data.validation.pairs has, too, are not learned" in capsys.readouterr().err


def test_a_file_to_measure_by_without_a_row_is_refused(tmp_path: Path) -> None:
    """Not taken for none: nobody would know that a part of the training data measures."""
    source = write(tmp_path / "learned.csv", "pairs", rows_of("pairs", 90, 0))
    own = write(tmp_path / "own.csv", "pairs", [])
    with pytest.raises(ConfigError, match=r"data\.validation\.pairs has no usable example"):
        _ = TextTask(run_of("pairs", {"pairs": [source], "validation": {"pairs": [own]}}), tmp_path).model


def test_a_label_of_two_texts_among_many_is_told_to_be_unmeasured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*rows_of("labels", 90, 0), ["a rare text", "rare"]]
    source = write(tmp_path / "a.csv", "labels", rows)
    _ = TextTask(run_of("labels", {"labels": [source]}), tmp_path).model

    assert "1 of 6 labels have too few texts to be held out, and are not measured: 'rare'" in (
        capsys.readouterr().err
    )


def test_files_that_measure_nothing_are_refused() -> None:
    run = tiny_training.text_run(
        data={"pairs": ["p.tsv"], "validation": {"labels": ["l.csv"]}}, loss={"infonce": {}},
        train={"metric": "pair_first_hit"},
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"data\.validation\.labels measures nothing: no loss of the run"):
        check(run)


def test_one_example_a_batch_is_refused_where_they_are_compared() -> None:
    run = tiny_training.text_run(train={"batch_size": 1, "metric": "spearman"})
    with pytest.raises(ConfigError, match=r"loss\.infonce compares .* train\.batch_size is 1; it must be"):
        check(run)


def test_too_few_examples_for_a_batch_of_two_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "pairs", rows_of("pairs", 2, 0))
    with pytest.raises(ConfigError, match=r"data\.pairs leaves 1 to learn from, in batches of 1"):
        _ = TextTask(run_of("pairs", {"pairs": [source]}), tmp_path).model


def test_copies_of_one_example_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "pairs", [("ship", "wave"), (" Ship", "WAVE")] * 20)
    with pytest.raises(ConfigError, match=r"all 40 examples of data\.pairs are copies of one"):
        _ = TextTask(run_of("pairs", {"pairs": [source]}), tmp_path).model


def one_answer(row: list[str]) -> list[str]:
    return [row[0], "the answer to all"]


def one_question(row: list[str]) -> list[str]:
    return ["what is this?", row[1]]


def one_score(row: list[str]) -> list[str]:
    return [*row[:2], "0.5"]


def its_own_negative(row: list[str]) -> list[str]:
    return [*row[:2], row[1].upper()]


ALIKE: Sequence[tuple[str, Callable[[list[str]], list[str]], str]] = [
    ("pairs", one_answer, "all have the same second text"),
    ("pairs", one_question, "all have the same first text"),
    ("graded_pairs", one_score, "all have the score 0.5"),
    ("triplets", its_own_negative, "all have their second text as the negative"),
]


@pytest.mark.parametrize(("kind", "change", "says"), ALIKE)
def test_examples_that_are_the_same_to_every_encoder_are_refused(
    kind: str, change: Callable[[list[str]], list[str]], says: str, tmp_path: Path
) -> None:
    """To learn from; and to measure by, where every encoder would get the same figure."""
    rows = rows_of(kind, 40, 0)
    alike_ones = write(tmp_path / "alike.csv", kind, list(map(change, rows_of(kind, 40, 1))))
    good = write(tmp_path / "good.csv", kind, rows)
    for data, purpose in (
        ({kind: [alike_ones]}, "to learn from"),
        ({kind: [good], "validation": {kind: [alike_ones]}}, "to measure by"),
    ):
        with pytest.raises(ConfigError, match=rf"data\.{kind}, \d+ examples {purpose}: {says}"):
            _ = TextTask(run_of(kind, data), tmp_path).model


@pytest.mark.parametrize("kind", ["pairs", "graded_pairs", "texts"])
def test_one_example_to_measure_by_is_refused_where_it_says_nothing(kind: str, tmp_path: Path) -> None:
    """A pair without another is found by every encoder: a perfect figure before the first step."""
    source = write(tmp_path / "a.csv", kind, rows_of(kind, 8, 0))
    with pytest.raises(ConfigError, match=rf"data\.{kind}, 1 example to measure by: .*; give more"):
        _ = TextTask(run_of(kind, {kind: [source]}), tmp_path).model


def test_many_questions_with_few_answers_are_learned(tmp_path: Path) -> None:
    """Five answers, 48 questions each: questions are held out, and known answers are found."""
    rows = [[first, f"all about {TOPICS[i % 5]}"] for i, (first, _) in enumerate(rows_of("pairs", 240, 0))]
    source = write(tmp_path / "a.csv", "pairs", rows)
    run = run_of("pairs", {"pairs": [source]}, epochs=4)
    state = Trainer(TextTask(run, tmp_path), run.train, seed=0, directory=tmp_path).fit()

    assert state.metrics["pair_first_hit"].n == 48
    assert has_learned(state, "pair_first_hit")


def keys(text: str) -> Any:
    return np.array([ord(letter) for letter in text], dtype=np.uint64)


def test_every_partner_in_the_batch_and_the_text_itself_are_no_negatives() -> None:
    """Pairs a-x, a-y, b-x, c-a, d-z: y is a's in row 1; row 4's second is the first text of rows 1 and 2."""
    found = alike(keys("aabcd"), keys("xyxaz"))

    assert found is not None
    assert found.int().tolist() == [
        [0, 1, 1, 1, 0],
        [1, 0, 1, 1, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert alike(keys("abc"), keys("xyz")) is None


def test_a_hard_negative_that_is_a_partner_elsewhere_in_the_batch_is_none() -> None:
    found = alike(keys("aab"), keys("xyz"), keys("yzb"))

    assert found is not None
    assert found[:, 3:].int().tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]


def test_a_perfect_encoder_hits_though_pairs_are_doubled() -> None:
    first, second = keys("aabbc"), keys("xyxxz")
    right = partners(first, second, second)
    vectors = np.eye(5)[[0, 1, 0, 0, 2]]  # by the second text

    assert first_hits(vectors, vectors, right, np.zeros((5, 5), dtype=bool)).tolist() == [1.0] * 5


SHUFFLED = ["pairs", "triplets", "labels", "graded_pairs"]


@pytest.mark.parametrize("kind", SHUFFLED)
def test_a_run_on_shuffled_targets_learns_nothing_and_says_so(kind: str, tmp_path: Path) -> None:
    """What is to be learned is dealt out anew, and every row is doubled: only a leak could be learned."""
    rows = rows_of(kind, 400, 0)
    if kind == "triplets":
        dealt = [row if i % 2 else [row[0], row[2], row[1]] for i, row in enumerate(rows)]
    else:
        targets = np.random.default_rng(1).permutation([row[-1] for row in rows])
        dealt = [[*row[:-1], str(target)] for row, target in zip(rows, targets, strict=True)]
    source = write(tmp_path / "a.csv", kind, [*dealt, *dealt])
    run = run_of(kind, {kind: [source]}, epochs=6)
    task = TextTask(run, tmp_path)
    assert {value.n for value in task.evaluate().metrics.values()} <= {80, 81}  # each of them once
    state = Trainer(task, run.train, seed=0, directory=tmp_path).fit()
    metric, chance = KINDS[kind][1:3]
    found = task.evaluate().metrics[metric]

    assert not has_learned(state, metric)
    assert any("NOTHING WAS LEARNED" in line for line in verdict(state, metric, starts_learned=False))
    assert abs(found.mean - chance) < 4 * max(found.standard_error, 0.01)


@pytest.mark.parametrize("kind", SHUFFLED)
def test_a_run_on_the_true_targets_learns_and_says_so(kind: str, tmp_path: Path) -> None:
    """The same data, the same steps."""
    rows = rows_of(kind, 400, 0)
    source = write(tmp_path / "a.csv", kind, [*rows, *rows])
    run = run_of(kind, {kind: [source]}, epochs=6)
    state = Trainer(TextTask(run, tmp_path), run.train, seed=0, directory=tmp_path).fit()

    assert has_learned(state, run.train.metric)
