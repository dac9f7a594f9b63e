"""Retrieval: does the nearest document answer the query? BM25 stands beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bundle.progress import Progress
from bundle.values import number_in
from tabular.jsonl import reason, strict_json
from training.data.files import open_text
from training.errors import ConfigError
from training.metrics import MetricValue
from training.text.suite.bm25 import BM25
from training.text.suite.mix import search_mixed
from training.text.suite.ranked import (
    DOCUMENTS,
    NOBODY,
    Ints,
    Places,
    leave_out,
    ndcg,
    ranking_metrics,
    search,
)
from training.text.suite.slices import TYPOS, Worst, clipped, misspelt, rows_of
from training.text.suite.splits import Split, in_half
from training.text.suite.task import (
    Floats,
    LabelledTexts,
    NoSuchSplit,
    SparseOf,
    TaskDescription,
    VectorsOf,
    counted,
)

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels.tsv"


@dataclass(frozen=True)
class Retrieval:
    """Documents, queries, and which document is how relevant to a query.

    Attributes:
        relevant: per query the gain of each relevant document, by its number.
        own: per query the document of its own id, which is not ranked, or NOBODY. int64 [q].
    """

    about: TaskDescription
    documents: list[str]
    queries: list[str]
    relevant: list[dict[int, float]]
    own: Ints
    labelled: LabelledTexts | None = None

    @classmethod
    def of(cls, directory: Path, split: Split) -> Retrieval | NoSuchSplit | None:
        """Read the BEIR form: corpus.jsonl, queries.jsonl, and qrels.tsv or qrels/dev.tsv, qrels/test.tsv.

        Judgements of a split are used whole; qrels.tsv is for both, which are then halves of its queries.
        """
        if not all((directory / name).is_file() for name in (CORPUS, QUERIES)):
            return None
        if (directory / (given := f"qrels/{split}.tsv")).is_file():
            return cls._read(directory, given, None)
        if (directory / QRELS).is_file():
            return cls._read(directory, QRELS, split)
        there = sorted(path.name for path in directory.glob("qrels/*.tsv"))
        return NoSuchSplit(directory.name, f"it has qrels/{there[0]} and no {given}") if there else None

    @classmethod
    def _read(cls, directory: Path, qrels: str, half: Split | None) -> Retrieval:
        corpus = _Texts.of(directory / CORPUS)
        numbers = {key: number for number, key in enumerate(corpus.by_id)}
        relevance = read_qrels(directory / qrels, numbers)
        kept = in_half(half) if half else None
        asked = _Texts.of(directory / QUERIES)
        ids = [key for key in asked.by_id if key in relevance and (kept is None or kept(key))]
        if not any(relevance[key] for key in ids):
            raise ConfigError(f"{directory / qrels} marks no document as relevant for a query of {QUERIES}")
        own = [NOBODY if key in relevance[key] else numbers.get(key, NOBODY) for key in ids]
        notes = [
            *corpus.notes(CORPUS),
            *asked.notes(QUERIES),
            *counted(
                sum(not relevance[key] for key in ids), "queries have no relevant document, and count as 0"
            ),
            *counted(len(relevance.keys() - asked.by_id.keys()), f"judged queries are not in {QUERIES}"),
            *counted(
                sum(one != NOBODY for one in own), "queries are documents, and not ranked for themselves"
            ),
        ]
        about = TaskDescription.of(
            directory,
            [CORPUS, QUERIES, qrels],
            kind="retrieval",
            split=f"a fixed half of the queries of {qrels}" if half else f"the file {qrels}",
            size=f"{len(ids):,} queries, {len(numbers):,} documents",
            headline="ndcg@10",
            judged=len(ids),
            notes=notes,
        )
        documents, queries = list(corpus.by_id.values()), [asked.by_id[key] for key in ids]
        relevant = [{numbers[one]: gain for one, gain in relevance[key].items()} for key in ids]
        return cls(about, documents, queries, relevant, np.array(own, dtype=np.int64))

    @cached_property
    def baselines(self) -> Mapping[str, Mapping[str, MetricValue]]:
        """BM25 on the same documents and queries."""
        with Progress(total=len(self.queries), label=f"{self.about.name}: BM25", unit="queries") as progress:
            index, places, typos = BM25(self.documents), [], []
            asked = zip(self.queries, self._misspelt, self.relevant, self.own.tolist(), strict=True)
            for query, wrong, gains, own in asked:
                places.append(index.places(query, gains, own))
                typos.append(index.places(wrong, gains, own))
                progress.advance(1)
        return {"bm25": self._metrics(places, typos)}

    @cached_property
    def _misspelt(self) -> list[str]:
        return [misspelt(one) for one in self.queries]

    def texts(self) -> Sequence[str]:
        return [*self.queries, *self._misspelt, *self.documents]

    def score(self, vectors: VectorsOf) -> dict[str, MetricValue]:
        """nDCG@10, MRR@10, hit@1, recall@10 and recall@100 of exact search by cosine.

        nDCG@10 of slices of the queries as well, and of all of them misspelt.
        """
        places, count = self._places(vectors, [*self.queries, *self._misspelt]), len(self.queries)
        return self._metrics(places[:count], places[count:])

    def _places(self, vectors: VectorsOf, queries: Sequence[str]) -> list[Places]:
        """Of the relevant documents of these queries, which are all, once or several times over."""
        times = len(queries) // len(self.queries)

        def documents(start: int, stop: int) -> Floats:
            return vectors(self.documents[start:stop])

        return search(
            vectors(queries),
            documents,
            len(self.documents),
            [*self.relevant] * times,
            np.tile(self.own, times),
        )

    def _metrics(self, places: Sequence[Places], typos: Sequence[Places]) -> dict[str, MetricValue]:
        slices = {name: [places[row] for row in rows] for name, rows in self._slices.items()} | {TYPOS: typos}
        headline = self.about.headline
        return ranking_metrics(places) | {
            f"{headline}, {name}": ranking_metrics(some)[headline] for name, some in slices.items()
        }

    @cached_property
    def _slices(self) -> dict[str, list[int]]:
        return rows_of([(query,) for query in self.queries])

    def worst(self, vectors: VectorsOf, count: int) -> Worst:
        """The queries with the lowest nDCG@10, and what came first in the place of what is relevant."""
        places = self._places(vectors, self.queries)
        answered = [row for row, gains in enumerate(self.relevant) if gains]
        rows = sorted(answered, key=lambda row: (ndcg(places[row]), -int(places[row].above.min())))[:count]
        first = self._first(vectors, rows)
        cells = [
            (
                clipped(self.queries[row]),
                clipped(self.documents[best]),
                clipped(self.documents[next(iter(self.relevant[row]))]),
                f"{1 + int(places[row].above.min()):,}",
            )
            for row, best in zip(rows, first, strict=True)
        ]
        return Worst(self.about.name, ("query", "came first", "relevant", "rank of the best"), cells)

    def _first(self, vectors: VectorsOf, rows: Sequence[int]) -> list[int]:
        """The nearest document of some queries."""
        asked = vectors([self.queries[row] for row in rows])
        best, found = np.full(len(rows), -np.inf), np.zeros(len(rows), dtype=np.int64)
        for start in range(0, len(self.documents), DOCUMENTS):
            products = asked @ vectors(self.documents[start : start + DOCUMENTS]).T  # [q, n]
            leave_out(products, self.own[list(rows)] - start)
            nearest = products.argmax(axis=1)
            values = products[np.arange(len(rows)), nearest]
            found = np.where(values > best, nearest + start, found)
            best = np.maximum(best, values)
        return [int(one) for one in found]

    def score_mixed(self, vectors: VectorsOf, sparse: SparseOf) -> dict[str, MetricValue]:
        """The same of cosines mixed with the BM25 of an encoder's bundle: POST /score with `mix`."""
        queries = vectors(self.queries), sparse(self.queries, "query")
        documents = vectors(self.documents), sparse(self.documents, "document")
        return ranking_metrics(search_mixed(queries, documents, self.relevant, self.own))


