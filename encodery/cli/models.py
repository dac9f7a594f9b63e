"""The commands for published models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from encodery.cli.common import (
    FAILED,
    MISTAKE,
    AsJson,
    ModelsDir,
    Name,
    Version,
    bundle_mistakes,
    data_mistakes,
    fail,
    store_of,
    training,
)


def list_models(models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """List every published version, and mark the current ones. Reads manifests only: see `verify`."""
    from encodery.models import listed, table

    store = store_of(models_dir)
    if as_json:
        typer.echo(json.dumps(listed(store), indent=1))
    else:
        typer.echo(table(listed(store)) or f"no models in {store.root}")


def show(
    name: Name,
    version: Version = None,
    models_dir: ModelsDir = None,
) -> None:
    """Print the manifest of one version, as JSON."""
    store = store_of(models_dir)
    with bundle_mistakes():
        manifest = store.manifest(name, version or store.current(name))
        typer.echo(manifest.to_bytes().decode(), nl=False)


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models to verify [default: all].")
    ] = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Load every version as the server does: checksums, graph, golden vectors. Exit status 1 if one fails."""
    from encodery.models import verified

    store = store_of(models_dir)
    known = store.names()
    if not known or not set(names or []) <= set(known):
        fail(f"{store.root} holds: {', '.join(known) or 'no models'}", MISTAKE)
    results = [result for name in names or known for result in verified(store, name)]
    if as_json:
        typer.echo(json.dumps(results, indent=1))
    else:
        for result in results:
            typer.echo(f"{result['name']}/{result['version']}: {result['fault'] or 'sound'}")
    if any(result["fault"] for result in results):
        raise typer.Exit(FAILED)


def describe(  # noqa: PLR0917  # typer calls it, by name
    name: Name,
    version: Version = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(help="results.json of `evaluate`, for the card; may be repeated."),
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="That it was trained for, as en; may be repeated.")
    ] = None,
    not_for: Annotated[str | None, typer.Option(help="What it should not be used for, in words.")] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Publish an encoder again with more in its card; its vectors and its space stay as they are."""
    if not results and not language and not_for is None:
        fail("there is nothing to say; give --results, --language or --not-for", MISTAKE)
    store = store_of(models_dir)
    with training(), bundle_mistakes():
        from bundle import publish
        from training.describe import described

        found = version or store.current(name)
        draft = described(
            store, name, found, results=results or (), languages=language or (), not_for=not_for
        )
        (manifest,) = publish(store.root, [draft])
    typer.echo(f"current: {name}/{manifest.version}, of the same space as {name}/{found}")


def respell(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Encoders; one that is joined before those that join it."),
    ],
    models_dir: ModelsDir = None,
) -> None:
    """Publish text encoders again, to read misspelt words as they were meant, and what joins them."""
    store = store_of(models_dir)
    with training(), bundle_mistakes():
        from training.text.respelt import publish_respelt

        for manifest in publish_respelt(store, names):
            typer.echo(f"current: {manifest.name}/{manifest.version}, space {manifest.space}")


def compare(  # noqa: PLR0917  # typer calls it, by name
    old: Annotated[str, typer.Argument(metavar="A", help="The model in use, as NAME or NAME@VERSION.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The one that may follow it.")],
    queries: Annotated[Path, typer.Option(help="Inputs to compare by: .jsonl, .csv, .tsv or .parquet.")],
    documents: Annotated[
        Path | None, typer.Option(help="What is searched, by the peer of a pair [default: the queries].")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Which documents answer which query: columns query-id, corpus-id and score."),
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option(help="TOML file of bounds on the figures. Exit status 1 if one is broken."),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column that holds the input, for models that read one.")
    ] = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions, or two models, on the same inputs: neighbours kept, queries lost, time."""
    from encodery.spaces.compare import Files, compare
    from encodery.spaces.gate import Gate
    from encodery.spaces.report import comparison_report

    store = store_of(models_dir)
    with data_mistakes():
        bounds = Gate.from_file(gate) if gate else None
        comparison = compare(store, old, new, Files(queries, documents, labels, column))
        reasons = bounds.reasons(comparison) if bounds else []
    if as_json:
        typer.echo(json.dumps(comparison.to_json() | {"refused": reasons}, indent=1))
    else:
        typer.echo(comparison_report(comparison))
    if reasons:
        fail(f"{comparison.new} may not follow {comparison.old}: {'; '.join(reasons)}", FAILED)
    if bounds:
        typer.echo(f"{comparison.new} may follow {comparison.old}", err=True)
