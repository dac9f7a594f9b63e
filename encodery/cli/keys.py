"""The command that makes API keys."""

from __future__ import annotations

from typing import Annotated

import typer


def new(
    name: Annotated[str, typer.Argument(help="What the key is called in the file, in logs and in metrics.")],
) -> None:
    """Make a key: print the secret on standard error, and its row for the file of keys on standard output.

    As in `encodery keys new search >> keys.toml`. The secret is shown once and kept nowhere.
    """
    from app.access import new_secret

    secret, digest = new_secret()
    typer.echo(f"{name}: {secret}", err=True)
    typer.echo(f'[{name}]\nsha256 = "{digest}"\nscopes = ["encode"]')
