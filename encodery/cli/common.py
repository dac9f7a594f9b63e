"""Options that several commands have, and the way a mistake ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from bundle import Store
    from bundle.signatures import TrustedKeys

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130

ModelsDir = Annotated[
    Path | None,
    typer.Option("--models-dir", help="Directory of published models [env: ENCODERY_MODELS_DIR]."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[str, typer.Argument(help="Name of the model, for example text.")]
Version = Annotated[str | None, typer.Option(help="Version of the model [default: the current one].")]
Url = Annotated[str | None, typer.Option(help="URL of a running server, in place of bundles on disk.")]
Config = Annotated[Path, typer.Argument(help="TOML file of the run, for example training/configs/text.toml.")]
Data = Annotated[
    Path | None, typer.Option(help="Directory that the config's paths start from [env: ENCODERY_DATA].")
]


def fail(message: str, status: int) -> NoReturn:
    """Print the message on standard error, and exit."""
    typer.echo(f"encodery: {message}", err=True)
    raise typer.Exit(status)


@contextlib.contextmanager
def bundle_mistakes() -> Iterator[None]:
    """Turn an error about a bundle into one sentence."""
    from bundle import BundleError

    try:
        yield
    except BundleError as error:
        fail(str(error), MISTAKE)


@contextlib.contextmanager
def data_mistakes() -> Iterator[None]:
    """Turn an error about a bundle or a file into one sentence."""
    from bundle import EncoderyError

    try:
        yield
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), MISTAKE)
    except EncoderyError as error:
        fail(str(error), MISTAKE)


@contextlib.contextmanager
def training() -> Iterator[None]:
    """Turn what training raises on purpose into one sentence; a bug keeps its traceback."""
    try:
        with data_mistakes():
            yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("app", "bundle", "encodery", "tabular", "training"):
            raise
        fail(
            f"training needs packages that are not installed ({error.name}); "
            "in a checkout of encodery: python3 dev.py run train CONFIG",
            MISTAKE,
        )


def directory_of(models_dir: Path | None) -> Path:
    """Find the directory where models are to be published."""
    from app.settings import SettingsError, settings_from

    try:
        return models_dir or settings_from().models_dir
    except SettingsError as error:
        fail(str(error), MISTAKE)


def served_from(models_dir: Path | None) -> Path:
    """Find the directory where the server would look for models: maybe those that came with the package."""
    from app.settings import SettingsError, settings_from, with_shipped

    try:
        return models_dir or with_shipped(settings_from()).models_dir
    except SettingsError as error:
        fail(str(error), MISTAKE)


def store_of(models_dir: Path | None) -> Store:
    """Open the published models, or fail with a sentence."""
    from bundle import Store

    directory = served_from(models_dir)
    if not directory.is_dir():
        fail(f"there is no directory {directory}; set --models-dir or ENCODERY_MODELS_DIR", MISTAKE)
    return Store(directory, trusted_keys())


def trusted_keys() -> TrustedKeys | None:
    """The keys of which one must have signed what is used; None where nobody demands it."""
    from app.settings import SettingsError, settings_from
    from bundle.signatures import read_trusted_keys

    try:
        path = settings_from().trusted_keys
    except SettingsError as error:
        fail(str(error), MISTAKE)
    with bundle_mistakes():
        return read_trusted_keys(path) if path else None
