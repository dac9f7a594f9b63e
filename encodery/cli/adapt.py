"""The commands for adapters: fit one between two encoders, and turn a file of vectors by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from encodery.cli.common import ModelsDir, data_mistakes, store_of, training

Old = Annotated[str, typer.Argument(help="The encoder of the index, as NAME or NAME@VERSION.")]
New = Annotated[str, typer.Argument(help="The encoder that takes its place.")]
Queries = Annotated[
    Path | None, typer.Option(help="What is asked, to judge by [default: the documents' own neighbours].")
]
Labels = Annotated[
    Path | None,
    typer.Option(help="Which documents answer which query: columns query-id, corpus-id and score."),
]
Column = Annotated[str | None, typer.Option(help="Column that holds the input, for models that read one.")]
Space = Annotated[str | None, typer.Option(help="Space of the vectors, for a file without metadata.")]


def fit(  # noqa: PLR0917  # typer calls it, by name
    old: Old,
    new: New,
    texts: Annotated[
        Path, typer.Option("--texts", "--inputs", help="Own documents that both encode, 1,000 or more.")
    ],
    queries: Queries = None,
    labels: Labels = None,
    column: Column = None,
    most: Annotated[int, typer.Option(min=1, help="Documents that are used, evenly spread.")] = 5000,
    name: Annotated[str | None, typer.Option(help="Of the adapter [default: OLD-to-NEW].")] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Fit and publish an adapter: old vectors in, vectors near the new encoder's out.

    Refuses, with the figures, where it finds no more than the old encoder does.
    """
    from encodery.spaces.adapt import FitFiles, fit_adapter, publish_adapter
    from encodery.spaces.report import figures_report, thresholds_report

    store = store_of(models_dir)
    with training():
        fitted = fit_adapter(store, old, new, FitFiles(texts, queries, labels, column, most))
        manifest = publish_adapter(store, fitted, name)
    lines = figures_report(fitted.figures) + thresholds_report(fitted.thresholds)
    typer.echo("\n".join(lines))
    typer.echo(
        f"published: {manifest.name}/{manifest.version}, by {fitted.method} on {fitted.documents:,} "
        f"documents, of the space {manifest.space}",
        err=True,
    )


def apply(
    adapter: Annotated[str, typer.Argument(help="Name of the adapter, NAME or NAME@VERSION.")],
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Old vectors, as `encodery encode` wrote them.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File for the new ones.")],
    space: Space = None,
    models_dir: ModelsDir = None,
) -> None:
    """Turn a file of old vectors towards the new space. Continues an interrupted run."""
    from encodery.spaces.apply import apply as command

    with data_mistakes():
        meta = command(store_of(models_dir), adapter, source, out, space)
    typer.echo(f"{out}: {meta['rows']:,} vectors of {meta['space']}, near {meta['near']}", err=True)
