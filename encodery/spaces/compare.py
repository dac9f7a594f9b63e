"""Two encoders on the same inputs: what a new version keeps, and what it loses.

queries, documents -> vectors by either -> neighbours by either -> figures
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bundle import Encoder, Manifest, Store
from bundle.neighbours import Floats, Ints, Relevant, kept, nearest, recall
from encodery.spaces.errors import SpaceError
from encodery.spaces.reading import (
    Encoded,
    document_encoder,
    encode_file,
    latency_ms,
    load,
    read_labels,
)
from encodery.spaces.thresholds import Threshold, pairs_of, quantile_map, scores_of

QUANTILES = (0.01, 0.05, 0.5)
FEWEST = 50  # documents: of 50, ten at random are a fifth of the right ones
WORST = 5  # regressed queries that are named
OVERLAP, REGRESSED, LATENCY, RECALL, LOST = (
    "overlap@10", "regressed", "latency ratio", "recall@10", "recall@10 lost",
)  # fmt: skip


@dataclass(frozen=True)
class Files:
    """What two encoders are asked.

    Attributes:
        queries: a file of inputs of either.
        documents: a file of what is searched; None searches the queries.
        labels: a file that says which documents answer which query.
        column: that holds the input, for models that read one.
    """

    queries: Path
    documents: Path | None = None
    labels: Path | None = None
    column: str | None = None


@dataclass(frozen=True)
class View:
    """What one encoder makes of the files; inner products of the vectors are scores."""

    manifest: Manifest
    queries: Encoded
    documents: Encoded
    latency_ms: float

    @property
    def label(self) -> str:
        """Name and version, for people."""
        return f"{self.manifest.name}/{self.manifest.version}"


@dataclass(frozen=True)
class Comparison:
    """The figures of a new encoder beside an old one.

    Attributes:
        queries, documents: how many were compared.
        figures: by name; each may stand in a gate.
        thresholds: old scores and what they are worth.
        regressed: ids of queries that lost most.
        old_metrics, new_metrics: of the manifests.
    """

    old: str
    new: str
    is_same_space: bool
    queries: int
    documents: int
    figures: Mapping[str, float]
    thresholds: Sequence[Threshold]
    regressed: Sequence[str]
    old_metrics: Mapping[str, float]
    new_metrics: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return asdict(self)


def compare(store: Store, old: str, new: str, files: Files) -> Comparison:
    """Compare NAME[@VERSION] with another. Raises EncoderyError."""
    before, after = load(store, old), load(store, new)
    if before.manifest.kind != after.manifest.kind:
        raise SpaceError(
            f"{before.manifest.name} takes {before.kind.plural}, {after.manifest.name} {after.kind.plural}; "
            "only encoders of the same inputs can be compared"
        )
    views = [_view(store, encoder, files) for encoder in (before, after)]
    return compared(*_common(*views), files.documents is None, files.labels)


def compared(old: View, new: View, is_self: bool, labels: Path | None = None) -> Comparison:
    """The figures of two views of the same rows.

    Args:
        old: of the encoder in use.
        new: of the one that may follow, of the same rows.
        is_self: the documents are the queries, and none is its own neighbour.
        labels: as in `Files`.
    """
    own = np.arange(len(new.queries.rows)) if is_self else None
    found_old = nearest(old.queries.vectors, old.documents.vectors, own=own)
    found_new = nearest(new.queries.vectors, new.documents.vectors, own=own)
    overlaps = kept(found_new, found_old)
    figures = {OVERLAP: float(overlaps.mean())}
    if labels is None:
        lost = _first_is_lost(found_old, found_new)
        losses, judged = lost + (1 - overlaps) * lost, np.arange(len(lost))
    else:
        relevant = read_labels(labels, new.queries, new.documents)
        figures |= _labelled(found_old, found_new, relevant)
        losses = recall(found_old, relevant) - recall(found_new, relevant)
        judged = np.array(list(relevant))
    figures[REGRESSED] = float((losses > 0).mean())
    figures |= _cosines(old.documents.vectors, new.documents.vectors)
    figures[LATENCY] = new.latency_ms / old.latency_ms
    worst = [at for at in np.argsort(-losses, kind="stable")[:WORST] if losses[at] > 0]
    return Comparison(
        old=old.label,
        new=new.label,
        is_same_space=old.manifest.space == new.manifest.space,
        queries=len(new.queries.rows),
        documents=len(new.documents.rows),
        figures=figures,
        thresholds=_thresholds(old, new, found_old, found_new),
        regressed=[new.queries.ids[int(judged[at])] for at in worst],
        old_metrics=_metrics(old.manifest),
        new_metrics=_metrics(new.manifest),
    )


def _view(store: Store, encoder: Encoder, files: Files) -> View:
    queries = documents = encode_file(encoder, files.queries, files.column).scored(encoder.manifest)
    if files.documents is not None:
        other = document_encoder(store, encoder)
        documents = encode_file(other, files.documents, files.column).scored(other.manifest)
    return View(encoder.manifest, queries, documents, latency_ms(encoder, files.queries, files.column))


def _common(old: View, new: View) -> tuple[View, View]:
    """Both, with the rows that both could encode. Raises SpaceError where too few are left."""
    queries = np.intersect1d(old.queries.rows, new.queries.rows)
    documents = np.intersect1d(old.documents.rows, new.documents.rows)
    if len(documents) < FEWEST or not len(queries):
        raise SpaceError(
            f"{len(queries)} queries and {len(documents)} documents are encoded by both; ten neighbours say "
            f"little among fewer than {FEWEST} documents: give more of them"
        )
    before, after = (
        View(one.manifest, one.queries.at(queries), one.documents.at(documents), one.latency_ms)
        for one in (old, new)
    )
    return before, after


def _first_is_lost(old: Ints, new: Ints) -> npt.NDArray[np.float64]:
    """1 for a query whose nearest document is no longer among the first. float64 [q]."""
    return np.asarray((old[:, :1] != new).all(axis=1), np.float64)


def _labelled(old: Ints, new: Ints, relevant: Relevant) -> dict[str, float]:
    before, after = float(recall(old, relevant).mean()), float(recall(new, relevant).mean())
    return {RECALL: after, LOST: before - after}


def _cosines(old: Floats, new: Floats) -> dict[str, float]:
    """Quantiles of the cosine of a document's two vectors; none where they differ in length."""
    if old.shape[1] != new.shape[1]:
        return {}
    norms = np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
    cosines = np.einsum("nd,nd->n", old, new) / np.maximum(norms, np.finfo(np.float32).tiny)
    return {f"same input cosine p{100 * q:02.0f}": float(np.quantile(cosines, q)) for q in QUANTILES}


def _thresholds(old: View, new: View, found_old: Ints, found_new: Ints) -> list[Threshold]:
    pairs = pairs_of(found_old, found_new, len(new.documents.rows))
    scores = [scores_of(one.queries.vectors, one.documents.vectors, pairs) for one in (old, new)]
    metric: Literal["cosine", "inner_product"] = old.manifest.metric
    return quantile_map(scores[0], scores[1], metric)


def _metrics(manifest: Manifest) -> dict[str, float]:
    return {name: metric.value for name, metric in manifest.trained.metrics.items()}
