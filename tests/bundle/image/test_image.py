"""Pictures become the same pixels in training and in serving, and what was done to them is told."""

from __future__ import annotations

import base64
import warnings
from typing import Any

import numpy as np
import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import drawing, file_of, image_of
from PIL import Image as Pillow

from bundle import InputError, Prepared
from bundle.preprocess.image import Image, ImageFile, ImagePreprocessor
from bundle.preprocess.image.headers import read_header

SIDE = 16
KINDS = ("PNG", "JPEG", "WEBP", "GIF")
LOSSY = 24  # of 255: JPEG, and the palette of GIF


def preprocessor(**file: Any) -> ImagePreprocessor:
    return ImagePreprocessor(ImageFile(side=SIDE, **file).to_bytes(), 1)


def prepared(content: bytes | Image, **file: Any) -> Prepared:
    image = content if isinstance(content, Image) else Image.from_bytes(content)
    [found] = preprocessor(**file).prepare([image])
    return found


def pixels(content: bytes | Image, **file: Any) -> np.ndarray:
    return prepared(content, **file).arrays["pixels"].astype(int)


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_pixels_of_the_picture(kind: str) -> None:
    expected = np.asarray(drawing(SIDE, SIDE)).astype(int)
    found = pixels(image_of(drawing(4 * SIDE, 4 * SIDE), kind))

    assert found.shape == (SIDE, SIDE, 3)
    inner = np.s_[2:6, 2:6]  # away from the edges, which resizing mixes
    assert np.abs(found[inner] - expected[inner]).max() <= LOSSY


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(orientation: int, kind: str) -> None:
    found = pixels(pictures.turned(orientation, kind))

    assert np.abs(found - pixels(image_of(drawing()))).mean() <= LOSSY / 4


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("L", "PNG"),
        ("L", "JPEG"),
        ("P", "PNG"),
        ("1", "PNG"),
        ("LA", "PNG"),
        ("RGBA", "PNG"),
        ("RGBA", "WEBP"),
    ],
)
def test_colours_of_every_kind_become_red_green_and_blue(mode: str, kind: str) -> None:
    picture = drawing(mode=mode)
    found = pixels(image_of(picture, kind))

    assert np.abs(found - pixels(image_of(picture.convert("RGB")))).mean() <= LOSSY / 4


def test_cmyk_becomes_the_same_colours() -> None:
    found = pixels(image_of(drawing(mode="CMYK"), "JPEG"))

    assert np.abs(found - pixels(image_of(drawing()))).mean() <= LOSSY


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = np.asarray(drawing(mode="L"))
    deep = Pillow.fromarray(grey.astype(np.uint16) * 257)

    np.testing.assert_array_equal(pixels(image_of(deep)), pixels(image_of(Pillow.fromarray(grey))))


