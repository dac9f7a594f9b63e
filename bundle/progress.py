"""Progress of a long step: a bar on a terminal, a plain line now and then elsewhere.

The numbers shown are the step's own (loss, rate, metric); this module only draws them. Of steps inside each
other the inner one speaks, and what it has told of the time the outer one leaves out.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

LINE_EVERY_S = 15.0
SILENT_S = 1.5  # a step that takes longer says what it is


@dataclass
class _Inner:
    """The steps inside of a step: how many run, and the seconds that they have told."""

    running: int = 0
    told_s: float = 0.0


_around: ContextVar[_Inner | None] = ContextVar("_around", default=None)  # of the innermost step that runs


@contextmanager
def _inside() -> Iterator[tuple[_Inner, _Inner]]:
    """Around a step: what is known of the steps in the one around it, and in itself."""
    outer, inner = _around.get() or _Inner(), _Inner()
    outer.running += 1
    token = _around.set(inner)
    try:
        yield outer, inner
    finally:
        _around.reset(token)
        outer.running -= 1


@contextmanager
def phase(label: str, *, stream: TextIO | None = None, silent_s: float = SILENT_S) -> Iterator[None]:
    """Around a step whose length nobody knows: says what it is once it is long, and how long it took.

    Steps inside of it speak for themselves: it is quiet while they run, and their time is no part of its own.

    Args:
        label: what is done, as "read log.csv".
        stream: where to write; by default standard error.
        silent_s: seconds before the first line; the next come every 15 s.
    """
    out, start, is_over = stream or sys.stderr, time.monotonic(), threading.Event()

    def write(line: str) -> None:
        out.write(f"{label}{line}\n")
        out.flush()

    def tell(inner: _Inner) -> None:
        wait = silent_s
        while not is_over.wait(wait):
            if not inner.running:
                write(" ..." if wait == silent_s else f" ... {time.monotonic() - start:.0f} s")
                wait = LINE_EVERY_S

    with _inside() as (outer, inner):
        teller = threading.Thread(target=tell, args=[inner], name="phase", daemon=True)
        teller.start()
        try:
            yield
        finally:
            is_over.set()
            teller.join()
        took_s = time.monotonic() - start
        outer.told_s += inner.told_s
        if (own_s := took_s - inner.told_s) >= silent_s:
            outer.told_s += own_s
            write(f": {own_s:.1f} s" + (f", {took_s:.1f} s in all" if inner.told_s else ""))


class Progress:
    """A context manager around one long step.

    On a terminal it is a rich bar; otherwise one line every 15 s and one at the end, so that a log
    file stays readable.

    Args:
        total: how many units the step has.
        label: its name.
        unit: what is counted, in the plural.
        done: units that an earlier run has done.
        stream: where to draw; by default standard error.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        *,
        total: int,
        label: str,
        unit: str,
        done: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.label, self.unit, self.done = total, label, unit, done
        self.stream = stream or sys.stderr
        self.facts = ""
        self._clock, self._around = clock, ExitStack()
        self._start, self._first = clock(), done
        self._next_line = self._start + LINE_EVERY_S
        self._bar: RichProgress | None = None
        if self.stream.isatty():
            self._bar = RichProgress(
                TextColumn("{task.description}", markup=False),  # [brackets] are no markup
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[facts]}", markup=False),
                console=Console(file=self.stream),
            )
            self._task = self._bar.add_task(label, total=total, completed=done, facts="")

    def advance(self, n: int, facts: str = "") -> None:
        """Say that `n` more are done, and what is known (for example `loss 0.31`)."""
        self.done += n
        self.facts = facts
        if self._bar is not None:
            self._bar.update(self._task, advance=n, facts=f"{self.rate:,.0f} {self.unit}/s {facts}")
        elif self._clock() >= self._next_line:
            self._next_line = self._clock() + LINE_EVERY_S
            self._line()

    @property
    def rate(self) -> float:
        """Units per second since this step began (what a resumed run had done before not counted)."""
        return (self.done - self._first) / max(self._clock() - self._start, 1e-9)

    def _line(self) -> None:
        left_s = (self.total - self.done) / self.rate if self.rate else float("inf")
        left = "unknown" if left_s == float("inf") else f"{left_s:.0f} s"
        line = f"{self.label}: {self.done}/{self.total} {self.unit}, {self.rate:,.0f}/s, {left} left"
        self.stream.write(f"{line} {self.facts}".rstrip() + "\n")
        self.stream.flush()

    def __enter__(self) -> Progress:
        self._outer, _ = self._around.enter_context(_inside())
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        else:
            self._line()
        self._outer.told_s += self._clock() - self._start
        self._around.close()
