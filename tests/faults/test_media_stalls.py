"""L5, for pictures and sounds: neither the largest that are allowed nor hostile ones hold up the event loop.

The real server with the bundled encoders, since what a forward pass takes decides where it runs.
"""

from __future__ import annotations

import base64
import http.client
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pictures
import pytest
import sounds
from PIL import Image as Pillow

from faults.search.watched import Watched, watched

MOST_STALL_MS = 150.0  # on a busy machine; 50 are promised
TRIES, PATIENCE_S = 2, 120.0
BOUNDARY = "3f1c"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Request:
    """A body, and where it goes."""

    path: str
    media_type: str
    body: bytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    models = tmp_path_factory.mktemp("models")
    for name in ("text", "image", "audio"):
        shutil.copytree(ROOT / "models" / name, models / name)
    with watched(models) as server:
        yield server


def alone(model: str, media_type: str, content: bytes) -> Request:
    """One file as the body."""
    return Request(f"/encode?model={model}&truncate=end", media_type, content)


def in_json(model: str, *contents: bytes) -> Request:
    """Some files in base64."""
    inputs = [base64.b64encode(one).decode() for one in contents]
    body = json.dumps({"model": model, "inputs": inputs, "truncate": "end"}).encode()
    return Request("/encode", "application/json", body)


