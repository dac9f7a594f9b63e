"""Small files: written whole, for those who read meanwhile, and read without repeating what is in them."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that readers see as it was or as it is, never half."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def toml_table(content: bytes, where: str, error: type[ValueError]) -> dict[str, Any]:
    """The table in the bytes of a file. Raises that error, with the place and none of the content."""
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as found:
        raise error(f"{where} {_mistake(str(found))}") from None


def _mistake(words: str) -> str:
    """What is wrong: of the parser's words what repeats no part of the file but a table's plain name."""
    place = f" {match[0]}" if (match := re.search(r"\(at [^()]*\)$", words)) else ""
    if twice := re.match(r"Cannot declare \('([A-Za-z0-9_-]{1,64})',\) twice", words):
        return f"has the table [{twice[1]}] twice{place}; give one of them another name"
    if words.startswith(("Cannot overwrite", "Cannot declare", "Duplicate")):
        return f"says the same twice{place}"
    return f"is no TOML in UTF-8{place}"
