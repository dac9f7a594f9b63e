"""A pretrained encoder over packed batches: every layer but attention sees real tokens only.

    token ids one after another -> linear layers (1, t, d) -> attention and pooling on a grid (n, l)

A forward pass of a transformer is nearly all matrix products over tokens, so padding is what most of its
time would go into: with texts of 5 to 60 words in order of arrival half of all rows. Here only attention is
padded, which for short texts is some hundredths of the work. See docs/decisions/0007.

The transformers library calls attention by name, so no network is written anew: `_attend` stands in for
its own function of that signature, and reads from it what a network wants: fewer keys than queries, a window,
no look to the right, scores that are capped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from training.text.encoders.pretrained import PretrainedEncoder
from training.text.pretrained.families import FAMILIES

ATTENTION = "encodery_packed"
HIDDEN = -1e9  # added to the score of a cell that is not to be seen


@dataclass(frozen=True)
class Grid:
    """Where the t tokens of a packed batch stand in a grid of n texts, the longest of l tokens.

    Attributes:
        shape: (n, l).
        rows: int64 (n * l,): the token of each cell, any where there is none.
        spots: int64 (t,): the cell of each token.
        bias: float32, added to scores (n, heads, l, l).
    """

    shape: torch.Size
    rows: Tensor
    spots: Tensor
    bias: Tensor

    def spread(self, states: Tensor) -> Tensor:
        """(1, heads, t, h) -> (n, heads, l, h)."""
        by_token = states.transpose(1, 2)[0].flatten(1)  # (t, heads * h)
        return by_token[self.rows].reshape(*self.shape, states.shape[1], -1).transpose(1, 2)

    def gathered(self, states: Tensor) -> Tensor:
        """(n, l, heads, h) -> (1, t, heads, h)."""
        together = states.flatten(2).flatten(0, 1)[self.spots]  # (t, heads * h)
        return together.reshape(1, -1, *states.shape[2:])

    def seen(self, window: int | None, *, is_causal: bool) -> Tensor:
        """The bias where attention sees less than `window` tokens far, or none to its right. (..., l, l)."""
        if window is None and not is_causal:
            return self.bias
        place = torch.arange(self.shape[1])
        back = place.unsqueeze(1) - place  # (l, l): how far a key lies behind a query
        hidden = torch.zeros_like(back, dtype=torch.bool)
        if is_causal:
            hidden = hidden | (back < 0)
        if window is not None:
            hidden = hidden | (back.abs() >= window)
        return self.bias + torch.where(hidden, HIDDEN, 0.0)


def packed(encoder: nn.Module) -> nn.Module | None:
    """The same encoder over packed batches; None for one that cannot be packed."""
    family = FAMILIES.get(encoder.spec.family) if isinstance(encoder, PretrainedEncoder) else None
    return PackedEncoder(cast(PretrainedEncoder, encoder)) if family and family.packs else None


class PackedEncoder(nn.Module):
    """Token ids to vectors; shares its weights with the padded encoder.

    n texts, t tokens of all of them, l of the longest.
    """

    def __init__(self, encoder: PretrainedEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, token_ids: Tensor, grid: Tensor, spots: Tensor) -> Tensor:
        """A packed batch to vectors, float32 (n, dim).

        token_ids int64 (t,), grid int64 (n, l) and spots int64 (t,) are those of
        `bundle.preprocess.text.pack`.
        """
        present = grid >= 0  # (n, l)
        rows = grid.clamp(min=0).reshape(-1)  # (n * l,)
        bias = torch.where(present, 0.0, HIDDEN)[:, None, None, :]  # (n, 1, 1, l)
        if where := FAMILIES[self.encoder.spec.family].biased:
            attention: Any = self.encoder.backbone.get_submodule(where)  # without types
            bias = bias + attention.compute_bias(grid.shape[1], grid.shape[1])  # (n, heads, l, l)
        positions = torch.arange(grid.shape[1]).expand(grid.shape).reshape(-1)[spots]  # (t,)
        tokens = _run(
            self.encoder.backbone,
            input_ids=token_ids.unsqueeze(0),
            position_ids=(positions + self.encoder.spec.position_offset).unsqueeze(0),
            grid=Grid(grid.shape, rows, spots, bias),
        )  # (1, t, d)
        spread = tokens[0][rows].reshape(*grid.shape, -1)  # (n, l, d)
        return self.encoder.pooled(spread, present.to(tokens.dtype))


def _run(backbone: nn.Module, **inputs: Any) -> Tensor:
    """The states of the last layer, with our attention in the place of the network's."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS  # noqa: PLC0415  # slow to import

    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attend)
    config = cast(Any, backbone.config)
    before = config._attn_implementation
    config._attn_implementation = ATTENTION
    try:
        # A mask of four axes is passed on as it is; what may be seen is the grid's to say, not t x t.
        states = backbone(**inputs, attention_mask=torch.zeros(1, 1, 1, 1)).last_hidden_state
    finally:
        config._attn_implementation = before
    return cast(Tensor, states)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    *,
    scaling: float,
    grid: Grid,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **unused: Any,
) -> tuple[Tensor, None]:
    """Softmax attention within each text. query, key, value (1, heads, t, h) -> (1, t, heads, h)."""
    shared = query.shape[1] // key.shape[1]  # queries to a key
    q, k, v = grid.spread(query * scaling), grid.spread(key), grid.spread(value)  # (n, heads, l, h)
    if shared > 1:
        k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
    scores = torch.matmul(q, k.transpose(2, 3))  # (n, heads, l, l)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    is_causal = bool(getattr(module, "is_causal", False))
    if is_causal and getattr(cast(Any, module).config, "is_causal", True) is False:
        is_causal = False  # a decoder that its configuration lets read both ways
        sliding_window = sliding_window and sliding_window + 1  # then the library counts the end in
    scores = scores + grid.seen(sliding_window, is_causal=is_causal)
    mixed = torch.matmul(scores.softmax(-1), v).transpose(1, 2)  # (n, l, heads, h)
    return grid.gathered(mixed), None
