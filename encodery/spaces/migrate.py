"""`encodery migrate`: from a file of old vectors and what was encoded to one of new vectors, step by step.

    check -> fit an adapter -> adapt all (OUT.adapted) -> encode again, wanted rows first -> OUT, its report

Every step is done once: a run that was killed goes on with the step, and within it after the last part, that
was not finished. OUT is there whole, and of one space, or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bundle import Encoder, Store
from bundle.neighbours import Floats, Ints
from encodery.bulk.command import say
from encodery.bulk.outputs import ROW, assemble, beside, check_output
from encodery.bulk.parts import Parts
from encodery.spaces.adapt import FitFiles, check_pair, fit_adapter, publish_adapter
from encodery.spaces.affine import Affine
from encodery.spaces.apply import apply, check_files
from encodery.spaces.assembled import Again, final_meta
from encodery.spaces.errors import SpaceError
from encodery.spaces.reading import load
from encodery.spaces.reembed import Inputs, encode_again, not_of, read_first
from encodery.spaces.vectors import VectorFile

SAMPLE, MOST_OTHERS = 100, 0.05  # rows that the old encoder encodes again; the share that may differ


@dataclass(frozen=True)
class Migration:
    """What is to be migrated.

    Attributes:
        old: the encoder of the vectors, as NAME or NAME@VERSION.
        new: the one that takes its place.
        source: old vectors, as `encodery encode` wrote them.
        out: file for the new ones.
        inputs: the file that the old ones were encoded from.
        queries: what an adapter is judged by, as in `FitFiles`.
        labels: the same.
        first: a file of rows to encode first.
        column: that holds the input, for models that read one.
        space: of the old vectors, for a file without metadata.
        limit: rows to encode in this run; None for all.
        tell: takes what happens, a sentence each.
    """

    old: str
    new: str
    source: Path
    out: Path
    inputs: Path
    queries: Path | None = None
    labels: Path | None = None
    first: Path | None = None
    column: str | None = None
    space: str | None = None
    limit: int | None = None
    tell: Callable[[str], None] = say

    def beside_out(self, word: str) -> Path:
        """OUT with a word before its ending, for a file that is searched meanwhile."""
        return self.out.with_name(f"{self.out.stem}.{word}{self.out.suffix}")

    @property
    def report(self) -> Path:
        """Where the report goes."""
        return beside(self.out, ".report.json")


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        is_done: OUT is there; otherwise rows are left to encode.
        searched: the file to search until then; None where there is none, or no need of one.
        rows: of the old file.
        encoded: that have a new vector.
        bad: that the new encoder refuses; they are in OUT.bad.jsonl.
        foreign: rows whose old vectors are not what the old encoder gives for their inputs.
        fit: of the adapter: its name or why there is none, method, figures, thresholds.
    """

    is_done: bool
    searched: str | None
    rows: int
    encoded: int
    bad: int
    foreign: Sequence[int]
    fit: Mapping[str, Any]


@dataclass(frozen=True)
class _Work:
    """One run: the migration with all that was opened for it."""

    asked: Migration
    store: Store
    old: Encoder
    new: Encoder
    file: VectorFile
    inputs: Inputs
    order: Ints  # the rows of the file, as they stand there
    directory: Path

    @property
    def again(self) -> Parts:
        """What was encoded again."""
        return Parts(self.directory / "again")


def migrate(store: Store, asked: Migration) -> Report:
    """Do what is left to do. Raises EncoderyError."""
    directory = beside(asked.out, ".partial")
    if asked.out.exists() and directory.exists() and asked.report.exists():
        shutil.rmtree(directory)  # it was killed while it cleaned up
        return Report(**json.loads(asked.report.read_bytes()))
    work = _opened(store, asked, directory)
    with Parts(directory).locked():
        Parts(directory).begin(_description(work))
        work.again.directory.mkdir(exist_ok=True)
        _check_sample(work)
        fit = _fitted(work)
        searched = _adapt_all(work, fit)
        done = encode_again(work.new, work.inputs, work.again, asked.limit)
        if done < len(work.order):
            return _paused(work, fit)
        report = _finished(work, fit)
    shutil.rmtree(directory)
    if searched is not None:
        asked.tell(f"{asked.out} is whole; {searched.name} is not needed any more")
    return report


def _opened(store: Store, asked: Migration, directory: Path) -> _Work:
    """Check all that can be before the work. Raises EncoderyError."""
    check_output(asked.out)
    check_files(asked.source, asked.out)
    if asked.limit is not None and asked.out.suffix == ".npy":
        raise SpaceError("a .npy file cannot say which rows are encoded again; use .parquet or .jsonl")
    old, new = load(store, asked.old), load(store, asked.new)
    check_pair(old.manifest, new.manifest)
    file = VectorFile.open(asked.source, asked.space)
    if file.space != old.manifest.space:
        raise SpaceError(
            f"{asked.source.name} is of the space {file.space}; vectors of {old.manifest.name}/"
            f"{old.manifest.version} are of {old.manifest.space}"
        )
    if foreign := file.foreign_rows():
        raise SpaceError(f"{asked.source.name} says of row {foreign[0]} that it is of another space")
    order = np.array([row[ROW] for block in file.blocks() for row in block.kept], np.int64)
    rows, counts = np.unique(order, return_counts=True)
    if len(rows) < len(order):
        raise SpaceError(f"{asked.source.name} has row {rows[counts > 1][0]} more than once")
    inputs = Inputs(asked.inputs, asked.column, rows, read_first(asked.first) if asked.first else ())
    inputs.check(new)
    return _Work(asked, store, old, new, file, inputs, order, directory)