def in_form(model: str, media_type: str, *contents: bytes) -> Request:
    """Some files in a form."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="inputs"; filename="{number}"\r\n'
        f"Content-Type: {media_type}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for number, content in enumerate(contents)
    ]
    body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    path = f"/encode?model={model}&truncate=end"
    return Request(path, f"multipart/form-data; boundary={BOUNDARY}", body)


def in_lines(model: str, *contents: bytes) -> Request:
    """Some files in base64, a line each."""
    lines = [json.dumps(base64.b64encode(one).decode()) for one in contents]
    path = f"/encode?model={model}&truncate=end"
    return Request(path, "application/x-ndjson", "\n".join(lines).encode())


def as_cohere(*contents: bytes) -> Request:
    """Some pictures as data URIs."""
    images = ["data:image/png;base64," + base64.b64encode(one).decode() for one in contents]
    body = {"model": "image", "images": images, "input_type": "image", "embedding_types": ["float"]}
    return Request("/v2/embed", "application/json", json.dumps(body).encode())


def largest_pictures() -> Iterator[tuple[str, Request]]:
    """As many pixels, bytes and pictures as a request may have."""
    coarse = pictures.noise(0, 320, 250)
    large = coarse.resize((3200, 2500), Pillow.Resampling.NEAREST)
    palette = large.quantize(64, method=Pillow.Quantize.FASTOCTREE)
    files = {
        "PNG": pictures.file_of(large, compress_level=1),
        "PNG with alpha": pictures.file_of(large.convert("RGBA"), compress_level=1),
        "PNG with a palette": pictures.file_of(palette, compress_level=1),
        "WebP": pictures.file_of(large, "WEBP", method=0),
        "WebP without loss": pictures.file_of(
            palette.convert("RGB"), "WEBP", lossless=True, method=0, quality=50
        ),
        "WebP with alpha": pictures.file_of(large.convert("RGBA"), "WEBP", method=0),
        "GIF": pictures.file_of(palette, "GIF"),
        "progressive JPEG": pictures.file_of(large, "JPEG", progressive=True),
        "baseline JPEG": pictures.file_of(coarse.resize((6400, 5000)), "JPEG", quality=30),
    }
    for name, content in files.items():
        yield f"8 times 8 megapixels: {name}", in_form("image", "image/png", *[content] * 8)
    noise = pictures.file_of(pictures.noise(1, 1600, 1600), compress_level=0)
    yield "a picture of 7.7 MB", alone("image", "image/png", noise)
    yield "two pictures of 7.7 MB in a form", in_form("image", "image/png", noise, noise)
    tiny = [pictures.file_of(pictures.noise(seed, 4, 4), "GIF") for seed in range(16)]
    for name, made in {"JSON": in_json, "lines": in_lines}.items():
        yield f"2,048 tiny pictures, {name}", made("image", *[tiny[at % 16] for at in range(2048)])
    yield "2,048 tiny pictures, a form", in_form("image", "image/gif", *[tiny[at % 16] for at in range(2048)])
    yield "96 tiny pictures, as Cohere", as_cohere(*[tiny[at % 16] for at in range(96)])
    half = pictures.file_of(pictures.noise(2, 512, 512), compress_level=0)
    yield "1 MB of base64", in_json("image", half)
    frames = [pictures.noise(seed, 8, 8) for seed in range(64)]
    animated = pictures.file_of(frames[0], "WEBP", save_all=True, append_images=frames * 40)
    yield "2,561 frames of WebP", alone("image", "image/webp", animated)


def largest_sounds() -> Iterator[tuple[str, Request]]:
    """As many seconds, bytes and sounds as a request may have."""
    noise = sounds.noise(0, 60.0, 8_000)
    stereo = np.stack([sounds.noise(seed, 11.0, 48_000) for seed in (1, 2)], axis=1)
    eight = np.stack([sounds.noise(seed, 5.0, 48_000) for seed in range(8)], axis=1)
    files = {
        "FLAC": sounds.file_of(noise, "FLAC"),
        "silent FLAC": sounds.file_of(np.zeros(60 * 192_000, np.float32), "FLAC", 192_000),
        "MP3": sounds.file_of(noise, "MP3"),
        "Vorbis": sounds.file_of(noise, "OGG"),
        "Opus": sounds.file_of(noise, "OGG", subtype="OPUS"),
    }
    for name, content in files.items():
        yield f"10 minutes of {name}", in_form("audio", "audio/flac", *[content] * 10)
    yield (
        "an hour of silence",
        alone("audio", "audio/flac", sounds.file_of(np.zeros(3600 * 8_000, np.float32), "FLAC")),
    )
    yield "4 MB of stereo", alone("audio", "audio/wav", sounds.file_of(stereo, "WAV", 48_000))
    yield "4 MB of eight channels", alone("audio", "audio/wav", sounds.file_of(eight, "WAV", 48_000))
    short = [sounds.file_of(sounds.noise(seed, 0.08), "WAV") for seed in range(600)]  # each counts a second
    yield "600 short sounds, a form", in_form("audio", "audio/wav", *short)
    yield "600 short sounds in JSON", in_json("audio", *short)
    yield "600 short sounds, lines", in_lines("audio", *short)


def hostile() -> Iterator[tuple[str, Request]]:
    """Each file as a body of its own, and as base64 where that fits."""
    kinds: Mapping[str, tuple[str, Mapping[str, bytes]]] = {
        "image": ("image/png", pictures.hostile()),
        "audio": ("audio/wav", sounds.hostile()),
    }
    for model, (media_type, files) in kinds.items():
        for name, content in files.items():
            yield f"{model}: {name}", alone(model, media_type, content)
            if len(content) < 1_500_000:
                yield f"{model}: {name}, in JSON", in_json(model, content)
        fit = [one for one in files.values() if len(one) < 100_000]
        yield f"{model}: many in a form", in_form(model, media_type, *fit)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "requests", [largest_pictures, largest_sounds, hostile], ids=lambda one: one.__name__
)
def test_no_picture_and_no_sound_holds_up_the_loop(
    server: Watched, requests: Callable[[], Iterator[tuple[str, Request]]], figure: Callable[..., None]
) -> None:
    found = {name: cheapest(server, request) for name, request in requests()}
    what = requests.__name__.replace("_", " ").replace("hostile", "hostile pictures and sounds")
    worst = max(stall_ms for _, stall_ms in found.values())
    figure("L5", f"longest stall of the event loop, {what}", worst, at_most=50.0, unit="ms")

    assert {name for name, (status, _) in found.items() if not 200 <= status < 500} == set()
    assert {name for name, (_, stall_ms) in found.items() if stall_ms >= MOST_STALL_MS} == set()
    if requests is not hostile:
        assert {name: status for name, (status, _) in found.items() if status != 200} == {}


def cheapest(server: Watched, request: Request) -> tuple[int, float]:
    """The status, and the shortest of some stalls, ms: what it cost whenever it was sent."""
    tries = [asked(server, request) for _ in range(TRIES)]
    return tries[0][0], min(stall_ms for _, stall_ms in tries)


def asked(server: Watched, request: Request) -> tuple[int, float]:
    """Send it once; the status, 0 for a connection that broke, and the longest stall, ms."""
    url = urlsplit(server.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE_S)
    server.told()
    status = 0
    try:
        connection.request("POST", request.path, request.body, {"Content-Type": request.media_type})
        response = connection.getresponse()
        status = response.status
        response.read()
    except (ConnectionError, http.client.HTTPException):
        pass  # a status of 0 says so
    finally:
        connection.close()
    return status, server.told()["stall_ms"]
