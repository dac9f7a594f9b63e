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

from training.config.sections import Activation
from training.layers import ACTIVATIONS, POOLINGS, Hidden, Int8Table, turn_linear, weighted_pool
from training.text.config.model import BigramConfig, TextModelConfig, WindowConfig

BIGRAM_PRIME = 1_000_003  # spreads the first token over all buckets


class Windows(nn.Module):
    """Each token with its neighbours, in their order, through one layer.

    Source: Collobert and Weston 2008, the window approach; here it is pooled beside the tokens.

    Args:
        tokens: size of the vocabulary.
        config: width and dimensions.
        activation: after the layer.
    """

    def __init__(self, tokens: int, config: WindowConfig, activation: Activation) -> None:
        super().__init__()
        self.width = config.width
        self.table: nn.Embedding | Int8Table = nn.Embedding(tokens, config.embedding_dim)
        nn.init.normal_(self.table.weight, std=config.embedding_dim**-0.5)
        self.linear = nn.Linear(config.width * config.embedding_dim, config.output_dim)
        self.activation = ACTIVATIONS[activation]()

    def initialise_from(self, table: npt.NDArray[np.float32]) -> None:
        """Start from the leading columns of these rows: they say most."""
        assert isinstance(self.table, nn.Embedding), "quantised already"
        self.table.weight.copy_(torch.from_numpy(table[:, : self.table.embedding_dim]))

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """input_ids int64 (n, t), mask float32 (n, t) -> (n, t, output_dim)."""
        length, reach = input_ids.shape[1], self.width // 2
        narrow = self.table(input_ids) * mask.unsqueeze(-1)  # padding is nothing, as beyond the ends
        padded = F.pad(narrow, (0, 0, reach, reach))  # (n, t + 2 * reach, d)
        windows = torch.cat([padded[:, at : at + length] for at in range(self.width)], dim=-1)
        vectors: Tensor = self.activation(self.linear(windows))  # (n, t, output_dim)
        return vectors


class Bigrams(nn.Module):
    """An embedding for every two neighbouring tokens, found by hash.

    Source: Joulin et al. 2016, arXiv 1607.01759, section 2.2.

    Args:
        config: rows and dimensions of the table.
    """

    def __init__(self, config: BigramConfig) -> None:
        super().__init__()
        self.buckets = config.buckets
        self.table: nn.Embedding | Int8Table = nn.Embedding(config.buckets, config.embedding_dim)
        nn.init.normal_(self.table.weight, std=config.embedding_dim**-0.5)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """input_ids int64 (n, t), mask float32 (n, t) -> (n, t, embedding_dim); after the last comes 0."""
        ids = input_ids * mask.to(torch.int64)
        following = F.pad(ids[:, 1:], (0, 1))  # (n, t)
        vectors: Tensor = self.table((ids * BIGRAM_PRIME + following) % self.buckets)
        return vectors


class TextEncoder(nn.Module):
    """Token ids to vectors.

    Args:
        tokens: size of the vocabulary.
        config: dimensions, pooling, layers.
    """

    def __init__(self, tokens: int, config: TextModelConfig) -> None:
        super().__init__()
        self.tokens, self.config = tokens, config
        self.table: nn.Embedding | Int8Table = nn.Embedding(tokens, config.embedding_dim)
        nn.init.normal_(self.table.weight, std=config.embedding_dim**-0.5)
        self.log_weights = nn.Embedding(tokens, 1) if "weighted" in config.poolings else None
        if self.log_weights is not None:
            nn.init.zeros_(self.log_weights.weight)
        window, bigrams = config.window, config.bigrams
        self.windows = Windows(tokens, window, config.hidden.activation) if window else None
        self.bigrams = Bigrams(bigrams) if bigrams else None
        width = len(config.poolings) * config.embedding_dim
        width += (window.output_dim if window else 0) + (bigrams.embedding_dim if bigrams else 0)
        self.hidden = Hidden(width, config.hidden)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids and attention_mask int64 (n, t) -> float32 (n, output_dim)."""
        mask = attention_mask.float()
        tokens = self.table(input_ids)  # (n, t, d)
        weights = mask if self.log_weights is None else self.log_weights(input_ids).squeeze(-1).exp()
        pooled = [POOLINGS[name](tokens, mask, weights) for name in self.config.poolings]  # each (n, d)
        for ordered in (self.windows, self.bigrams):
            if ordered is not None:
                pooled.append(weighted_pool(ordered(input_ids, mask), mask, weights))
        # Unit length, so that the layers see direction and not the length of a text.
        vectors: Tensor = self.hidden(torch.cat([F.normalize(one, dim=-1) for one in pooled], dim=-1))
        return F.normalize(vectors, dim=-1) if self.config.normalize else vectors

    def tables(self) -> list[nn.Module]:
        """All that has a row for each token or bigram: the embeddings and the token weights."""
        ordered = [part.table for part in (self.windows, self.bigrams) if part is not None]
        return [self.table, *ordered, *([self.log_weights] if self.log_weights is not None else [])]

    def before_output(self) -> list[nn.Module]:
        """All but the output: the last layer and the linear path beside it."""
        layers = list(self.hidden.layers)[:-1]
        return [*self.tables(), *([self.windows] if self.windows is not None else []), *layers]

    def initialise_from(self, table: npt.NDArray[np.float32]) -> None:
        """Start the token embeddings from these rows, float32 (tokens, embedding_dim)."""
        assert isinstance(self.table, nn.Embedding), "quantised already"
        with torch.no_grad():
            self.table.weight.copy_(torch.from_numpy(table))
            if self.windows is not None:
                self.windows.initialise_from(table)

    def initialise_weights(self, counts: npt.NDArray[np.int64]) -> None:
        """Start the token weights at SIF: a / (a + p), p the token's share of the corpus (tokens,)."""
        if self.log_weights is None:
            return
        share = counts / max(1, counts.sum())
        weights = self.config.sif / (self.config.sif + share)
        with torch.no_grad():
            self.log_weights.weight.copy_(torch.from_numpy(np.log(weights)[:, None].astype(np.float32)))

    def turn(self, axes: npt.NDArray[np.float32]) -> None:
        """Turn the vectors to these orthonormal axes, (dim, dim): the output is linear, so it is turned."""
        rotation = torch.from_numpy(axes)
        with torch.no_grad():
            for linear in (self.hidden.layers[-1], self.hidden.skip):
                if isinstance(linear, nn.Linear):
                    turn_linear(linear, rotation)

    def quantize_table(self) -> None:
        """Replace the embeddings by int8 ones; what is evaluated from here on is what is exported."""
        for part in (self, self.windows, self.bigrams):
            if part is not None and isinstance(part.table, nn.Embedding):
                part.table = Int8Table(part.table.weight.detach())


def token_table(
    token_vectors: npt.NDArray[np.float32], axes: npt.NDArray[np.float32], dim: int
) -> npt.NDArray[np.float32]:
    """Start of the embeddings: centred token vectors, turned like the targets, cut to `dim`."""
    centred = token_vectors - token_vectors.mean(0)
    return np.ascontiguousarray((centred @ axes)[:, :dim])


def token_counts(ids: Sequence[npt.NDArray[np.integer]], tokens: int) -> npt.NDArray[np.int64]:
    """Count each token in all of these together. (tokens,)."""
    counts = np.zeros(tokens, dtype=np.int64)
    for some in ids:
        counts += np.bincount(some, minlength=tokens)
    return counts
