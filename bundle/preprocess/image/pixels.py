"""From the bytes of a picture to a square of pixels: the one way, in training and in serving.

    decode (a large JPEG shrunk meanwhile) -> plain colours -> one resize -> upright -> alpha on white

Resizing is where training and serving come apart elsewhere: the same picture through other libraries has a
cosine of .95 to .99 to itself. So there is one module, and Pillow does all of it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from bundle.errors import InputError
from bundle.preprocess.image.input import Image, ImageFacts

Fit: TypeAlias = Literal["crop", "pad"]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MOST_PIXELS = 64_000_000  # that are decoded at all: 256 MB
DRAFT = 2  # times the side at least, to which a JPEG is shrunk while it is decoded
ORIENTATION = 0x0112  # of EXIF
_UPRIGHT = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)  # of these, those that swap width and height
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # grey of 16 bits
WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded picture.

    Attributes:
        values: red, green and blue, uint8 [side, side, 3].
        facts: what was done to it.
        is_turned: its file has its columns as rows; EXIF says so.
    """

    values: npt.NDArray[np.uint8]
    facts: ImageFacts
    is_turned: bool


def pixels_of(image: Image, side: int, fit: Fit) -> Pixels:
    """Decode and resize. Raises InputError, with index 0."""
    header = image.header
    if image.held_pixels > MOST_PIXELS:
        raise InputError(
            0, "too_large", f"{header.width} x {header.height} pixels, the limit is {MOST_PIXELS}; shrink it"
        )
    try:
        with Pillow.open(io.BytesIO(image.content), formats=FORMATS) as picture:
            if picture.size != (header.width, header.height):
                raise _damaged("its header tells of another size than its content")
            is_turned = _orientation(picture) in _SIDEWAYS
            values, is_flattened = _square(picture, side, fit)
    except (InputError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # Pillow's decoders raise whatever they meet: OSError, SyntaxError, struct.error
        raise _damaged("it cannot be decoded") from error
    is_cropped = fit == "crop" and header.width != header.height
    facts = ImageFacts(
        cropped=(header.width, header.height) if is_cropped else (),
        flattened=is_flattened,
        first_of_frames=header.frames if header.frames > 1 else 0,
    )
    return Pixels(values, facts, is_turned)


def _damaged(how: str) -> InputError:
    return InputError(0, "invalid_picture", f"the file is damaged: {how}; save the picture again")


def _square(picture: Pillow.Image, side: int, fit: Fit) -> tuple[npt.NDArray[np.uint8], bool]:
    """The picture's square, and whether it had transparent parts."""
    turn = _UPRIGHT.get(_orientation(picture))
    if picture.format == "JPEG":
        shorter = min(picture.size)
        wanted = [max(1, DRAFT * side * length // shorter) for length in picture.size]
        picture.draft("", (wanted[0], wanted[1]))
    size = picture.size
    picture.load()
    if picture.size != size:  # a frame of a GIF may be larger than its screen
        raise _damaged("its header tells of another size than its content")
    whole = _plain(picture)
    width, height = whole.size
    if fit == "crop":
        edge = min(width, height)
        left, top = (width - edge) / 2, (height - edge) / 2
        box, inner = (left, top, left + edge, top + edge), (side, side)
    else:
        edge = max(width, height)
        box = (0, 0, width, height)
        inner = max(1, round(side * width / edge)), max(1, round(side * height / edge))
    small = whole.resize(inner, Pillow.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    small = small if turn is None else small.transpose(turn)
    is_flattened = small.mode in ("LA", "RGBA") and small.getchannel("A").getextrema()[0] != WHITE[0]
    square = Pillow.new("RGB", (side, side), WHITE)
    place = (side - small.width) // 2, (side - small.height) // 2
    square.paste(small.convert("RGB"), place, small.getchannel("A") if small.mode in ("LA", "RGBA") else None)
    return np.asarray(square), is_flattened


def _orientation(picture: Pillow.Image) -> int:
    """As EXIF has it; 1, upright, where it is not told or cannot be read."""
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF is no reason to refuse a picture
        return 1


def _plain(picture: Pillow.Image) -> Pillow.Image:
    """The picture in a mode that can be resized: grey or colours, with alpha or without."""
    if picture.mode in _DEEP:  # converting would clip to white what is above 255
        deep = np.asarray(picture).astype(np.uint32, copy=False)
        return Pillow.fromarray((deep >> 8).clip(0, 255).astype(np.uint8))
    if picture.mode == "P" or "transparency" in picture.info:
        return picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    if picture.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
        return picture
    return picture.convert("RGBA" if picture.mode in ("PA", "La", "RGBa") else "RGB")
