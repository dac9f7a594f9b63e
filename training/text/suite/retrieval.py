"""Retrieval: does the nearest document answer the query? BM25 stands beside it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from training.data.files import files_sha256, open_text
from training.errors import ConfigError
from training.metrics import MetricValue
from training.text.suite.bm25 import BM25
from training.text.suite.ranked import ranking_metrics, search
from training.text.suite.splits import in_half
from training.text.suite.task import Floats, LabelledTexts, Split, TaskDescription, VectorsOf

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels.tsv"


@dataclass(frozen=True)
class Retrieval:
    """Documents, queries, and which document is how relevant to a query.

    Attributes:
        relevant: per query the gain of each relevant document, by its number; never empty.
    """

    about: TaskDescription
    documents: list[str]
    queries: list[str]
    relevant: list[dict[int, float]]
    labelled: LabelledTexts | None = None

    @classmethod
    def of(cls, directory: Path, split: Split) -> Retrieval | None:
        """Read the BEIR form: corpus.jsonl, queries.jsonl, and qrels.tsv or qrels/dev.tsv, qrels/test.tsv.

        Without judgements for dev, the dev and the test split are the halves of the queries.
        """
        if not all((directory / name).is_file() for name in (CORPUS, QUERIES)):
            return None
        given = {name: f"qrels/{name}.tsv" for name in ("dev", "test")}
        there = {name: path for name, path in given.items() if (directory / path).is_file()}
        path = there.get(split, "") if "dev" in there else there.get("test", QRELS)
        if not (directory / path).is_file():
            return None
        halved = "dev" not in there
        where = f"a fixed half of the queries of {path}" if halved else f"the file {path}"
        return cls._read(directory, path, split if halved else None, where)

    @classmethod
    def _read(cls, directory: Path, qrels: str, half: Split | None, where: str) -> Retrieval:
        documents: list[str] = []
        numbers: dict[str, list[int]] = defaultdict(list)  # MedQuAD has ids that stand for several texts
        for one in _json(directory / CORPUS):
            numbers[one["_id"]].append(len(documents))
            documents.append(f"{one.get('title') or ''} {one['text']}".strip())
        relevance = read_qrels(directory / qrels, numbers)
        kept = in_half(half) if half else None
        queries = {
            one["_id"]: one["text"]
            for one in _json(directory / QUERIES)
            if one["_id"] in relevance and (kept is None or kept(one["_id"]))
        }
        if not queries:
            raise ConfigError(f"{directory / qrels} marks no document as relevant for a query of {QUERIES}")
        about = TaskDescription(
            name=directory.name,
            kind="retrieval",
            split=where,
            size=f"{len(queries):,} queries, {len(documents):,} documents",
            sha256=files_sha256(directory, [CORPUS, QUERIES, qrels]),
            headline="ndcg@10",
        )
        return cls(about, documents, list(queries.values()), [relevance[one] for one in queries])

    @cached_property
    def baselines(self) -> Mapping[str, Mapping[str, MetricValue]]:
        """BM25 on the same documents and queries."""
        return {"bm25": ranking_metrics(BM25(self.documents).search(self.queries), self.relevant)}

    def texts(self) -> Sequence[str]:
        return [*self.queries, *self.documents]

    def score(self, vectors: VectorsOf) -> dict[str, MetricValue]:
        """nDCG@10, MRR@10, hit@1, recall@10 and recall@100 of exact search by cosine."""

        def documents(start: int, stop: int) -> Floats:
            return vectors(self.documents[start:stop])

        return ranking_metrics(search(vectors(self.queries), documents, len(self.documents)), self.relevant)


def read_qrels(path: Path, numbers: Mapping[str, Sequence[int]]) -> dict[str, dict[int, float]]:
    """Query to the gains of its relevant documents; a score of 0 says that one is not relevant."""
    relevance: dict[str, dict[int, float]] = defaultdict(dict)
    with open_text(path) as file:
        for line, text in enumerate(file, start=1):
            fields = text.split()
            if not fields or (line == 1 and fields[-1] == "score"):
                continue
            try:
                query, document, score = fields
                if (gain := float(score)) > 0:
                    if document not in numbers:
                        raise ConfigError(f"{path}, line {line}: {CORPUS} has no document {document!r}")
                    relevance[query].update(dict.fromkeys(numbers[document], gain))
            except ValueError:
                raise ConfigError(f"{path}, line {line}: expected query-id, corpus-id, score") from None
    return relevance


def _json(path: Path) -> list[dict[str, Any]]:
    """Objects with _id and text, one a line."""
    rows = []
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                    rows.append({**row, "_id": str(row["_id"]), "text": str(row["text"])})
                except (ValueError, KeyError, TypeError):
                    raise ConfigError(
                        f'{path}, line {number}: expected {{"_id": ..., "text": ...}}'
                    ) from None
    return rows
