"""Encodes tables of Arrow where a cluster has them: Ray Data, Spark, Dask, or a loop over a Parquet file.

    dataset.map_batches(
        BundleEncoder, fn_constructor_kwargs={"models": "/srv/models", "model": "text"},
        batch_format="pyarrow", num_cpus=1, concurrency=8,
    )

The engine of the cluster starts again what dies; a table that is encoded again gets the same vectors.
An encoder does not travel between processes: each loads the bundle for itself, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle import Store
from encodery.bulk.backends import LocalBackend, Options
from encodery.bulk.errors import BulkError
from encodery.bulk.outputs import EMBEDDING
from encodery.bulk.rows import InputRow, Selection, Survey, check_columns, input_row
from tabular import parquet

if TYPE_CHECKING:
    import pyarrow as pa

FAULT = "fault"


@dataclass
class BundleEncoder:
    """Takes a table, and gives it back with the columns `embedding` and `fault`.

    `embedding` is a list of as many float32 as the vectors have dimensions, and null in a row that cannot be
    encoded; `fault` is null, or says why it cannot. Other rows of the table are not harmed.

    Args:
        models: directory of bundles, there on every machine.
        model: its name.
        version: of the model; by default the current one. Name it, so that all machines take the same.
        space: that the vectors must be in; a version of another space is refused.
        column: that holds the input, for models that read one.
        options: of every input.
        threads: forward passes at once; as many as the engine reckons processors for a task.

    Raises:
        EncoderyError: there is no such bundle, or its space is another one.
    """

    models: str | Path
    model: str
    version: str | None = None
    space: str | None = None
    column: str | None = None
    options: Options = field(default_factory=Options)
    threads: int = 1

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_backend"}

    def __call__(self, table: pa.Table) -> pa.Table:
        """Encode a table. Raises EncoderyError where no row of it could be: a column is missing."""
        import pyarrow as pa

        rows = list(self._rows(table))
        whole = [position for position, row in enumerate(rows) if not row.fault]
        encoded = self._backend.encode([rows[position].value for position in whole])
        faults = [row.fault or None for row in rows]
        for position, reason in encoded.faults.items():
            faults[whole[position]] = reason
        dim = self._backend.identity.dim
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(encoded.vectors.reshape(-1)), dim)
        # The vectors are those of the rows without a fault, in order; the others take none.
        taken = iter(range(len(vectors)))
        places = pa.array([None if fault else next(taken) for fault in faults], pa.int64())
        return table.append_column(EMBEDDING, vectors.take(places)).append_column(
            FAULT, pa.array(faults, pa.string())
        )

    def _rows(self, table: pa.Table) -> Iterator[InputRow]:
        names = table.column_names
        if taken := {EMBEDDING, FAULT} & set(names):
            raise BulkError(
                f"the table has a column {', '.join(sorted(taken))} already; give it another name"
            )
        selection = Selection(self._backend.kind.columns(self._backend.schema, self.column))
        check_columns(Path("the table"), Survey(table.num_rows, names), selection)
        columns = [name for name in selection.names if name in names]
        _refuse_floats(table, [name for name in selection.inputs.ids if name in names])
        files = selection.inputs.names if selection.inputs.are_files else ()
        number = 0
        for batch in table.to_batches():
            for row in parquet.rows_of(batch, columns, "row", before=number, files=files):
                yield input_row(row.number - 1, row, selection, {}, Path())
            number += batch.num_rows

    @cached_property
    def _backend(self) -> LocalBackend:
        encoder = Store(Path(self.models)).load(self.model, self.version)
        backend = LocalBackend(encoder, self.options, self.threads)
        if self.space not in (None, backend.identity.space):
            backend.close()
            found = backend.identity
            raise BulkError(
                f"{found.model}/{found.version} gives vectors of the space {found.space}, not {self.space}"
            )
        return backend


def _refuse_floats(table: pa.Table, ids: Sequence[str]) -> None:
    """Whether 7.0 is the id "7" is decided for a whole file; of a part of one nobody can tell."""
    import pyarrow as pa

    for name in ids:
        kind = table.schema.field(name).type
        if pa.types.is_floating(kind):
            raise BulkError(f"{name} holds ids as {kind}; cast it to int64 or string first")
