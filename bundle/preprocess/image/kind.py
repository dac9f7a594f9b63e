"""The kind `image`: how pictures stand in JSON, in files and in tensors, and what bounds them."""

from __future__ import annotations

from bundle.preprocess.image.input import MEDIA, Image, ImageFacts
from bundle.preprocess.image.preprocessor import FORMATS, ImagePreprocessor
from bundle.preprocess.kind import Kind, Limit, LimitSetting
from bundle.preprocess.media import BASE64_BYTES

GOLDEN_TOLERANCE = 2.0  # of 255: decoders may round otherwise; another resize is off by ten and more


def _bytes(one: Image) -> int:
    return len(one.content)


def _pixels(one: Image) -> int:
    return one.held_pixels


IMAGE = Kind(
    name="image",
    noun=MEDIA.noun,
    plural=MEDIA.plural,
    json_schema=MEDIA.json_schema(dict.fromkeys(FORMATS)),
    examples=(),
    limits=(
        Limit(
            "bytes",
            _bytes,
            LimitSetting("max_image_bytes", 8 * 1024 * 1024, "largest file of a picture, in bytes"),
            json_bytes=BASE64_BYTES,
        ),
        Limit(
            "pixels",
            _pixels,
            LimitSetting(
                "max_image_pixels",
                8_000_000,
                "largest picture, in pixels; those of a large JPEG that is not progressive count a quarter, "
                "since it is shrunk while it is decoded",
            ),
            LimitSetting(
                "max_image_pixels_per_request", 64_000_000, "the same of all pictures of a request together"
            ),
            json_bytes=None,
        ),
    ),
    columns=MEDIA.columns,
    tensors=MEDIA.tensors,
    from_tensors=MEDIA.from_tensors,
    file="image.json",
    version=1,
    load=ImagePreprocessor,
    facts=ImageFacts,
    media_types=dict.fromkeys(FORMATS, Image.from_bytes),
    golden_tolerance=GOLDEN_TOLERANCE,
)
