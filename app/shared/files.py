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
    except (ValueError, RecursionError) as found:  # its words might repeat a part of the file
        place = re.search(r"\(at [^()]*\)", str(found))
        raise error(f"{where} is no TOML in UTF-8 {place[0] if place else ''}".rstrip()) from None
