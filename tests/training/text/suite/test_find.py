"""Sets are known by their files; dev and test never meet; a bad file is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.errors import ConfigError
from training.text.suite.classification import Classification
from training.text.suite.clustering import Clustering
from training.text.suite.find import find_tasks
from training.text.suite.retrieval import Retrieval
from training.text.suite.similarity import Similarity
from training.text.suite.splits import held_out, in_half, share


def test_every_form_is_found(sets: Path) -> None:
    found = [(task.about.kind, task.about.name, task.about.split) for task in find_tasks(sets, "dev")]

    assert found == [
        ("similarity", "graded", "the file graded-dev.csv"),
        ("retrieval", "found", "a fixed half of the queries of qrels.tsv"),
        ("classification", "intents", "a fixed fifth of the file train.csv"),
        ("classification", "spoken", "the list 'val' of data.json"),
        ("clustering", "titles", "a fixed half of title_set.txt"),
    ]
    assert [task.about.split for task in find_tasks(sets, "test")][2:4] == [
        "the file test.csv",
        "the list 'test' of data.json",
    ]


def test_a_set_may_be_the_directory_itself(sets: Path) -> None:
    assert [task.about.name for task in find_tasks(sets / "graded", "dev")] == ["graded"]


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
        [dev], [test] = find_tasks(sets / name, "dev"), find_tasks(sets / name, "test")
        judged = [set(task.queries if isinstance(task, Retrieval) else task.texts()) for task in (dev, test)]
        assert judged[0]
        assert judged[1]
        if name == "titles":
            assert not judged[0] & judged[1]


def test_what_is_judged_is_never_learned_from(sets: Path) -> None:
    task = Classification.of(sets / "intents", "dev")

    assert task is not None
    assert not set(task.judged.texts) & {*task.fit.texts, *task.kept.texts}
    assert not set(task.fit.texts) & set(task.kept.texts)


def test_dev_reads_no_test_file(sets: Path, tmp_path: Path) -> None:
    """The test file is not even CSV; dev does not notice, test does."""
    for name in ("graded-dev.csv", "graded-test.csv"):
        (tmp_path / name).write_bytes((sets / "graded" / name).read_bytes())
    with (tmp_path / "graded-test.csv").open("a") as file:
        file.write("no score\n")

    assert Similarity.of(tmp_path, "dev") is not None
    with pytest.raises(ConfigError, match="graded-test"):
        Similarity.of(tmp_path, "test")


def test_a_graded_set_without_a_dev_file_is_halved(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("".join(f"a{i},b{i},{i % 5}\n" for i in range(40)))

    dev, test = Similarity.of(tmp_path, "dev"), Similarity.of(tmp_path, "test")

    assert dev is not None
    assert test is not None
    assert not set(dev.texts()) & set(test.texts())
    assert len(dev.pairs.first) + len(test.pairs.first) == 40
    assert dev.about.split == "a fixed half of test.csv"


def test_judgements_of_beirs_folders_are_taken_as_they_are(sets: Path, tmp_path: Path) -> None:
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).write_bytes((sets / "found" / name).read_bytes())
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td3\t1\n"
    )

    task = Retrieval.of(tmp_path, "dev")

    assert task is not None
    assert task.relevant == [{1: 2.0}, {3: 1.0}]
    assert Retrieval.of(tmp_path, "test") is None


def test_an_id_of_several_documents_stands_for_all_of_them(tmp_path: Path) -> None:
    rows = [("d", "one"), ("d", "two"), ("e", "three")]
    corpus = "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in rows)
    (tmp_path / "corpus.jsonl").write_text(corpus)
    (tmp_path / "queries.jsonl").write_text('{"_id": "q0", "text": "?"}\n')
    (tmp_path / "qrels.tsv").write_text("q0\td\t1\n")

    task = Retrieval.of(tmp_path, "dev" if in_half("dev")("q0") else "test")

    assert task is not None
    assert (task.documents, task.relevant) == (["one", "two", "three"], [{0: 1.0, 1: 1.0}])


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
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


def test_titles_without_as_many_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "titles.txt").write_text("a\nb\n")
    (tmp_path / "labels.txt").write_text("1\n")

    with pytest.raises(ConfigError, match=r"titles.txt has 2 lines, labels.txt has 1"):
        Clustering.of(tmp_path, "dev")


def test_a_directory_without_tasks_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("hello\n")
    (tmp_path / "broken.json").write_text("{")

    with pytest.raises(ConfigError, match="holds no task with a dev split"):
        find_tasks(tmp_path, "dev")
    with pytest.raises(ConfigError, match="is no directory"):
        find_tasks(tmp_path / "none", "dev")
