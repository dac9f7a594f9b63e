"""What the commands share: options that several have, and how a mistake ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from bundle import Store

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130

ModelsDir = Annotated[
    Path | None,
    typer.Option("--models-dir", help="Directory of published models [env: ENCODERY_MODELS_DIR]."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Name = Annotated[str, typer.Argument(help="The model, for example text.")]
Config = Annotated[Path, typer.Argument(help="The run's TOML file, for example training/configs/text.toml.")]
Data = Annotated[Path | None, typer.Option(help="Where the config's paths start [env: ENCODERY_DATA].")]


def fail(message: str, status: int) -> NoReturn:
    """Say why on standard error, and end."""
    typer.echo(f"encodery: {message}", err=True)
    raise typer.Exit(status)


@contextlib.contextmanager
def bundle_mistakes() -> Iterator[None]:
    """What is asked for is not there, or not as it should be."""
    from bundle import BundleError

    try:
        yield
    except BundleError as error:
        fail(str(error), MISTAKE)


@contextlib.contextmanager
def training() -> Iterator[None]:
    """Whatever training raises on purpose becomes one sentence; a bug keeps its traceback."""
    from bundle import EncoderyError

    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("app", "bundle", "encodery", "training"):
            raise
        fail(
            f"training needs packages that are not installed ({error.name}); "
            "pip install 'encodery[train]', or in a checkout: python3 dev.py run train CONFIG",
            MISTAKE,
        )
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), MISTAKE)
    except EncoderyError as error:
        fail(str(error), MISTAKE)


def directory_of(models_dir: Path | None) -> Path:
    """Where the server would look for models."""
    from app.settings import SettingsError, settings_from

    try:
        return models_dir or settings_from().models_dir
    except SettingsError as error:
        fail(str(error), MISTAKE)


def store_of(models_dir: Path | None) -> Store:
    from bundle import Store

    directory = directory_of(models_dir)
    if not directory.is_dir():
        fail(f"there is no directory {directory}; set --models-dir or ENCODERY_MODELS_DIR", MISTAKE)
    return Store(directory)
