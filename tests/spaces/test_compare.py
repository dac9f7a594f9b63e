"""`models compare` and its gate: real encoders, a new training that may follow, and many that may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import two_spaces
from two_spaces import write_jsonl
from typer.testing import CliRunner, Result

from bundle import Store, publish
from encodery.cli import app
from encodery.spaces.compare import LATENCY, LOST, OVERLAP, RECALL, REGRESSED, Files, compare
from encodery.spaces.errors import SpaceError
from encodery.spaces.gate import Gate

SHUFFLES = 100


def gate(path: Path, content: str) -> Gate:
    path.write_text(content)
    return Gate.from_file(path)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["models", "compare", *map(str, arguments)])


def test_an_encoder_beside_itself_loses_nothing(trainings: Path, documents: Path) -> None:
    found = compare(Store(trainings), "text@1", "text@1", Files(documents))

    cosines = [value for name, value in found.figures.items() if "cosine" in name]
    assert (found.figures[OVERLAP], found.figures[REGRESSED]) == (1.0, 0.0)
    assert cosines == pytest.approx([1.0] * 3, abs=1e-5)
    assert found.is_same_space
    assert found.regressed == []


def test_a_training_that_is_nearly_the_same_may_follow(trainings: Path, documents: Path) -> None:
    found = compare(Store(trainings), "text@1", "text@2", Files(documents))

    assert Gate().reasons(found) == []
    assert not found.is_same_space
    assert found.figures[OVERLAP] > 0.95


def test_a_turned_space_keeps_neighbours_and_no_cosines(trainings: Path, documents: Path) -> None:
    found = compare(Store(trainings), "text@1", "text@3", Files(documents))

    assert found.figures[OVERLAP] > 0.8
    assert found.figures["same input cosine p50"] < 0.9


def test_shuffled_weights_are_refused_every_time(tmp_path: Path, documents: Path) -> None:
    table = tiny.token_table()
    publish(tmp_path, [tiny.text_draft(table=table)])
    refused = 0
    for seed in range(SHUFFLES):
        shuffled = np.random.default_rng(seed).permuted(table.ravel()).reshape(table.shape)
        publish(tmp_path, [tiny.text_draft(table=shuffled)])
        found = compare(Store(tmp_path), "text@1", f"text@{seed + 2}", Files(documents))
        refused += bool(Gate().reasons(found))

    assert refused == SHUFFLES


def test_labels_say_which_queries_lost(trainings: Path, documents: Path, tmp_path: Path) -> None:
    """The nearest documents by the old encoder are relevant: it finds them all, a shuffled one does not."""
    labels = tmp_path / "qrels.tsv"
    texts = [json.loads(line)["text"] for line in documents.read_text().splitlines()]
    queries = write_jsonl(
        tmp_path / "q.jsonl", [{"id": f"q{at}", "text": one} for at, one in enumerate(texts[:40])]
    )
    rows = [f"q{at}\td{at}\t1\n" for at in range(40)] + ["q0\td5\t0\n", "q1\tnowhere\t1\n"]
    labels.write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))

    found = compare(Store(trainings), "text@1", "text@2", Files(queries, documents, labels))

    assert found.figures[RECALL] == 1.0  # a text is nearest to itself
    assert found.figures[LOST] == 0.0
    assert found.figures[REGRESSED] == 0.0
    assert (found.queries, found.documents) == (40, len(texts))


def test_a_pair_is_compared_by_user_inputs_and_items(trainings: Path, tmp_path: Path) -> None:
    """Queries by the user tower, documents by its peer."""
    users = write_jsonl(tmp_path / "users.jsonl", [*tiny.USERS, {"history": ["A1"], "country": "DE"}])
    records = [{"id": one, "price": price} for one in tiny.ITEMS for price in range(10)]
    items = write_jsonl(tmp_path / "items.jsonl", records)
    store = Store(trainings)

    same = compare(store, "shop-user@1", "shop-user@1", Files(users, items))
    other = compare(store, "shop-user@1", "shop-user@2", Files(users, items))

    assert (same.queries, same.documents) == (5, 60)
    assert same.figures[OVERLAP] == 1.0
    assert Gate().reasons(other) != []


def test_encoders_of_different_kinds_are_not_compared(trainings: Path, documents: Path) -> None:
    with pytest.raises(SpaceError, match="shop-user objects of features"):
        compare(Store(trainings), "text", "shop-user", Files(documents))


def test_rows_that_only_one_can_encode_are_left_out(trainings: Path, tmp_path: Path) -> None:
    rows = [{"text": 3}, *({"text": one} for one in two_spaces.sentences(60)), {}]
    found = compare(Store(trainings), "text@1", "text@2", Files(write_jsonl(tmp_path / "x.jsonl", rows)))

    assert found.documents == 60


def test_too_few_documents_say_nothing(trainings: Path, tmp_path: Path) -> None:
    """Of eleven documents any encoder finds the right ten."""
    few = write_jsonl(tmp_path / "few.jsonl", two_spaces.sentences(11))

    with pytest.raises(SpaceError, match="fewer than 50 documents"):
        compare(Store(trainings), "text@1", "text@3", Files(few))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('[figures]\n"overlap@10" = { least = 0.999999 }', "overlap@10 is 0.9"),
        ("[figures]\nregressed = { most = -1.0 }", "regressed is 0.0000, the most is -1"),
        ("[metrics]\naccuracy = { least = 0.6 }", "accuracy is 0.5000, the least is 0.6"),
        ("[metrics]\naccuracy = { most_lost = -0.1 }", "accuracy lost 0.0000, the most is -0.1"),
        ('[metrics]\n"of nobody" = { least = 0.1 }', "has no figure 'of nobody'"),
    ],
)
def test_every_bound_can_refuse(
    trainings: Path, documents: Path, tmp_path: Path, content: str, reason: str
) -> None:
    found = compare(Store(trainings), "text@1", "text@3", Files(documents))
    only = [why for why in gate(tmp_path / "gate.toml", content).reasons(found) if reason in why]

    assert len(only) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[figures", "is not TOML"),
        ("[figures]\nregressed = {}", "expected a bound"),
        ("[figures]\nregressed = { worst = 1.0 }", "is not known here"),
        ("[figure]\n", "is not known here"),
    ],
)
def test_a_gate_that_cannot_be_read_says_why(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(SpaceError, match=reason):
        gate(tmp_path / "gate.toml", content)


def test_a_bound_on_what_was_not_measured_is_a_mistake(
    trainings: Path, documents: Path, tmp_path: Path
) -> None:
    found = compare(Store(trainings), "text@1", "text@1", Files(documents))
    with pytest.raises(SpaceError, match="recall needs labels"):
        gate(tmp_path / "gate.toml", '[figures]\n"recall@10" = { least = 0.1 }').reasons(found)


def test_the_command_refuses_with_reasons_and_status_1(
    trainings: Path, documents: Path, tmp_path: Path
) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('[figures]\n"overlap@10" = { least = 0.85 }\n')
    common: list[Any] = ["--queries", documents, "--gate", path, "--models-dir", trainings]

    passed, refused = run("text@1", "text@2", *common), run("text@1", "shop-item", *common)
    assert (passed.exit_code, refused.exit_code) == (0, 2), passed.stderr
    assert "may follow" in passed.stderr

    path.write_text('[figures]\n"overlap@10" = { least = 1.0 }\n')
    refused = run("text@1", "text@2", *common)
    assert refused.exit_code == 1
    assert "text/2 may not follow text/1: overlap@10 is 0.9" in refused.stderr


def test_the_command_prints_json_for_programs(trainings: Path, documents: Path) -> None:
    done = run("text@1", "text@3", "--queries", documents, "--models-dir", trainings, "--json")

    told = json.loads(done.stdout)
    assert told["refused"] == []
    assert told["figures"].keys() >= {OVERLAP, REGRESSED, LATENCY}
    assert {one["old"] for one in told["thresholds"]} <= {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}


def test_a_file_that_is_not_there_is_one_sentence(trainings: Path) -> None:
    done = run("text", "text", "--queries", "nowhere.jsonl", "--models-dir", trainings)

    assert done.exit_code == 2
    assert "nowhere.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
