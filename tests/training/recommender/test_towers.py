"""Towers: values by hand, gradients, what padding must not do, and where they start."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bundle.preprocess.features.schema import FIRST, MISSING, UNKNOWN, FeatureSchema
from training.config.sections import HiddenConfig
from training.errors import ConfigError
from training.recommender.baselines import Floats, ease
from training.recommender.config.features import BagPooling, FeatureConfig
from training.recommender.config.towers import TowersConfig
from training.recommender.encoders.content import ContentSettings
from training.recommender.encoders.export_modules import ExportedEntries, ExportedItems, ExportedUsers
from training.recommender.encoders.factors import Block, factors, of_norm_1
from training.recommender.encoders.feature_embeddings import Bag, Category, Number, number_columns
from training.recommender.encoders.initialisation import initialise_from_closed_form
from training.recommender.encoders.structure import ClosedForm, standardised
from training.recommender.encoders.towers import MATRIX_ITEMS, HistoryPool, TwoTowers

EXACT = 1e-5  # float32 sums of a few terms in another order
ROUNDED = 0.05  # numbers of about 1, kept in 8 bits
ITEMS = ["a", "b", "c", "d"]
USER = [FeatureConfig(name="history", kind="history"), FeatureConfig(name="country", kind="category", dim=3)]
ITEM = [
    FeatureConfig(name="id", kind="category", dropout=0.5),
    FeatureConfig(name="title", kind="text"),
    FeatureConfig(name="price", kind="number"),
]
HISTORY = torch.tensor([[3, 4, 5], [6, 0, 0], [0, 0, 0]])  # the third is empty
AGES = torch.tensor([[0.0, 10.0, 20.0], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
COUNTRY = torch.tensor([[3], [2], [1]])
ARRAYS = [
    torch.tensor([[3], [4], [5], [6]]),
    torch.tensor([[3, 4], [4, 0], [1, 0], [3, 3]]),
    torch.tensor([[-2.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]),
]


def schema(side: str) -> FeatureSchema:
    features: dict[str, list[dict[str, Any]]] = {
        "user": [
            {"name": "history", "kind": "history", "vocabulary": ITEMS, "max_length": 5},
            {"name": "country", "kind": "category", "vocabulary": ["GB"]},
        ],
        "item": [
            {"name": "id", "kind": "category", "vocabulary": ITEMS},
            {"name": "title", "kind": "text", "vocabulary": ["red", "lamp"], "max_length": 5},
            {"name": "price", "kind": "number", "log1p": False, "mean": 0.0, "std": 1.0, "clip": 5.0},
        ],
    }
    return FeatureSchema.model_validate({"schema_version": 1, "side": side, "features": features[side]})


def towers(features: list[FeatureConfig] = ITEM, **changes: Any) -> TwoTowers:
    torch.manual_seed(0)
    hidden = HiddenConfig(output_dim=4, widths=[5])
    fields: dict[str, Any] = {
        "item_dim": 6,
        "half_lives_days": [10.0],
        "user": hidden,
        "item": hidden,
    } | changes
    return TwoTowers(
        schema("user"), schema("item"), USER, features, config=TowersConfig(**fields), id_name="id"
    )


def test_recency_halves_the_weight_per_half_life() -> None:
    """Weights 1, 1/2, 1/4 over their L2 norm."""
    table = torch.cat([torch.zeros(FIRST, 3), torch.eye(3)])
    pooled = HistoryPool([10.0]).eval()(table, HISTORY[:1], AGES[:1])

    weights = torch.tensor([1.0, 0.5, 0.25])
    assert torch.allclose(pooled[0, :3], weights / weights.norm(), atol=EXACT)
    assert pooled[0, 3:].tolist() == pytest.approx([np.log(4), np.log(2.75)])


def test_without_half_life_all_entries_weigh_alike() -> None:
    table = torch.cat([torch.zeros(FIRST, 3), torch.eye(3)])

    assert HistoryPool([]).eval()(table, HISTORY[:1], AGES[:1])[0, :3].tolist() == pytest.approx(
        [3**-0.5] * 3
    )


def test_half_lives_are_mixed_after_each_is_normed() -> None:
    """10 and 20 days at even shares: (1, 1/2, 1/4) / |.| and (1, 2^-1/2, 1/2) / |.|, the mean of both."""
    table = torch.cat([torch.zeros(FIRST, 3), torch.eye(3)])
    pooled = HistoryPool([10.0, 20.0])(table, HISTORY[:1], AGES[:1])

    short, long = torch.tensor([1.0, 0.5, 0.25]), torch.tensor([1.0, 2**-0.5, 0.5])
    assert torch.allclose(pooled[0, :3], (short / short.norm() + long / long.norm()) / 2, atol=EXACT)


def test_only_differences_of_age_matter() -> None:
    """An unknown newest entry is skipped by the preprocessor, which leaves all known ones old."""
    table = torch.randn(FIRST + 4, 3)
    pool = HistoryPool([10.0]).eval()

    assert torch.allclose(
        pool(table, HISTORY[:1], AGES[:1] + 1e5), pool(table, HISTORY[:1], AGES[:1]), atol=1e-3
    )


def test_a_second_reading_is_unweighted() -> None:
    table = torch.randn(FIRST + 4, 3)
    once, twice = HistoryPool([10.0]).eval(), HistoryPool([10.0], unweighted=True).eval()
    plain = HistoryPool([]).eval()

    pooled = twice(table, HISTORY, AGES)

    assert torch.allclose(pooled[:, :3], once(table, HISTORY, AGES)[:, :3], atol=EXACT)
    assert torch.allclose(pooled[:, 3:6], plain(table, HISTORY, AGES)[:, :3], atol=EXACT)
    assert torch.allclose(pooled[:, 6:], once(table, HISTORY, AGES)[:, 3:], atol=EXACT)


def test_ages_count_from_the_newest_entry_that_is_shown() -> None:
    """What a step hides is newer than the rest, and nothing of it may be left: served, it is not there."""
    table = torch.randn(FIRST + 4, 3)
    pool = HistoryPool([10.0]).eval()
    hidden = torch.tensor([[0, 4, 5]]), torch.tensor([[3.0, 40.0, 70.0]])
    served = torch.tensor([[4, 5, 0]]), torch.tensor([[0.0, 30.0, 0.0]])

    assert torch.allclose(pool(table, *hidden), pool(table, *served), atol=EXACT)


def test_padding_of_a_history_changes_nothing() -> None:
    model = towers().eval()
    table = model.history_table(*ARRAYS)
    padded = torch.nn.functional.pad(HISTORY, (0, 4)), torch.nn.functional.pad(AGES, (0, 4))

    short, long = (model.user_tower(table, *history, COUNTRY) for history in ((HISTORY, AGES), padded))

    assert torch.allclose(short, long, atol=EXACT)


def test_empty_history_gives_a_finite_vector() -> None:
    model = towers().eval()

    assert torch.isfinite(model.user_tower(model.history_table(*ARRAYS), HISTORY, AGES, COUNTRY)).all()


def test_training_pools_as_serving_does() -> None:
    """By a matrix product in place of a gather; an item twice in a history counts twice."""
    entries = torch.tensor([[3, 3, 4], [6, 0, 0], [0, 0, 0]])
    model = towers().eval()
    pool, table = model.user_tower.pool, model.history_table(*ARRAYS)
    weights, facts = pool.weights(entries, AGES)

    served = ExportedEntries(model, ARRAYS, torch.eye(6)).pooled(weights[:, 0], entries)
    assert torch.allclose(pool(table, entries, AGES), torch.cat([served, facts], dim=1), atol=ROUNDED)


def test_new_items_in_a_history_are_pooled_as_what_their_content_says() -> None:
    """As if they were in the table, under an id that is unknown; padding of the new ones says nothing."""
    model = towers().eval()
    with torch.no_grad():
        model.item_inputs.part(0).table.weight[UNKNOWN] = 1.0  # what training learns of unknown ids
    new = torch.full((2, 1), UNKNOWN), torch.tensor([[3, 4], [4, 0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    table = torch.cat([model.history_table(*ARRAYS), model.item_inputs(*new)])
    weights = model.user_tower.pool.weights(torch.tensor([[3, 7, 8], [4, 0, 0]]), AGES[:2])[0][:, 0]
    expected = weights.unsqueeze(1) @ table[torch.tensor([[3, 7, 8], [4, 0, 0]])]

    pooled = ExportedEntries(model, ARRAYS, torch.eye(6)).pooled(
        weights,
        torch.tensor([[3, UNKNOWN, UNKNOWN], [4, 0, 0]]),
        torch.tensor([[2, 3], [0, 0]]),
        torch.stack([new[1], torch.tensor([[MISSING, 0]] * 2)]),
        torch.stack([new[2], torch.zeros(2, 2)]),
    )

    assert torch.allclose(pooled, expected.squeeze(1), atol=ROUNDED)


def test_pool_of_a_large_table_is_that_of_a_small_one_with_the_same_gradients() -> None:
    """By gathering in place of a matrix of all items; rows that nobody has take no part."""
    small = torch.randn(FIRST + 4, 3, requires_grad=True)
    large = torch.cat([small.detach(), torch.randn(MATRIX_ITEMS, 3)]).requires_grad_()
    found = []
    for table in (small, large):
        pool = HistoryPool([10.0, 50.0])
        pooled = pool(table, HISTORY, AGES)
        pooled.square().sum().backward()
        assert table.grad is not None
        assert pool.log_half_lives is not None
        assert pool.log_half_lives.grad is not None
        found.append((pooled, table.grad[3 : FIRST + 4], pool.log_half_lives.grad))

    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=EXACT)


def test_gradient_of_the_pool_against_finite_differences() -> None:
    pool = HistoryPool([10.0, 50.0]).double()
    table = torch.randn(FIRST + 4, 3, dtype=torch.float64, requires_grad=True)
    assert pool.log_half_lives is not None

    def pooled(table: Tensor, log_half_lives: Tensor, mixture: Tensor) -> Tensor:
        parameters = {"log_half_lives": log_half_lives, "mixture": mixture}
        return torch.func.functional_call(pool, parameters, (table, HISTORY[:2], AGES[:2].double()))

    assert torch.autograd.gradcheck(pooled, (table, pool.log_half_lives, pool.mixture))


@pytest.mark.parametrize(
    ("part", "array"),
    [
        (Category(3, 4, 0.0), torch.tensor([[3], [5], [1]])),
        (Bag(3, 4, 0.0), torch.tensor([[3, 3, 5], [1, 0, 0], [2, 4, 0]])),
        (Bag(3, 4, 0.0, "mean_sqrt"), torch.tensor([[3, 3, 5], [1, 0, 0], [2, 4, 0]])),
        (Number(4, 0.0), torch.tensor([[0.3, 0.0], [0.0, 1.0]])),
        (Number(4, 0.0, knots=5), torch.tensor([[0.3, 0.0], [0.0, 1.0]])),
    ],
)
def test_every_part_is_linear_in_its_design(part: Any, array: Tensor) -> None:
    design = part.design(array)
    weights = torch.randn(design.shape[1], 4)
    part.set_weights(weights)

    assert torch.allclose(part(array), design @ weights, atol=EXACT)


@pytest.mark.parametrize(("pooling", "expected"), [("mean", [2.0, 4.0]), ("mean_sqrt", [12**0.5, 48**0.5])])
def test_bag_is_pooled_as_declared_in_training_and_served(pooling: BagPooling, expected: list[float]) -> None:
    """Of the entries [1, 2], [1, 2] and [4, 8], whose sum is [6, 12]."""
    bag = Bag(2, 2, 0.0, pooling).eval()
    bag.set_weights(torch.tensor([[9.0, 9.0]] * FIRST + [[1.0, 2.0], [4.0, 8.0]]))
    entries = torch.tensor([[3, 3, 4, 0]])

    assert bag(entries)[0].tolist() == pytest.approx(expected)
    assert bag.folded(torch.eye(2))(entries)[0].tolist() == pytest.approx(expected, rel=0.01)


def test_dropout_hides_an_id_as_unknown_and_only_in_training() -> None:
    part = Category(2, 4, dropout=1.0)
    index = torch.tensor([[3], [MISSING]])

    hidden = part.train()(index)

    assert torch.equal(hidden[0], part.table.weight[UNKNOWN])
    assert torch.equal(hidden[1], part.table.weight[MISSING])  # what is missing already stays so
    assert torch.equal(part.eval()(index)[0], part.table.weight[3])


def test_what_training_lacks_says_nothing() -> None:
    """An untrained missing or unknown value must not add noise to a known id."""
    assert not Category(2, 4, 0.0)(torch.tensor([[MISSING], [UNKNOWN]])).any()
    assert not Bag(2, 4, 0.0)(torch.tensor([[MISSING], [UNKNOWN]])).any()
    assert not Number(4, 0.0).linear.weight[:, 1].any()


@pytest.mark.parametrize("knots", [0, 2, 9])
def test_missing_number_says_nothing_whatever_the_others_say(knots: int) -> None:
    part = Number(2, 0.0, knots)
    part.set_weights(torch.randn(part.entries, 2).index_fill(0, torch.tensor([1]), 0.0))
    values = torch.tensor([[0.0, 1.0], [0.0, 0.0]])

    assert not part(values)[0].any()
    assert part(values)[1].any()
    assert torch.allclose(part.folded(torch.eye(2))(values), part(values), atol=EXACT)


@given(st.lists(st.floats(-5.0, 5.0, width=32), min_size=1, max_size=20), st.floats(-9.0, 9.0, width=32))
def test_splines_of_a_number_sum_to_one_and_are_one_at_their_knot(found: list[float], value: float) -> None:
    """However many of the users have the same number, and beyond both ends."""
    part = Number(1, 0.0, knots=4)
    part.place_knots(torch.tensor([[one, 0.0] for one in found] + [[7.0, 1.0]]))
    knots = part.get_buffer("knots")

    near = number_columns(torch.tensor([[value, 0.0], [knots[0], 0.0], [knots[-1], 0.0]]), knots)[:, 2:]

    assert near.sum(1).tolist() == pytest.approx([1.0, 1.0, 1.0], abs=1e-5)
    assert (near >= 0).all()
    assert near[1, 0] == 1.0
    assert min(found) == pytest.approx(float(knots[0]))
    assert max(found) == pytest.approx(float(knots[-1]))


def test_dropout_leaves_out_words_and_hides_numbers() -> None:
    assert not Bag(2, 4, dropout=1.0).train()(torch.tensor([[3, 4]])).any()
    number = Number(4, dropout=1.0)
    assert torch.equal(number.train()(torch.tensor([[7.0, 0.0]])), number.eval()(torch.tensor([[0.0, 1.0]])))


def test_user_vector_ends_in_1_so_that_the_items_bias_counts() -> None:
    model = towers().eval()
    users = model.user_tower(model.history_table(*ARRAYS), HISTORY, AGES, COUNTRY)

    assert users.shape == (3, 4)
    assert users[:, -1].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"user": HiddenConfig(output_dim=4), "item": HiddenConfig(output_dim=4)},
        {"user": HiddenConfig(output_dim=4, widths=[5], layer_norm=True)},
        {"features": [ITEM[0], FeatureConfig(name="title", kind="text", dim=2), ITEM[2]]},
    ],
    ids=["hidden layers", "linear", "layer norm", "projected"],
)
def test_served_towers_give_what_training_gave(changes: dict[str, Any]) -> None:
    """But for the rounding to 8 bits of what was folded together."""
    model = towers(**changes).eval()
    users, items = ExportedUsers(model, ARRAYS), ExportedItems(model, ARRAYS)
    expected = model.user_tower(model.history_table(*ARRAYS), HISTORY, AGES, COUNTRY)

    assert torch.allclose(users(HISTORY, AGES, COUNTRY), expected, atol=ROUNDED)
    assert torch.allclose(items(*ARRAYS), model.item_vectors(*ARRAYS), atol=ROUNDED)


def test_known_id_alone_gives_the_vector_of_its_whole_record() -> None:
    items = ExportedItems(towers().eval(), ARRAYS)
    whole = items(*ARRAYS)

    alone = items(ARRAYS[0], torch.tensor([[MISSING]] * 4), torch.tensor([[0.0, 1.0]] * 4))

    assert torch.allclose(alone, whole, atol=EXACT)
    changed = items(ARRAYS[0], ARRAYS[1], ARRAYS[2] + torch.tensor([1.0, 0.0]))
    assert not torch.allclose(changed[0], whole[0], atol=EXACT)  # what is said counts


def test_nothing_is_filled_in_for_an_unknown_id() -> None:
    model = towers().eval()
    unknown = (
        torch.tensor([[UNKNOWN], [MISSING]]),
        torch.tensor([[MISSING]] * 2),
        torch.tensor([[0.0, 1.0]] * 2),
    )

    assert torch.allclose(ExportedItems(model, ARRAYS)(*unknown), model.item_vectors(*unknown), atol=ROUNDED)


def test_item_features_of_another_width_are_projected() -> None:
    model = towers([*ITEM[:1], FeatureConfig(name="title", kind="text", dim=2), ITEM[2]])

    assert model.item_vectors(*ARRAYS).shape == (4, 4)


TRAIN = np.array(
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 0, 1]], dtype=np.float32
)  # (users, items)
LATELY = np.array([1, 2, 0, 8], dtype=np.float32)


def test_factors_multiply_to_the_matrix_when_nothing_is_cut() -> None:
    """Two readings of five items, and a block of columns for each."""
    random = np.random.default_rng(0)
    matrices = [random.normal(size=(5, columns)).astype(np.float32) for columns in (5, 3)]
    histories = [random.random((30, 5)).astype(np.float32) for _ in matrices]
    cut = factors([Block(one, reading) for reading, one in enumerate(matrices)], 12, histories)

    assert [one.shape for one in (*cut.left, *cut.right, *cut.reader)] == [
        (5, 12), (5, 12), (5, 12), (3, 12), (5, 12), (5, 12),
    ]  # fmt: skip
    for reading, matrix in enumerate(matrices):
        other = cut.left[1 - reading] @ cut.right[reading].T
        assert cut.left[reading] @ cut.right[reading].T == pytest.approx(matrix, abs=1e-4)
        assert other == pytest.approx(np.zeros_like(other), abs=1e-4)
        assert cut.reader[reading].T @ matrix == pytest.approx(cut.right[reading].T, abs=1e-3)


def test_a_cut_keeps_what_histories_ask_for() -> None:
    """Users have the first items only; of the others' rows, which are larger, nothing need be kept."""
    random = np.random.default_rng(0)
    sizes = np.where(np.arange(40) < 10, 1, 3)[:, None]
    matrix = (random.normal(size=(40, 40)) * sizes).astype(np.float32)
    rows = of_norm_1((random.random((300, 40)) < np.where(np.arange(40) < 10, 0.5, 0.01)).astype(np.float32))

    def missed(histories: Floats) -> float:
        cut = factors([Block(matrix)], 10, [histories])
        return float(np.square(rows @ (matrix - cut.left[0] @ cut.right[0].T)).sum())

    assert missed(rows) < 0.6 * missed(np.eye(40, dtype=np.float32))


