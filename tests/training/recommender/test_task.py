"""The whole run on a shop whose right answers are known: see `tiny_shop`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_shop
import torch

from bundle.preprocess import Prepared
from bundle.preprocess.features import Features
from bundle.preprocess.features.schema import FIRST, PAD
from bundle.publish import publish
from bundle.store import Store
from training.config import parse_config
from training.errors import ConfigError, InterruptedRunError
from training.recommender.objectives import Step, choose_targets
from training.recommender.objectives.sampled import SampledSoftmaxLoss
from training.recommender.objectives.sampling import Sample, in_history
from training.recommender.rules import check_size
from training.recommender.settings import RecommenderRun
from training.recommender.task import Batch, RecommenderTask
from training.trainer import State, Trainer

STARTED = tiny_shop.config()["towers"] | {"item_dim": 17, "initialisation": {"ease_lambda": 10.0}}
SAME = 1e-5  # onnxruntime against torch, and a batch against one alone


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shop")
    tiny_shop.write_log(directory / "log.csv")
    return directory


def run_of(**changes: Any) -> RecommenderRun:
    run = parse_config(tiny_shop.config(**changes))
    assert isinstance(run, RecommenderRun)
    return run


def first_user(task: RecommenderTask) -> Prepared:
    (prepared,) = task.examples.training(np.array([0]))
    return prepared


def rest(task: RecommenderTask) -> list[torch.Tensor]:
    """The first training user's arrays after its history."""
    names = task.examples.users.input_names[1:]
    return [torch.from_numpy(first_user(task).arrays[name])[None] for name in names]


def trained(shop: Path, directory: Path, **changes: Any) -> RecommenderTask:
    run = run_of(**changes)
    task = RecommenderTask(run, shop)
    directory.mkdir(exist_ok=True)
    Trainer(task, run.train, seed=run.seed, directory=directory).fit()
    return task


