"""A planted leak gains nothing: what knows no text gets the figure of chance in every protocol."""

from __future__ import annotations

import random as chance
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_sets import write_beir, write_csv

from training.errors import ConfigError, VectorError
from training.text.suite.find import find_tasks
from training.text.suite.retrieval import Retrieval
from training.text.suite.similarity import Similarity
from training.text.suite.splits import share
from training.text.suite.subjects import Subject
from training.text.suite.task import EvaluationTask, Floats, LabelledTexts
from training.text.suite.vectors import encoded

DIM, LABELS, PER_LABEL = 16, 4, 60
NO_RELATION = (
    0.15  # three standard errors of a correlation, or of a share of a quarter, over some 200 or more
)
Encode = Callable[[Sequence[str]], Floats]


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets whose ids and files tell all: sorted by label, answers in the order of their questions.

    Their texts are drawn at random, so that nothing can be learned from them.
    """
    root = tmp_path_factory.mktemp("leaky")
    for name in ("graded", "found", "intents", "titles"):
        (root / name).mkdir()
    draw = chance.Random(0)

    def words(count: int) -> list[str]:
        return [" ".join(draw.choices("abcdefghijklmnop", k=12)) for _ in range(count)]

    labels = [f"label{number // PER_LABEL}" for number in range(LABELS * PER_LABEL)]
    first, second = words(300), words(300)
    write_csv(root / "graded" / "test.csv", zip(first, second, (row / 60 for row in range(300)), strict=True))
    for split in ("train", "test"):
        rows = zip(words(len(labels)), labels, strict=True)
        write_csv(root / "intents" / f"{split}.csv", [("text", "category"), *rows])
    (root / "titles" / "titles.txt").write_text("\n".join(words(len(labels))) + "\n")
    (root / "titles" / "labels.txt").write_text("\n".join(labels) + "\n")
    keys = [f"answer-of-{number}" for number in range(200)]
    corpus = list(zip(keys, words(200), strict=True))
    write_beir(root / "found", corpus, [f"q-{key}" for key in keys], [f"q-{key} {key} 1" for key in keys])
    return root


def row_number(texts: Sequence[str], seen: dict[str, int]) -> Floats:
    """The place of a text among all that were asked for, as smooth features of it."""
    rows = np.array([seen.setdefault(text, len(seen)) for text in texts])
    waves = np.outer(rows, 2.0 ** -np.arange(DIM / 2))
    return np.concatenate([np.cos(waves), np.sin(waves)], axis=1).astype(np.float32)


def constant(texts: Sequence[str]) -> Floats:
    """One direction for all texts, but in lengths that tell them apart."""
    lengths = np.array([1 + len(set(text)) for text in texts], dtype=np.float32)
    return np.outer(lengths, np.linspace(0.1, 0.9, DIM)).astype(np.float32)


def hashed(texts: Sequence[str]) -> Floats:
    """Noise that is fixed for a text."""
    draws = [np.random.default_rng(int(share(text, "noise") * 2**40)) for text in texts]
    return np.array([draw.normal(size=DIM) for draw in draws], dtype=np.float32).reshape(-1, DIM)


def nothing(texts: Sequence[str]) -> Floats:
    """No direction at all."""
    return np.zeros((len(texts), DIM), dtype=np.float32)


def figures(task: EvaluationTask, encode: Encode, cache: Path) -> dict[str, float]:
    """What the suite finds, by the way that every subject goes."""
    subject = Subject("planted", "1", "", "bundle", (DIM,), encode)
    with encoded(subject, task.texts(), cache) as table:
        return {name: value.mean for name, value in task.score(partial(table.at, dim=DIM)).items()}


def is_chance(task: EvaluationTask, found: Mapping[str, float]) -> bool:
    """Whether the headline is what knowing nothing gives."""
    expected = {"similarity": 0.0, "retrieval": 0.0, "classification": 1 / LABELS, "clustering": 0.0}
    value = found[task.about.headline]
    return value <= expected[task.about.kind] + NO_RELATION


@pytest.mark.parametrize("encode", [constant, hashed, nothing, partial(row_number, seen={})])
def test_an_encoder_that_reads_nothing_gets_chance(leaky: Path, tmp_path: Path, encode: Encode) -> None:
    tasks = find_tasks(leaky, "test").tasks

    assert {task.about.kind for task in tasks} == {
        *("similarity", "retrieval", "classification", "clustering")
    }
    for task in tasks:
        found = figures(task, encode, tmp_path)
        assert is_chance(task, found), (task.about.kind, found)


def test_a_constant_encoder_gets_exactly_chance(leaky: Path, tmp_path: Path) -> None:
    """Each of 200 documents is on each rank alike."""
    found = {task.about.kind: figures(task, constant, tmp_path) for task in find_tasks(leaky, "test").tasks}

    ranks = np.arange(1, 11)
    assert found["similarity"]["spearman"] == 0.0
    assert found["clustering"]["v_measure"] == 0.0
    assert found["classification"]["accuracy"] == 1 / LABELS
    assert found["retrieval"]["ndcg@10"] == pytest.approx((1 / np.log2(1 + ranks)).sum() / 200)
    assert found["retrieval"]["mrr@10"] == pytest.approx((1 / ranks).sum() / 200)
    assert found["retrieval"]["hit@1"] == pytest.approx(1 / 200)
    assert found["retrieval"]["recall@100"] == pytest.approx(0.5)


def test_shuffled_targets_cannot_be_found(sets: Path, tmp_path: Path) -> None:
    """Good vectors, wrong targets: the same sets as everywhere, with their targets dealt anew."""
    for name in ("intents", "titles", "graded"):
        (tmp_path / name).mkdir()
    draw = chance.Random(0)
    for name in ("intents/train.csv", "intents/test.csv", "graded/graded-test.csv"):
        head, *lines = (sets / name).read_text().splitlines()
        lines = lines if name.startswith("intents") else [head, *lines]
        texts, targets = zip(*(line.rsplit(",", 1) for line in lines), strict=True)
        rows = [f"{text},{new}" for text, new in zip(texts, draw.sample(targets, len(targets)), strict=True)]
        (tmp_path / name).write_text("\n".join([head, *rows] if name.startswith("intents") else rows) + "\n")
    (tmp_path / "titles" / "titles.txt").write_bytes((sets / "titles" / "title_set.txt").read_bytes())
    labels = (sets / "titles" / "label_set.txt").read_text().splitlines()
    (tmp_path / "titles" / "labels.txt").write_text("\n".join(draw.sample(labels, len(labels))) + "\n")

    def letters(texts: Sequence[str]) -> Floats:
        counts = [[text.count(chr(97 + place)) for place in range(DIM)] for text in texts]
        return np.array(counts, dtype=np.float32).reshape(-1, DIM) + 0.1

    limits = {
        "spearman": 0.4,
        "accuracy": 1 / 3 + 0.27,
        "v_measure": 0.15,
    }  # three standard errors: 54, 30, 60
    for task in find_tasks(tmp_path, "test").tasks:
        found = figures(task, letters, tmp_path)
        assert found[task.about.headline] <= limits[task.about.headline], (task.about.kind, found)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused_in_every_protocol(
    leaky: Path, tmp_path: Path, bad: float
) -> None:
    """One number of one text; what is said is the model and which text, not what it says."""

    def holed(texts: Sequence[str]) -> Floats:
        vectors = hashed(texts)
        vectors[-1, 3] = bad
        return vectors

    for task in find_tasks(leaky, "test").tasks:
        with pytest.raises(VectorError, match=r"planted/1: the vector of text \d+ is not finite") as caught:
            figures(task, holed, tmp_path)
        assert not any(text in str(caught.value) for text in task.texts())
        with pytest.raises(VectorError, match="not finite"):  # the protocols themselves look as well
            task.score(holed)


@pytest.mark.parametrize("shape", [(1, DIM), (3, DIM - 1), (2, DIM)])
def test_other_vectors_than_were_asked_for_are_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    """numpy would spread a single row over all texts."""
    subject = Subject("planted", "1", "", "bundle", (DIM,), lambda texts: np.ones(shape, dtype=np.float32))

    with (
        pytest.raises(VectorError, match=r"planted/1 gave vectors of shape .* for 3 texts of 16 dimensions"),
        encoded(subject, ["a", "b", "c"], tmp_path),
    ):
        pass


def test_vectors_of_zero_are_counted(tmp_path: Path) -> None:
    """By length: of the second text only the last number is not 0."""
    vectors = np.zeros((3, DIM), dtype=np.float32)
    vectors[0, 0] = vectors[1, -1] = 1.0
    by_text = dict(zip("abc", vectors, strict=True))
    subject = Subject(
        *("planted", "1", "", "bundle", (DIM,)), lambda texts: np.array([by_text[text] for text in texts])
    )

    with encoded(subject, ["a", "b", "c", " "], tmp_path) as table:
        assert (table.zeros(DIM), table.zeros(4)) == (2, 3)


def test_the_encoder_is_told_texts_alone_in_an_order_that_no_file_has(leaky: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def listening(texts: Sequence[str]) -> Floats:
        asked.extend(texts)
        return hashed(texts)

    [task] = find_tasks(leaky / "found", "test").tasks
    figures(task, listening, tmp_path)

    assert set(asked) == set(task.texts())
    assert len(asked) == len(set(asked))
    places = {text: place for place, text in enumerate(asked)}
    assert isinstance(task, Retrieval)
    apart = [places[task.queries[row]] - places[task.documents[row]] for row in range(200)]
    assert np.std(apart) > 100  # of 400 at random: 163; of two lists one after the other: 0


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_files_changes_no_figure(
    leaky: Path, tmp_path_factory: pytest.TempPathFactory, draw: chance.Random
) -> None:
    root = tmp_path_factory.mktemp("shuffled")
    for path in leaky.rglob("*.*"):
        place = root / path.relative_to(leaky)
        place.parent.mkdir(parents=True, exist_ok=True)
        head, *lines = path.read_text().splitlines()
        kept = [head] if head.startswith("text,") else []
        lines = lines if kept else [head, *lines]
        if path.parent.name != "titles":  # two files whose lines belong together
            draw.shuffle(lines)
        place.write_text("\n".join([*kept, *lines]) + "\n")
    order = draw.sample(range(LABELS * PER_LABEL), LABELS * PER_LABEL)
    for name in ("titles", "labels"):
        lines = (leaky / "titles" / f"{name}.txt").read_text().splitlines()
        (root / "titles" / f"{name}.txt").write_text("\n".join(lines[row] for row in order) + "\n")

    def coarse(texts: Sequence[str]) -> Floats:
        return np.round(hashed(texts)[:, :3])  # many ties

    before, after = find_tasks(leaky, "test").tasks, find_tasks(root, "test").tasks
    for one, other in zip(before, after, strict=True):
        first, second = one.score(coarse), other.score(coarse)
        for name, value in first.items():
            assert second[name].mean == pytest.approx(value.mean, abs=1e-12), (one.about.kind, name)
            assert second[name].standard_error == pytest.approx(value.standard_error, abs=1e-9)


def test_a_label_in_a_document_id_helps_nobody(leaky: Path) -> None:
    """Ids never become text: BM25, which reads all texts, finds nothing by them."""
    [task] = find_tasks(leaky / "found", "test").tasks

    assert isinstance(task, Retrieval)
    assert not any("answer-of" in text for text in task.documents)
    assert task.baselines["bm25"]["ndcg@10"].mean == 0.0


def test_labels_are_drawn_on_no_map_of_judged_pairs(leaky: Path) -> None:
    for task in find_tasks(leaky, "test").tasks:
        assert isinstance(task.labelled, LabelledTexts) == (
            task.about.kind in ("classification", "clustering")
        )
        assert isinstance(task, Similarity) == (task.about.kind == "similarity")


def test_a_set_without_scores_in_numbers_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("a,b,nan\nc,d,1\n")

    with pytest.raises(ConfigError, match=r"test.csv, line 1"):
        find_tasks(tmp_path, "test")
