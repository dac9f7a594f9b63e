"""The command that encodes the rows of a file, or of each file in a directory."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from encodery.cli.common import (
    FAILED,
    INTERRUPTED,
    MISTAKE,
    ModelsDir,
    Url,
    Version,
    fail,
    served_from,
    trusted_keys,
)

if TYPE_CHECKING:
    from encodery.bulk.command import Summary


class Form(StrEnum):
    """The choices of --format, in the form that typer reads."""

    parquet = "parquet"
    npy = "npy"
    jsonl = "jsonl"


class Truncation(StrEnum):
    """The choices of --truncate, in the form that typer reads."""

    none = "none"
    end = "end"
    start = "start"


def encode(  # noqa: PLR0917  # typer calls it, by name
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="Rows to encode: .jsonl, .csv, .tsv or .parquet; a folder of files; a path, file:// or s3://.",
        ),
    ],
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="File for the vectors: .parquet, .npy or .jsonl; or a directory, for each of IN's.",
        ),
    ],
    model: Annotated[str, typer.Option(help="Name of the model.")] = "text",
    version: Version = None,
    models_dir: ModelsDir = None,
    url: Url = None,
    column: Annotated[
        str | None,
        typer.Option(
            "--column",
            "--text",
            help="Column that holds the input, for models that read one [default for texts: text].",
        ),
    ] = None,
    keep: Annotated[list[str] | None, typer.Option(help="Column to copy into OUT; may be repeated.")] = None,
    truncate: Annotated[
        Truncation, typer.Option(help="Where to cut an input that is too long; none: it is a bad row.")
    ] = Truncation.none,
    dimensions: Annotated[
        int | None, typer.Option(help="Length of the vectors, where the model was trained for several.")
    ] = None,
    now: Annotated[
        float | None,
        typer.Option(help="Unix time that times are relative to [default: the time of the run]."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Prompt of the model to put before every text [default: the model's default].",
        ),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(metavar="I/N", help="Part I of N of the rows, from 0; each run has an OUT of its own."),
    ] = "0/1",
    form: Annotated[
        Form | None, typer.Option("--format", help="Of the files in a directory OUT [default: parquet].")
    ] = None,
    work: Annotated[
        Path, typer.Option(metavar="DIR", help="Where files of a bucket pass through, and are gone on with.")
    ] = Path(),
) -> None:
    """Encode all rows of a file, or of a directory's. Continues what was stopped, and sets bad rows aside."""
    from bundle import EncoderyError
    from encodery.bulk.backends import Options
    from encodery.bulk.command import Job, Shard, run
    from encodery.bulk.many import encoded

    options = Options(truncate.value, dimensions, now, prompt)
    models = Path() if url else served_from(models_dir)
    trusted = None if url else trusted_keys()

    def encode_file(source: Path, out: Path) -> Summary:
        job = Job(source, out, model, version, models, url, column=column, keep=keep or (), options=options)
        return run(replace(job, shard=Shard.parsed(shard), trusted=trusted))

    try:
        for at, summary in encoded(source, out, form and form.value, work, encode_file):
            _tell(str(at), summary)
    except EncoderyError as error:
        fail(str(error), MISTAKE)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), FAILED)
    except KeyboardInterrupt:
        fail("stopped; give the same command to go on", INTERRUPTED)


def _tell(out: str, summary: Summary | None) -> None:
    """Say what came of a file; nothing came of one that was there."""
    if summary is None:
        typer.echo(f"{out}: is there, and stays", err=True)
        return
    typer.echo(f"{out}: {summary.rows:,} vectors of {summary.meta['space']}", err=True)
    if told := ", ".join(f"{name} {count:,}" for name, count in summary.warnings.items() if count):
        typer.echo(f"rows with warnings: {told}", err=True)
    if summary.bad:
        typer.echo(f"{summary.counts.report()}\nbad rows are in {out}.bad.jsonl", err=True)
