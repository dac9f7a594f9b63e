"""What is to be told about one input, as it stands in an answer. Only what applies is there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bundle import Facts

NEW_ENTRIES = "places in the history of items never seen, encoded from their content"
UNKNOWN_ENTRIES = "places in the history of items never seen of which nothing is told; they were skipped"


def noted_of(facts: Facts) -> dict[str, Any]:
    """Empty if the facts are not noteworthy."""
    noted: dict[str, Any] = {}
    if facts.truncated:
        noted["truncated"] = [asdict(cut) for cut in facts.truncated]
    if facts.unknown:
        noted["unknown"] = list(facts.unknown)
    for name in ("new_entries", "unknown_entries"):
        if entries := getattr(facts, name):
            noted[name] = list(entries)
    if facts.empty_history:
        noted["empty_history"] = True
    return noted