def start(
    model: TwoTowers,
    *,
    scale: float = 1.0,
    content_ridge: float | None = None,
    own: float = 0.0,
    texts: Any = None,
    **settings: float,
) -> None:
    believed = None if content_ridge is None else ContentSettings(content_ridge, own)
    form = ClosedForm(**settings)  # type: ignore[arg-type]  # half_lives_days is of no use here
    initialise_from_closed_form(
        model,
        ARRAYS,
        TRAIN,
        LATELY,
        form,
        histories=[of_norm_1(TRAIN)] * model.user_tower.pool.readings,
        scale=scale,
        believed=believed,
        texts=texts,
    )


@pytest.mark.parametrize("widths", [[], [5]])
def test_towers_start_at_the_scores_of_ease(widths: list[int]) -> None:
    """Rank 4 holds the whole 4 x 4 matrix: scores are those of EASE, of rows of norm 1, times the scale.

    But for the history's own items, which no ranking asks for.
    """
    hidden = HiddenConfig(output_dim=5, widths=widths)
    model = towers(item_dim=9, user=hidden, item=hidden)
    start(model, ease_lambda=1.0, scale=50.0)
    model.eval()

    users = model.user_tower(model.history_table(*ARRAYS), HISTORY, AGES, COUNTRY)
    scores = (users @ model.item_vectors(*ARRAYS).T).detach().numpy()

    weights = np.array([[1, 0.5, 0.25, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    weights[0] /= np.linalg.norm(weights[0])
    others = weights == 0.0
    matrix = ease(TRAIN, 1.0)
    matrix /= np.sqrt(np.square(matrix).sum(1).mean())
    assert scores[others] == pytest.approx((50.0 * weights @ matrix)[others], abs=1e-3)


def test_content_makes_alike_items_that_nobody_took_together() -> None:
    """Items 0 and 2 share a word; without it their EASE weight is at most 0."""
    hidden = HiddenConfig(output_dim=5)
    texts = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], dtype=np.float32)

    def score(weight: float) -> float:
        model = towers(item_dim=9, user=hidden, item=hidden)
        start(model, ease_lambda=1.0, content_weight=weight, texts=texts)
        history = torch.tensor([[3]])  # item 0
        user = model.eval().user_tower(model.history_table(*ARRAYS), history, torch.zeros(1, 1), COUNTRY[:1])
        return float((user @ model.item_vectors(*ARRAYS).T)[0, 2].detach())

    assert score(0.0) <= EXACT
    assert score(5.0) > 0.1


def test_bias_starts_at_late_popularity() -> None:
    hidden = HiddenConfig(output_dim=5)
    model = towers(item_dim=9, user=hidden, item=hidden)
    start(model, popularity=0.5, scale=3.0, content_ridge=1e-3)

    biases = model.eval().item_vectors(*ARRAYS)[:, -1].detach().numpy()

    assert biases == pytest.approx(3.0 * 0.5 * standardised(np.log(LATELY + 5)), abs=1e-4)


def test_popularity_is_the_ids_alone() -> None:
    """A new item is as popular as the mean, whatever the popularity of its words."""
    hidden = HiddenConfig(output_dim=5)
    model = towers(item_dim=9, user=hidden, item=hidden)
    start(model, popularity=0.5)

    new = model.eval().item_vectors(torch.full((4, 1), UNKNOWN), *ARRAYS[1:])

    assert new[:, -1].tolist() == pytest.approx([0.0] * 4)


def test_new_item_starts_at_what_its_content_says() -> None:
    """An unknown id adds nothing, so items with the same content start alike."""
    hidden = HiddenConfig(output_dim=5)
    model = towers(item_dim=9, user=hidden, item=hidden)
    start(model, ease_lambda=1.0, content_ridge=1e-3)
    model.eval()
    new = model.item_vectors(torch.full((4, 1), UNKNOWN), *ARRAYS[1:])

    assert new.abs().sum() > 0
    known = model.item_vectors(*ARRAYS)
    assert torch.allclose(new, known, atol=0.2)  # content tells the four apart, so it explains nearly all


def test_own_items_speak_for_new_ones_of_their_content_alone() -> None:
    """Item 0 in a history raises a new item with its content, by scale x weight; known items stay."""
    hidden = HiddenConfig(output_dim=5)
    same = [torch.full((1, 1), UNKNOWN), *(array[:1] for array in ARRAYS[1:])]

    def scores(own: float) -> tuple[float, npt.NDArray[np.float32]]:
        model = towers(item_dim=9, user=hidden, item=hidden)
        start(model, ease_lambda=1.0, scale=2.0, content_ridge=1e-4, own=own)
        history = torch.tensor([[3]])  # item 0
        user = model.eval().user_tower(model.history_table(*ARRAYS), history, torch.zeros(1, 1), COUNTRY[:1])
        with torch.no_grad():
            known = (user @ model.item_vectors(*ARRAYS).T)[0, 1:]
            return float(user @ model.item_vectors(*same)[0]), known.numpy()

    (none, known), (one, _), (three, after) = scores(0.0), scores(1.0), scores(3.0)

    assert one - none == pytest.approx(2.0, abs=0.1)
    assert three - one == pytest.approx(4.0, abs=0.1)
    assert after == pytest.approx(known, abs=1e-3)


def test_new_items_are_asked_of_the_unweighted_history() -> None:
    """How old an entry is matters for known items, and not for new ones. Rank 8 holds both readings."""
    hidden = HiddenConfig(output_dim=9)
    model = towers(item_dim=25, user=hidden, item=hidden, half_lives_days=[5.0], unweighted=True)
    start(model, ease_lambda=1.0, content_ridge=0.1, own=1.0)
    table = model.eval().history_table(*ARRAYS)
    new = model.item_vectors(torch.full((4, 1), UNKNOWN), *ARRAYS[1:])
    history = torch.tensor([[3, 4]] * 2), torch.tensor([[0.0, 1.0], [0.0, 50.0]]), COUNTRY[:1].expand(2, 1)

    users = model.user_tower(table, *history)
    of_new, of_known = users @ new.T, users @ model.item_vectors(*ARRAYS).T

    assert torch.allclose(of_new[0], of_new[1], atol=1e-3)
    assert (of_known[0] - of_known[1]).abs().max() > 0.05
    assert torch.allclose(ExportedUsers(model, ARRAYS)(*history), users, atol=ROUNDED)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"item_dim": 5}, "towers.item_dim = 5 cannot hold the factors; it needs 7"),
        (
            {"item_dim": 7, "user": HiddenConfig(output_dim=4, widths=[5], skip=False)},
            "towers.initialisation needs skip = true",
        ),
        (
            {"features": [ITEM[0], FeatureConfig(name="title", kind="text", dim=2), ITEM[2]]},
            "leave out their dim",
        ),
    ],
)
def test_start_says_what_is_in_its_way(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        start(towers(**changes))
