"""The start of the user's features, on a shop whose segments say what its customers buy: `segment_shop`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segment_shop
import torch

from bundle.preprocess.features import Features
from bundle.publish import publish
from bundle.store import Store
from training.config import parse_config
from training.recommender.config.features import FeatureConfig
from training.recommender.encoders.feature_embeddings import KNOTS, feature_embedding, natural_dim
from training.recommender.encoders.regression import Taken, choose_ridges, fit, log_popularity
from training.recommender.settings import RecommenderRun
from training.recommender.task import RecommenderTask
from training.trainer import Trainer


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("segments")
    segment_shop.write_log(directory / "log.csv")
    return directory


def task_of(shop: Path, *features: dict[str, Any], **changes: Any) -> RecommenderTask:
    run = parse_config(segment_shop.config(*features, **changes))
    assert isinstance(run, RecommenderRun)
    return RecommenderTask(run, shop)


def own_share(task: RecommenderTask, group: int, **known: Any) -> float:
    """The share of their group in the top ten of new customers of whom only that is known."""
    encode, items = task.encoders(), task.examples.log.items
    (user,) = encode["segments-user"]([Features(known, task.examples.now)])
    vectors = encode["segments-item"]([Features({"id": item}) for item in items])
    best = np.argsort(-(vectors @ user))[:10]
    return float(np.mean([segment_shop.group_of(items[number]) == group for number in best]))


def value_of(kind: str, group: int) -> Any:
    values = segment_shop.told(group, np.random.default_rng(5))
    text = values[segment_shop.COLUMNS.index(segment_shop.FEATURES[kind]["name"]) - 3]
    if kind in ("number", "time"):
        return float(text)
    return text.split("|") if kind == "bag" else text


@pytest.mark.parametrize("kind", segment_shop.FEATURES)
def test_new_customer_is_shown_what_the_segment_buys(shop: Path, kind: str) -> None:
    """Before any step; and of a number the middle as well as the ends."""
    feature = segment_shop.FEATURES[kind]
    task = task_of(shop, feature)

    for group in (0, 1, 2):
        assert own_share(task, group, **{feature["name"]: value_of(kind, group)}) >= 0.7
    assert own_share(task, 0) < 0.6


def test_several_features_and_noise_at_once(shop: Path) -> None:
    """Noise changes nothing; the others share between them what they say."""
    names = ("category", "bag", "number")
    task = task_of(shop, segment_shop.NOISE, *(segment_shop.FEATURES[name] for name in names))
    encode = task.encoders()["segments-user"]

    for group in (0, 1, 2):
        known = {segment_shop.FEATURES[name]["name"]: value_of(name, group) for name in names}
        assert own_share(task, group, **known, noise="n1") >= 0.7
    silent, noisy = encode([Features({}), Features({"noise": "n1"})])
    assert noisy.tolist() == pytest.approx(silent.tolist(), abs=1e-6)


def test_each_of_several_features_that_say_the_same_is_enough(shop: Path) -> None:
    names = ("category", "bag", "number")
    task = task_of(shop, *(segment_shop.FEATURES[name] for name in names))

    for name in names:
        of_groups = [
            own_share(task, group, **{segment_shop.FEATURES[name]["name"]: value_of(name, group)})
            for group in (0, 1, 2)
        ]
        assert min(of_groups) >= 0.6, name  # of ten; by chance 3 are of the group
        assert np.mean(of_groups) >= 0.7 - 1e-6, name


def test_known_customers_lose_nothing(shop: Path) -> None:
    without, noise, segment = (
        task_of(shop, *features).evaluate().metrics["ndcg@100"].mean
        for features in ((), (segment_shop.NOISE,), (segment_shop.FEATURES["category"],))
    )

    assert noise == pytest.approx(without, abs=1e-6)
    assert segment > without


def test_dim_of_ones_own_and_hidden_layers_are_served_as_well(shop: Path, tmp_path: Path) -> None:
    """Two dimensions hold three segments; and the bundle says what torch says."""
    towers = segment_shop.config()["towers"] | {"user": {"output_dim": 61, "widths": [16]}}
    task = task_of(shop, segment_shop.FEATURES["category"] | {"dim": 2}, towers=towers)
    publish(tmp_path, task.drafts({}))
    inputs = [Features({"segment": name}) for name in segment_shop.SEGMENTS]

    served = Store(tmp_path).load("segments-user").encode(inputs)

    assert own_share(task, 2, segment="old") >= 0.7
    assert served == pytest.approx(task.encoders()["segments-user"](inputs), abs=1e-5)


@pytest.mark.parametrize("kind", ["bag", "number", "time"])
def test_every_kind_of_user_feature_is_served_as_it_was_trained(
    shop: Path, tmp_path: Path, kind: str
) -> None:
    task = task_of(shop, segment_shop.FEATURES[kind])
    publish(tmp_path, task.drafts({}))
    name = segment_shop.FEATURES[kind]["name"]
    inputs = [Features({name: value_of(kind, group)}, task.examples.now) for group in (0, 1, 2)]

    served = Store(tmp_path).load("segments-user").encode([*inputs, Features({}, task.examples.now)])

    expected = task.encoders()["segments-user"]([*inputs, Features({}, task.examples.now)])
    assert served == pytest.approx(expected, abs=1e-5)


def test_training_moves_the_features(shop: Path, tmp_path: Path) -> None:
    """With the small steps that suit a closed form, and those of a feature that started silent as well."""
    task = task_of(shop, segment_shop.FEATURES["category"], segment_shop.NOISE)
    users = [Features({"segment": "young"}), Features({"noise": "n1"}), Features({})]
    before = task.encoders()["segments-user"](users)
    (tmp_path / "run").mkdir()
    run = task.run.model_copy(update={"train": task.run.train.model_copy(update={"patience": 0})})

    trainer = Trainer(task, run.train, seed=0, directory=tmp_path / "run")
    for batch in task.batches(0, 0):
        trainer._step(batch)

    after = task.encoders()["segments-user"](users)
    for row in (0, 1):
        assert np.abs((after[row] - after[2]) - (before[row] - before[2])).max() > 1e-4


def test_regression_finds_what_a_feature_multiplies_chances_by() -> None:
    """Users of one kind take item 0 three times as often as the others, and item 2 half as often.

    Shares 3/6, 2/6, 1/6 and 1/5, 2/5, 2/5: the differences of the logarithms are log 2.5, log 5/6, log 5/12.
    """
    basis = torch.eye(3) * 3**0.5
    design = torch.tensor([[1.0, 0.0]] * 600 + [[0.0, 1.0]] * 500)
    of_kind = (torch.arange(6) % 6, torch.arange(5) % 5)
    first = torch.tensor([0, 0, 0, 1, 1, 2])[of_kind[0]].repeat(100)
    second = torch.tensor([0, 1, 1, 2, 2])[of_kind[1]].repeat(100)
    items = torch.nn.functional.one_hot(torch.cat([first, second]), 3).float()

    (weights,) = fit(Taken([design], items), basis, [1e-3])

    lift = (weights[0] - weights[1]) @ basis.T
    expected = torch.tensor([2.5, 5 / 6, 5 / 12]).log()
    assert (lift - lift.mean()).tolist() == pytest.approx((expected - expected.mean()).tolist(), abs=0.02)
    assert log_popularity(items).exp().sum().item() == pytest.approx(1.0)


def test_ridges_part_what_says_something_from_what_does_not() -> None:
    """A coin that decides what is taken nine times in ten, and one that decides nothing."""
    random = torch.Generator().manual_seed(0)
    coins = torch.randint(0, 2, (400, 2), generator=random)
    taken = torch.where(torch.rand(400, generator=random) < 0.9, coins[:, 0], 1 - coins[:, 0])
    designs = [torch.nn.functional.one_hot(coins[:, n], 2).float() for n in (0, 1)]
    items = torch.nn.functional.one_hot(taken, 2).float()

    says, silent = choose_ridges(Taken(designs, items), torch.eye(2) * 2**0.5)
    weights = fit(Taken(designs, items), torch.eye(2) * 2**0.5, [says, silent])

    assert says < 100.0
    assert silent == float("inf")
    assert not weights[1].any()


def test_a_feature_has_as_many_dimensions_as_values_up_to_64(shop: Path) -> None:
    (_, segment, age) = task_of(
        shop, segment_shop.FEATURES["category"], segment_shop.FEATURES["number"]
    ).examples.user_schema.features

    assert natural_dim(segment) == 5  # three values, missing and unknown
    assert natural_dim(age) == 2 + KNOTS
    assert feature_embedding(segment, FeatureConfig(name="segment", kind="category", dim=3), 5).dim == 3
