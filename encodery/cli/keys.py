"""The command that makes API keys."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from encodery.cli.common import MISTAKE, fail


def new(
    name: Annotated[str, typer.Argument(help="What the key is called in the file, in logs and in metrics.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="encode, metrics or admin; may be repeated [default: encode].")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Pattern of models, as text*; may be repeated [default: all].")
    ] = None,
) -> None:
    """Make a key: print the secret on standard error, and its row for the file of keys on standard output.

    As in `encodery keys new search >> keys.toml`. The secret is shown once and kept nowhere.
    """
    from app.access import new_secret
    from app.access.keys import ALL_SCOPES, NAME

    if not re.fullmatch(NAME, name):
        fail("a name is 1 to 64 letters, digits, '_' and '-'", MISTAKE)
    scopes = scope or ["encode"]
    if unknown := set(scopes) - ALL_SCOPES:
        fail(f"there is no scope {min(unknown)}; there are {', '.join(sorted(ALL_SCOPES))}", MISTAKE)
    secret, digest = new_secret()
    typer.echo(f"{name}: {secret}", err=True)
    typer.echo(f'[{name}]\nsha256 = "{digest}"\nscopes = {json.dumps(scopes)}')
    if model:
        typer.echo(f"models = {json.dumps(model)}")
