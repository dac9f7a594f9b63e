"""Lines of a file of text, plain or gzipped, in bounded memory: UTF-8, ending in LF, CRLF or CR.

A line that holds bytes which are no UTF-8, or NUL, is given all the same and stands in `Lines.faults`:
whoever makes rows of lines leaves out that row. Knows no format.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from tabular.errors import DataError
from tabular.formats import GZIP, HEAD_BYTES, refuse_other_content

BLOCK_BYTES = 1 << 20
LONGEST_LINE = 64 << 20  # bytes
_BOM = b"\xef\xbb\xbf"


class Lines:
    """Iterates over the lines of a file, with their ends.

    Args:
        path: a name that ends in .gz is unpacked.
        is_table: content of other kinds, such as HTML, is refused; a text may begin as it likes.

    Attributes:
        name: of the file, for messages.
        faults: number of a line, from 1, to what is wrong with it; of the lines read so far, and at most one
            block more.

    Raises:
        DataError: on iteration, if the file is not there, not what its name says, cut short, or has a line
            longer than LONGEST_LINE.
    """

    def __init__(self, path: Path, *, is_table: bool = True) -> None:
        self.name = path.name
        self.faults: dict[int, str] = {}
        self._path, self._is_table = path, is_table
        self._before = 0  # lines in the blocks before this one

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks():
            text = self._decoded(block)
            yield from io.StringIO(text, newline="")
            self._before += text.count("\n") + text.count("\r") - text.count("\r\n")

    def _blocks(self) -> Iterator[bytes]:
        """Whole lines, about BLOCK_BYTES at a time."""
        with opened(self._path) as file:
            pending = self._read(file).removeprefix(_BOM)
            refuse_other_content(self.name, pending[:HEAD_BYTES], is_table=self._is_table)
            while block := self._read(file):
                # Not after a CR that ends the block: an LF may follow.
                end = max(pending.rfind(b"\n"), pending.rfind(b"\r", 0, -1)) + 1
                if end:
                    yield pending[:end]
                    pending = pending[end:]
                if len(pending) > LONGEST_LINE:
                    raise DataError(
                        f"{self.name}, line {self._before + 1}: longer than {LONGEST_LINE >> 20} MiB, the "
                        "most that a line may have; is it one row?"
                    )
                pending += block
            if pending:
                yield pending

    def _read(self, file: BinaryIO) -> bytes:
        try:
            return file.read(BLOCK_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise DataError(
                f"{self.name}, after line {self._before}: the gzip file is cut short or damaged; "
                "copy it again"
            ) from None
        except OSError as error:
            raise DataError(f"{self.name}, after line {self._before}: {error.strerror}") from None

    def _decoded(self, block: bytes) -> str:
        if b"\0" not in block:
            try:
                return block.decode()
            except UnicodeDecodeError:
                pass
        marked = io.StringIO(block.decode(errors="surrogateescape"), newline="")
        for number, line in enumerate(marked, start=self._before + 1):
            if fault := _fault(line):
                self.faults[number] = fault
        return block.decode(errors="replace")

    def fault(self, first: int, last: int) -> str:
        """What is wrong with the first bad one of some lines, or ""; they are forgotten."""
        found = [reason for number in range(first, last + 1) if (reason := self.faults.pop(number, ""))]
        return found[0] if found else ""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, unpacked if its name ends in .gz. Raises DataError."""
    if path.is_dir():
        raise DataError(f"{path} is a directory; name the file")
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if not path.is_file():
        raise DataError(f"{path} is no regular file, and it is read more than once; write it to one")
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    with file:
        if path.suffix.lower() != ".gz":
            yield file
            return
        if not file.peek(2).startswith(GZIP):
            raise DataError(f"{path.name} is no gzip file; is it whole, or should .gz not be in its name?")
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast(BinaryIO, unpacked)


def _fault(line: str) -> str:
    """Name the character, from 1, that a line must not have."""
    if "\0" in line:
        place = line.index("\0") + 1
        return f"a NUL byte at character {place}; take it out, or convert the file to UTF-8"
    try:
        line.encode()
    except UnicodeEncodeError as error:
        byte = ord(line[error.start]) - 0xDC00
        return (
            f"byte 0x{byte:02X} at character {error.start + 1} is no UTF-8; convert the file, for example "
            "by: iconv -f WINDOWS-1252 -t UTF-8"
        )
    return ""
