"""Learning from texts alone: by dropout as the only difference, or by reconstructing what was deleted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from bundle.preprocess import Facts, Prepared
from training.text import losses
from training.text.data.tokenised import IDS, Tokenised
from training.text.encoders.decoder import Decoder
from training.text.objectives.base import Plan, Split, Vectors, cut
from training.text.settings import TextLossConfig

DECODED = 32  # held-out texts at a time: the scores of a vocabulary for every token are large


class SimCSE:
    """The same text twice, each time through other dropout; the batch's other texts are the negatives.

    Source: Gao et al. 2021, arXiv 2104.08821, the unsupervised form.

    Args:
        corpus: the texts.
        config: weight and temperature.
        plan: see there.
    """

    def __init__(self, corpus: Tokenised, config: TextLossConfig, plan: Plan) -> None:
        self._corpus, self._config, self._plan = corpus, config, plan
        self._split = Split([corpus], plan, "texts")

    @property
    def steps(self) -> int:
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        texts = self._corpus.of(self._split.batch(step))
        a, b = vectors(texts), vectors(texts)
        weight, temperature = self._config.simcse, self._config.simcse_temperature
        return losses.mean_over(
            self._plan.dimensions,
            lambda m: {"simcse": weight * losses.infonce(a[:, :m], b[:, :m], temperature)},
        )

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`uniformity`: -log mean_{i != j} exp(-2 |v_i - v_j|^2), how evenly held-out texts are spread.

        0 if all are alike. It says nothing of meaning: judge by graded pairs where there are some.
        Source: Wang and Isola 2020, arXiv 2005.10242, eq. 2, with the sign turned.
        """
        v = F.normalize(vectors(self._corpus.of(self._split.held_out)), dim=-1)
        distances = (2 - 2 * v @ v.T)[~torch.eye(len(v), dtype=torch.bool)]  # squared
        return {"uniformity": float(-(-2 * distances).exp().mean().log()) if len(v) > 1 else 0.0}


class Denoising:
    """Texts with most of their tokens deleted, whose vector must suffice to write them out again.

    Source: TSDAE, Wang et al. 2021, arXiv 2104.06979; tokens are deleted here, words there.

    Args:
        corpus: the texts.
        decoder: vectors to texts; trained with the encoder, and thrown away after training.
        specials: ids that are never deleted nor asked for, such as [CLS].
        config: weight and share of deleted tokens.
        plan: see there.
    """

    def __init__(
        self,
        corpus: Tokenised,
        decoder: Decoder,
        specials: Sequence[int],
        config: TextLossConfig,
        plan: Plan,
    ) -> None:
        self._corpus, self._decoder, self._config, self._plan = corpus, decoder, config, plan
        self._specials = np.array(specials, dtype=np.int64)
        self._split = Split([corpus], plan, "texts")

    @property
    def steps(self) -> int:
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        texts = self._corpus.of(self._split.batch(step))
        random = np.random.default_rng([self._plan.seed, step])
        damaged = vectors([damage(t, self._config.denoising_deleted, self._specials, random) for t in texts])
        ids, mask = self._wanted(texts)
        weight = self._config.denoising
        return losses.mean_over(
            self._plan.dimensions,
            lambda m: {
                "denoising": weight * losses.reconstruction(self._decoder(cut(damaged, m), ids), ids, mask)
            },
        )

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`reconstruction`: share of the tokens of whole held-out texts that the decoder says right.

        It is told the true tokens before each.
        """
        right = asked = 0.0
        for start in range(0, len(self._split.held_out), DECODED):
            texts = self._corpus.of(self._split.held_out[start : start + DECODED])
            ids, mask = self._wanted(texts)
            said = self._decoder(vectors(texts), ids).argmax(-1)
            right += float(((said == ids) & mask.bool()).sum())
            asked += float(mask.sum())
        return {"reconstruction": right / max(asked, 1.0)}

    def _wanted(self, texts: Sequence[Prepared]) -> tuple[Tensor, Tensor]:
        """Ids without the special ones, and their mask: (n, t), (n, t)."""
        rows = [ids[~np.isin(ids, self._specials)] for ids in (text.arrays[IDS] for text in texts)]
        ids = [torch.from_numpy(row) for row in rows]
        masks = [torch.ones(len(row), dtype=torch.int64) for row in rows]
        return pad_sequence(ids, batch_first=True), pad_sequence(masks, batch_first=True)


def damage(
    text: Prepared, share: float, specials: npt.NDArray[np.int64], random: np.random.Generator
) -> Prepared:
    """The text with each token deleted by this chance; special tokens and one other at least are kept."""
    ids = text.arrays[IDS]
    ordinary = ~np.isin(ids, specials)
    kept = (random.random(len(ids)) >= share) | ~ordinary
    if ordinary.any() and not kept[ordinary].any():
        kept[random.choice(np.flatnonzero(ordinary))] = True
    left = ids[kept]
    return Prepared({IDS: left}, cost=len(left), facts=Facts(tokens=len(left)))
