"""The commands that fetch published models from elsewhere, and send them there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from encodery.cli.common import ModelsDir, bundle_mistakes, directory_of, served_from, trusted_keys

if TYPE_CHECKING:
    from bundle import Manifest

Where = Annotated[
    str,
    typer.Argument(
        metavar="PLACE",
        help="A directory of models, https://HOST/PATH, s3://BUCKET/PREFIX or oci://REGISTRY/PREFIX.",
    ),
]
Which = Annotated[str, typer.Argument(metavar="NAME", help="A model: NAME, NAME@VERSION or NAME@ALIAS.")]


def pull(
    place: Where,
    name: Which,
    use: Annotated[bool, typer.Option(help="Make it the current version.")] = True,
    models_dir: ModelsDir = None,
) -> None:
    """Fetch a published version: verified, proven, then made current. What was cut short goes on."""
    from encodery import transfer

    models = directory_of(models_dir)
    with bundle_mistakes():
        wanted = transfer.Wanted.parsed(name)
        done = transfer.pull(
            transfer.place_of(place), wanted, models, use=use, progress=_shown, trusted=trusted_keys()
        )
    _told(done, "current" if use else "fetched")


def push(
    place: Where,
    name: Which,
    use: Annotated[bool, typer.Option(help="Make it the current version there.")] = True,
    models_dir: ModelsDir = None,
) -> None:
    """Send a published version elsewhere, with those that were published with it."""
    from encodery import transfer

    models = served_from(models_dir)
    with bundle_mistakes():
        done = transfer.push(
            transfer.place_of(place), transfer.Wanted.parsed(name), models, use=use, trusted=trusted_keys()
        )
    _told(done, "current there" if use else "sent")


def _told(done: list[Manifest], what: str) -> None:
    typer.echo(f"{what}: {', '.join(f'{one.name}/{one.version}' for one in done)}")


def _shown(manifest: Manifest, file: str, done: int, size: int) -> None:
    """A line for each file that has come; to a person how much of it, too."""
    line = f"{manifest.name}/{manifest.version}  {file}  {done / 1e6:.1f} of {size / 1e6:.1f} MB"
    if done == size:
        typer.echo(f"{line}", err=True)
    elif sys.stderr.isatty():
        typer.echo(f"{line}\r", err=True, nl=False)
