"""What every client's program asks for, and what its user sees of an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TEXTS = ["hello world", "the cat sat on the mat"]
ABSENT = "absent"  # a model that the server does not have
MODEL = "text"


def caught(call: Callable[[], Any]) -> str:
    """What a user sees of the error."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("the call succeeded")
