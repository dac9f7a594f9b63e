"""Vectors that were encoded again, back in the order of the old file, and the output that they become."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle import Encoder, Kind, Manifest
from bundle.encoder import normalized
from bundle.neighbours import Floats, Ints
from bundle.preprocess.facts import warning_names
from encodery import __version__
from encodery.bulk.outputs import ROW, TRUNCATED, WARNINGS
from encodery.bulk.parts import Part, Parts
from encodery.spaces.affine import Affine
from encodery.spaces.apply import adapted
from encodery.spaces.vectors import SPACE, VectorFile

SUSPECT = 0.75  # of the median cosine of adapted and new vectors: a row below it is looked at


@dataclass(frozen=True)
class Again:
    """What is encoded again so far, by place in the old file.

    Attributes:
        vectors: on disk; float32 [n, e].
        has: there is a new vector; bool [n].
        told: what is to be told of a row, by row number.
        bad: rows that the new encoder refuses, by row number.
    """

    vectors: Floats
    has: npt.NDArray[np.bool_]
    told: Mapping[int, Mapping[str, Any]]
    bad: Mapping[int, Mapping[str, Any]]

    @classmethod
    def of(cls, parts: Sequence[Part], order: Ints, dim: int, directory: Path) -> Again:
        """Bring parts, which are in the order of encoding, into that of the file; `order` is its rows."""
        path = directory / "again.npy"
        vectors = np.lib.format.open_memmap(path, "w+", np.float32, (len(order), dim))
        has, sorter = np.zeros(len(order), np.bool_), np.argsort(order, kind="stable")
        told, bad = dict[int, Mapping[str, Any]](), dict[int, Mapping[str, Any]]()
        for part in parts:
            kept = list(part.rows())
            places = sorter[np.searchsorted(order, [one[ROW] for one in kept], sorter=sorter)]
            vectors[places] = np.load(part.vectors, allow_pickle=False)
            has[places] = True
            told |= {one[ROW]: one[WARNINGS] for one in kept if one[WARNINGS]}
            bad |= {one[ROW]: one for one in part.bad_rows()}
        return cls(vectors, has, told, bad)

    def suspects(self, file: VectorFile, affine: Affine) -> Ints:
        """Rows whose old vector, adapted, is far from the new one; int64 [m], ascending.

        Of 3,506 answers of MedQuAD two trainings of `text` gave cosines of .75 to 1 and foreign vectors none
        above .35; `text` and `text-small` .46 to 1, and foreign ones up to .43.
        """
        cosines, rows, start = np.ones(len(self.has), np.float32), list[int](), 0
        for block in file.blocks():
            places = slice(start, start + len(block.kept))
            pairs = normalized(affine(block.vectors)), normalized(self.vectors[places])
            cosines[places] = np.where(self.has[places], np.einsum("nd,nd->n", *pairs), 1)
            rows += [row[ROW] for row in block.kept]
            start = places.stop
        low = cosines < SUSPECT * np.median(cosines)
        return np.sort(np.array(rows, np.int64)[low])

    def final_parts(
        self, file: VectorFile, new: Manifest, adapter: Encoder | None, place: Path
    ) -> list[Part]:
        """The rows of the output in the order of the file.

        Args:
            file: of the old vectors.
            new: the manifest of the new encoder.
            adapter: turns what is not encoded again; without one such rows are left out.
            place: directory for the parts.
        """
        shutil.rmtree(place, ignore_errors=True)
        parts, start = Parts(place), 0
        place.mkdir(parents=True)
        for block in file.blocks():
            stop = start + len(block.kept)
            has, vectors = self.has[start:stop], np.array(self.vectors[start:stop])
            if adapter is not None:
                vectors[~has] = adapted(adapter, block.vectors[~has])
            keep = has if adapter is None else np.ones_like(has)
            kept = [
                self._kept(row, new, is_new=bool(is_new), adapter=adapter)
                for row, is_new, is_kept in zip(block.kept, has, keep, strict=True)
                if is_kept
            ]
            bad = [self.bad[row[ROW]] for row in block.kept if row[ROW] in self.bad]
            parts.add(start, stop, vectors[keep], kept, bad)
            start = stop
        return parts.all()

    def _kept(
        self, row: Mapping[str, Any], new: Manifest, *, is_new: bool, adapter: Encoder | None
    ) -> dict[str, Any]:
        told = self.told.get(row[ROW], {})
        facts = {TRUNCATED: TRUNCATED in told, WARNINGS: told} if is_new else {}
        if adapter is None:
            return {name: value for name, value in row.items() if name != SPACE} | facts
        return dict(row) | {SPACE: new.space if is_new else adapter.manifest.space} | facts


def final_meta(file: VectorFile, manifest: Manifest, kind: Kind, parts: Sequence[Part]) -> dict[str, Any]:
    """The metadata of an output: those of the old file, but for whose vectors they are.

    Args:
        file: of the old vectors.
        manifest: of the new encoder, or of the adapter while some rows are only adapted.
        kind: of the inputs.
        parts: of the output.
    """
    names = warning_names(kind.facts)  # type: ignore[arg-type]  # mypy takes it for a Facts
    warnings, spaces = Counter(dict.fromkeys(names, 0)), Counter[str]()
    rows = bad = 0
    for part in parts:
        bad += sum(1 for _ in part.bad_rows())
        for kept in part.rows():
            rows += 1
            warnings.update(kept[WARNINGS].keys())
            spaces[kept.get(SPACE, manifest.space)] += 1
    return dict(file.meta) | {
        "model": manifest.name,
        "version": manifest.version,
        "space": manifest.space,
        "spaces": dict(spaces),
        "dim": manifest.dim,
        "metric": manifest.metric,
        "normalized": manifest.normalized,
        "dtype": "float32",
        "rows": rows,
        "bad": bad,
        "truncated": warnings[TRUNCATED],
        "warnings": dict(warnings),
        "migrated_from": file.space,
        "encodery": __version__,
    }
