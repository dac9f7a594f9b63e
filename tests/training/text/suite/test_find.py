"""Sets are known by their files; dev and test never meet; a bad file is named."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from text_sets import write_beir, write_csv

from training.errors import ConfigError
from training.text.suite.classification import Classification
from training.text.suite.clustering import Clustering
from training.text.suite.find import find_tasks
from training.text.suite.ranked import NOBODY
from training.text.suite.retrieval import Retrieval
from training.text.suite.similarity import Similarity
from training.text.suite.splits import Split, held_out, in_half, plain, share
from training.text.suite.task import ENOUGH, NoSuchSplit


def test_every_form_is_found(sets: Path) -> None:
    found = [(task.about.kind, task.about.name, task.about.split) for task in find_tasks(sets, "dev").tasks]

    assert found == [
        ("similarity", "graded", "the file graded-dev.csv"),
        ("retrieval", "found", "a fixed half of the queries of qrels.tsv"),
        ("classification", "intents", "a fixed fifth of the file train.csv"),
        ("classification", "spoken", "the list 'val' of data.json"),
        ("clustering", "titles", "a fixed half of title_set.txt"),
    ]
    assert [task.about.split for task in find_tasks(sets, "test").tasks][2:4] == [
        "the file test.csv",
        "the list 'test' of data.json",
    ]


def test_a_set_may_be_the_directory_itself(sets: Path) -> None:
    assert [task.about.name for task in find_tasks(sets / "graded", "dev").tasks] == ["graded"]


def test_halves_are_disjoint_whole_and_for_ever() -> None:
    keys = [f"q{number}" for number in range(1000)]
    dev, test = set(filter(in_half("dev"), keys)), set(filter(in_half("test"), keys))

    assert dev | test == set(keys)
    assert not dev & test
    assert 450 < len(dev) < 550
    assert sorted(dev)[:5] == ["q1", "q10", "q105", "q112", "q113"]  # written down once: must never change
    assert 0.15 < sum(held_out(key, "l2") for key in keys) / 1000 < 0.25
    assert share("a", "l2") != share("a", "dev")


def test_dev_and_test_share_no_judged_text(sets: Path) -> None:
    for name in ("found", "titles"):
        [dev], [test] = find_tasks(sets / name, "dev").tasks, find_tasks(sets / name, "test").tasks
        judged = [set(task.queries if isinstance(task, Retrieval) else task.texts()) for task in (dev, test)]
        assert judged[0]
        assert judged[1]
        if name == "titles":
            assert not judged[0] & judged[1]


def test_what_is_judged_is_never_learned_from(sets: Path) -> None:
    for split in ("dev", "test"):
        task = Classification.of(sets / "intents", split)

        assert isinstance(task, Classification)
        assert not {plain(text) for text in task.judged.texts} & {plain(text) for text in task.train.texts}


def test_texts_that_are_judged_in_other_words_are_not_learned_from(tmp_path: Path) -> None:
    """Case, width, spaces and signs make no other text; what was left out is counted."""
    train = [(f"text {number}", "ab"[number % 2]) for number in range(20)]
    copies = [("Where is my CARD?", "a"), ("where  is my card", "b"), ("\uff57here is my card!!", "a")]
    write_csv(tmp_path / "train.csv", [("text", "category"), *train, *copies])
    write_csv(
        tmp_path / "test.csv", [("text", "category"), ("where is my card", "a"), (":)", "b"), ("new", "c")]
    )

    task = Classification.of(tmp_path, "test")

    assert isinstance(task, Classification)
    assert sorted(task.train.texts) == sorted(text for text, _ in train)
    assert task.about.notes == (
        "3 texts to learn from were left out: a judged text is the same",
        "1 judged texts have a label that nothing is learned of",
    )
    assert plain(":)") != plain(":(")


OPENED: list[list[str]] = []  # the files that Python opened, while somebody listens
sys.addaudithook(lambda event, given: event == "open" and OPENED and OPENED[-1].append(str(given[0])))


@contextmanager
def opened() -> Iterator[list[str]]:
    """Whatever is opened in the context."""
    OPENED.append(["start"])
    yield OPENED[-1]
    OPENED.pop()


@pytest.mark.parametrize(("split", "other"), [("dev", "test"), ("test", "dev")])
def test_no_file_of_the_other_split_is_opened(sets: Path, tmp_path: Path, split: Split, other: Split) -> None:
    root = tmp_path / "copy"
    shutil.copytree(sets, root)
    (root / "intents" / "dev.csv").write_bytes((root / "intents" / "test.csv").read_bytes())
    (root / "found" / "qrels").mkdir()
    for each in ("dev", "test"):
        (root / "found" / "qrels" / f"{each}.tsv").write_bytes((root / "found" / "qrels.tsv").read_bytes())

    with opened() as names:
        found = find_tasks(root, split)

    assert len(found.tasks) == 5
    files = [Path(name).name for name in names if str(root) in name]
    assert [name for name in files if other in name] == []
    assert {name for name in files if split in name} == {
        *(f"graded-{split}.csv", f"{split}.tsv", f"{split}.csv")
    }


def test_a_test_file_is_used_whole_and_never_halved_for_dev(sets: Path, tmp_path: Path) -> None:
    (tmp_path / "graded").mkdir()
    (tmp_path / "graded" / "sts-test.csv").write_text("".join(f"a{i},b{i},{i % 5}\n" for i in range(40)))
    shutil.copytree(sets / "found", tmp_path / "found")
    (tmp_path / "found" / "qrels").mkdir()
    (tmp_path / "found" / "qrels.tsv").rename(tmp_path / "found" / "qrels" / "test.tsv")
    shutil.copytree(sets / "titles", tmp_path / "titles")

    test, dev = find_tasks(tmp_path, "test"), find_tasks(tmp_path, "dev")

    assert [(task.about.split, task.about.judged) for task in test.tasks[:2]] == [
        *(("the file sts-test.csv", 40), ("the file qrels/test.tsv", 60))
    ]
    assert [task.about.name for task in dev.tasks] == ["titles"]
    assert [(one.name, one.why) for one in dev.without] == [
        ("graded", "it has sts-test.csv and no file for the dev split"),
        ("found", "it has qrels/test.tsv and no qrels/dev.tsv"),
    ]


def test_other_names_than_a_splits_are_no_split(tmp_path: Path) -> None:
    (tmp_path / "latest.csv").write_text("a,b,1\nc,d,2\n")

    assert Similarity.of(tmp_path, "test") is None
    for name in ("a-test.csv", "b_test.csv"):
        (tmp_path / name).write_text("a,b,1\nc,d,2\n")
    with pytest.raises(ConfigError, match=r"several test files: a-test.csv, b_test.csv"):
        Similarity.of(tmp_path, "test")


def test_judgements_of_beirs_folders_are_taken_as_they_are(sets: Path, tmp_path: Path) -> None:
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).write_bytes((sets / "found" / name).read_bytes())
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td3\t1\n"
    )

    task = Retrieval.of(tmp_path, "dev")

    assert isinstance(task, Retrieval)
    assert task.relevant == [{1: 2.0}, {3: 1.0}]
    assert isinstance(Retrieval.of(tmp_path, "test"), NoSuchSplit)


def test_lines_of_one_id_are_one_document_the_last_as_beir_reads_it(tmp_path: Path) -> None:
    corpus = [("d", "one"), ("d", "two"), ("e", "three"), ("e", "three")]
    write_beir(tmp_path, corpus, ["q0", "q1"], ["q0 d 1", "q1 e 2"])

    task = Retrieval.of(tmp_path, "test")

    assert isinstance(task, Retrieval)
    assert (task.documents, task.relevant) == (["two", "three"], [{0: 1.0}, {1: 2.0}])
    assert task.about.notes == ("1 lines of corpus.jsonl were replaced by a later one of the same id",)


def test_a_query_does_not_find_itself_unless_it_is_marked_as_relevant(tmp_path: Path) -> None:
    """As BEIR; sets whose questions and answers share numbers are left as they are meant."""
    corpus = [(key, f"text of {key}") for key in ("a", "b", "c")]
    write_beir(tmp_path, corpus, ["a", "b", "c"], ["a b 1", "b b 1", "c a 0"])

    task = Retrieval.of(tmp_path, "test")

    assert isinstance(task, Retrieval)
    assert task.own.tolist() == [0, NOBODY, 2]
    assert task.about.notes == (
        "1 queries have no relevant document, and count as 0",
        "2 queries are documents, and not ranked for themselves",
    )
    same = {text: row for row, text in enumerate(task.documents)}
    found = task.score(lambda texts: np.eye(3, dtype=np.float32)[[same.get(text, 0) for text in texts]])
    assert found["hit@1"].mean == pytest.approx((0.5 + 1 + 0) / 3)  # b and c are alike to a


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("corpus.jsonl", '{"_id": "d0", "text": null}\n', "corpus.jsonl, line 1: expected"),
        ("corpus.jsonl", "[1]\n", "corpus.jsonl, line 1: expected"),
        ("qrels.tsv", "q0\td0\tnan\n", "line 1: 'nan' is no finite number"),
        ("qrels.tsv", "q0\td0\t1_000\n", "line 1: '1_000' is no number: leave out the underscores"),
        ("qrels.tsv", "q0\td0\t1\nq0\td0\t0\n", "line 2: another score than before for the same query"),
        ("corpus.jsonl", '{"_id": "d0", "text": "a", "text": "b"}\n', "line 1: the key 'text' comes twice"),
        ("queries.jsonl", '{"_id": NaN, "text": "a"}\n', "queries.jsonl, line 1: NaN is no JSON"),
        ("queries.jsonl", '{"_id": "q0", "text": "\\ud83d"}\n', "line 1: half of a character"),
        ("qrels.tsv", "q0\td0\n", "line 1: expected query-id, corpus-id, score"),
        ("qrels.tsv", "q0\tnone\t1\n", "no document 'none'"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\n", "marks no document as relevant for a query"),
        ("corpus.jsonl", '{"text": "a"}\n', "corpus.jsonl, line 1: expected"),
    ],
)
def test_a_retrieval_file_that_is_odd_is_named(
    sets: Path, tmp_path: Path, name: str, content: str, complaint: str
) -> None:
    for each in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"):
        (tmp_path / each).write_bytes((sets / "found" / each).read_bytes())
    (tmp_path / name).write_text(content)

    with pytest.raises(ConfigError, match=complaint):
        find_tasks(tmp_path, "dev")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"train": [["a", "x"]], "train": [["b", "y"]]}', "intents.json: the key 'train' comes twice"),
        ('{"train": [["a", NaN]]}', "intents.json: NaN is no JSON"),
        ('{"train": [["a", "x"], ["b", "y"]', "intents.json: no JSON"),
        ('{"train": [["a", "x"], [null, "y"]]}', "entry 2 of 'train' is no text with a label"),
    ],
)
def test_a_file_of_intents_that_is_odd_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "intents.json").write_text(content)

    with pytest.raises(ConfigError, match=complaint):
        find_tasks(tmp_path, "dev")


def test_titles_without_as_many_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "titles.txt").write_text("a\nb\n")
    (tmp_path / "labels.txt").write_text("1\n")

    with pytest.raises(ConfigError, match=r"titles.txt has 2 lines, labels.txt has 1"):
        Clustering.of(tmp_path, "dev")


def test_a_directory_without_tasks_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("hello\n")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "graded").mkdir()
    (tmp_path / "graded" / "test.csv").write_text("a,b,1\n")

    with pytest.raises(ConfigError, match=r"holds no task with a dev split.*graded: it has test.csv"):
        find_tasks(tmp_path, "dev")
    with pytest.raises(ConfigError, match="is no directory"):
        find_tasks(tmp_path / "none", "dev")


@pytest.mark.parametrize("name", ["graded", "found", "intents", "titles"])
def test_next_to_nothing_is_refused_and_too_few_are_told(sets: Path, tmp_path: Path, name: str) -> None:
    [task] = find_tasks(sets / name, "test").tasks

    assert task.about.is_small == (task.about.judged < ENOUGH[task.about.kind])
    write_csv(tmp_path / "test.csv", [("a", "b", 1.0)])
    with pytest.raises(ConfigError, match=r"1 pairs in the file test.csv; at least 2 are needed"):
        find_tasks(tmp_path, "test")


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [(["a"] * 40, "1 labels for"), ([str(number) for number in range(40)], "labels for .* fewer than texts")],
)
def test_labels_that_say_nothing_are_refused(tmp_path: Path, labels: list[str], complaint: str) -> None:
    texts = [f"text {number}" for number in range(40)]
    (tmp_path / "titles.txt").write_text("\n".join(texts) + "\n")
    (tmp_path / "labels.txt").write_text("\n".join(labels) + "\n")

    with pytest.raises(ConfigError, match=complaint):
        find_tasks(tmp_path, "test")


def test_a_constant_score_or_a_single_label_is_refused(tmp_path: Path) -> None:
    for name in ("graded", "labelled"):
        (tmp_path / name).mkdir()
    write_csv(tmp_path / "graded" / "test.csv", [("a", "b", 1.0), ("c", "d", 1.0)])
    rows = [("text", "category"), *((f"text {number}", "a") for number in range(30))]
    write_csv(tmp_path / "labelled" / "train.csv", rows)
    write_csv(tmp_path / "labelled" / "test.csv", [rows[0], ("other", "a"), ("another", "a")])

    with pytest.raises(ConfigError, match="every score is 1"):
        find_tasks(tmp_path / "graded", "test")
    with pytest.raises(ConfigError, match="30 texts of 1 labels to learn from"):
        find_tasks(tmp_path / "labelled", "test")
