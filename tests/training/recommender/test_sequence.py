"""What reads the order of a history: values by hand, padding, and the whole way to a served pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_shop
import torch

from bundle.preprocess.features import Features
from bundle.publish import publish
from bundle.store import Store
from training.config import parse_config
from training.errors import ConfigError
from training.recommender.config.towers import SequenceConfig
from training.recommender.encoders.sequence import Attention, Gru, sequence_module, window, without_gaps
from training.recommender.settings import RecommenderRun
from training.recommender.task import RecommenderTask
from training.trainer import Trainer

SAME = 1e-5
KINDS = [
    SequenceConfig(kind="attention", dim=4, length=5, layers=2),
    SequenceConfig(kind="gru", dim=4, length=5),
]
NAMES = ["attention", "gru"]


@pytest.fixture(params=KINDS, ids=NAMES)
def layers(request: pytest.FixtureRequest) -> Attention | Gru:
    torch.manual_seed(0)
    return sequence_module(request.param).eval()


def test_gru_reads_from_the_oldest_to_the_newest() -> None:
    """The library's own GRU over the reversed entries, without any padding."""
    torch.manual_seed(0)
    layers = Gru(KINDS[1]).eval()
    vectors = torch.randn(1, 5, 4)
    expected = layers.gru(vectors[:, :3].flip(1))[0][:, -1]

    assert torch.allclose(layers(vectors, torch.tensor([[1.0, 1, 1, 0, 0]])), expected, atol=SAME)


def test_attention_of_one_entry_is_that_entry_through_the_layers() -> None:
    """A softmax over one score is 1, so attention passes the entry's own value on."""
    torch.manual_seed(0)
    layers = Attention(SequenceConfig(kind="attention", dim=4, length=5)).eval()
    vectors, mask = torch.randn(1, 5, 4), torch.tensor([[1.0, 0, 0, 0, 0]])
    (block,) = layers.blocks
    x = vectors[:, 0] + layers.places[0]
    x = x + block.out(block.queries_keys_values(block.norm(x))[:, 8:])
    expected = x + block.layers(block.second_norm(x))

    assert torch.allclose(layers(vectors, mask), expected, atol=SAME)


def test_padding_says_nothing_and_an_empty_history_is_0(layers: Attention | Gru) -> None:
    vectors, mask = torch.randn(2, 5, 4), torch.tensor([[1.0, 1, 1, 0, 0], [0.0, 0, 0, 0, 0]])
    other = torch.where(mask.unsqueeze(2) > 0, vectors, torch.randn(2, 5, 4))

    assert torch.allclose(layers(vectors, mask), layers(other, mask), atol=SAME)
    assert not layers(vectors, mask)[1].any()


def test_order_counts(layers: Attention | Gru) -> None:
    vectors, mask = torch.randn(1, 5, 4), torch.ones(1, 5)

    assert not torch.allclose(layers(vectors, mask), layers(vectors.flip(1), mask), atol=1e-2)


def test_window_is_the_newest_of_a_long_history_and_pads_a_short_one() -> None:
    assert window(torch.tensor([[3, 4, 5]]), 2).tolist() == [[3, 4]]
    assert window(torch.tensor([[3, 4, 5]]), 5).tolist() == [[3, 4, 5, 0, 0]]


def test_gaps_go_to_the_end_and_the_order_stays() -> None:
    assert without_gaps(torch.tensor([[0, 5, 0, 3, 4]])).tolist() == [[5, 3, 4, 0, 0]]


def run_of(sequence: dict[str, Any], **changes: Any) -> RecommenderRun:
    towers = tiny_shop.config()["towers"] | {"sequence": {"dim": 8, "length": 6} | sequence}
    run = parse_config(tiny_shop.config(towers=towers, **changes))
    assert isinstance(run, RecommenderRun)
    return run


@pytest.mark.parametrize("kind", NAMES)
def test_pair_that_reads_the_order_is_served_as_trained(tmp_path: Path, kind: str) -> None:
    """Published means compared with torch, alone and in batches; new items and long histories among it."""
    tiny_shop.write_log(tmp_path / "log.csv")
    train = tiny_shop.config()["train"] | {"epochs": 3, "learning_rate": 0.01}
    run = run_of({"kind": kind, "rate": 2.0}, train=train)
    task = RecommenderTask(run, tmp_path)
    assert task.model.user_tower.sequence is not None
    torch.nn.init.normal_(task.model.user_tower.sequence.write.weight)  # at 0 the start may be best
    Trainer(task, run.train, seed=0, directory=tmp_path).fit()
    publish(tmp_path / "models", task.drafts({}))
    users = Store(tmp_path / "models").load("shop-user")
    held_out = task.examples.test()

    served, trained = users.encode(held_out.users), task.encoders()["shop-user"](held_out.users)
    assert np.abs(served - trained).max() < SAME

    new = {"id": "new", "title": "garden novelty"}
    orders = [Features({"history": history}) for history in (["g1", "k1", new], [new, "g1", "k1"])]
    first, second = users.encode(orders)
    assert not np.allclose(first, second, atol=1e-4)  # without times, only the order tells them apart


@pytest.mark.parametrize("kind", NAMES)
def test_training_reads_the_order_as_serving_does(tmp_path: Path, kind: str) -> None:
    """But for the rounding to 8 bits."""
    tiny_shop.write_log(tmp_path / "log.csv")
    task = RecommenderTask(run_of({"kind": kind}), tmp_path)
    assert task.model.user_tower.sequence is not None
    torch.nn.init.normal_(task.model.user_tower.sequence.write.weight)  # it starts at 0
    users, _ = task._exported()
    arrays = [
        torch.from_numpy(array)
        for array in task.examples.users.collate(task.examples.training(np.arange(9))).values()
    ]
    trained = task.model.user_tower(task.model.history_table(*task._known), *arrays)

    assert torch.allclose(users(*arrays), trained, atol=0.05)


def test_order_adds_nothing_before_training(tmp_path: Path) -> None:
    """So a closed-form start stays what it is."""
    tiny_shop.write_log(tmp_path / "log.csv")
    towers = tiny_shop.config()["towers"] | {"item_dim": 17, "initialisation": {"ease_lambda": 10.0}}
    plain = parse_config(tiny_shop.config(towers=towers))
    ordered = parse_config(tiny_shop.config(towers=towers | {"sequence": {"kind": "gru", "length": 6}}))
    assert isinstance(plain, RecommenderRun)
    assert isinstance(ordered, RecommenderRun)

    first, second = (RecommenderTask(run, tmp_path).evaluate() for run in (plain, ordered))

    assert first == second


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ({"kind": "gru", "heads": 4}, "heads says nothing about a gru; leave it out"),
        ({"kind": "gru", "layers": 2}, "layers says nothing about a gru; leave it out"),
        ({"kind": "attention", "heads": 3}, "dim = 8 cannot be split among 3 heads"),
        ({"kind": "lstm"}, "attention"),
    ],
)
def test_options_that_do_not_fit_are_refused(sequence: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_of(sequence)


def test_window_longer_than_a_history_is_refused(tmp_path: Path) -> None:
    tiny_shop.write_log(tmp_path / "log.csv")
    with pytest.raises(ConfigError, match="length is 21, but a history has 20 entries at most"):
        RecommenderTask(run_of({"kind": "gru", "length": 21}), tmp_path)
