"""Reconstructs a text from its vector alone: trained with a denoising encoder, then thrown away.

Source: TSDAE, Wang et al. 2021, arXiv 2104.06979, whose decoder is a transformer that attends to one vector.
A single key makes that attention a linear map of the vector, so a GRU that is given such a map at every step
asks the same of the encoder and is small.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Decoder(nn.Module):
    """Vector and the tokens so far to scores of the next token.

    Args:
        tokens: size of the vocabulary.
        dim: length of the vector.
        width: of the recurrent state and of the token embeddings, which are also the output's weights.
    """

    def __init__(self, tokens: int, dim: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens, width)
        nn.init.normal_(self.table.weight, std=width**-0.5)
        self.start = nn.Parameter(torch.zeros(width))
        self.state = nn.Linear(dim, width)
        self.condition = nn.Linear(dim, width)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.bias = nn.Parameter(torch.zeros(tokens))

    def forward(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Vectors (n, d), ids int64 (n, t) -> (n, t, tokens); row t has not seen token t."""
        before = self.table(ids[:, :-1])  # (n, t - 1, width)
        first = self.start.expand(len(ids), 1, -1)  # (n, 1, width)
        inputs = torch.cat([first, before], dim=1) + self.condition(vectors).unsqueeze(1)  # (n, t, width)
        states, _ = self.recurrent(inputs, self.state(vectors).tanh().unsqueeze(0))
        scores: Tensor = states @ self.table.weight.T + self.bias
        return scores
