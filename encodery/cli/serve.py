"""The command that serves the published models."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from encodery.cli.common import FAILED, MISTAKE, ModelsDir, fail

if TYPE_CHECKING:
    from app.settings import Settings
    from app.shared.unmet import Unmet


def _fetch(settings: Settings) -> Sequence[Unmet]:
    """Fetch the models that are to be fetched at start; gives those that could not be had."""
    if not settings.pull:
        return ()
    from app.setting_types import pulls
    from app.shared.unmet import Unmet
    from bundle import BundleError
    from bundle.signatures import read_trusted_keys
    from encodery.transfer import at_start

    try:
        trusted = read_trusted_keys(settings.trusted_keys) if settings.trusted_keys else None
    except BundleError as error:
        fail(f"ENCODERY_TRUSTED_KEYS cannot be used: {error}", FAILED)
    failed = at_start(pulls(settings.pull), settings.models_dir, trusted)
    return [Unmet(setting="ENCODERY_PULL", reason=reason) for reason in failed]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [env: ENCODERY_HOST].")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, 0 for any [env: ENCODERY_LISTEN_PORT].")
    ] = None,
    socket: Annotated[
        Path | None, typer.Option(help="Unix socket to listen on, in place of these [env: ENCODERY_SOCKET].")
    ] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Serve the published models. Every other setting is a variable; `encodery config` shows them all."""
    if socket is not None and (host, port) != (None, None):
        fail("--socket stands in place of --host and --port; give one or the other", MISTAKE)
    gc.disable()  # until it serves: nearly all that is imported stays, and looking for the rest takes a tenth
    from app.process.launcher import serve as run
    from app.settings import SettingsError, settings_from, with_shipped
    from app.shared.listener import CannotServe

    try:
        settings = settings_from(host=host, listen_port=port, socket=socket, models_dir=models_dir)
        if status := run(with_shipped(settings), _fetch):
            raise typer.Exit(status)
    except SettingsError as error:
        fail(str(error), MISTAKE)
    except CannotServe as error:
        fail(str(error), FAILED)
    finally:
        gc.enable()
