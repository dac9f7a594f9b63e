"""Losses against values derived by hand, their limits and invariances, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from training.text import losses

EXACT = 1e-6  # float32 arithmetic of a few terms

A = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
B = torch.tensor([[1.0, 0.0], [3.0, 0.0]])


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


def test_cosine_distance_by_hand() -> None:
    """Row 1: the same direction, 0. Row 2: a right angle, 1. Mean 1/2."""
    assert losses.cosine_distance(A, B).item() == pytest.approx(0.5, abs=EXACT)


def test_mse_by_hand() -> None:
    """Differences (0, 0) and (-3, 2): (9 + 4) / 4 elements."""
    assert losses.mse(A, B).item() == pytest.approx(13 / 4, abs=EXACT)


def test_infonce_by_hand() -> None:
    """Normalised A = (1, 0), (0, 1) and B = (1, 0), (1, 0); T = 1/2.

    A B^T / T = [[2, 2], [0, 0]]: each row's positive has half the probability, so the loss is log 2.
    The other way, the columns are (2, 0) and (2, 0): -log(e^2 / (e^2 + 1)) for the first, and
    -log(1 / (e^2 + 1)) for the second.
    """
    back = (math.log(1 + math.exp(-2)) + math.log(math.exp(2) + 1)) / 2

    assert losses.infonce(A, B, 0.5).item() == pytest.approx(math.log(2), abs=EXACT)
    assert losses.infonce(A, B, 0.5, symmetric=True).item() == pytest.approx(
        (math.log(2) + back) / 2, abs=EXACT
    )


def test_infonce_of_orthogonal_pairs_by_hand() -> None:
    """Scores [[1/T, 0], [0, 1/T]]: log(1 + e^(-1/T)), which vanishes for small T."""
    pairs = torch.eye(2)

    assert losses.infonce(pairs, pairs, 1.0).item() == pytest.approx(math.log(1 + math.exp(-1)), abs=EXACT)
    assert losses.infonce(pairs, pairs, 0.02).item() == pytest.approx(0.0, abs=EXACT)


def test_infonce_of_vectors_that_are_all_alike_is_log_n() -> None:
    alike = torch.ones(5, 3)

    assert losses.infonce(alike, alike, 0.1, symmetric=True).item() == pytest.approx(math.log(5), abs=EXACT)


def test_infonce_with_hard_negatives_by_hand() -> None:
    """Pairs e1, e2 and one negative e1, T = 1. Row 1: scores (1, 0, 1), row 2: (0, 1, 0).

    Row 1: log((2e + 1) / e) = log(2 + 1/e). Row 2: log((e + 2) / e) = log(1 + 2/e). Back: log(1 + 1/e).
    """
    pairs = torch.eye(2)
    forth = (math.log(2 + 1 / math.e) + math.log(1 + 2 / math.e)) / 2
    back = math.log(1 + 1 / math.e)

    found = losses.infonce(pairs, pairs, 1.0, negatives=pairs[:1] * 3).item()
    both = losses.infonce(pairs, pairs, 1.0, negatives=pairs[:1], symmetric=True).item()

    assert found == pytest.approx(forth, abs=EXACT)
    assert both == pytest.approx((forth + back) / 2, abs=EXACT)


def test_what_is_alike_is_no_negative() -> None:
    """Pairs e1, e1, e2, T = 1: rows 1 and 2 have copies of each other's key.

    Unmasked, row 1 costs log((2e + 1) / e); masked, it sees e1 and e2: log((e + 1) / e) = log(1 + 1/e).
    Row 3 sees e1 twice and e2: log((e + 2) / e). Copies in both directions, so `symmetric` gives the same.
    """
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    alike = torch.tensor([[False, True, False], [True, False, False], [False, False, False]])
    wanted = (2 * math.log(1 + 1 / math.e) + math.log(1 + 2 / math.e)) / 3

    assert losses.infonce(rows, rows, 1.0, alike=alike).item() == pytest.approx(wanted, abs=EXACT)
    assert losses.infonce(rows, rows, 1.0, alike=alike, symmetric=True).item() == pytest.approx(
        wanted, abs=EXACT
    )


def test_a_row_without_any_negative_costs_nothing() -> None:
    rows, alike = random(3, 4), ~torch.eye(3, dtype=torch.bool)

    assert losses.infonce(rows, rows, 0.1, alike=alike, symmetric=True).item() == pytest.approx(0, abs=EXACT)


def test_the_same_text_twice_is_no_partner_and_no_negative() -> None:
    """Rows 1 and 2 are one text, under two labels; row 3 has the label of the first, row 4 its own."""
    rows, labels = random(4, 3), torch.tensor([0, 1, 0, 2])
    texts = torch.tensor([7, 7, 8, 9])
    z = torch.nn.functional.normalize(rows.detach(), dim=-1)
    near = z @ z.T
    first = -(near[0, 2] - torch.logsumexp(near[0, [2, 3]], 0))
    third = -(near[2, 0] - torch.logsumexp(near[2, [0, 1, 3]], 0))

    found = losses.supervised_contrast(rows, labels, 1.0, texts=texts)

    assert found.item() == pytest.approx(((first + third) / 2).item(), abs=EXACT)


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e-30])
def test_a_vector_without_length_has_no_gradient(length: float) -> None:
    """Divided by an epsilon of 1e-12 it would have one of 1e12, and clipping would leave nothing else."""
    for name, loss in OF_TWO.items():
        rows = random(4, 3).detach()
        rows[1] = length
        rows.requires_grad_()
        loss(rows, random(4, 3, seed=1)).backward()

        assert rows.grad is not None
        assert rows.grad.abs().max() < 1e3, name


def test_unit_keeps_the_direction_of_all_others() -> None:
    rows = torch.tensor([[3.0, 4.0], [3e-6, 4e-6], [0.0, 0.0]])

    torch.testing.assert_close(losses.unit(rows), torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]]))


def test_triplet_by_hand() -> None:
    """Anchor (1, 0). Row 1: positive itself, negative at a right angle. Row 2: the other way around.

    Cosine, margin 1/2: max(0, 0 - 1 + 1/2) = 0 and 1 - 0 + 1/2 = 3/2, mean 3/4. Euclidean with positive
    (1, 3) and negative (1, 4): 3 - 4 + 2 = 1.
    """
    e1, e2 = torch.eye(2)
    anchors, positives, negatives = torch.stack([e1, e1]), torch.stack([e1, e2]), torch.stack([e2, e1])
    far = losses.triplet(
        e1[None], torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 4.0]]), 2.0, distance="euclidean"
    )

    assert losses.triplet(anchors, positives, negatives, 0.5).item() == pytest.approx(0.75, abs=EXACT)
    assert far.item() == pytest.approx(1.0, abs=1e-5)  # torch adds 1e-6 to each difference


def test_cosent_by_hand() -> None:
    """Cosines 1, 0 and 0.6 with the grades 1, 3, 3; scale 2: pairs (2, 1) and (3, 1), none of 2 and 3.

    log(1 + e^(2 (1 - 0)) + e^(2 (1 - 0.6))).
    """
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    second = torch.tensor([[5.0, 0.0], [0.0, 1.0], [3.0, 4.0]])

    found = losses.cosent(first, second, torch.tensor([1.0, 3.0, 3.0]), 2.0).item()

    assert found == pytest.approx(math.log(1 + math.exp(2) + math.exp(0.8)), abs=EXACT)


def test_cosent_asks_nothing_of_equal_grades() -> None:
    assert losses.cosent(random(4, 3), random(4, 3, seed=1), torch.ones(4), 20.0).item() == 0.0


def test_supervised_contrast_by_hand() -> None:
    """Rows e1, e1, e2, e2 with the labels 0, 0, 1, 2; T = 1. Rows 3 and 4 have no partner.

    Row 1 sees (1, 0, 0): log((e + 2) / e); row 2 the same. Labels 0, 0, 0, 1: row 1 has the partners 2, 3
    with log-probabilities 1 - log(e + 2) and -log(e + 2), row 2 the same, and row 3 sees (0, 0, 1) and has
    the partners 1, 2: log(e + 2).
    """
    rows, z = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), math.log(math.e + 2)

    pairs = losses.supervised_contrast(rows, torch.tensor([0, 0, 1, 2]), 1.0).item()
    triple = losses.supervised_contrast(rows, torch.tensor([0, 0, 0, 1]), 1.0).item()

    assert pairs == pytest.approx(z - 1, abs=EXACT)
    assert triple == pytest.approx((2 * (z - 0.5) + z) / 3, abs=EXACT)


def test_supervised_contrast_without_any_partner_is_zero() -> None:
    assert losses.supervised_contrast(random(3, 2), torch.arange(3), 0.1).item() == 0.0


def test_reconstruction_by_hand() -> None:
    """Scores (log 3, 0): 3/4 and 1/4. Text 1 has both tokens, text 2 one and padding: three in all."""
    scores = torch.tensor([math.log(3), 0.0]).expand(2, 2, 2)
    ids, mask = torch.tensor([[0, 1], [0, 1]]), torch.tensor([[1, 1], [1, 0]])

    found = losses.reconstruction(scores, ids, mask).item()

    assert found == pytest.approx((2 * math.log(4 / 3) + math.log(4)) / 3, abs=EXACT)


def test_similarity_kl_by_hand() -> None:
    """Three rows, so each has two neighbours; T = 1.

    Teacher e1, e1, e2: row 1 sees cosines (1, 0), so q = (s, 1-s) with s = e/(e+1); row 2 the same; row 3
    (0, 0), so (1/2, 1/2). Student all alike: p = (1/2, 1/2) everywhere.
    KL = s log 2s + (1-s) log 2(1-s) for the rows 1 and 2, 0 for row 3; divided by 3.
    """
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    s = math.e / (math.e + 1)
    row = s * math.log(2 * s) + (1 - s) * math.log(2 * (1 - s))

    found = losses.similarity_kl(torch.ones(3, 4), teacher, 1.0).item()

    assert found == pytest.approx(2 * row / 3, abs=EXACT)


def test_cross_similarity_kl_by_hand() -> None:
    """Two pairs, T = 1. The student sees no difference: p = (1/2, 1/2) in every row and column.

    Teacher a = e1, e2 and b = e1, e1: cosines (1, 1) and (0, 0), so its rows are (1/2, 1/2) and cost nothing.
    Its columns are (s, 1-s), s = e/(e+1), each costing s log 2s + (1-s) log 2(1-s); halved.
    """
    a, b = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    s = math.e / (math.e + 1)
    column = s * math.log(2 * s) + (1 - s) * math.log(2 * (1 - s))

    found = losses.cross_similarity_kl((torch.ones(2, 3), torch.ones(2, 3)), (a, b), 1.0).item()

    assert found == pytest.approx(column / 2, abs=EXACT)


def test_cross_entropy_by_hand() -> None:
    """Scores (log 3, 0) and (0, 0): -log 3/4 and -log 1/2. Smoothing 0.5 of two classes: targets 3/4, 1/4."""
    scores, labels = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    smoothed = (-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) + math.log(2)) / 2

    assert losses.cross_entropy(scores, labels).item() == pytest.approx(
        (math.log(4 / 3) + math.log(2)) / 2, abs=EXACT
    )
    assert losses.cross_entropy(scores, labels, smoothing=0.5).item() == pytest.approx(smoothed, abs=EXACT)


def test_mean_over_takes_each_term_at_each_length() -> None:
    """Lengths 1 and 3: terms 1 and 3, and 10 and 30."""
    terms = losses.mean_over([1, 3], lambda m: {"a": torch.tensor(float(m)), "b": torch.tensor(10.0 * m)})

    assert {name: value.item() for name, value in terms.items()} == {"a": 2.0, "b": 20.0}


# Every loss as a function of one or two float64 matrices (4, 3).
OF_TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine_distance": losses.cosine_distance,
    "mse": losses.mse,
    "infonce": lambda a, b: losses.infonce(a, b, 0.3),
    "infonce symmetric": lambda a, b: losses.infonce(a, b, 0.3, symmetric=True),
    "infonce hard": lambda a, b: losses.infonce(a, b, 0.3, negatives=b.flip(-1), symmetric=True),
    "cosent": lambda a, b: losses.cosent(a, b, torch.ones(4, dtype=torch.float64).cumsum(0), 5.0),
    "triplet": lambda a, b: losses.triplet(a, b, b.roll(1, 0), 0.3),
    "triplet euclidean": lambda a, b: losses.triplet(a, b, b.roll(1, 0), 0.3, distance="euclidean"),
    "supervised_contrast": lambda a, b: losses.supervised_contrast(
        torch.cat([a, b]), torch.arange(4).repeat(2) % 3, 0.3
    ),
    "similarity_kl": lambda a, b: losses.similarity_kl(a, b, 0.3),
    "cross_similarity_kl": lambda a, b: losses.cross_similarity_kl(
        (a, b), (random(4, 5, seed=2), random(4, 5, seed=3)), 0.3
    ),
    "mean_over": lambda a, b: losses.mean_over([2, 3], lambda m: {"x": losses.mse(a[:, :m], b[:, :m])})["x"],
}
OF_SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "cross_entropy": lambda s: losses.cross_entropy(s, torch.tensor([0, 1, 2, 0]), smoothing=0.1),
    "reconstruction": lambda s: losses.reconstruction(
        s.reshape(2, 2, 3), torch.tensor([[0, 1], [2, 0]]), torch.tensor([[1, 1], [1, 0]])
    ),
}


@pytest.mark.parametrize("name", OF_TWO)
def test_gradients_of_two_matrices_are_right(name: str) -> None:
    assert torch.autograd.gradcheck(OF_TWO[name], (random(4, 3), random(4, 3, seed=1)))


@pytest.mark.parametrize("name", OF_SCORES)
def test_gradients_of_scores_are_right(name: str) -> None:
    assert torch.autograd.gradcheck(OF_SCORES[name], (random(4, 3),))


@pytest.mark.parametrize("name", ["cosine_distance", "mse", "similarity_kl", "mean_over"])
def test_identical_vectors_cost_nothing(name: str) -> None:
    vectors = random(4, 3)

    assert OF_TWO[name](vectors, vectors.detach()).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["cosine_distance", "mse", "infonce", "infonce symmetric", "similarity_kl"])
def test_turning_both_sides_alike_changes_nothing(name: str) -> None:
    a, b = random(4, 3), random(4, 3, seed=1)
    rotation, _ = torch.linalg.qr(random(3, 3, seed=2))

    assert OF_TWO[name](a @ rotation, b @ rotation).item() == pytest.approx(OF_TWO[name](a, b).item())


@pytest.mark.parametrize("name", ["cosine_distance", "infonce", "infonce symmetric", "similarity_kl"])
def test_losses_of_directions_do_not_see_lengths(name: str) -> None:
    a, b = random(4, 3), random(4, 3, seed=1)
    lengths = torch.tensor([[0.1], [2.0], [5.0], [1.0]], dtype=torch.float64)

    assert OF_TWO[name](a * lengths, b * 7).item() == pytest.approx(OF_TWO[name](a, b).item())


ROW_BY_ROW = {"cosent", "triplet", "triplet euclidean", "supervised_contrast", "cross_similarity_kl"}
UNORDERED = sorted(set(OF_TWO) - ROW_BY_ROW)


@pytest.mark.parametrize(
    "name", UNORDERED
)  # the others have grades, neighbours, labels or a teacher by row here
def test_the_order_of_a_batch_does_not_matter(name: str) -> None:
    a, b, order = random(4, 3), random(4, 3, seed=1), torch.tensor([2, 0, 3, 1])

    assert OF_TWO[name](a[order], b[order]).item() == pytest.approx(OF_TWO[name](a, b).item())


def test_similarity_kl_takes_a_teacher_of_another_length() -> None:
    assert math.isfinite(losses.similarity_kl(random(4, 3), random(4, 9, seed=1), 0.1).item())


@pytest.mark.parametrize("name", ["cosine_distance", "infonce", "similarity_kl"])
def test_a_batch_of_one_and_a_zero_vector_stay_finite(name: str) -> None:
    zero = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    loss = OF_TWO[name](zero, random(1, 3))
    loss.backward()

    assert math.isfinite(loss.item())
    assert zero.grad is not None
    assert bool(zero.grad.isfinite().all())
