"""What is to be said of a difference: equal, equal but for words, better kept as it is, or wrong.

Which differences are better kept, and why, stands in verdicts/*.toml, one file by protocol:

    servers = ["tei"]              # first words of the names of recordings that it judges
    of_model = ["POST /tokenize"]  # routes whose answers are the model's own words: their types are compared

    [[kept]]
    request = "a blank text"       # for people, as is `why`
    why = "..."
    routes = ["POST /embed"]       # and what else must hold; each is a pattern of the shell, or left out
    theirs = "200"
    ours = "4??"
    body = 'regular expression that is in the body of the request'
    said = 'the same of their answer'
    answer = 'the same of our answer'
    differs = 'the same of the first difference'
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from replay.compare import Comparing, Difference
from replay.recorded import Answer, Recorded

TABLES = Path(__file__).parent / "verdicts"

Verdict = Literal["equal", "words", "kept", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Differences that are better kept; the fields are those of the table."""

    request: str
    why: str
    routes: Sequence[str] = ("*",)
    theirs: str = "*"
    ours: str = "*"
    body: str = ""
    said: str = ""
    answer: str = ""
    differs: str = ""

    def holds(self, recorded: Recorded, ours: Answer, differences: Sequence[Difference]) -> bool:
        """Tell whether it is one of these."""
        return (
            any(fnmatchcase(recorded.route, route) for route in self.routes)
            and fnmatchcase(str(recorded.answer.status), self.theirs)
            and fnmatchcase(str(ours.status), self.ours)
            and re.search(self.body, recorded.text, re.DOTALL) is not None
            and re.search(self.said, json.dumps(recorded.answer.body)) is not None
            and re.search(self.answer, json.dumps(ours.body)) is not None
            and re.search(self.differs, differences[0].what) is not None
        )


@dataclass(frozen=True, slots=True)
class Table:
    """The verdicts on one protocol."""

    servers: Sequence[str] = ()
    of_model: Sequence[str] = ()
    kept: Sequence[Kept] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A request with both answers, and the verdict.

    Attributes:
        row: of the table, where it is better kept.
    """

    recorded: Recorded
    ours: Answer
    verdict: Verdict
    differences: Sequence[Difference] = field(default_factory=list)
    row: Kept | None = None


def table_for(server: str) -> Table:
    """The table of a recording by its name, `tei-1.9.3`; an empty one where there is none."""
    for path in sorted(TABLES.glob("*.toml")):
        table = read(path)
        if server.partition("-")[0] in table.servers:
            return table
    return Table()


def read(path: Path) -> Table:
    """Read a table. Raises TypeError for a name that there is not."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    kept = [Kept(**row) for row in content.pop("kept", [])]
    return Table(**content, kept=kept)


def judge(recorded: Recorded, ours: Answer, table: Table, *, is_same_model: bool = False) -> Judged:
    """The verdict on one answer."""
    of_model = any(fnmatchcase(recorded.route, route) for route in table.of_model)
    found = Comparing(is_same_model, of_model and not is_same_model).answers(recorded.answer, ours)
    if all(one.kind == "words" for one in found):
        return Judged(recorded, ours, "words" if found else "equal", found)
    found.sort(key=lambda one: one.kind == "words")
    row = next((one for one in table.kept if one.holds(recorded, ours, found)), None)
    return Judged(recorded, ours, "wrong" if row is None else "kept", found, row)
