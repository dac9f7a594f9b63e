"""The processes that train one run together, as `torchrun` starts them; without it there is one.

Each takes the same batch, encodes its share, and gathers the vectors of all; so samplers and losses are those
of one process, and negatives are those of the whole batch. Gradients are averaged, so that all take the same
step. Only the first reads checkpoints, measures, and writes: files, logs, bundles.

Like torch's own, the group is one of the whole process, which is why nobody is handed it.
Knows nothing of models. Source: docs.pytorch.org/docs/stable/elastic/run.html
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.errors import RanksError

T = TypeVar("T")

WAIT = timedelta(days=1)  # for the first, which may ask a teacher about millions of texts meanwhile


@contextmanager
def joined() -> Iterator[None]:
    """Around a run: meet the others that torchrun started. All but the first say nothing but errors."""
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield
        return
    with _together():
        dist.init_process_group("gloo", timeout=WAIT)
    try:
        if is_first():
            yield
        else:
            with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
                yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """How many they are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the one that measures and writes."""
    return rank() == 0


@contextmanager
def one_before_all() -> Iterator[None]:
    """Around work that the first keeps for the others, as in a cache: it is done before they begin."""
    if not is_first():
        _meet()
    yield
    if is_first():
        _meet()


def spread(encode: Callable[[Sequence[T]], Tensor], items: Sequence[T]) -> Tensor:
    """Vectors of all items, of which each process encodes its share. (n, d).

    Args:
        encode: items to (n, d), each row from its own item.
        items: the same in each process; fewer than there are processes are encoded by all.
    """
    if len(items) < count() or count() == 1:
        return encode(items)
    bounds = [len(items) * number // count() for number in range(count() + 1)]
    share = encode(items[bounds[rank()] : bounds[rank() + 1]])
    gathered: Tensor = _Gathered.apply(share, bounds)  # type: ignore[no-untyped-call]  # of torch
    return gathered


class _Gathered(torch.autograd.Function):
    """The shares of all processes, one after another.

    All compute the same loss from them, so the gradient of a share is known where it was encoded. It is
    multiplied by the number of processes, since `average_gradients` divides by that.
    """

    @staticmethod
    def forward(ctx: Any, share: Tensor, bounds: Sequence[int]) -> Tensor:
        ctx.span = slice(bounds[rank()], bounds[rank() + 1])
        sizes = [end - begin for begin, end in pairwise(bounds)]
        padded = share.new_zeros(max(sizes), share.shape[1])
        padded[: len(share)] = share
        parts = [torch.empty_like(padded) for _ in sizes]
        with _together():
            dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][ctx.span] * count(), None


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give all processes the mean of their gradients; what no process has a gradient of keeps none."""
    if count() == 1:
        return
    trained = [one for one in parameters if one.requires_grad]
    parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in trained]
    has_gradient = torch.tensor([float(one.grad is not None) for one in trained])
    flat = torch.cat([*(part.flatten() for part in parts), has_gradient])
    with _together():
        dist.all_reduce(flat)
    *means, has_gradient = torch.split(flat / count(), [*(one.numel() for one in trained), len(trained)])
    for one, mean, has in zip(trained, means, has_gradient.tolist(), strict=True):
        one.grad = mean.view_as(one) if has else None


def any_of(is_so: bool) -> bool:
    """Whether it is so in any process: each decides the same then."""
    if count() == 1:
        return is_so
    found = torch.tensor(int(is_so))
    with _together():
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return bool(found)


def from_first(value: T) -> T:
    """Give all processes the value of the first."""
    if count() == 1:
        return value
    values = [value]
    with _together():
        dist.broadcast_object_list(values)
    return values[0]


def collected(tensor: Tensor) -> list[Tensor]:
    """One tensor of each process, of the same shape."""
    if count() == 1:
        return [tensor]
    parts = [torch.empty_like(tensor) for _ in range(count())]
    with _together():
        dist.all_gather(parts, tensor)
    return parts


def _meet() -> None:
    if count() > 1:
        with _together():
            dist.barrier()


@contextmanager
def _together() -> Iterator[None]:
    """Around what all do together. Raises RanksError."""
    try:
        yield
    except RuntimeError as error:  # what torch raises when a connection ends, or nobody comes
        number = os.environ.get("RANK", "?")
        raise RanksError(
            f"process {number} lost the others of the run: one ended, and said why, or cannot be reached; "
            "run the same command to go on from the last checkpoint"
        ) from error
