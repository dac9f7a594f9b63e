"""The command that shows the server's settings, and where each comes from."""

from __future__ import annotations

import json
import os

import typer

from encodery.cli.common import MISTAKE, AsJson, fail

DEFAULT = "default"


def config(as_json: AsJson = False) -> None:
    """Print every setting of the server with its value and its source; secrets as asterisks."""
    from app.settings import PREFIX, SettingsError, sourced_settings, unknown_variables

    try:
        found = sourced_settings()
    except SettingsError as error:
        fail(str(error), MISTAKE)
    for variable, nearest in unknown_variables(os.environ).items():
        hint = f"; did you mean {nearest}?" if nearest else ""
        typer.echo(f"encodery: {variable} is no setting{hint}", err=True)
    rows = [
        (f"{PREFIX}{name.upper()}", value, found.sources.get(name, DEFAULT))
        for name, value in found.settings.shown().items()
    ]
    if as_json:
        typer.echo(
            json.dumps([dict(zip(("name", "value", "source"), row, strict=True)) for row in rows], indent=1)
        )
        return
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, value, source in rows:
        typer.echo(f"{name.ljust(widths[0])}  {value.ljust(widths[1])}  {source}")
