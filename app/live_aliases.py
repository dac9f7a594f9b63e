"""The aliases of a running server: those of the setting, and those of a file, which may change meanwhile.

    # aliases.toml
    "text-embedding-3-small" = "text"
    "text-embedding-*" = "text/2"      # the first pattern that fits, where no name is written just so
    "*" = "text"                       # whatever else is asked for

Off unless a setting names a file. One that cannot be used stops the start; later what was read before stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import structlog

from app.aliases import AliasTable, useless, wrong_alias
from app.settings import Settings
from app.shared.audit import audit
from app.shared.files import toml_table
from app.shared.watched import WatchedFile

BY_FILE = "file of aliases"  # who changes them, as the audit has it
MOST = 1000  # of a file: each is looked at in every list of models

log = structlog.get_logger("encodery")


class AliasesError(ValueError):
    """The file of aliases cannot be used; the message names the line."""


class LiveAliases:
    """The aliases.

    Args:
        settings: name the file, and aliases of their own, which come before those of the file.
        copy: where processes that serve together keep the file as it was when it was good.

    Attributes:
        table: those of now.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(self, settings: Settings, copy: Path | None = None) -> None:
        self._fixed, path = settings.model_aliases, settings.aliases_file
        self._file = WatchedFile(path, parse_file, _tell_refused, copy) if path else None
        self._told: AliasTable | None = None
        self._use(self._file.first() if self._file else {})

    def tell_useless(self, versions: Mapping[str, Collection[str]]) -> None:
        """Warn of aliases that lead nowhere, once for each time they are read.

        Args:
            versions: of each model, those that are there or come.
        """
        if self.table is self._told:
            return
        self._told = self.table
        for name, target in self.table.items():
            if name not in self._fixed and (why := useless(name, target, versions)):
                log.warning("alias without effect", name=name, stands_for=target, reason=why)

    async def watch(self, then: Callable[[], None]) -> None:
        """Look for ever whether the file has changed, and call back when it has."""

        def use(found: dict[str, str]) -> None:
            self._use(found)
            then()

        if self._file is not None:
            await self._file.watch(use)

    def _use(self, found: dict[str, str]) -> None:
        self.table = AliasTable(
            {**self._fixed, **found, **self._fixed}
        )  # first by order, and by what they say
        if self._file is not None:
            audit("aliases.read", BY_FILE, aliases=len(found))

    def look_again(self) -> None:
        """Read the file at the next look, whether or not it seems to have changed."""
        if self._file is not None:
            self._file.look_again()


def parse_file(content: bytes, where: str) -> dict[str, str]:
    """The aliases in a file, in its order. Raises AliasesError."""
    table = toml_table(content, where, AliasesError)
    if len(table) > MOST:
        raise AliasesError(
            f'{where} has {len(table)} aliases, the limit is {MOST}; a pattern such as "e5-*" is many'
        )
    for name, target in table.items():
        number, line = _line(content.decode(), name)
        wrong = _wrong_table(line) if isinstance(target, dict) else wrong_alias(name, target)
        if wrong:
            raise AliasesError(f"{where}, line {number}: {wrong}")
    return table


def _wrong_table(line: str) -> str:
    """What is wrong where TOML reads a table: one was meant, or a name has dots."""
    if line.lstrip().startswith("[") or "." not in line.partition("=")[0]:
        return 'this is a table, and the file is one itself: each line of it is an alias, "name" = "model"'
    return 'a name with dots stands in quotes: "bge-small-en-v1.5" = "text"'


def _line(content: str, name: str) -> tuple[int, str]:
    """The line on which a name is written, and its number; TOML's parser does not tell."""
    start = re.compile(rf"""\s*\[*\s*["']?{re.escape(name)}["']?\s*[=.\]]""")
    lines = enumerate(content.splitlines(), 1)
    return next((found for found in lines if start.match(found[1])), (1, ""))


def _tell_refused(reason: str) -> None:
    audit("aliases.refused", BY_FILE, reason=reason, outcome="the aliases from before stay")
