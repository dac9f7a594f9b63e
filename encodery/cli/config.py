"""The command that shows the server's settings, and where each comes from."""

from __future__ import annotations

import json
import os

import typer

from encodery.cli.common import MISTAKE, AsJson, fail

DEFAULT = "default"


def config(as_json: AsJson = False) -> None:
    """Print every setting of the server with its value and its source; secrets as asterisks."""
    from app.proving import as_served
    from app.settings import PREFIX, SettingsError, sourced_settings, unknown_variables, with_shipped
    from bundle import Store

    try:
        found = sourced_settings()
    except SettingsError as error:
        fail(str(error), MISTAKE)
    for variable, nearest in unknown_variables(os.environ).items():
        hint = f"; did you mean {nearest}?" if nearest else ""
        typer.echo(f"encodery: {variable} is no setting{hint}", err=True)
    given = with_shipped(found.settings)
    sources = found.sources if given is found.settings else {**found.sources, "models_dir": "package"}
    settings = as_served(given, Store(given.models_dir).names())
    rows = [
        {"name": f"{PREFIX}{name.upper()}", "value": value, "source": sources.get(name, DEFAULT)}
        for name, value in (settings.values() if as_json else settings.shown()).items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    widths = {column: max(len(row[column]) for row in rows) for column in ("name", "value")}
    for row in rows:
        typer.echo(
            "  ".join([row[column].ljust(width) for column, width in widths.items()] + [row["source"]])
        )
