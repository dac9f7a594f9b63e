"""A pretrained encoder over packed batches: every layer but attention sees real tokens only.

    token ids one after another -> linear layers (1, t, d) -> attention and pooling on a grid (n, l)

A forward pass of a transformer is nearly all matrix products over tokens, so padding is what most of its
time would go into: with texts of 5 to 60 words in order of arrival half of all rows. Here only attention is
padded, which for short texts is some hundredths of the work. See docs/decisions/0007.

The transformers library calls attention by name, so no network is written anew: `_attend` stands in for
its own function of that signature.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.layers import POOLINGS
from training.text.encoders.pretrained import PretrainedEncoder

ATTENTION = "encodery_packed"
# Those that take positions as an input and attend by the library's common interface: MPNet adds its own
# bias of positions, ModernBERT slides a window.
FAMILIES = ("bert", "distilbert", "electra", "roberta", "xlm-roberta")
HIDDEN = -1e9  # added to the score of a cell without a token


def packed(encoder: nn.Module) -> nn.Module | None:
    """The same encoder over packed batches; None for one that cannot be packed."""
    if isinstance(encoder, PretrainedEncoder) and encoder.spec.family in FAMILIES:
        return PackedEncoder(encoder)
    return None


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
        encoder = self.encoder
        present = grid >= 0  # (n, l)
        rows = grid.clamp(min=0).reshape(-1)  # (n * l,)
        positions = torch.arange(grid.shape[1]).expand(grid.shape).reshape(-1)[spots]  # (t,)
        tokens = _run(
            encoder.backbone,
            input_ids=token_ids.unsqueeze(0),
            position_ids=(positions + encoder.spec.position_offset).unsqueeze(0),
            rows=rows,
            shape=grid.shape,
            spots=spots,
            bias=torch.where(present, 0.0, HIDDEN)[:, None, None, :],  # (n, 1, 1, l)
        )  # (1, t, d)
        spread = tokens[0][rows].reshape(*grid.shape, -1)  # (n, l, d)
        mask = present.to(tokens.dtype)
        pooled = [POOLINGS[name](spread, mask, mask) for name in encoder.spec.poolings]  # each (n, d)
        vectors: Tensor = encoder.dense(torch.cat(pooled, dim=-1))
        return F.normalize(vectors, dim=-1) if encoder.spec.normalize else vectors


def _run(backbone: nn.Module, **inputs: Any) -> Tensor:
    """The states of the last layer, with our attention in the place of the network's."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS  # noqa: PLC0415  # slow to import

    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attend)
    config = cast(Any, backbone.config)
    before = config._attn_implementation
    config._attn_implementation = ATTENTION
    try:
        # A mask of four axes is passed on as it is; ours comes as `bias`, for the grid and not for t x t.
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
    rows: Tensor,
    shape: torch.Size,
    spots: Tensor,
    bias: Tensor,
    **unused: Any,
) -> tuple[Tensor, None]:
    """Softmax attention within each text. query, key, value (1, heads, t, h) -> (1, t, heads, h)."""

    def spread(states: Tensor) -> Tensor:
        by_token = states.transpose(1, 2)[0].flatten(1)  # (t, heads * h)
        return by_token[rows].reshape(*shape, states.shape[1], -1).transpose(1, 2)  # (n, heads, l, h)

    scores = torch.matmul(spread(query) * scaling, spread(key).transpose(2, 3)) + bias  # (n, heads, l, l)
    mixed = torch.matmul(scores.softmax(-1), spread(value)).transpose(1, 2)  # (n, l, heads, h)
    together = mixed.flatten(2).flatten(0, 1)[spots]  # (t, heads * h)
    return together.reshape(1, -1, *mixed.shape[2:]), None
