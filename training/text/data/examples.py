"""What the files of a text run hold, and the same as tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle.preprocess import Preprocessor
from training.console import say
from training.data.stream import RowNumbers
from training.data.tables import BadRows
from training.text.config.data import TextDataConfig, TextFilesConfig, TyposConfig
from training.text.data.labels import check_labels, clean_labels
from training.text.data.readers import (
    Labelled,
    Pairs,
    ScoredPairs,
    Triplets,
    read_labels,
    read_pairs,
    read_scored_pairs,
    read_texts,
    read_triplets,
    spans_of,
)
from training.text.data.tokenised import Tokenised, tokenise
from training.text.data.typos import misspelt


@dataclass(frozen=True)
class TextExamples:
    """The content of the files; the texts source by source, for the teacher's cache.

    Attributes:
        validation: key of [data] to the numbers of its examples that come from files to measure by.
    """

    texts: list[list[str]]
    pairs: Pairs
    triplets: Triplets
    graded: ScoredPairs
    labelled: Labelled
    validation: Mapping[str, RowNumbers] = field(default_factory=dict)

    @property
    def corpus(self) -> list[str]:
        """The unlabelled texts of all sources."""
        return list(chain.from_iterable(self.texts))

    def counts(self) -> dict[str, int]:
        """How many examples there are, by key of [data]."""
        return {
            "texts": sum(map(len, self.texts)),
            "pairs": len(self.pairs.first),
            "triplets": len(self.triplets.first),
            "graded_pairs": len(self.graded.first),
            "labels": len(self.labelled.texts),
        }

    def sides(
        self, kept: npt.NDArray[np.int64], targets: npt.NDArray[np.float16]
    ) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]:
        """Find the targets of the pairs' two sides, which come last of all kept texts: (pairs, d) each.

        A text that was not kept has zeros.
        """
        count, pairs = sum(map(len, self.texts)), len(self.pairs.first)
        whole = np.zeros((2 * pairs, targets.shape[1]), dtype=np.float16)
        late = kept >= count - 2 * pairs
        whole[kept[late] - (count - 2 * pairs)] = targets[late]
        return whole[:pairs], whole[pairs:]

    def all_texts(self) -> Iterator[str]:
        """Every text there is, for a vocabulary."""
        pairs, triplets, graded = self.pairs, self.triplets, self.graded
        return chain(
            self.corpus, pairs.first, pairs.second, self.labelled.texts,
            triplets.first, triplets.second, triplets.negative, graded.first, graded.second,
        )  # fmt: skip


@dataclass(frozen=True)
class TokenPairs:
    """The texts of pairs as tokens."""

    first: Tokenised
    second: Tokenised


@dataclass(frozen=True)
class TokenTriplets:
    """The texts of triplets as tokens."""

    first: Tokenised
    second: Tokenised
    negative: Tokenised


@dataclass(frozen=True)
class TokenExamples:
    """The texts of `TextExamples` as tokens.

    Attributes:
        misspelt: number of a pass -> the corpus with the slips of that pass, text by text, where some of it
            is to be read so.
    """

    corpus: Tokenised
    pairs: TokenPairs
    triplets: TokenTriplets
    graded: TokenPairs
    labelled: Tokenised
    misspelt: Callable[[int], Tokenised] | None = None

    def ids(self) -> Sequence[npt.NDArray[np.int32]]:
        """All tokens, for counting."""
        pairs, triplets, graded = self.pairs, self.triplets, self.graded
        parts = [
            self.corpus, pairs.first, pairs.second, self.labelled,
            triplets.first, triplets.second, triplets.negative, graded.first, graded.second,
        ]  # fmt: skip
        return [part.ids for part in parts]


def read_examples(directory: Path, config: TextDataConfig, bad: BadRows) -> TextExamples:
    """Read all files but the scored pairs to measure by, and list what was left out.

    Raises:
        ConfigError: they cannot be read, or their labels cannot be learned.
    """
    learned = _read(directory, config, config.pair_sources, bad, config.pair_limits)
    if config.spans:
        learned.texts.append(spans_of(learned.corpus, config.spans))
    own = _read(directory, config.validation, [], bad)
    given = [key for key, sources in config.validation.sources().items() if sources]
    examples = _with_validation(learned, own, given)
    if config.pair_texts:
        examples.texts.extend([examples.pairs.first, examples.pairs.second])
    examples = replace(examples, labelled=_usable_labels(examples, bad))
    say(bad.report())
    return examples


def _read(
    directory: Path,
    files: TextFilesConfig,
    kept: Sequence[str],
    bad: BadRows,
    limits: Mapping[str, int] | None = None,
) -> TextExamples:
    return TextExamples(
        texts=[read_texts(directory, source, bad) for source in files.texts],
        pairs=read_pairs(directory, files.pairs, kept, bad, limits=limits),
        triplets=read_triplets(directory, files.triplets, bad),
        graded=read_scored_pairs(directory, files.graded_pairs, bad),
        labelled=read_labels(directory, files.labels, bad),
    )


def _usable_labels(examples: TextExamples, bad: BadRows) -> Labelled:
    """The labels, cleaned; those to measure by are among those to learn from. Raises ConfigError."""
    labelled = clean_labels(examples.labelled, bad)
    held = examples.validation.get("labels", np.zeros(0, dtype=np.int64))
    check_labels(replace(labelled, labels=np.delete(labelled.labels, held)), measured=labelled.labels[held])
    return labelled


def _with_validation(learned: TextExamples, own: TextExamples, given: Sequence[str]) -> TextExamples:
    """Both, the examples to measure by behind those to learn from, and the numbers of the keys given."""
    a, b = learned, own
    names = sorted({*a.labelled.names, *b.labelled.names})
    number_of = {name: number for number, name in enumerate(names)}
    labels = [number_of[one.labelled.names[label]] for one in (a, b) for label in one.labelled.labels]
    whole = TextExamples(
        texts=[*a.texts, *b.texts],
        pairs=Pairs(a.pairs.first + b.pairs.first, a.pairs.second + b.pairs.second),
        triplets=Triplets(
            a.triplets.first + b.triplets.first,
            a.triplets.second + b.triplets.second,
            a.triplets.negative + b.triplets.negative,
        ),
        graded=ScoredPairs(
            a.graded.first + b.graded.first,
            a.graded.second + b.graded.second,
            np.concatenate([a.graded.scores, b.graded.scores]),
        ),
        labelled=Labelled(a.labelled.texts + b.labelled.texts, np.array(labels, dtype=np.int64), names),
    )
    before, more = a.counts(), b.counts()
    rows = {key: np.arange(before[key], before[key] + more[key]) for key in given}
    return replace(whole, validation=rows)


def tokenise_examples(
    preprocessor: Preprocessor, examples: TextExamples, typos: TyposConfig | None = None, seed: int = 0
) -> TokenExamples:
    """Tokenise all examples by the bundle's own preprocessing; the corpus misspelt, too, where asked for.

    Of its misspelt copies two are held: that of the first pass, which is measured by, and the latest.
    """

    def tokens(texts: Sequence[str]) -> Tokenised:
        return tokenise(preprocessor, texts)

    @lru_cache(maxsize=2)
    def slips(number: int) -> Tokenised:
        assert typos is not None
        return tokens(misspelt(examples.corpus, typos, seed + number))

    pairs, triplets, graded = examples.pairs, examples.triplets, examples.graded
    return TokenExamples(
        corpus=tokens(examples.corpus),
        pairs=TokenPairs(tokens(pairs.first), tokens(pairs.second)),
        triplets=TokenTriplets(tokens(triplets.first), tokens(triplets.second), tokens(triplets.negative)),
        graded=TokenPairs(tokens(graded.first), tokens(graded.second)),
        labelled=tokens(examples.labelled.texts),
        misspelt=slips if typos else None,
    )
