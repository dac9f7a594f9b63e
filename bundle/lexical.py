"""BM25 as the inner product of two sparse vectors, by statistics that a text bundle brings along.

    score(q, d) = sum over the terms of both: weight in q * weight in d
    weight in q = tf * idf                  idf = ln(1 + (n - df + 0.5) / (df + 0.5))
    weight in d = tf * (k1 + 1) / (tf + k1 * (1 - b + b * |d| / mean |d|))

A term is an entry of the tokenizer's vocabulary; special tokens and the unknown one are none. A document's
weight needs no other document and a query's no document at all, so that an index may hold the one and be
asked with the other.
Source: Robertson and Zaragoza 2009, with Lucene's idf, which is never negative.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundle.errors import ManifestError
from bundle.words import first_error

LEXICAL = "lexical.json"
SPARSE: Final = "sparse"  # what outputs and spaces are called
MIX = 0.4  # weight of words beside cosines, chosen on validation data: docs/text-encoders.md
K1, B = 1.2, 0.75  # Lucene's, and those of the suite's BM25
InputType: TypeAlias = Literal["query", "document"]
Terms: TypeAlias = npt.NDArray[np.int64]
_Count = Annotated[int, Field(ge=0, lt=1 << 53)]


class _File(BaseModel):
    """The content of lexical.json."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    schema_version: Literal[1]
    texts: Annotated[int, Field(ge=1, lt=1 << 53)]
    mean_length: Annotated[float, Field(gt=0)]
    k1: Annotated[float, Field(ge=0, le=100)]
    b: Annotated[float, Field(ge=0, le=1)]
    document_frequencies: list[_Count]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Weights of the terms that a text has; all others are 0.

    Attributes:
        indices: of the terms, uint32 [k], ascending, each once.
        values: their weights, float32 [k], all above 0.
    """

    indices: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)

    def __matmul__(self, other: SparseVector) -> float:
        """The inner product."""
        return float(inner_products(self, [other])[0])


@dataclass(frozen=True)
class Lexical:
    """How often terms are in texts, and how long texts are: all that BM25 needs of a corpus.

    Attributes:
        texts: of the corpus.
        mean_length: of them, in terms.
        document_frequencies: for each entry of the vocabulary, in how many texts it is. int64 [vocabulary].
        k1: how soon a term that is repeated counts no more.
        b: from 0 to 1, how much a long text is marked down.
    """

    texts: int
    mean_length: float
    document_frequencies: npt.NDArray[np.int64]
    k1: float = K1
    b: float = B

    @classmethod
    def of(cls, corpus: Iterable[Terms], vocabulary: int) -> Lexical:
        """Count the terms of a corpus (n >= 1), whose ids are below `vocabulary`."""
        frequencies = np.zeros(vocabulary, dtype=np.int64)
        texts = length = 0
        for terms in corpus:
            frequencies[np.unique(terms)] += 1
            texts, length = texts + 1, length + len(terms)
        return cls(texts, max(length / texts, 1e-9), frequencies)

    @classmethod
    def from_bytes(cls, content: bytes, vocabulary: int) -> Lexical:
        """Parse lexical.json of a tokenizer with so many entries. Raises ManifestError."""
        try:
            file = _File.model_validate_json(content)
        except ValidationError as error:
            raise ManifestError(f"{LEXICAL}: {first_error(error)}") from None
        frequencies = np.array(file.document_frequencies, dtype=np.int64)
        if len(frequencies) != vocabulary or (len(frequencies) and frequencies.max() > file.texts):
            raise ManifestError(
                f"{LEXICAL}: expected a number of texts, at most {file.texts}, for each of the "
                f"{vocabulary} entries of the vocabulary; it has {len(frequencies)}"
            )
        return cls(file.texts, file.mean_length, frequencies, file.k1, file.b)

    def to_bytes(self) -> bytes:
        """The file as written."""
        content = {
            "schema_version": 1,
            "texts": self.texts,
            "mean_length": self.mean_length,
            "k1": self.k1,
            "b": self.b,
            "document_frequencies": self.document_frequencies.tolist(),
        }
        return (json.dumps(content, separators=(",", ":")) + "\n").encode()

    @property
    def dim(self) -> int:
        """Length of the vectors, zeros included: entries of the vocabulary."""
        return len(self.document_frequencies)

    @cached_property
    def _idf(self) -> npt.NDArray[np.float64]:
        df = self.document_frequencies
        return np.log1p((self.texts - df + 0.5) / (df + 0.5))

    def weigh(self, terms: Terms, role: InputType) -> SparseVector:
        """The terms of a text (int64 [t], none or more) as that side of BM25 has them."""
        indices, tf = np.unique(terms, return_counts=True)
        if role == "query":
            values = tf * self._idf[indices]
        else:
            saturation = self.k1 * (1 - self.b + self.b * len(terms) / self.mean_length)
            values = tf * (self.k1 + 1) / (tf + saturation)
        return SparseVector(indices.astype(np.uint32), values.astype(np.float32))


def inner_products(one: SparseVector, others: Sequence[SparseVector]) -> npt.NDArray[np.float64]:
    """Of one vector with each of the others (n >= 1). float64 [n]."""
    lengths = [len(other) for other in others]
    if not len(one):
        return np.zeros(len(others))
    indices = np.concatenate([other.indices for other in others])  # [e], e entries in all
    values = np.concatenate([other.values for other in others]).astype(np.float64)
    places = np.minimum(np.searchsorted(one.indices, indices), len(one) - 1)
    products = np.where(one.indices[places] == indices, values * one.values[places], 0.0)
    sums = np.bincount(np.repeat(np.arange(len(others)), lengths), products, minlength=len(others))
    return np.asarray(sums, dtype=np.float64)


def mixed(cosines: npt.NDArray[Any], words: npt.NDArray[Any], weight: float) -> npt.NDArray[np.float32]:
    """(1 - weight) * cosine + weight * BM25 / its largest. float32 [n], of [n] and [n], n >= 1.

    BM25 has no bound, so it is measured by the best of the candidates; where none has a word of the query,
    the cosines alone decide.
    """
    largest = max(float(words.max()), float(np.finfo(np.float32).tiny))
    return np.asarray((1 - weight) * cosines + weight * words / largest, dtype=np.float32)
