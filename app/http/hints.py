"""The path that was meant, where there is none: a slash too many, another case, a base URL given twice."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

LONGEST, MOST_EXTRA = 64, 4  # characters of a path that are looked at, and parts before the one meant
LIKENESS = 0.75  # of two paths of which one may be a slip of the other


def nearest_path(path: str, known: Collection[str]) -> str | None:
    """The known path that was most likely meant; None if none is near.

    Args:
        path: as it was asked for.
        known: paths as they were declared, `/models/{name}`.
    """
    parts = segments(path[:LONGEST].lower())
    if not parts:
        return "/" if "/" in known else None
    for start in range(min(len(parts), MOST_EXTRA)):  # `/v1/v1/embeddings` ends as a path does
        for one in known:
            if _fits(segments(one), parts[start:]):
                return one
    found = difflib.get_close_matches("/" + "/".join(parts), known, n=1, cutoff=LIKENESS)
    return found[0] if found else None


def kinship(path: str, declared: str) -> tuple[int, int]:
    """How many first parts two paths have in common, and of the declared one how few others."""
    parts, others = segments(path[:LONGEST]), segments(declared)
    count = 0
    while count < min(len(parts), len(others)) and _is_part(others[count], parts[count]):
        count += 1
    return count, -len(others)


def is_under(path: str, root: str) -> bool:
    """Tell whether a path is the other one, or goes on from it, in another case or with a slash too many."""
    above = segments(root)
    return segments(path[:LONGEST].lower())[: len(above)] == above


def segments(path: str) -> list[str]:
    """The parts between slashes."""
    return [part for part in path.split("/") if part]


def _fits(declared: Sequence[str], parts: Sequence[str]) -> bool:
    return len(declared) == len(parts) > 0 and all(map(_is_part, declared, parts))


def _is_part(declared: str, part: str) -> bool:
    return declared == part or declared.startswith("{")