def test_what_is_transparent_is_white_and_told() -> None:
    picture = drawing(SIDE, SIDE, "RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, SIDE, SIDE // 2))
    found = prepared(image_of(picture))

    assert (found.arrays["pixels"][: SIDE // 2 - 1] == 255).all()
    assert found.facts.warnings == {"flattened": True}


def test_a_palette_with_a_transparent_colour_is_laid_on_white() -> None:
    picture = drawing(SIDE, SIDE, "P")
    content = file_of(picture, "GIF", transparency=picture.getpixel((0, 0)))

    assert (prepared(content).arrays["pixels"][0, 0] == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken_and_their_number_told(kind: str) -> None:
    frames = [pictures.noise(seed, SIDE, SIDE) for seed in range(3)]
    content = file_of(frames[0], kind, save_all=True, append_images=frames[1:])
    found = prepared(content)

    assert found.facts.warnings == {"first_of_frames": 3}
    assert np.abs(found.arrays["pixels"].astype(int) - np.asarray(frames[0])).mean() <= 64


def test_the_middle_of_the_longer_side_is_taken_and_told() -> None:
    wide = Pillow.new("RGB", (3 * SIDE, SIDE), "red")
    wide.paste(drawing(SIDE, SIDE), (SIDE, 0))
    found = prepared(image_of(wide))

    np.testing.assert_array_equal(found.arrays["pixels"], np.asarray(drawing(SIDE, SIDE)))
    assert found.facts.warnings == {"cropped": [3 * SIDE, SIDE]}


def test_padded_a_picture_is_whole_between_white() -> None:
    found = prepared(image_of(drawing(2 * SIDE, SIDE)), fit="pad")
    values = found.arrays["pixels"]

    assert (values[: SIDE // 4] == 255).all()
    assert (values[-SIDE // 4 :] == 255).all()
    assert np.abs(values[SIDE // 2 - 2, 1].astype(int) - (220, 30, 30)).max() <= 3
    assert found.facts.warnings == {}


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_odd_sizes_have_pixels_too(size: tuple[int, int], fit: str) -> None:
    assert pixels(image_of(drawing(*size)), fit=fit).shape == (SIDE, SIDE, 3)


def test_a_large_jpeg_is_shrunk_while_it_is_decoded_and_stays_the_same_picture() -> None:
    large = drawing(1600, 1200)
    found = pixels(image_of(large, "JPEG", quality=95))

    assert np.abs(found - pixels(image_of(large))).mean() <= 2


def test_a_picture_alone_and_among_others_has_the_same_pixels() -> None:
    images = [image_of(pictures.noise(seed, 20 + seed, 30), "JPEG") for seed in range(5)]
    together = preprocessor().prepare(images)

    for image, one in zip(images, together, strict=True):
        np.testing.assert_array_equal(pixels(image), one.arrays["pixels"])


def test_a_picture_in_json_is_base64_a_data_uri_or_an_object() -> None:
    image = image_of(drawing())
    text = base64.b64encode(image.content).decode()

    assert image.to_json() == text
    for value in (text, f"data:image/png;base64,{text}", {"image": text}, image.content):
        assert preprocessor().from_json(value) == image


HOSTILE = pictures.hostile()


def outcome(content: bytes) -> str:
    """What becomes of a file: pixels, or a sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow tells of damaged EXIF
        try:
            found = prepared(content).arrays["pixels"]
        except InputError as error:
            return error.code
    assert (found.shape, found.dtype) == ((SIDE, SIDE, 3), np.uint8)
    return "pixels"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_or_has_pixels(name: str) -> None:
    found = outcome(HOSTILE[name])

    # A decoder may not notice flipped bytes; what follows the pixels is not looked at.
    harmless = name.startswith(("flipped", "half of an animated")) or name in {
        "more data than pixels",
        "a bomb of data in few pixels",
        "a huge text",
        "a huge colour profile",
        "a GIF of many blocks",
        "a JPEG of another size",  # libjpeg fills up what is missing before the end
    }
    assert found in {"invalid_picture", "too_large", "empty_input"} or (harmless and found == "pixels")


def test_there_are_forty_hostile_files() -> None:
    assert len(HOSTILE) >= 40


WHOLE = [file_of(pictures.noise(3), kind) for kind in KINDS]


@given(st.sampled_from(WHOLE), st.data())
def test_a_file_damaged_at_random_is_refused_or_has_pixels(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    outcome(bytes(damaged[: data.draw(st.integers(0, len(content)))]))


@given(st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF89a"]), st.binary(max_size=200))
def test_any_bytes_have_a_header_or_are_refused(magic: bytes, rest: bytes) -> None:
    try:
        header = read_header(magic + rest)
    except InputError:
        return
    assert min(header.width, header.height, header.frames) >= 1


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(KINDS))
def test_the_header_tells_the_size_of_the_picture(width: int, height: int, kind: str) -> None:
    header = read_header(file_of(drawing(width, height), kind))

    assert (header.format, header.width, header.height, header.frames) == (kind, width, height, 1)
