"""Pictures to test with, made here: no test needs a file from elsewhere."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image as Pillow

from bundle.preprocess.image import Image

ORIENTATION = 0x0112


def drawing(width: int = 48, height: int = 36, mode: str = "RGB") -> Pillow.Image:
    """Four quarters of plain colours: red, green, blue and grey; the same at any size."""
    colours = np.array([[[220, 30, 30], [30, 200, 60]], [[40, 60, 220], [120, 120, 120]]], np.uint8)
    small = Pillow.fromarray(colours)
    return small.resize((width, height), Pillow.Resampling.NEAREST).convert(mode)


def noise(seed: int, width: int = 40, height: int = 40) -> Pillow.Image:
    random = np.random.default_rng(seed)
    return Pillow.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def file_of(picture: Pillow.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def image_of(picture: Pillow.Image, kind: str = "PNG", **options: Any) -> Image:
    return Image.from_bytes(file_of(picture, kind, **options))


def turned(orientation: int, kind: str = "PNG") -> bytes:
    """The drawing, stored so that EXIF has to turn it upright."""
    undone = {
        1: None,
        2: Pillow.Transpose.FLIP_LEFT_RIGHT,
        3: Pillow.Transpose.ROTATE_180,
        4: Pillow.Transpose.FLIP_TOP_BOTTOM,
        5: Pillow.Transpose.TRANSPOSE,
        6: Pillow.Transpose.ROTATE_90,
        7: Pillow.Transpose.TRANSVERSE,
        8: Pillow.Transpose.ROTATE_270,
    }[orientation]
    picture = drawing() if undone is None else drawing().transpose(undone)
    exif = Pillow.Exif()
    exif[ORIENTATION] = orientation
    return file_of(picture, kind, exif=exif)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, data: bytes, *, bits: int = 8, colour: int = 2) -> bytes:
    """A PNG that says what it is told to say."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def hostile() -> dict[str, bytes]:
    """Files that are damaged, lie, or would take much more than they weigh."""
    whole = {kind: file_of(noise(1), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF")}
    frames = [noise(seed) for seed in range(3)]
    animated = {
        kind: file_of(frames[0], kind, save_all=True, append_images=frames[1:])
        for kind in ("GIF", "WEBP", "PNG")
    }
    big = zlib.compress(bytes(3 * 5000 * 1001), 9)
    found = {f"half of a {kind}": content[: len(content) // 2] for kind, content in whole.items()}
    found |= {f"the head of a {kind}": content[:12] for kind, content in whole.items()}
    found |= {
        f"half of an animated {kind}": content[: len(content) // 2] for kind, content in animated.items()
    }
    found |= {f"flipped bytes in a {kind}": _flipped(content) for kind, content in whole.items()}
    found |= {
        f"zeros after the head of a {kind}": content[:40].ljust(400, b"\0") for kind, content in whole.items()
    }
    jpeg = whole["JPEG"]
    found |= {
        "a bomb": png(30_000, 30_000, zlib.compress(bytes(90_000_000), 9)),
        "a bomb of one bit": png(60_000, 60_000, zlib.compress(bytes(7501 * 6000), 9), bits=1, colour=0),
        "the largest PNG there is": png(2**31 - 1, 2**31 - 1, b""),
        "no width": png(0, 10, b""),
        "less data than pixels": png(5000, 1000, zlib.compress(b"\0" * 1000)),
        "more data than pixels": png(10, 10, big),
        "a bomb of data in few pixels": png(4, 4, zlib.compress(bytes(60_000_000), 9)),
        "a huge text": b"\x89PNG\r\n\x1a\n"
        + whole["PNG"][8:33]
        + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9))
        + whole["PNG"][33:],
        "a huge colour profile": b"\x89PNG\r\n\x1a\n"
        + whole["PNG"][8:33]
        + chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000), 9))
        + whole["PNG"][33:],
        "many tiny segments": b"\xff\xd8" + b"\xff\xfe\x00\x02" * 200_000,
        "many fill bytes": b"\xff\xd8" + b"\xff" * 500_000,
        "a JPEG of another size": _sized(jpeg, 16_000, 2000),
        "a JPEG of the largest size": _sized(jpeg, 65_535, 65_535),
        "a JPEG without height": _sized(jpeg, 40, 0),
        "a GIF of many blocks": whole["GIF"][:-1] + b"\x21\xfe" + b"\x01a" * 200_000 + b"\0;",
        "a GIF whose frame is larger": _gif_frame(whole["GIF"], 60_000, 60_000),
        "a WebP of the largest size": b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xff" * 6 + bytes(40),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hosts"/></svg>',
        "TIFF": file_of(noise(1), "TIFF"),
        "BMP": file_of(noise(1), "BMP"),
        "one byte": b"\xff",
        "nothing": b"",
        "text": b"hello world, this is no picture",
    }
    return found


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(255 - byte for byte in content[middle : middle + 16])
        + content[middle + 16 :]
    )


def _sized(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header tells of another size."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _gif_frame(gif: bytes, width: int, height: int) -> bytes:
    at = gif.index(b"\x2c", 13 + 3 * 256)
    return gif[: at + 5] + struct.pack("<HH", width, height) + gif[at + 9 :]