def read_qrels(path: Path, documents: Container[str]) -> dict[str, dict[str, float]]:
    """Query to the gains of its relevant documents; a score of 0 says that one is not relevant."""
    relevance: dict[str, dict[str, float]] = defaultdict(dict)
    judged: dict[tuple[str, str], float] = {}
    with open_text(path) as file:
        for line, text in enumerate(file, start=1):
            fields = text.split()
            if not fields or (line == 1 and fields[-1] == "score"):
                continue
            try:
                query, document, score = fields
            except ValueError:
                raise ConfigError(f"{path}, line {line}: expected query-id, corpus-id, score") from None
            try:
                gain = number_in(score)
            except ValueError as error:
                raise ConfigError(f"{path}, line {line}: {error}") from None
            if judged.setdefault((query, document), gain) != gain:
                raise ConfigError(
                    f"{path}, line {line}: another score than before for the same query and document; "
                    "leave one of them"
                )
            if gain > 0 and document not in documents:
                raise ConfigError(f"{path}, line {line}: {CORPUS} has no document {document[:60]!r}")
            relevance[query] |= {document: gain} if gain > 0 else {}
    return relevance


def _json(text: str, place: str) -> Any:
    """Raises ConfigError for what is no JSON in the strict sense of all other files."""
    try:
        return strict_json(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{place}: {reason(text, error)}") from None


@dataclass(frozen=True)
class _Texts:
    """The texts of a file by id, in the order of their first line.

    Attributes:
        replaced: lines whose id came again with another text. The later one stands, as BEIR reads it.
    """

    by_id: dict[str, str]
    replaced: int

    @classmethod
    def of(cls, path: Path) -> _Texts:
        """Read objects with _id and text, one a line; a document's title comes before its text."""
        by_id: dict[str, str] = {}
        replaced = 0
        with open_text(path) as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = _json(line, f"{path}, line {number}")
                try:
                    key, text = str(row["_id"]), row["text"]
                    if not isinstance(text, str):
                        raise TypeError  # null is no text
                    if path.name == CORPUS:
                        text = f"{row.get('title') or ''} {text}".strip()
                except (KeyError, TypeError, AttributeError):
                    raise ConfigError(
                        f'{path}, line {number}: expected {{"_id": ..., "text": ...}}'
                    ) from None
                replaced += by_id.get(key, text) != text
                by_id[key] = text
        return cls(by_id, replaced)

    def notes(self, name: str) -> list[str]:
        """What is to be told of them."""
        return counted(self.replaced, f"lines of {name} were replaced by a later one of the same id")
