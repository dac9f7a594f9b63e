"""What training says to whoever started it."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Write a line to standard error: standard output is for results."""
    sys.stderr.write(line + "\n")