@pytest.fixture(scope="module")
def task(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> RecommenderTask:
    """Trained with a tenth of the items kept away."""
    data = tiny_shop.config()["data"] | {"cold_items": 0.1}
    return trained(shop, tmp_path_factory.mktemp("run"), data=data)


@pytest.fixture(scope="module")
def models(task: RecommenderTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    publish(directory, task.drafts(task.score(task.encoders())))
    return directory


def test_training_finds_the_groups(task: RecommenderTask) -> None:
    """Of some 33 items the right ones are the 12 of one's group, less the history."""
    metrics = task.score(task.encoders())

    assert metrics["recall@20"].value > 0.95
    assert metrics["ndcg@100"].value > metrics["ndcg@100"].baselines["popularity"] + 0.2
    assert set(metrics["recall@20"].baselines) == {"popularity", "itemcf", "ease", "ease, recency"}


def test_evaluation_leaves_the_random_stream_alone(task: RecommenderTask) -> None:
    """Or when it is done would change all the training that comes after."""
    state = torch.get_rng_state()

    task.evaluate()

    assert torch.equal(torch.get_rng_state(), state)


def test_new_items_are_ranked_by_their_content(task: RecommenderTask) -> None:
    """Vectors of items that training never saw belong to their group's customers."""
    examples = task.examples
    encode = task.encoders()
    users = encode["shop-user"]([examples.user_input(u, examples.log.histories()[u]) for u in range(30)])
    new = encode["shop-item"](
        [
            Features(
                {
                    "id": f"new {group}",
                    "title": f"{group} novelty",
                    "price": 1.0 + number,
                    "tags": [group, "all"],
                }
            )
            for number, group in enumerate(tiny_shop.GROUPS)
        ]
    )

    expected = [int(name[1:]) % len(tiny_shop.GROUPS) for name in examples.log.users[:30]]
    assert (users @ new.T).argmax(1).tolist() == expected


def test_figures_of_new_items_are_beside_tfidf(task: RecommenderTask) -> None:
    metrics = task.score(task.encoders())

    assert set(metrics["new items: ndcg@100"].baselines) == {"tfidf", "ridge from words to ease"}
    assert metrics["new items: ndcg@100"].value > 0.5


def test_cold_items_are_unknown_to_the_schema(task: RecommenderTask) -> None:
    cold = {task.examples.log.items[number] for number in task.examples.cold}
    vocabularies = [getattr(spec, "vocabulary", []) for spec in task.examples.item_schema.features]

    assert cold
    assert not any(cold & set(vocabulary) for vocabulary in vocabularies)
    assert not cold & set(task.examples.user_schema.features[0].vocabulary)  # type: ignore[union-attr]  # the history


def test_published_pair_is_torchs(task: RecommenderTask, models: Path) -> None:
    store = Store(models)
    users, items = store.load("shop-user"), store.load("shop-item")
    held_out = task.examples.test()
    torch_encoders = task.encoders()

    assert users.manifest.space == items.manifest.space
    assert users.manifest.metric == "inner_product"
    assert np.abs(users.encode(held_out.users) - torch_encoders["shop-user"](held_out.users)).max() < SAME
    inputs = [task.examples.item_input(int(number)) for number in held_out.candidates]
    assert np.abs(items.encode(inputs) - torch_encoders["shop-item"](inputs)).max() < SAME


def test_published_golden_inputs_are_nobodys_history(task: RecommenderTask, models: Path) -> None:
    golden = json.loads((models / "shop-user" / "1" / "golden.json").read_text())
    log, histories = task.examples.log, task.examples.log.histories()
    real = {frozenset(log.items[log.item[row]] for row in rows) for rows in histories}
    sent = [
        [e["id"] if isinstance(e, dict) else e for e in user.get("history") or ()]
        for user in golden["inputs"]
    ]

    assert sum(map(len, sent)) > 100
    assert not real & {frozenset(one) for one in sent}


def test_bundles_are_judged_as_torch_is(task: RecommenderTask, models: Path) -> None:
    store = Store(models)
    bundles = {name: store.load(name).encode for name in ("shop-user", "shop-item")}

    served, own = task.score(bundles), task.score(task.encoders())

    assert served["ndcg@100"].value == pytest.approx(own["ndcg@100"].value, abs=1e-4)


def test_known_item_in_a_history_carries_its_content(task: RecommenderTask) -> None:
    """The table of the exported user tower holds id and content of every known item, as it is read."""
    users, _ = task._exported()
    table = task.model.history_table(*task._known)
    expected = table @ task.model.user_tower.hidden.first()[: table.shape[1]]

    rows = users.readings[0].table(torch.arange(len(expected))[None])[0]
    assert torch.allclose(rows[3:], expected[3:], atol=float(expected.detach().abs().max()) / 127)
    assert expected.abs().sum(1)[3:].min() > 0


def test_new_items_in_a_history_count_by_their_content(shop: Path, tmp_path: Path) -> None:
    """Of customers with nothing but items never seen, the known items of their group are the best.

    From the closed-form start: from noise, the little training of a tiny shop does not always get there.
    """
    task = trained(shop, tmp_path / "run", towers=STARTED)
    publish(tmp_path / "models", task.drafts({}))
    store = Store(tmp_path / "models")
    users, items = store.load("shop-user"), store.load("shop-item")
    known = {group: [{"id": f"{group[0]}{n}"} for n in range(4)] for group in tiny_shop.GROUPS}
    vectors = items.encode([Features(one) for records in known.values() for one in records])
    new = [
        Features({"history": [{"id": "new", "title": f"{group} novelty", "tags": [group, "all"]}] * 2})
        for group in tiny_shop.GROUPS
    ]

    scores = (users.encode(new) @ vectors.T).reshape(3, 3, 4).mean(2)

    assert scores.argmax(1).tolist() == [0, 1, 2]
    assert not np.allclose(users.encode(new[:1]), users.encode([Features({})]))


def test_known_item_in_a_history_is_the_same_by_id_and_by_record(task: RecommenderTask, models: Path) -> None:
    users = Store(models).load("shop-user")
    record = dict(task.examples.item_input(int(task.examples.known[0])).values)

    whole, alone = users.encode([Features({"history": [one]}) for one in (record, record["id"])])

    assert whole.tolist() == alone.tolist()


def test_same_seed_gives_the_same_figures(shop: Path, tmp_path: Path) -> None:
    train = tiny_shop.config()["train"] | {"epochs": 2}
    first, second = (trained(shop, tmp_path / name, train=train) for name in "ab")

    assert first.evaluate() == second.evaluate()
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.model.state_dict().values(), second.model.state_dict().values(), strict=True)
    )


