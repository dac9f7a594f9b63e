"""The commands for published models."""

from __future__ import annotations

import json
from dataclasses import replace
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
    keys: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of public keys, of which one must have signed each [env: ENCODERY_TRUSTED_KEYS]."
        ),
    ] = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Load every version as the server does: checksums, graph, golden vectors. Exit status 1 if one fails.

    Where keys say whose, signatures as well.
    """
    from bundle.signatures import read_trusted_keys
    from encodery.models import verified

    store = store_of(models_dir)
    if keys is not None:
        with bundle_mistakes():
            store = replace(store, trusted=read_trusted_keys(keys))
    known = store.names()
    if not known or not set(names or []) <= set(known):
        fail(f"{store.root} holds: {', '.join(known) or 'no models'}", MISTAKE)
    results = [result for name in names or known for result in verified(store, name)]
    if as_json:
        typer.echo(json.dumps(results, indent=1))
    else:
        for result in results:
            signed = f", signed by {result['signed_by']}" if result["signed_by"] else ""
            typer.echo(f"{result['name']}/{result['version']}: {result['fault'] or 'sound'}{signed}")
    if any(result["fault"] for result in results):
        raise typer.Exit(FAILED)


def sign(
    name: Name,
    key: Annotated[
        Path,
        typer.Option(help="PEM file of the private key; `openssl genpkey -algorithm ed25519` makes one."),
    ],
    version: Version = None,
    models_dir: ModelsDir = None,
) -> None:
    """Sign a published version, with those that were published with it; other signatures stay."""
    from bundle.signatures import signer
    from bundle.signing import sign_group

    with data_mistakes():
        pem = key.read_bytes()
        by, made = signer(pem), sign_group(store_of(models_dir).root, name, version, pem)
    typer.echo(f"signed by {by}: {', '.join(f'{one.name}/{one.version}' for one in made)}")


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
