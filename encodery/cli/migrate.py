"""The command that leads a file of vectors from one encoder to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from encodery.cli.adapt import Column, Labels, New, Old, Queries, Space
from encodery.cli.common import INTERRUPTED, ModelsDir, fail, store_of, training


def migrate(  # noqa: PLR0917  # typer calls it, by name
    old: Old,
    new: New,
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Old vectors, as `encodery encode` wrote them.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File for the new ones.")],
    inputs: Annotated[Path, typer.Option(help="The file that the old vectors were encoded from.")],
    first: Annotated[
        Path | None,
        typer.Option(help="Rows to encode first, the most queried ones: a file with the column row."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Rows to encode now; what is there then goes to OUT.mixed [default: all]."),
    ] = None,
    queries: Queries = None,
    labels: Labels = None,
    column: Column = None,
    space: Space = None,
    models_dir: ModelsDir = None,
) -> None:
    """Fit an adapter, adapt all vectors, then encode the inputs again. Continues an interrupted run."""
    from encodery.spaces.migrate import Migration, migrate
    from encodery.spaces.report import migration_report

    asked = Migration(
        old, new, source, out, inputs,
        queries=queries, labels=labels, first=first, column=column, space=space, limit=limit,
    )  # fmt: skip
    with training():
        try:
            report = migrate(store_of(models_dir), asked)
        except KeyboardInterrupt:
            fail("stopped; give the same command to go on", INTERRUPTED)
    typer.echo(migration_report(report, out))
