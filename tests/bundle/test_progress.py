"""What a person sees of a long step, on a terminal and in a log file."""

from __future__ import annotations

import io
import os
import re
import select
import time
from pathlib import Path

import pytest

from bundle.progress import LINE_EVERY_S, Progress, phase


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_now_and_then_with_rate_and_time_left() -> None:
    """40 units in 20 s are 2 a second; the other 60 take 30 s."""
    stream, clock = io.StringIO(), Clock()
    with Progress(total=100, label="train x", unit="steps", stream=stream, clock=clock) as progress:
        clock.now += LINE_EVERY_S - 1
        progress.advance(10, "loss 0.50")
        assert stream.getvalue() == ""
        clock.now += 6
        progress.advance(30, "loss 0.25")
        assert stream.getvalue() == "train x: 40/100 steps, 2/s, 30 s left loss 0.25\n"
        clock.now += LINE_EVERY_S - 1
        progress.advance(10, "loss 0.20")
        assert stream.getvalue().count("\n") == 1


def test_the_last_line_is_always_written() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(total=10, label="teacher", unit="texts", stream=stream, clock=clock) as progress:
        clock.now += 1
        progress.advance(10)

    assert stream.getvalue() == "teacher: 10/10 texts, 10/s, 0 s left\n"


def test_the_last_line_is_written_when_the_step_fails() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), Progress(total=10, label="x", unit="texts", stream=stream):
        raise ZeroDivisionError

    assert stream.getvalue() == "x: 0/10 texts, 0/s, unknown left\n"


def test_what_an_earlier_run_did_does_not_count_for_the_rate() -> None:
    """10 of the 60 done took 5 s: 2 a second, 20 s for the other 40."""
    stream, clock = io.StringIO(), Clock()
    with Progress(total=100, label="x", unit="steps", done=50, stream=stream, clock=clock) as progress:
        clock.now += 5
        progress.advance(10)

    assert stream.getvalue() == "x: 60/100 steps, 2/s, 20 s left\n"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="pseudo-terminals are a thing of Unix")
def test_a_terminal_gets_a_bar_that_shows_brackets_as_they_are() -> None:
    """Names of files and runs are no markup of rich: [red] and [/] would vanish, or raise."""
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream:
        with Progress(total=2, label="teacher [red] [/x].txt", unit="texts", stream=stream) as progress:
            progress.advance(2, "loss [0.5]")
        shown = ""
        while "2/2" not in shown:  # what was written may arrive in pieces; never at all is a failure
            assert select.select([controller], [], [], 10)[0], shown
            shown += os.read(controller, 1 << 16).decode()
    os.close(controller)

    assert "[red]" in shown


def test_the_default_stream_is_standard_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Progress(total=1, label="x", unit="texts"):
        pass
    captured = capsys.readouterr()

    assert captured.out == ""
    assert captured.err.startswith("x: 0/1 texts")


def test_a_short_phase_says_nothing() -> None:
    stream = io.StringIO()
    with phase("read log.csv", stream=stream, silent_s=30.0):
        pass

    assert stream.getvalue() == ""


def test_a_long_phase_says_what_it_is_while_it_runs() -> None:
    stream = io.StringIO()
    with phase("read log.csv", stream=stream, silent_s=0.01):
        while not stream.getvalue():
            time.sleep(0.005)

    assert re.fullmatch(r"read log\.csv \.\.\.\nread log\.csv: \d+\.\d s\n", stream.getvalue())


def test_a_phase_that_fails_tells_no_time() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), phase("x", stream=stream, silent_s=0.0):
        raise ZeroDivisionError

    assert ": " not in stream.getvalue()


def test_of_steps_inside_each_other_each_second_is_told_once() -> None:
    """The outer phase is quiet while others speak, and tells its own time and the whole."""
    stream = io.StringIO()
    with phase("measure", stream=stream, silent_s=0.2):
        with phase("tune", stream=stream, silent_s=0.1):
            time.sleep(0.35)
        with Progress(total=1, label="encode", unit="texts", stream=stream):
            time.sleep(0.35)
        time.sleep(0.25)

    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["tune ...", lines[1]]
    assert re.fullmatch(r"tune: \d\.\d s", lines[1])
    assert lines[2].startswith("encode: 0/1 texts")
    assert (last := re.fullmatch(r"measure: (\d\.\d) s, (\d\.\d) s in all", lines[-1]))
    assert 0.2 <= float(last[1]) <= float(last[2]) - 0.6


def test_a_phase_that_did_nothing_besides_others_tells_no_time() -> None:
    stream = io.StringIO()
    with phase("measure", stream=stream, silent_s=0.2), phase("tune", stream=stream, silent_s=0.1):
        time.sleep(0.3)

    assert "measure" not in stream.getvalue()
    assert "tune: " in stream.getvalue()


def test_a_step_that_fails_leaves_the_ones_around_it_speaking() -> None:
    stream = io.StringIO()
    with phase("measure", stream=stream, silent_s=0.01):
        with pytest.raises(ZeroDivisionError), phase("tune", stream=stream, silent_s=9.0):
            raise ZeroDivisionError
        while not stream.getvalue():
            time.sleep(0.005)

    assert stream.getvalue().startswith("measure ...\nmeasure: ")