def test_run_killed_and_resumed_ends_as_one_that_was_not(shop: Path, tmp_path: Path) -> None:
    run = run_of(train=tiny_shop.config()["train"] | {"epochs": 3})
    whole = trained(shop, tmp_path / "whole", train=run.train.model_dump())

    def at_step_5(state: State) -> bool:
        return state.step == 5

    (tmp_path / "cut").mkdir()
    with pytest.raises(InterruptedRunError):
        Trainer(
            RecommenderTask(run, shop), run.train, seed=run.seed, directory=tmp_path / "cut", stop=at_step_5
        ).fit()
    resumed = RecommenderTask(run, shop)
    Trainer(resumed, run.train, seed=run.seed, directory=tmp_path / "cut").fit()

    assert resumed.evaluate() == whole.evaluate()


def test_start_from_ease_ranks_well_before_any_step(shop: Path) -> None:

    assert RecommenderTask(run_of(towers=STARTED), shop).evaluate().metrics["recall@20"].mean > 0.95


def targets_of(task: RecommenderTask, entries: torch.Tensor, batch: Batch) -> torch.Tensor:
    low, high = task.run.loss.target_fraction
    return choose_targets(entries, task.run.loss.targets, (low, high), np.random.default_rng(batch.seed))


def with_loss(loss: SampledSoftmaxLoss) -> RecommenderRun:
    """A run of one target for each user, with a loss of a test's own."""
    run = run_of(loss={"target_fraction": [0.1, 0.1]})
    return run.model_copy(update={"loss": run.loss.model_copy(update={"sampled_softmax": loss})})


@pytest.mark.parametrize("how", ["latest", "random"])
def test_targets_are_never_shown(how: Any) -> None:
    """Of three entries and a half share two are targets; of one entry that one; of none nothing."""
    entries = torch.tensor([[3, 4, 5, 0], [6, 0, 0, 0], [0, 0, 0, 0], [3, 4, 0, 0]])

    targets = choose_targets(entries, how, (0.5, 0.5), np.random.default_rng(0))

    assert targets.sum(1).tolist() == [2, 1, 0, 1]
    assert not (targets & (entries == PAD)).any()
    if how == "latest":
        assert targets[0].tolist() == [True, True, False, False]


def test_something_is_always_shown_and_a_target_where_there_are_two() -> None:
    entries = torch.tensor([[3, 4]] * 50)
    for share in (0.0, 1.0):
        targets = choose_targets(entries, "latest", (share, share), np.random.default_rng(0))

        assert (targets.sum(1) == 1).all()


def test_loss_is_the_softmax_over_what_was_not_shown(shop: Path) -> None:
    """By hand for one user: minus the mean log-probability of the targets among all but the shown."""
    task = RecommenderTask(run_of(), shop)
    batch = Batch(np.array([0]), (0, 0, 0))
    task.model.eval()
    entries = torch.from_numpy(first_user(task).arrays["history"])[None]  # (1, h)
    targets = targets_of(task, entries, batch)
    with torch.no_grad():
        arrays = [entries * ~targets, *rest(task)]
        user = task.model.user_tower(task.model.history_table(*task._known), *arrays)
        scores = (user @ task.model.item_vectors(*task._known).T)[0]
        left = sorted(set(range(len(scores))) - set((entries[~targets] - FIRST).tolist()))
        log_p = dict(zip(left, scores[left].log_softmax(0).tolist(), strict=True))
        expected = -np.mean([log_p[item] for item in (entries[targets] - FIRST).tolist()])

        assert task.loss(batch)["loss"].item() == pytest.approx(expected, abs=1e-5)


