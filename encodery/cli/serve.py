"""Commands that run encoders: a server, and a file of rows."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from encodery.cli.common import FAILED, INTERRUPTED, MISTAKE, ModelsDir, directory_of, fail


class Truncation(StrEnum):
    """As typer wants the choices."""

    none = "none"
    end = "end"
    start = "start"


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [env: ENCODERY_HOST].")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, 0 for any [env: ENCODERY_LISTEN_PORT].")
    ] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Serve the published models. Every other setting is an ENCODERY_* variable; the log shows them all."""
    from app.process.launcher import serve as run
    from app.settings import SettingsError, settings_from
    from app.shared.listener import CannotServe

    try:
        run(settings_from(host=host, listen_port=port, models_dir=models_dir))
    except SettingsError as error:
        fail(str(error), MISTAKE)
    except CannotServe as error:
        fail(str(error), FAILED)


def encode(  # noqa: PLR0917  # typer calls it, by name
    source: Annotated[Path, typer.Argument(metavar="IN", help="Rows: .jsonl, .csv or .parquet.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Vectors: .parquet, .npy or .jsonl.")],
    model: Annotated[str, typer.Option(help="The model.")] = "text",
    version: Annotated[str | None, typer.Option(help="Of the model; default: the current one.")] = None,
    models_dir: ModelsDir = None,
    url: Annotated[str | None, typer.Option(help="A running server, in place of bundles on disk.")] = None,
    text: Annotated[str, typer.Option(help="The column that a text model reads.")] = "text",
    keep: Annotated[
        list[str] | None, typer.Option(help="A column to go into OUT as it is; may be repeated.")
    ] = None,
    truncate: Annotated[
        Truncation, typer.Option(help="What becomes of a text that is too long; none: it is a bad row.")
    ] = Truncation.none,
    dimensions: Annotated[int | None, typer.Option(help="Fewer, where the model was trained for it.")] = None,
    now: Annotated[float | None, typer.Option(help="Unix time that times are relative to.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The model's prompt before every text; default: its own."),
    ] = None,
) -> None:
    """Encode every row of a file. Goes on where an interrupted run stopped; bad rows are set aside."""
    from bundle import EncoderyError
    from encodery.bulk.backends import Options
    from encodery.bulk.command import Asked, run

    options = Options(truncate.value, dimensions, now, prompt)
    models = Path() if url else directory_of(models_dir)
    asked = Asked(source, out, model, version, models, url, text=text, keep=keep or (), options=options)
    try:
        done = run(asked)
    except EncoderyError as error:
        fail(str(error), MISTAKE)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), FAILED)
    except KeyboardInterrupt:
        fail("stopped; give the same command to go on", INTERRUPTED)
    typer.echo(f"{out}: {done.rows:,} vectors of {done.meta['space']}", err=True)
    if done.truncated:
        typer.echo(f"{done.truncated:,} rows were too long and were cut", err=True)
    if done.bad:
        typer.echo(f"{done.bad:,} bad rows, with reasons in {out}.bad.jsonl", err=True)
