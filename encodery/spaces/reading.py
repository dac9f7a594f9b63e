"""Inputs of a file as an encoder sees them: vectors in memory, by row number.

NAME or NAME@VERSION -> encoder;  file -> rows -> vectors, with the ids that labels name them by
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

import tabular
from bundle import Encoder, InputError, Manifest, Store, prompted
from bundle.cores import usable_cores
from bundle.encoder import normalized
from bundle.neighbours import Floats, Ints, Relevant
from encodery.bulk.backends import LocalBackend, Options
from encodery.bulk.command import chunks
from encodery.bulk.rows import Selection, check_columns, read_rows, survey
from encodery.spaces.errors import SpaceError

IDS = ("id", "_id")  # columns that may hold a row's id; the second is BEIR's
QUERY, DOCUMENT, GAIN = "query-id", "corpus-id", "score"  # columns of labels, as BEIR has them
TIMED = 50  # inputs that are timed one by one


@dataclass(frozen=True)
class Encoded:
    """The rows of a file that could be encoded.

    Attributes:
        rows: their numbers in the file, ascending; int64 [n].
        ids: of each, or its number where there is none.
        vectors: as the encoder gives them; float32 [n, dim].
    """

    rows: Ints
    ids: Sequence[str]
    vectors: Floats

    def at(self, rows: Ints) -> Encoded:
        """These rows alone; all of them must be there."""
        places = np.searchsorted(self.rows, rows)
        return Encoded(rows, [self.ids[at] for at in places], self.vectors[places])

    def scored(self, manifest: Manifest) -> Encoded:
        """The same with vectors whose inner products are the scores of their space."""
        return replace(self, vectors=scored(manifest, self.vectors))


def scored(manifest: Manifest, vectors: Floats) -> Floats:
    """Vectors whose inner products are the scores of their space. float32 [n, dim]."""
    return normalized(vectors) if manifest.metric == "cosine" else vectors


def split_name(reference: str) -> tuple[str, str | None]:
    """The name and the version of NAME or NAME@VERSION."""
    name, _, version = reference.partition("@")
    return name, version or None


def load(store: Store, reference: str) -> Encoder:
    """The encoder of NAME or NAME@VERSION. Raises BundleError."""
    return store.load(*split_name(reference))


def document_encoder(store: Store, encoder: Encoder) -> Encoder:
    """What encodes the documents of an encoder's queries: its one peer, as for /score, or itself."""
    peers = encoder.manifest.peers
    return store.load(peers[0].name, peers[0].version) if len(peers) == 1 else encoder


def encode_file(encoder: Encoder, path: Path, column: str | None = None, most: int | None = None) -> Encoded:
    """Encode every row, or `most` of them evenly spread; rows that cannot be are left out.

    Raises:
        DataError, BulkError: the file cannot be read, or has none of the encoder's columns.
        SpaceError: no row can be encoded.
    """
    found = survey(path)
    columns = encoder.kind.columns(encoder.schema(), column)
    keep = [name for name in IDS if name in found.names][:1]
    selection = Selection(columns, keep)
    check_columns(path, found, selection)
    share = 1.0 if most is None else min(1.0, most / max(1, found.rows))
    taken = (
        row
        for row in read_rows(path, selection)
        if not row.fault and int(row.number * share) < int((row.number + 1) * share)  # evenly spread
    )
    rows, ids, blocks = list[int](), list[str](), list[Floats]()
    with closing(LocalBackend(encoder, Options(truncate="end"), usable_cores())) as backend:
        for chunk in chunks(taken):
            done = backend.encode([row.value for row in chunk])
            good = [row for at, row in enumerate(chunk) if at not in done.faults]
            rows += [row.number for row in good]
            ids += [str(next(iter(row.kept.values()), row.number)) for row in good]
            blocks.append(done.vectors)
    if not rows:
        raise SpaceError(f"{path.name}: no row is an input of {encoder.manifest.name}; see --column")
    return Encoded(np.array(rows, np.int64), ids, np.concatenate(blocks))


def latency_ms(encoder: Encoder, path: Path, column: str | None = None) -> float:
    """The median time of an input alone, over the first TIMED of a file that can be encoded."""
    selection = Selection(encoder.kind.columns(encoder.schema(), column))
    prompt, times = encoder.manifest.prompt(None) or "", list[float]()
    for row in read_rows(path, selection):
        if row.fault:
            continue
        started = perf_counter()
        with suppress(InputError):
            inputs = prompted(encoder.read([row.value]), prompt)
            encoder.run(encoder.prepare(inputs, "end"))
            times.append(1e3 * (perf_counter() - started))
        if len(times) == TIMED:
            break
    return float(np.median(times))


def read_labels(path: Path, queries: Encoded, documents: Encoded) -> Relevant:
    """Which documents answer which query, by row of the two; what is in neither is left out.

    Raises:
        DataError: the file cannot be read, or lacks a column.
        SpaceError: it names no query and document that are there.
    """
    query_at = {key: at for at, key in enumerate(queries.ids)}
    document_at = {key: at for at, key in enumerate(documents.ids)}
    relevant: dict[int, set[int]] = {}
    has_gains = GAIN in tabular.column_names(path)
    for row in tabular.read_rows(path, [QUERY, DOCUMENT, *([GAIN] if has_gains else [])]):
        if row.fault or str(row.content.get(GAIN, 1)).strip() in ("0", "0.0"):
            continue
        query, document = str(row.content[QUERY]), str(row.content[DOCUMENT])
        if query in query_at and document in document_at:
            relevant.setdefault(query_at[query], set()).add(document_at[document])
    if not relevant:
        raise SpaceError(
            f"{path.name} names no query and document of the two files; they are named by their column "
            f"{' or '.join(IDS)}, or by their number from 0"
        )
    return {query: frozenset(found) for query, found in relevant.items()}
