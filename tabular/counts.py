"""What became of the rows of a file: read, used, and left out, by reason.

"Read 541,909 rows of log.csv, used 397,884, left out 144,025: 135,080 x no user (lines 4, 9, 12, …)."
One `RowCounts` for one file, one `BadRows` for all files of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tabular.errors import DataError
from tabular.rows import Row, cut

BadRowsPolicy: TypeAlias = Literal["stop", "skip"]
SHOWN_PLACES = 3  # of a reason
SHOWN_REASONS = 20  # of a file; further ones are counted together
OTHER = "other reasons"


@dataclass
class Reason:
    """How many rows were left out for one reason, and the numbers of the first of them."""

    count: int = 0
    first: list[int] = field(default_factory=list)


@dataclass
class RowCounts:
    """Counts the rows of one file.

    Attributes:
        file: its name.
        unit: of its rows' numbers.
        read: rows that were there, good or bad.
        bad: reasons why rows could not be used.
        left_out: reasons why good ones were not wanted.
        notes: what else there is to say of the file, a sentence each.
    """

    file: str
    unit: Literal["line", "row"] = "line"
    read: int = 0
    bad: dict[str, Reason] = field(default_factory=dict)
    left_out: dict[str, Reason] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def used(self) -> int:
        """Rows that remained."""
        return self.read - sum(reason.count for reason in (*self.bad.values(), *self.left_out.values()))

    def add_bad(self, reason: str, number: int) -> None:
        """Count a row that cannot be used."""
        _count(self.bad, reason, number)

    def leave_out(self, reason: str, number: int) -> None:
        """Count a good row that is not wanted."""
        _count(self.left_out, reason, number)

    def report(self) -> str:
        """One line for people, and one for each note."""
        reasons = {**self.left_out, **self.bad}
        line = f"read {self.read:,} rows of {self.file}, used {self.used:,}"
        if reasons:
            told = "; ".join(_told(self.unit, name, reason) for name, reason in reasons.items())
            line += f", left out {self.read - self.used:,}: {told}"
        return "\n  ".join([line, *self.notes])


@dataclass
class BadRows:
    """Rows that cannot be used: `stop` at the first, or `skip` and count them, file by file.

    Attributes:
        files: what became of the rows of each file, in order.
    """

    policy: BadRowsPolicy = "stop"
    files: list[RowCounts] = field(default_factory=list)

    def counting(self, rows: Iterator[Row], file: str) -> Iterator[Row]:
        """Give the rows without a fault, and count them; `add` takes those that turn out to have one."""
        counts = RowCounts(file)
        self.files.append(counts)
        for row in rows:
            counts.read += 1
            if row.fault:
                self.add(row, row.fault)
            else:
                yield row

    def add(self, row: Row, fault: str) -> None:
        """Count a bad row of the file that is read now. Raises DataError where one is enough."""
        if self.policy == "stop":
            raise DataError(f"{row.place}: {fault}")
        counts = self.files[-1]
        counts.unit = "row" if row.unit.endswith("row") else "line"
        counts.add_bad(fault, row.number)

    @property
    def found(self) -> int:
        """How many bad rows there were."""
        return sum(reason.count for counts in self.files for reason in counts.bad.values())

    def report(self) -> str:
        """One line for each file that was read."""
        return "\n".join(counts.report() for counts in self.files)


def _count(reasons: dict[str, Reason], name: str, number: int) -> None:
    name = cut(name, 120)
    if name not in reasons and len(reasons) >= SHOWN_REASONS:
        name = OTHER
    reason = reasons.setdefault(name, Reason())
    reason.count += 1
    if len(reason.first) < SHOWN_PLACES:
        reason.first.append(number)


def _told(unit: str, name: str, reason: Reason) -> str:
    places = ", ".join(map(str, reason.first))
    more = ", …" if reason.count > len(reason.first) else ""
    plural = "s" if reason.count > 1 else ""
    return f"{reason.count:,} x {name} ({unit}{plural} {places}{more})"
