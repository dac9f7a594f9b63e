"""What the order of a history says, beside its pool: self-attention or a GRU over the newest entries.

    entries, newest first -> a window of fixed length -> vectors of their own width -> one vector

Both see what is there and nothing of the padding; an empty history gives 0.
Sources: Kang and McAuley 2018 (SASRec), arXiv 1808.09781; Hidasi et al. 2016 (GRU4Rec), arXiv 1511.06939.

n rows, w entries of the window, s dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bundle.preprocess.features.schema import PAD
from training.recommender.config.towers import SequenceConfig

FAR = 1e9  # below any score; not infinite, for a history without an entry


class Attention(nn.Module):
    """Blocks of self-attention; the vector is what the newest entry is in the end."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.places = nn.Parameter(0.02 * torch.randn(config.length, config.dim))  # the newest entry's first
        self.blocks = nn.ModuleList(_Block(config.dim, config.heads) for _ in range(config.layers))

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """(n, w, s) and (n, w) of 0 and 1 -> (n, s)."""
        x = vectors + self.places
        for block in self.blocks:
            x = block(x, mask)
        newest: Tensor = x[:, 0] * mask[:, :1]
        return newest


class _Block(nn.Module):
    """Attention, then two layers, each beside a path straight through and after a norm."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.second_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.queries_keys_values, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.layers = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(n, w, s), (n, w) -> (n, w, s)."""
        n, w, s = x.shape
        split = self.queries_keys_values(self.norm(x)).reshape(n, w, 3, self.heads, s // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)  # (n, heads, w, s / heads) each
        hidden = ((mask - 1.0) * FAR)[:, None, None]  # (n, 1, 1, w)
        found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=hidden)
        x = x + self.out(found.transpose(1, 2).reshape(n, w, s))
        out: Tensor = x + self.layers(self.second_norm(x))
        return out


class Gru(nn.Module):
    """Reads from the oldest entry of the window to the newest; the vector is the last state."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.gru = nn.GRU(config.dim, config.dim, batch_first=True)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """(n, w, s) and (n, w) of 0 and 1 -> (n, s)."""
        lengths = mask.sum(1, keepdim=True).long()  # (n, 1)
        place = torch.arange(vectors.shape[1])
        turned = torch.where(place < lengths, lengths - 1 - place, place)  # (n, w), padding stays last
        states: Tensor = self.gru(vectors.gather(1, turned.unsqueeze(2).expand(-1, -1, vectors.shape[2])))[0]
        last = (lengths - 1).clamp(min=0).unsqueeze(2).expand(-1, -1, vectors.shape[2])
        return states.gather(1, last).squeeze(1) * mask[:, :1]


def sequence_module(config: SequenceConfig) -> Attention | Gru:
    """Make the module that a config asks for."""
    return (Attention if config.kind == "attention" else Gru)(config)


def window(array: Tensor, length: int) -> Tensor:
    """The newest entries, (n, length): shorter ones are padded, so that the shape is always the same."""
    return F.pad(array, (0, length))[:, :length]


def without_gaps(entries: Tensor) -> Tensor:
    """Histories with the padding at their end, where training hides entries in their midst. int64 (n, h)."""
    places = torch.arange(entries.shape[1])
    return entries.gather(1, (places + (entries == PAD) * entries.shape[1]).argsort(1))