def test_sampled_softmax_of_every_item_is_the_full_softmax_of_one_target(shop: Path) -> None:
    """With a sampler that draws all items once: the only user's loss by hand."""

    class Everything(SampledSoftmaxLoss):
        def sample(self, positives: torch.Tensor, step: Step) -> Sample:
            return Sample(torch.cat([positives, torch.arange(items)]), torch.zeros(len(positives) + items))

    task = RecommenderTask(with_loss(Everything()), shop)
    task.model.eval()
    items = len(task.examples.known)
    batch = Batch(np.array([0]), (0, 0, 0))
    entries = torch.from_numpy(first_user(task).arrays["history"])[None]
    targets = targets_of(task, entries, batch)
    assert targets.sum() == 1
    with torch.no_grad():
        arrays = [entries * ~targets, *rest(task)]
        user = task.model.user_tower(task.model.history_table(*task._known), *arrays)
        scores = (user @ task.model.item_vectors(*task._known).T)[0]
        left = sorted(set(range(items)) - set((entries[~targets] - FIRST).tolist()))
        expected = -scores[left].log_softmax(0)[left.index(int(entries[targets]) - FIRST)]

        assert task.loss(batch)["loss"].item() == pytest.approx(float(expected), abs=1e-5)


def test_positive_is_corrected_as_first_published_where_the_config_says_so(shop: Path) -> None:
    """One user, and an item j beside its own i: -log of e^(p - log E_i) over that and e^(s_j - log E_j).

    E_i = 1/2, E_j = 1/4: uncorrected e^p / (e^p + 4 e^s), corrected 2 e^p / (2 e^p + 4 e^s).
    """
    other = 0

    class One(SampledSoftmaxLoss):
        def sample(self, positives: torch.Tensor, step: Step) -> Sample:
            return Sample(torch.cat([positives, torch.tensor([other])]), torch.tensor([0.5, 0.25]).log())

    found = {}
    for positive in ("uncorrected", "corrected"):
        task = RecommenderTask(with_loss(One(positive=positive)), shop)
        task.model.eval()
        entries = first_user(task).arrays["history"]
        (other,) = [n for n in range(len(task.examples.known)) if n + FIRST not in entries][:1]
        batch = Batch(np.array([0]), (0, 0, 0))
        found[positive] = float(np.exp(-task.loss(batch)["loss"].item()))

    ratio = found["uncorrected"] / (1 - found["uncorrected"])  # e^p / 4 e^s
    assert found["corrected"] == pytest.approx(2 * ratio / (2 * ratio + 1), rel=1e-4)
    assert 0.01 < found["uncorrected"] < 0.99


def test_accidental_hits_are_the_items_that_a_history_holds() -> None:
    """Columns may repeat, and histories hold what is no column: below, between and above them."""
    columns = torch.tensor([4, 2, 4, 7])
    entries = torch.tensor([[4, 2, 0, 8], [0, 3, 5, 9], [7, 10, 5, 0]]) + FIRST
    entries[0, 2] = PAD

    assert in_history(columns, entries).tolist() == [
        [True, True, True, False],
        [False, False, False, False],
        [False, False, False, True],
    ]


@pytest.mark.parametrize("kind", ["sampled_softmax", "bpr"])
def test_sampled_losses_find_the_groups(shop: Path, tmp_path: Path, kind: str) -> None:
    loss = {kind: {"uniform_negatives": 20}}

    assert trained(shop, tmp_path / "run", loss=loss).evaluate().metrics["ndcg@100"].mean > 0.6


def test_no_batch_is_left_with_one_user(shop: Path) -> None:
    """71 batches of one would be 71 steps that a loss against the others' targets learns nothing from."""
    train = tiny_shop.config()["train"] | {"batch_size": 71}
    task = RecommenderTask(run_of(train=train), shop)
    batches = list(task.batches(0, 0))

    assert [len(batch.users) for batch in batches] == [36, 36]
    assert sorted(np.concatenate([batch.users for batch in batches])) == list(range(72))


