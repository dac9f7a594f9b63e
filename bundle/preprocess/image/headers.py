"""What a picture's file says of itself, read before anything is decoded: format, width, height, frames.

A few bytes are looked at, never a whole file's worth of steps, so that a file cannot make this slow. What a
header says may be a lie: it bounds the work, and the decoder is held to it. Formats: JPEG (ITU T.81), PNG
(W3C), WebP (RFC 9649), GIF89a.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bundle.errors import InputError

STEPS = 4096  # segments, chunks or blocks that are looked at
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_BARE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})  # markers of JPEG without a length
_PNG, _RIFF = b"\x89PNG\r\n\x1a\n", b"RIFF"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself.

    Attributes:
        format: as Pillow calls it.
        width, height: in pixels, at least 1.
        frames: of an animation, as many as were found; 1 for a still picture.
        is_whole: a decoder holds all of its pixels at once; not so of a baseline JPEG, which can be shrunk
            while it is decoded.
    """

    format: str
    width: int
    height: int
    frames: int = 1
    is_whole: bool = True

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def read_header(content: bytes) -> Header:
    """The header of a picture. Raises InputError."""
    if not content:
        raise InputError(0, "empty_input", "the picture has no bytes; send its file, or leave it out")
    for magic, read in _FORMATS.items():
        if content.startswith(magic):
            try:
                found = read(content)
            except IndexError:
                found = None
            if found is None or found.width < 1 or found.height < 1:
                raise InputError(0, "invalid_picture", "its file is damaged: no width and height are in it")
            return found
    raise InputError(
        0, "invalid_picture", "this is no JPEG, PNG, WebP or GIF; save the picture as one of these"
    )


def _jpeg(content: bytes) -> Header | None:
    at = 2
    for _ in range(STEPS):
        while content[at] == 0xFF and content[at + 1] == 0xFF:  # fill bytes
            at = _past(content, at, 0xFF) - 1
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if marker in _FRAMES:
            height, width = _big(content, at + 5, 2), _big(content, at + 7, 2)
            return Header("JPEG", width, height, is_whole=marker in _PROGRESSIVE)
        at += 2 if marker in _BARE else 2 + max(2, _big(content, at + 2, 2))
    return None


def _png(content: bytes) -> Header | None:
    if content[12:16] != b"IHDR":
        return None
    width, height, at = _big(content, 16, 4), _big(content, 20, 4), 33
    for _ in range(STEPS):  # acTL stands before the first IDAT
        name = content[at + 4 : at + 8]
        if name == b"acTL":
            return Header("PNG", width, height, frames=max(1, _big(content, at + 8, 4)))
        if name in (b"IDAT", b"IEND", b""):
            break
        at += 12 + _big(content, at, 4)
    return Header("PNG", width, height)


def _webp(content: bytes) -> Header | None:
    if content[8:12] != b"WEBP":
        return None
    name = content[12:16]
    if name == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        return Header("WEBP", _little(content, 26, 2) & 0x3FFF, _little(content, 28, 2) & 0x3FFF)
    if name == b"VP8L" and content[20] == 0x2F:
        bits = _little(content, 21, 4)
        return Header("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if name != b"VP8X":
        return None
    width, height = _little(content, 24, 3) + 1, _little(content, 27, 3) + 1
    return Header("WEBP", width, height, frames=max(1, _animation_frames(content)))


def _animation_frames(content: bytes) -> int:
    """Frames of an extended WebP, as far as it is looked at."""
    at, frames = 12, 0
    for _ in range(STEPS):
        name = content[at : at + 4]
        if len(name) < 4 or at + 8 > len(content):
            break
        frames += name == b"ANMF"
        size = _little(content, at + 4, 4)
        at += 8 + size + size % 2
    return frames


def _gif(content: bytes) -> Header | None:
    width, height = _little(content, 6, 2), _little(content, 8, 2)
    at = 13 + _colours(content[10])
    frames = steps = 0
    while steps < STEPS and at < len(content):
        if content[at] == 0x2C and at + 10 < len(content):
            frames += 1
            at += 11 + _colours(content[at + 9])  # and the size of the first code
        elif content[at] == 0x21:
            at += 2
        else:
            break
        while steps < STEPS and at < len(content) and content[at]:  # its blocks
            at, steps = at + 1 + content[at], steps + 1
        at, steps = at + 1, steps + 1
    return Header("GIF", width, height, frames=max(1, frames))


def _colours(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _past(content: bytes, at: int, byte: int) -> int:
    """Where a run of one byte ends."""
    rest = content[at : at + STEPS]
    return at + len(rest) - len(rest.lstrip(bytes([byte])))


def _big(content: bytes, at: int, size: int) -> int:
    return _number(content, at, size, "big")


def _little(content: bytes, at: int, size: int) -> int:
    return _number(content, at, size, "little")


def _number(content: bytes, at: int, size: int, order: str) -> int:
    """An unsigned number. Raises IndexError where the file is too short."""
    if at + size > len(content):
        raise IndexError
    return int.from_bytes(content[at : at + size], "big" if order == "big" else "little")


_FORMATS: Mapping[bytes, Callable[[bytes], Header | None]] = {
    b"\xff\xd8": _jpeg,
    _PNG: _png,
    _RIFF: _webp,
    b"GIF87a": _gif,
    b"GIF89a": _gif,
}
