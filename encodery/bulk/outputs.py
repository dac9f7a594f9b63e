"""Writes parts as one output: JSONL, .npy or Parquet, written beside and renamed, so never half there.

With it come OUT.meta.json (model, version, space, dim, metric, counts), OUT.bad.jsonl where rows were bad,
and for .npy, which has vectors only, OUT.rows.npy with the number of each row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import numpy as np
import orjson

from bundle import Facts
from bundle.preprocess.facts import warning_names
from encodery.bulk.arrow_types import plain, types_of
from encodery.bulk.errors import BulkError
from encodery.bulk.parts import Part

if TYPE_CHECKING:
    import pyarrow as pa

EMBEDDING, ROW, TRUNCATED, WARNINGS = "embedding", "row", "truncated", "warnings"
SIDES = (".bad.jsonl", ".meta.json", ".rows.npy")  # of the files that may go with an output


def check_output(path: Path) -> None:
    """Raise BulkError if nothing can be written there."""
    if path.suffix not in WRITERS:
        raise BulkError(f"{path.name}: written are {', '.join(WRITERS)}")
    if path.exists():
        raise BulkError(f"{path} exists; remove it, or choose another name")
    if not path.parent.is_dir():
        raise BulkError(f"there is no directory {path.parent}")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401  # to say so before the work, not after
        except ModuleNotFoundError:
            raise BulkError("Parquet needs pyarrow: pip install pyarrow") from None


def assemble(path: Path, parts: Sequence[Part], meta: Mapping[str, Any], facts: type[Facts]) -> None:
    """Write the output and what goes with it; the output itself last.

    Args:
        path: of the output.
        parts: all of it, in order.
        meta: what goes into OUT.meta.json.
        facts: what can be told of an input.
    """
    bad = beside(path, ".bad.jsonl")
    _concatenate(bad, [part.bad for part in parts])
    if not bad.stat().st_size:
        bad.unlink()
    beside(path, ".meta.json").write_text(json.dumps(dict(meta), indent=1) + "\n")
    temporary = beside(path, ".tmp")
    WRITERS[path.suffix](temporary, parts, meta, facts)
    if path.suffix == ".npy":
        np.save(
            beside(path, ".rows.npy"),
            np.fromiter((kept[ROW] for part in parts for kept in part.rows()), np.int64),
        )
    temporary.replace(path)


def beside(path: Path, suffix: str) -> Path:
    """Name a file that goes with the output."""
    return path.with_name(path.name + suffix)


def _jsonl(path: Path, parts: Sequence[Part], meta: Mapping[str, Any], facts: type[Facts]) -> None:
    with path.open("wb") as file:
        for part in parts:
            for kept, vector in zip(part.rows(), np.load(part.vectors), strict=True):
                file.write(_json_of(kept)[:-1] + b',"%b":' % EMBEDDING.encode())
                file.write(orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY) + b"}\n")


def _json_of(kept: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(kept)
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(dict(kept), ensure_ascii=False).encode()


def _npy(path: Path, parts: Sequence[Part], meta: Mapping[str, Any], facts: type[Facts]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (meta["rows"], meta["dim"])}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.load(part.vectors).astype("<f4", copy=False).tobytes())


def _parquet(path: Path, parts: Sequence[Part], meta: Mapping[str, Any], facts: type[Facts]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    types = get_type_hints(facts)
    told = pa.struct({name: _arrow_type(types[name]) for name in warning_names(facts)})  # type: ignore[arg-type]  # mypy takes it for a Facts
    types_of_kept = types_of(list(map(_but_own, part.rows())) for part in parts)
    own = {ROW: pa.int64(), TRUNCATED: pa.bool_(), WARNINGS: told}
    kept = pa.schema(list((own | types_of_kept).items()))
    schema = kept.append(pa.field(EMBEDDING, pa.list_(pa.float32(), meta["dim"])))
    metadata = {
        f"encodery.{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in meta.items()
    }
    whole = schema.with_metadata(metadata)
    with parquet.ParquetWriter(path, whole, write_page_checksum=True) as writer:
        for part in parts:
            rows = [
                {name: plain(value, kept.field(name).type) for name, value in row.items()}
                | {WARNINGS: row[WARNINGS] or None}
                for row in part.rows()
            ]
            table = pa.Table.from_pylist(rows, schema=kept)
            values = pa.array(np.load(part.vectors).ravel())
            embedding = pa.FixedSizeListArray.from_arrays(values, meta["dim"])
            writer.write_table(table.append_column(schema.field(EMBEDDING), embedding))


def _but_own(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was kept of the input's row."""
    return {name: value for name, value in row.items() if name not in (ROW, TRUNCATED, WARNINGS)}


def _arrow_type(hint: Any) -> pa.DataType:
    """The column type of a fact, or of a part of one."""
    import pyarrow as pa

    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    if is_dataclass(hint):
        return pa.struct({name: _arrow_type(of) for name, of in get_type_hints(hint).items()})
    return {str: pa.string(), int: pa.int64(), bool: pa.bool_()}[hint]


WRITERS: Mapping[str, Callable[[Path, Sequence[Part], Mapping[str, Any], type[Facts]], None]] = {
    ".parquet": _parquet,
    ".npy": _npy,
    ".jsonl": _jsonl,
}


def _concatenate(path: Path, sources: Sequence[Path]) -> None:
    with path.open("wb") as file:
        for source in sources:
            file.write(source.read_bytes())