def test_training_user_without_a_known_item_is_left_out_and_counted(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user who took nothing but an item that is kept out of training has no target in any step."""
    data = tiny_shop.config()["data"] | {"cold_items": 0.1, "core": 1}
    cold = RecommenderTask(run_of(data=data), shop).examples
    name = cold.log.items[int(cold.cold[0])]
    rows = (shop / "log.csv").read_text().splitlines()
    lonely = [f"only{n},{name},1000000,office thing,1.0,GB,office|all" for n in range(30)]
    (tmp_path / "log.csv").write_text("\n".join([*rows, *lonely]) + "\n")
    loss = {"bpr": {"uniform_negatives": 0}}
    train = tiny_shop.config()["train"] | {"batch_size": 4}
    capsys.readouterr()

    task = RecommenderTask(run_of(data=data, loss=loss, train=train), tmp_path)

    users = np.concatenate([batch.users for batch in task.batches(0, 0)])
    named = {task.examples.log.users[task.examples.split.train[user]] for user in users}
    assert not any(one.startswith("only") for one in named)
    assert f"of {len(task.examples.split.train)} training users have no known item" in capsys.readouterr().err
    value = task.loss(next(task.batches(0, 0)))["loss"]
    value.backward()
    assert value.item() > 0
    assert all(one.grad is None or one.grad.isfinite().all() for one in task.model.parameters())


@pytest.mark.parametrize("kind", ["sampled_softmax", "bpr"])
def test_batch_of_one_without_negatives_is_refused(shop: Path, kind: str) -> None:
    train = tiny_shop.config()["train"] | {"batch_size": 1}
    with pytest.raises(ConfigError, match="a batch of one user"):
        RecommenderTask(run_of(train=train, loss={kind: {"uniform_negatives": 0}}), shop)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"towers": {"user": {"output_dim": 8}, "item": {"output_dim": 9}}},
            "is 8, towers.item.output_dim 9",
        ),
        ({"loss": {"target_fraction": [0.9, 0.1]}}, "the smallest share comes first"),
        ({"loss": {"bpr": {}, "full_softmax": {}}}, "full_softmax and bpr are two losses; choose one"),
        (
            {"item": [{"name": "title", "kind": "text"}]},
            "exactly one feature of kind category must have column 'item'",
        ),
        (
            {"user": [{"name": "country", "kind": "category"}]},
            "exactly one feature of kind history is needed, 0",
        ),
        (
            {"item": [{"name": "item", "kind": "category", "min_count": 3}]},
            "which ids are known is up to data.core",
        ),
        (
            {"item": [{"name": "item", "kind": "category", "uppercase": True}]},
            "'item' is the id; write data.uppercase_items for its case",
        ),
        (
            {"item": [{"name": "item", "kind": "category"}, {"name": "h", "kind": "history"}]},
            "a history belongs to the user side",
        ),
        (
            {"item": [{"name": "item", "kind": "category"}, {"name": "time", "kind": "time"}]},
            "'time' means something else in a history; give the feature another name, with column = 'time'",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(shop: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RecommenderTask(run_of(**changes), shop)


def test_too_few_users_to_split_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,time,title,price,country,tags\nu,a,1,x,1,GB,x\n")
    with pytest.raises(ConfigError, match="1 users are too few to split"):
        RecommenderTask(run_of(data=tiny_shop.config()["data"] | {"core": 1}), tmp_path)


def test_option_that_says_nothing_about_its_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="log1p says nothing about a category; leave it out of 'c'"):
        run_of(user=[{"name": "c", "kind": "category", "log1p": True}])


@pytest.mark.parametrize("name", ["full_softmax", "bpr"])
def test_losses_have_settings_of_their_own(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"loss\.{name}\.positive is no setting"):
        run_of(loss={name: {"positive": "corrected"}})


@pytest.mark.parametrize(
    ("changes", "items", "message"),
    [
        ({}, 50_001, "50,001 are more than 50,000, so use .loss.sampled_softmax."),
        (
            {"loss": {"bpr": {}}, "towers": {"initialisation": {}}},
            20_001,
            "20,001 are more than 20,000, so leave it out",
        ),
    ],
)
def test_what_would_not_end_is_refused(changes: dict[str, Any], items: int, message: str) -> None:
    run = run_of(**changes)

    check_size(run, items - 1)
    with pytest.raises(ConfigError, match=message):
        check_size(run, items)


def test_few_users_are_judged_where_the_config_says_so_and_the_others_are_trained_on(shop: Path) -> None:
    data = tiny_shop.config()["data"] | {"evaluation_users": 3}
    task = RecommenderTask(run_of(data=data), shop)

    split = task.examples.split
    assert (len(split.train), len(split.validation), len(split.test)) == (84, 3, 3)
    assert len(task.examples.test().users) == 3


def test_bundled_config_is_valid() -> None:
    from training.config import load_config

    path = Path(__file__).parents[3] / "training" / "configs" / "retail.toml"
    run = load_config(path)

    assert isinstance(run, RecommenderRun)
    assert [feature.name for feature in run.item] == ["id", "code", "description", "price"]
