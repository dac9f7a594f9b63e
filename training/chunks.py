"""A large batch of vectors with the memory of a small one: cached gradients.

A contrastive loss needs the vectors of a whole batch at once, but only the encoder's intermediate values
are large, and each text has its own. So they are forgotten after the forward pass of a chunk. The gradient
of the loss then arrives at the vectors, and each chunk's forward pass is done a second time, with the same
dropout, to carry it on into the weights. The gradients are those of one pass; the time is about 4/3.

Source: GradCache, Gao et al. 2021, arXiv 2101.06983. Its cache of gradients is here the autograd graph
itself: a chunk is a checkpoint of torch, which holds nothing but the chunk's inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")


def in_chunks(encode: Callable[[Sequence[T]], Tensor], items: Sequence[T], size: int) -> Tensor:
    """Vectors of all items, `size` of them at a time; 0 for all at once. (n, d).

    Args:
        encode: items to (n, d), each row from its own item.
        items: of the batch.
        size: items whose intermediate values are held at the same time.
    """
    if size == 0 or size >= len(items):
        return encode(items)
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    if not torch.is_grad_enabled():
        return torch.cat([encode(chunk) for chunk in chunks])
    return torch.cat([_forgetful(encode, chunk) for chunk in chunks])


def _forgetful(encode: Callable[[Sequence[T]], Tensor], chunk: Sequence[T]) -> Tensor:
    vectors: Tensor = checkpoint(encode, chunk, use_reentrant=False)
    return vectors