def _description(work: _Work) -> dict[str, Any]:
    """All that decides what is in OUT."""
    asked, found = work.asked, dict[str, Any]()
    for name, path in {"vectors": asked.source, "inputs": asked.inputs, "first": asked.first}.items():
        stat = path.stat() if path else None
        found[name] = stat and [str(path), stat.st_size, stat.st_mtime_ns]
    return found | {
        "old": work.old.manifest.space,
        "new": work.new.manifest.space,
        "column": asked.column,
    }


def _check_sample(work: _Work) -> None:
    """Raise SpaceError if the old vectors are not what the old encoder gives for the inputs."""
    rows = work.inputs.rows[:: max(1, len(work.order) // SAMPLE)][:SAMPLE]
    others = not_of(work.old, work.inputs, rows, _vectors_of(work.file, rows))
    if len(others) > MOST_OTHERS * len(rows):
        raise SpaceError(
            f"of {len(rows)} rows that were looked at, {len(others)} have another vector in "
            f"{work.asked.source.name} than {work.old.manifest.name}/{work.old.manifest.version} gives for "
            f"their inputs, row {others[0]} for one: the file is of another model, of several, or of other "
            "inputs"
        )


def _vectors_of(file: VectorFile, rows: Ints) -> Floats:
    """The vectors of some rows, ascending; float32 [n, d]."""
    wanted = {row: at for at, row in enumerate(rows.tolist())}
    found = np.zeros((len(rows), file.dim), np.float32)
    for block in file.blocks():
        for row, vector in zip(block.kept, block.vectors, strict=True):
            if row[ROW] in wanted:
                found[wanted[row[ROW]]] = vector
    return found


def _fitted(work: _Work) -> Mapping[str, Any]:
    """What is known of the adapter, made once; `adapter` is None where none was any good."""
    path, asked = work.directory / "fit.json", work.asked
    if not path.exists():
        files = FitFiles(asked.inputs, asked.queries, asked.labels, asked.column)
        fitted = fit_adapter(work.store, asked.old, asked.new, files)
        affine = fitted.affine
        np.savez(work.directory / "affine.npz", weights=affine.weights, bias=affine.bias)
        published = None if fitted.refusal else publish_adapter(work.store, fitted)
        _write_json(
            path,
            {
                "adapter": published and f"{published.name}@{published.version}",
                "refusal": fitted.refusal,
                "method": fitted.method,
                "figures": {name: metric.model_dump() for name, metric in fitted.figures.items()},
                "thresholds": [asdict(one) for one in fitted.thresholds],
            },
        )
    found: dict[str, Any] = json.loads(path.read_bytes())
    asked.tell(found["refusal"] or f"adapter: {found['adapter']}, by {found['method']}")
    return found


def _adapt_all(work: _Work, fit: Mapping[str, Any]) -> Path | None:
    """Write the file that is searched until all is encoded again; None without an adapter."""
    if fit["adapter"] is None:
        return None
    searched = work.asked.beside_out("adapted")
    if not searched.exists():
        apply(work.store, fit["adapter"], work.asked.source, searched, work.asked.space)
    elif VectorFile.open(searched).space != load(work.store, fit["adapter"]).manifest.space:
        raise SpaceError(f"{searched} is of another migration; remove it, or choose another OUT")
    work.asked.tell(f"{searched}: all rows, adapted")
    return searched


def _paused(work: _Work, fit: Mapping[str, Any]) -> Report:
    """Write what there is of new vectors among adapted ones, each row with its own space."""
    again = _again(work)
    if fit["adapter"] is None:
        return _report(work, fit, again)
    mixed, adapter = work.asked.beside_out("mixed"), load(work.store, fit["adapter"])
    for path in (mixed, beside(mixed, ".meta.json")):  # the data first: no file is called what it is not
        path.unlink(missing_ok=True)
    parts = again.final_parts(work.file, work.new.manifest, adapter, work.directory / "final")
    meta = final_meta(work.file, adapter.manifest, work.new.kind, parts)
    assemble(mixed, parts, meta, work.new.kind.facts)
    return _report(work, fit, again, searched=mixed.name)


def _finished(work: _Work, fit: Mapping[str, Any]) -> Report:
    """Write OUT, after the report on it."""
    again = _again(work)
    with np.load(work.directory / "affine.npz", allow_pickle=False) as saved:
        affine = Affine(saved["weights"], saved["bias"], normalizes=False)
    suspects = again.suspects(work.file, affine)
    foreign = not_of(work.old, work.inputs, suspects, _vectors_of(work.file, suspects))
    report = _report(work, fit, again, is_done=True, foreign=foreign)
    parts = again.final_parts(work.file, work.new.manifest, None, work.directory / "final")
    meta = final_meta(work.file, work.new.manifest, work.new.kind, parts)
    assert meta["rows"] + meta["bad"] == len(work.order), (meta["rows"], meta["bad"], len(work.order))
    _write_json(work.asked.report, asdict(report))
    assemble(work.asked.out, parts, meta, work.new.kind.facts)
    return report


def _again(work: _Work) -> Again:
    return Again.of(work.again.all(), work.order, work.new.manifest.dim, work.directory)


def _report(
    work: _Work,
    fit: Mapping[str, Any],
    again: Again,
    *,
    is_done: bool = False,
    searched: str | None = None,
    foreign: Sequence[int] = (),
) -> Report:
    return Report(
        is_done, searched, len(work.order), int(again.has.sum()), len(again.bad), list(foreign), fit
    )


def _write_json(path: Path, content: Any) -> None:
    """Write a file that is there whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w") as file:
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
