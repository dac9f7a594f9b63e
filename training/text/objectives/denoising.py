"""Learning from texts alone, by reconstructing what was deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from bundle.preprocess import Facts, Prepared
from training.config.sections import Positive
from training.data.stream import RowNumbers
from training.metrics import MetricValue
from training.text import losses
from training.text.data.examples import TokenExamples
from training.text.data.tokenised import IDS, Tokenised
from training.text.encoders.decoder import Decoder
from training.text.objectives.base import (
    Loss,
    Objective,
    Sizes,
    Sources,
    Value,
    Vectors,
    zero_filled,
)

DECODED = 32  # held-out texts at a time: the scores of a vocabulary for every token are large


class DenoisingObjective(Objective["DenoisingLoss"]):
    """Texts with most of their tokens deleted, whose vector must suffice to write them out again.

    Source: TSDAE, Wang et al. 2021, arXiv 2104.06979; tokens are deleted here, words there.
    """

    key = "texts"

    def __init__(self, chosen: Mapping[str, DenoisingLoss], sources: Sources) -> None:
        super().__init__(chosen, sources)
        ((name, loss),) = chosen.items()
        self._decoder, self._deleted = sources.heads[name], loss.deleted
        self._corpus = sources.tokens.corpus
        self._specials = np.array(sources.specials, dtype=np.int64)

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.corpus]

    def _batch(
        self, rows: RowNumbers, number: int, vectors: Vectors
    ) -> Callable[[int], Value[DenoisingLoss]]:
        texts = self._corpus.of(rows)
        random = np.random.default_rng([self._plan.seed, number])
        damaged = vectors([damage(text, self._deleted, self._specials, random) for text in texts])
        ids, mask = self._targets(texts)
        return lambda m: (
            lambda loss: losses.reconstruction(self._decoder(zero_filled(damaged, m), ids), ids, mask)
        )

    def _measure(self, rows: RowNumbers, vectors: Vectors) -> dict[str, MetricValue]:
        """`reconstruction`: share of the tokens of whole held-out texts that the decoder gets right.

        It is given the true tokens before each.
        """
        right, total = np.zeros(len(rows)), np.zeros(len(rows))  # tokens of each text
        for start in range(0, len(rows), DECODED):
            texts = self._corpus.of(rows[start : start + DECODED])
            ids, mask = self._targets(texts)
            predicted = self._decoder(vectors(texts), ids).argmax(-1)
            right[start : start + DECODED] = ((predicted == ids) & mask.bool()).sum(-1).numpy()
            total[start : start + DECODED] = mask.sum(-1).numpy()
        share = right.sum() / max(total.sum(), 1.0)
        # What each text contributes to a ratio of sums, by its linear part (Cochran 1977, section 6.3).
        return {"reconstruction": MetricValue.of(share + (right - share * total) / max(total.mean(), 1e-9))}

    def _targets(self, texts: Sequence[Prepared]) -> tuple[Tensor, Tensor]:
        """Ids without the special ones, and their mask: (n, t), (n, t)."""
        rows = [ids[~np.isin(ids, self._specials)] for ids in (text.arrays[IDS] for text in texts)]
        ids = [torch.from_numpy(row) for row in rows]
        masks = [torch.ones(len(row), dtype=torch.int64) for row in rows]
        return pad_sequence(ids, batch_first=True), pad_sequence(masks, batch_first=True)


class DenoisingLoss(Loss):
    """A decoder, thrown away later, writes the text from the vector of what was left of it.

    Attributes:
        deleted: the share of tokens that is deleted.
        width: of the decoder.
    """

    deleted: Annotated[float, Field(gt=0, lt=1)] = 0.6
    width: Positive = 256

    objective = DenoisingObjective
    metrics = ("reconstruction",)
    needs = "texts"

    def head(self, sizes: Sizes) -> nn.Module:
        return Decoder(sizes.tokens, sizes.dim, self.width)


def damage(
    text: Prepared, share: float, specials: npt.NDArray[np.int64], random: np.random.Generator
) -> Prepared:
    """Delete each token with this chance; special tokens and at least one other are kept."""
    ids = text.arrays[IDS]
    ordinary = ~np.isin(ids, specials)
    kept = (random.random(len(ids)) >= share) | ~ordinary
    if ordinary.any() and not kept[ordinary].any():
        kept[random.choice(np.flatnonzero(ordinary))] = True
    left = ids[kept]
    return Prepared({IDS: left}, cost=len(left), facts=Facts(tokens=len(left)))
