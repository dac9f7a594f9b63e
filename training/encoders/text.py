"""The classic text encoder: token embeddings, pooling, hidden layers, linear output, normalisation.

All of it is in `forward`, so all of it is in the exported graph.
Sources: deep averaging networks, Iyyer et al. 2015; SIF weights, Arora et al. 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config import TextModelConfig
from training.encoders.layers import POOLINGS, Hidden, Int8Table


class TextEncoder(nn.Module):
    """Token ids to vectors.

    Args:
        tokens: size of the vocabulary.
        config: dimensions, pooling, layers.
    """

    def __init__(self, tokens: int, config: TextModelConfig) -> None:
        super().__init__()
        self.config = config
        self.table: nn.Embedding | Int8Table = nn.Embedding(tokens, config.embedding_dim)
        nn.init.normal_(self.table.weight, std=config.embedding_dim**-0.5)
        self.log_weights = nn.Embedding(tokens, 1) if "weighted" in config.poolings else None
        if self.log_weights is not None:
            nn.init.zeros_(self.log_weights.weight)
        self.hidden = Hidden(len(config.poolings) * config.embedding_dim, config.hidden)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids and attention_mask int64 (n, t) -> float32 (n, output_dim)."""
        mask = attention_mask.float()
        tokens = self.table(input_ids)  # (n, t, d)
        weights = mask if self.log_weights is None else self.log_weights(input_ids).squeeze(-1).exp()
        pooled = [
            F.normalize(POOLINGS[name](tokens, mask, weights), dim=-1) for name in self.config.poolings
        ]  # each (n, d); unit length, so that the layers see direction and not the length of a text
        vectors: Tensor = self.hidden(torch.cat(pooled, dim=-1))
        return F.normalize(vectors, dim=-1) if self.config.normalize else vectors

    def start_from(self, table: npt.NDArray[np.float32]) -> None:
        """Start the token embeddings from these rows, float32 (tokens, embedding_dim)."""
        assert isinstance(self.table, nn.Embedding), "quantised already"
        with torch.no_grad():
            self.table.weight.copy_(torch.from_numpy(table))

    def start_weights(self, counts: npt.NDArray[np.int64]) -> None:
        """Start the token weights at SIF: a / (a + p), p the token's share of the corpus (tokens,)."""
        if self.log_weights is None:
            return
        share = counts / max(1, counts.sum())
        weights = self.config.sif / (self.config.sif + share)
        with torch.no_grad():
            self.log_weights.weight.copy_(torch.from_numpy(np.log(weights)[:, None].astype(np.float32)))

    def quantize_table(self) -> None:
        """Replace the token embeddings by int8 ones; what is evaluated from here on is what is exported."""
        if isinstance(self.table, nn.Embedding):
            self.table = Int8Table(self.table.weight.detach())


def principal_axes(vectors: npt.NDArray[np.floating], sample: int = 100_000) -> npt.NDArray[np.float32]:
    """Orthonormal axes of vectors (n, d), the one with the largest second moment first: (d, d).

    Not centred: turning vectors by these axes keeps every cosine, and their leading coordinates are the
    best that a cut (Matryoshka) vector can have. About `sample` vectors are used, spread over all of them:
    the first ones may be of one source.
    """
    used = np.asarray(vectors[:: max(1, len(vectors) // sample)], dtype=np.float64)
    _, axes = np.linalg.eigh(used.T @ used)  # ascending
    return np.ascontiguousarray(axes[:, ::-1]).astype(np.float32)


def token_table(
    token_vectors: npt.NDArray[np.float32], axes: npt.NDArray[np.float32], dim: int
) -> npt.NDArray[np.float32]:
    """Start of the embeddings: centred token vectors, turned like the targets, cut to `dim`."""
    centred = token_vectors - token_vectors.mean(0)
    return np.ascontiguousarray((centred @ axes)[:, :dim])


def token_counts(ids: Sequence[npt.NDArray[np.integer]], tokens: int) -> npt.NDArray[np.int64]:
    """How often each token occurs in all of these together. (tokens,)."""
    counts = np.zeros(tokens, dtype=np.int64)
    for some in ids:
        counts += np.bincount(some, minlength=tokens)
    return counts
