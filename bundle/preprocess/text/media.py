"""Texts that stand for something else: the bytes of a file, or the address of a picture, a sound or a film.

A data URI (RFC 2397) is never to be read letter by letter, so it is refused. An address may well be meant as
it stands, in logs or lists of links, and one among thousands must not fail the others: the caller is told.
"""

from __future__ import annotations

import re

LONGEST_HEAD, LONGEST_ADDRESS = 512, 8192  # characters; of a data URI up to its comma, and of an address
# With a media type or in base64: "data: what we know," is a sentence.
_DATA_URI = re.compile(r"data:(?=[^,\s]*[/;])(?:[\w.+*-]+/[\w.+*-]+)?(?:;[^,;]*)*,", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,15}://[^/]*/", re.IGNORECASE)
_PICTURES = "apng avif bmp gif heic heif ico jfif jpg jpeg jxl png svg svgz tif tiff webp"
_SOUNDS = "aac aif aiff flac m4a mid mp3 oga ogg opus wav wma"
_FILMS = "avi m4v mkv mov mp4 mpeg mpg ogv webm wmv"
_ENDS = tuple(f".{one}" for one in f"{_PICTURES} {_SOUNDS} {_FILMS}".split())


def is_data_uri(text: str) -> bool:
    """Tell whether a text is a data URI from its first letter on."""
    return _DATA_URI.match(text.lstrip()[:LONGEST_HEAD]) is not None


def is_media_address(text: str) -> bool:
    """Tell whether a text is nothing but the address of a picture, a sound or a film, by its extension."""
    if len(text) > LONGEST_ADDRESS or "://" not in text:
        return False
    words = text.split()
    if len(words) != 1 or _SCHEME.match(words[0]) is None:
        return False
    path = words[0].partition("?")[0].partition("#")[0]
    return path.lower().endswith(_ENDS)
