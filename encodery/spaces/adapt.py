"""Fitting an adapter: own documents by both encoders -> a map, judged on documents it has not seen.

An index of adapted old vectors is searched by the new encoder's queries. It must find more of what a whole
new index would find than the old encoder finds by staying, or no adapter is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle import Encoder, Manifest, Store, publish
from bundle.manifest import Adapts, Joined, Metric
from bundle.neighbours import Floats, Ints, Relevant, kept, nearest, recall
from encodery.spaces.affine import METHODS, Affine, cross_fitted, fit
from encodery.spaces.errors import SpaceError
from encodery.spaces.reading import Encoded, document_encoder, encode_file, load, read_labels, scored
from encodery.spaces.thresholds import Threshold, pairs_of, quantile_map, scores_of

MOST, FEWEST = 5000, 200  # documents of a fit; more changed nothing, of fewer nothing is known
GOLDEN = 24  # vectors in golden.json
KEPT, RECALL = "neighbours kept@10, held out", "recall@10, held out"
STAYING, AGAIN = "staying with the old encoder", "encoding again"


@dataclass(frozen=True)
class FitFiles:
    """What an adapter is fitted on and judged by.

    Attributes:
        documents: a file of one's own inputs, some 1,000 or more.
        queries: what is asked of them; None asks for each document's neighbours.
        labels: which documents answer which query.
        column: that holds the input, for models that read one.
        most: documents that are used, evenly spread over the file.
    """

    documents: Path
    queries: Path | None = None
    labels: Path | None = None
    column: str | None = None
    most: int = MOST


@dataclass(frozen=True)
class Fitted:
    """A map and what is known of it.

    Attributes:
        old, new: the encoders.
        sample: old vectors, for golden.json; float32 [n, d].
        documents: it was fitted on.
        figures: on documents that the map had not seen: value, and that of staying and of encoding again.
        thresholds: old scores and what they are worth by the new encoder.
        refusal: why it should not be used; empty if it may be.
    """

    old: Encoder
    new: Encoder
    affine: Affine
    method: str
    sample: Floats
    documents: int
    data_sha256: str
    figures: Mapping[str, Metric]
    thresholds: Sequence[Threshold]
    refusal: str

    @property
    def adapts(self) -> Adapts:
        """What the manifest says of it."""
        return Adapts(
            source=_place(self.old.manifest),
            target=_place(self.new.manifest),
            kind=self.old.manifest.kind,
            documents=self.documents,
            method=self.method,
        )


@dataclass(frozen=True)
class _Sides:
    """Both views of the documents and the queries, rows alike.

    Attributes:
        own: the document that a query is; None where queries are others.
    """

    old: Encoded
    new: Encoded
    old_queries: Encoded
    new_queries: Encoded
    own: Ints | None
    relevant: Relevant | None


def fit_adapter(store: Store, old: str, new: str, files: FitFiles) -> Fitted:
    """Fit NAME[@VERSION] to another. Raises EncoderyError where it cannot be tried."""
    before, after = load(store, old), load(store, new)
    check_pair(before.manifest, after.manifest)
    sides = _sides(store, before, after, files)
    pairs, normalizes = (sides.old.vectors, sides.new.vectors), after.manifest.normalized
    turned = {name: cross_fitted(*pairs, name, normalizes=normalizes) for name in METHODS}
    judged = _Judge.of(sides, before.manifest, after.manifest)
    figures = {name: judged.figures(scored(after.manifest, vectors)) for name, vectors in turned.items()}
    deciding = KEPT if sides.relevant is None else RECALL
    method = max(figures, key=lambda name: figures[name][deciding].value)
    return Fitted(
        old=before,
        new=after,
        affine=fit(*pairs, method, normalizes=normalizes),
        method=method,
        sample=sides.old.vectors[:GOLDEN],
        documents=len(sides.old.rows),
        data_sha256=hashlib.sha256(files.documents.read_bytes()).hexdigest(),
        figures=figures[method],
        thresholds=judged.thresholds(sides, before.manifest, after.manifest),
        refusal=_no_gain(figures[method][deciding], deciding),
    )


def publish_adapter(store: Store, fitted: Fitted, name: str | None = None) -> Manifest:
    """Publish it as a bundle, by default as OLD-VERSION-to-NEW-VERSION.

    Raises:
        SpaceError: it is no better than staying.
        BundleError: it cannot be published.
    """
    from training.adapter import adapter_draft

    if fitted.refusal:
        raise SpaceError(fitted.refusal)
    adapts = fitted.adapts
    name = name or "-to-".join(f"{one.name}-{one.version}" for one in (adapts.source, adapts.target))
    draft = adapter_draft(
        name,
        adapts=adapts,
        weights=fitted.affine.weights,
        bias=fitted.affine.bias,
        sample=fitted.sample,
        expected=fitted.affine(fitted.sample),
        target=fitted.new.manifest,
        metrics=fitted.figures,
        data_sha256=fitted.data_sha256,
    )
    (manifest,) = publish(store.root, [draft])
    return manifest


def check_pair(old: Manifest, new: Manifest) -> None:
    """Raise SpaceError for encoders between whose spaces no adapter can lie."""
    if old.space == new.space:
        raise SpaceError(
            f"{old.name}/{old.version} and {new.name}/{new.version} are of one space; an index may stay"
        )
    if old.kind != new.kind or old.adapts or new.adapts:
        raise SpaceError("an adapter lies between two encoders of the same inputs")


def _sides(store: Store, before: Encoder, after: Encoder, files: FitFiles) -> _Sides:
    old, new = (encode_file(one, files.documents, files.column, files.most) for one in (before, after))
    rows = np.intersect1d(old.rows, new.rows)
    if len(rows) < FEWEST:
        raise SpaceError(
            f"{len(rows)} documents are encoded by both; a fit needs {FEWEST}, and is good from 1,000 on"
        )
    old, new = old.at(rows), new.at(rows)
    if files.queries is None:
        return _Sides(old, new, old, new, np.arange(len(rows)), None)
    asked = [
        encode_file(document_encoder(store, one), files.queries, files.column) for one in (before, after)
    ]
    common = np.intersect1d(asked[0].rows, asked[1].rows)
    old_queries, new_queries = (one.at(common) for one in asked)
    relevant = read_labels(files.labels, new_queries, new) if files.labels else None
    return _Sides(old, new, old_queries, new_queries, None, relevant)


@dataclass(frozen=True)
class _Judge:
    """Measures adapted documents by the new encoder's queries.

    Attributes:
        queries: of the new encoder; float32 [q, e].
        expected: neighbours in a new index; int64 [q, k].
        staying: neighbours in the old one; int64 [q, k].
    """

    queries: Floats
    own: Ints | None
    relevant: Relevant | None
    expected: Ints
    staying: Ints

    @classmethod
    def of(cls, sides: _Sides, old: Manifest, new: Manifest) -> _Judge:
        """Search both indexes once."""
        own, queries = sides.own, sides.new_queries.scored(new).vectors
        expected = nearest(queries, sides.new.scored(new).vectors, own=own)
        staying = nearest(sides.old_queries.scored(old).vectors, sides.old.scored(old).vectors, own=own)
        return cls(queries, own, sides.relevant, expected, staying)

    def figures(self, documents: Floats) -> dict[str, Metric]:
        """What an index of these documents keeps of a new one's neighbours, and what it finds."""
        found = nearest(self.queries, documents, own=self.own)
        stays = {STAYING: float(kept(self.staying, self.expected).mean())}
        figures = {KEPT: Metric(value=float(kept(found, self.expected).mean()), baselines=stays)}
        if (relevant := self.relevant) is not None:
            others = {STAYING: self.staying, AGAIN: self.expected}
            recalls = {name: float(recall(one, relevant).mean()) for name, one in others.items()}
            figures[RECALL] = Metric(value=float(recall(found, relevant).mean()), baselines=recalls)
        return figures

    def thresholds(self, sides: _Sides, old: Manifest, new: Manifest) -> list[Threshold]:
        """What old scores are worth."""
        pairs = pairs_of(self.staying, self.expected, len(sides.new.rows))
        before = scores_of(sides.old_queries.scored(old).vectors, sides.old.scored(old).vectors, pairs)
        after = scores_of(self.queries, sides.new.scored(new).vectors, pairs)
        return quantile_map(before, after, old.metric)


def _no_gain(metric: Metric, deciding: str) -> str:
    if metric.value > metric.baselines[STAYING]:
        return ""
    again = f", and {metric.baselines[AGAIN]:.3f} by {AGAIN}" if AGAIN in metric.baselines else ""
    return (
        f"no adapter was made: {deciding.partition(',')[0]} is {metric.value:.3f} by adapted vectors, "
        f"{metric.baselines[STAYING]:.3f} by {STAYING}{again}; stay until all is encoded again, or fit on "
        "more documents of your own"
    )


def _place(manifest: Manifest) -> Joined:
    return Joined(name=manifest.name, version=manifest.version, space=manifest.space)
