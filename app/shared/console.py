"""The log for a person at a terminal: one line for each event, and those of the start as a table, in colour.

Knows the names of a few events and of what they tell; an event that it does not know stands with its time,
its level and its values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import structlog
from structlog.typing import EventDict

BOLD, DIM, RED, GREEN, CYAN, END = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"
NAME, VERSION, SPACE, SIZE, KIND = 16, 7, 35, 6, 9  # widths of the columns; what is longer moves the rest

Paint: TypeAlias = Callable[[str, str], str]


class Console:
    """Writes an event as a line.

    Args:
        in_colour: the terminal shows it.
    """

    def __init__(self, *, in_colour: bool) -> None:
        self._paint: Paint = _coloured if in_colour else _plain
        self._others = structlog.dev.ConsoleRenderer(colors=in_colour, sort_keys=False, pad_event_to=0)

    def __call__(self, logger: Any, name: str, event: EventDict) -> str:
        """As structlog calls the last processor."""
        form = _FORMS.get(event["event"])
        if form is None:
            return str(self._others(logger, name, event))
        line = form(event, self._paint)
        if "worker" in event:
            line += self._paint(DIM, f"  worker {event['worker']}")
        return line


def _settings(event: EventDict, paint: Paint) -> str:
    given = {name: value for name, value in event.items() if name not in _COMMON}
    place = given.pop("models_dir", None)
    said = "  ".join(f"{name}={value}" for name, value in given.items())
    rest = paint(DIM, f"{'all else' if said else 'all'} by default; encodery config shows it")
    return "  ".join(filter(None, [f"{paint(BOLD, 'encodery')}  models from {place}", said, rest]))


def _model(event: EventDict, paint: Paint) -> str:
    columns = [_names(event, paint), paint(DIM, str(event.get("space", "")).ljust(SPACE))]
    columns += [str(event.get("dim", "")).rjust(SIZE), str(event.get("kind", "")).ljust(KIND)]
    return "  ".join([*columns, paint(GREEN, "ready") + _after(event)])


def _refused(event: EventDict, paint: Paint) -> str:
    return f"{_names(event, paint)}  {paint(RED, 'refused')}: {event.get('reason')}"


def _ready(event: EventDict, paint: Paint) -> str:
    url = str(event.get("url"))
    hint = (
        f"needs {event['needs']}"
        if "needs" in event
        else f"open it in a browser to try it; the API is at {paint(CYAN, f'{url}/docs')}"
    )
    return f"{paint(BOLD, 'serving')}   {paint(CYAN, url)}  {hint}"


def _names(event: EventDict, paint: Paint) -> str:
    return f"{paint(BOLD, str(event.get('name')).ljust(NAME))}  {str(event.get('version')).ljust(VERSION)}"


def _after(event: EventDict) -> str:
    return f" in {event['load_ms'] / 1e3:.1f} s" if "load_ms" in event else ""


def _coloured(colour: str, text: str) -> str:
    return f"{colour}{text}{END}"


def _plain(colour: str, text: str) -> str:
    return text


_COMMON = frozenset({"event", "level", "timestamp", "worker"})
_FORMS: dict[str, Callable[[EventDict, Paint], str]] = {
    "settings": _settings,
    "model": _model,
    "refused": _refused,
    "ready": _ready,
}
