"""Asks for changes of the models that are served, in the words of errors that HTTP has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.access import CALLER
from app.engine import UnknownVersion
from app.generations import AnyChange, Outcome
from app.http.context import Context
from app.http.errors import AliasChanged, Conflict, InvalidRequest, UnknownPath
from bundle import EncoderyError

NO_ALIAS = "the model has no alias of that name; GET /models shows those that it has"
NOBODY = "loopback"  # who asks where there are no keys


def who() -> str:
    """Who asks, for the history and the audit."""
    name = CALLER.get().key.name
    return f"key {name}" if CALLER.get().key.digests else NOBODY


def check_model(context: Context, name: str) -> str:
    """The model's own name, if the caller may ask for it. Raises UnknownModel."""
    return context.registry.model(name).name


async def make(context: Context, change: AnyChange) -> Outcome:
    """Make a change, and return when no process answers as before any more.

    Raises:
        UnknownModel, UnknownVersion: there is no such thing on the disk.
        UnknownPath: there is no such alias to remove.
        InvalidRequest: what is asked for cannot be.
        AliasChanged: somebody else was sooner.
        Conflict: it would break what is there, or it could not be done; nothing has changed.
    """
    if context.ask is None:
        raise Conflict("the models of this server are fixed", code="failed")
    try:
        done = await context.ask(change)
    except OSError:
        raise Conflict("the server ends", code="failed") from None
    if done.reason is not None:
        raise _ERRORS[done.code](done.reason)
    return done


_ERRORS: Mapping[str, Callable[[str], EncoderyError]] = {
    "not_published": UnknownVersion,
    "not_valid": lambda reason: InvalidRequest(reason, code="invalid_alias", param="alias"),
    "no_alias": lambda reason: UnknownPath(NO_ALIAS),
    "alias_changed": lambda reason: AliasChanged(reason, code="alias_changed", param="If-Match"),
    "space_change": lambda reason: Conflict(reason, code="space_change", param="new_space"),
    "in_use": lambda reason: Conflict(reason, code="in_use"),
    "not_sound": lambda reason: Conflict(reason, code="not_sound"),
    "failed": lambda reason: Conflict(reason, code="failed"),
}
