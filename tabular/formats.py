"""What a file is by its first bytes, where that is not what its name says.

A name is a promise: nothing is guessed from content, but a promise that is not kept is told in its own
words, and not as a thousand bad rows. Magic numbers as in the formats' own specifications.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tabular.errors import DataError

HEAD_BYTES = 512  # are looked at
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
GZIP, PARQUET = b"\x1f\x8b", b"PAR1"

_TO_UTF8 = "convert it to UTF-8, for example by: iconv -f {} -t UTF-8"
_UNPACK = "unpack it first"
_EXPORT = "export it as CSV or Parquet"
# First bytes -> what a file is, and the way out. Longer ones stand before their own beginnings.
_BINARY: Sequence[tuple[bytes, str, str]] = (
    (b"\xff\xfe\0\0", "UTF-32", _TO_UTF8.format("UTF-32")),
    (b"\0\0\xfe\xff", "UTF-32", _TO_UTF8.format("UTF-32")),
    (b"\xff\xfe", "UTF-16", _TO_UTF8.format("UTF-16")),
    (b"\xfe\xff", "UTF-16", _TO_UTF8.format("UTF-16")),
    (GZIP, "a gzip file", "add .gz to its name, or unpack it"),
    (PARQUET, "a Parquet file", "call it .parquet"),
    (b"PK\x03\x04", "a zip archive or an .xlsx spreadsheet", f"{_UNPACK}, or save the sheet as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "an .xls spreadsheet", "save the sheet as CSV (UTF-8)"),
    (b"BZh", "a bzip2 file", _UNPACK),
    (b"\xfd7zXZ\0", "an xz file", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"SQLite format 3\0", "an SQLite database", _EXPORT),
    (b"ARROW1", "an Arrow (Feather) file", _EXPORT),
    (b"\x89HDF", "an HDF5 file", _EXPORT),
    (b"\x93NUMPY", "a NumPy file", _EXPORT),
    (b"%PDF", "a PDF", "find the data that it shows"),
)
_LFS = (b"version https://git-lfs", "a pointer of Git LFS, and not the file", "fetch it by: git lfs pull")
# The same for tables only, where a text that begins so is no row.
_TEXT: Sequence[tuple[bytes, str, str]] = (
    (b"<!doctype html", "an HTML page", "the download went wrong: fetch the file itself"),
    (b"<html", "an HTML page", "the download went wrong: fetch the file itself"),
    (b"<?xml", "XML", _EXPORT),
)


def suffix_of(path: Path) -> str:
    """The ending that says what a file is, without .gz."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def refuse_other_content(name: str, head: bytes, *, is_table: bool = True) -> None:
    """Raises DataError for a file of text whose first bytes say that it is something else."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, what, way_out in (*_BINARY, _LFS):
        if head.startswith(magic):
            raise DataError(f"{name} is {what}; {way_out}")
    for magic, what, way_out in _TEXT if is_table else ():
        if text.startswith(magic):
            raise DataError(f"{name} is {what}; {way_out}")
    suffix = suffix_of(Path(name)) if is_table else ""
    if suffix == ".jsonl" and text.startswith(b"[") and text[1:].lstrip()[:1] in (b"{", b""):
        raise DataError(f"{name} is one JSON array, not JSONL; write one object a line: jq -c '.[]'")
    if suffix in (".csv", ".tsv") and text.startswith(b'{"'):
        raise DataError(f"{name} holds JSON; call it .jsonl if each line is an object")
    if b"\0" in head[:2] or head[1:4:2] == b"\0\0":
        raise DataError(f"{name} is no UTF-8 text, perhaps UTF-16; {_TO_UTF8.format('UTF-16LE')}")
