"""A large batch of vectors with the memory of a small one: cached gradients.

A contrastive loss needs the vectors of a whole batch at once, but only the encoder's intermediate values
are large, and each text has its own. So they are forgotten after the forward pass of a chunk. The gradient
of the loss then arrives at the vectors, and each chunk's forward pass is done a second time, with the same
dropout, to carry it on into the weights. The gradients are those of one pass; the time is about 4/3.

Source: GradCache, Gao et al. 2021, arXiv 2101.06983. Its cache of gradients is here the autograd graph
itself: a chunk is a checkpoint of torch, which holds nothing but the chunk's inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")


def in_chunks(
    encode: Callable[[Sequence[T]], Tensor], items: Sequence[T], budget: int, cost: Callable[[T], int]
) -> Tensor:
    """Vectors of all items, some of them at a time. (n, d).

    Args:
        encode: items to (n, d), each row from its own item.
        items: of the batch.
        budget: the most that a chunk may cost, each of its items as much as its costliest, since they are
            padded to that; 0 for all items at once. One item by itself may cost more.
        cost: of an item.
    """
    chunks = [items] if budget == 0 else list(chunks_of(items, budget, cost))
    if len(chunks) == 1:
        return encode(items)
    if not torch.is_grad_enabled():
        return torch.cat([encode(chunk) for chunk in chunks])
    return torch.cat([_forgetful(encode, chunk) for chunk in chunks])


def chunks_of(items: Sequence[T], budget: int, cost: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Neighbours together, as many as the budget allows."""
    start, longest = 0, 0
    for end, item in enumerate(items):
        longest = max(longest, cost(item))
        if end > start and longest * (end + 1 - start) > budget:
            yield items[start:end]
            start, longest = end, cost(item)
    yield items[start:]


def _forgetful(encode: Callable[[Sequence[T]], Tensor], chunk: Sequence[T]) -> Tensor:
    vectors: Tensor = checkpoint(encode, chunk, use_reentrant=False)
    return vectors
