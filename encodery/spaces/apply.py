"""`encodery adapt apply`: a file of old vectors -> the same rows, turned towards the new space.

Goes on where an interrupted run stopped, as `encodery encode` does.
"""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

from bundle import KINDS, Encoder, Store
from bundle.manifest import Adapts
from bundle.neighbours import Floats
from encodery import __version__
from encodery.bulk.outputs import assemble, beside, check_output
from encodery.bulk.parts import Parts
from encodery.spaces.errors import SpaceError
from encodery.spaces.reading import load
from encodery.spaces.vectors import ROWS, VectorFile


def apply(store: Store, adapter: str, source: Path, out: Path, space: str | None = None) -> dict[str, Any]:
    """Adapt a file; the metadata of the new one.

    Args:
        store: of published models.
        adapter: NAME or NAME@VERSION.
        source: as `encodery encode` wrote it.
        out: where the rows go; of the same format where that is .npy, which has nothing but vectors.
        space: of the vectors, for a file without metadata.

    Raises:
        EncoderyError: the file is of another space, or of several.
    """
    encoder = load(store, adapter)
    adapts = adapts_of(encoder)
    check_files(source, out)
    file = VectorFile.open(source, space)
    check_space(file, adapts)
    parts, meta = Parts(beside(out, ".partial")), adapted_meta(encoder, file)
    with parts.locked():
        stat = source.stat()
        parts.begin(
            {
                "input": str(source.resolve()),
                "bytes": stat.st_size,
                "modified": stat.st_mtime_ns,
                "space": meta["space"],
            }
        )
        before = parts.all()
        start = before[-1].end if before else 0
        for block in islice(file.blocks(), start // ROWS, None):
            parts.add(start, start + len(block.kept), adapted(encoder, block.vectors), block.kept, [])
            start += len(block.kept)
        assemble(out, parts.all(), meta, KINDS[adapts.kind].facts)
    shutil.rmtree(parts.directory)
    return meta


def adapts_of(encoder: Encoder) -> Adapts:
    """What an adapter turns into what. Raises SpaceError for an encoder that is none."""
    if (adapts := encoder.manifest.adapts) is None:
        raise SpaceError(
            f"{encoder.manifest.name} is no adapter; `encodery adapt fit OLD NEW` makes one, and "
            "`encodery models list` shows those that there are"
        )
    return adapts


def check_files(source: Path, out: Path) -> None:
    """Raise BulkError or SpaceError if OUT cannot be written from IN."""
    check_output(out)
    if source.suffix == ".npy" != out.suffix:
        raise SpaceError(f"{source.name} has vectors only, no columns; write them to a .npy file")


def check_space(file: VectorFile, adapts: Adapts) -> None:
    """Raise SpaceError unless all of a file is of the space that an adapter takes."""
    source = adapts.source
    if file.space != source.space:
        raise SpaceError(
            f"{file.path.name} is of the space {file.space}, the adapter takes vectors of "
            f"{source.name}/{source.version}, {source.space}"
        )
    if foreign := file.foreign_rows():
        raise SpaceError(
            f"{file.path.name} holds vectors of several spaces: {len(foreign):,} rows say another one, the "
            f"first is row {foreign[0]}; adapt those of one space alone"
        )


def adapted(encoder: Encoder, vectors: Floats) -> Floats:
    """Old vectors turned; float32 [n, d] to float32 [n, e]."""
    return encoder.encode(encoder.read(list(vectors)))


def adapted_meta(encoder: Encoder, file: VectorFile) -> dict[str, Any]:
    """The metadata of adapted vectors: those of the file, but for which vectors they are."""
    manifest, source, target = encoder.manifest, adapts_of(encoder).source, adapts_of(encoder).target
    return dict(file.meta) | {
        "model": manifest.name,
        "version": manifest.version,
        "space": manifest.space,
        "dim": manifest.dim,
        "metric": manifest.metric,
        "normalized": manifest.normalized,
        "dtype": "float32",
        "rows": file.rows,
        "adapted_from": source.space,
        "near": target.space,
        "encodery": __version__,
    }
