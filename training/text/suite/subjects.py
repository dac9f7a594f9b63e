"""What is measured: a published bundle, a model of a running server, or a pretrained teacher, all alike."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bundle.manifest import Manifest
from bundle.preprocess.text import Text
from bundle.store import Store
from training.client import TIMEOUT_S, served
from training.errors import ConfigError, ServerError
from training.text.suite.task import Floats
from training.text.teacher import PretrainedTeacher, find_directory

REQUEST_TEXTS, REQUEST_CHARS = 64, 200_000  # far below what a server takes by default, also when escaped
ITEM_CHARS = 16_000  # the server's default limit is 16,384; encoders read their few hundred tokens before
TEACHER_TOKENS = 256


@dataclass(frozen=True)
class Subject:
    """One encoder of texts.

    Attributes:
        source: bundle, server or teacher.
        dimensions: lengths that its vectors may be cut to, the full one first.
        teacher: what encodes them, where vectors are so costly that they are kept for good.
    """

    name: str
    version: str
    space: str
    source: str
    dimensions: tuple[int, ...]
    encode: Callable[[Sequence[str]], Floats]
    teacher: PretrainedTeacher | None = None

    @property
    def dim(self) -> int:
        """The full length."""
        return self.dimensions[0]


def published(models: Path, name: str, version: str | None = None) -> Subject:
    """A bundle on disk, by onnxruntime. Raises BundleError, ConfigError."""
    encoder = Store(models).load(name, version)

    def encode(texts: Sequence[str]) -> Floats:
        return encoder.encode([Text(text) for text in texts])

    return _of(encoder.manifest, "bundle", encode)


def remote(url: str, name: str, version: str | None = None) -> Subject:
    """A model of a running server. Raises ServerError, ConfigError."""
    ask = served(url, name, version=version)
    manifest = _manifest(url, name, version)

    def encode(texts: Sequence[str]) -> Floats:
        cut = [Text(text[:ITEM_CHARS]) for text in texts]
        parts = [ask(cut[start:stop]) for start, stop in pairwise(_requests([len(one.text) for one in cut]))]
        return np.concatenate(parts) if parts else np.zeros((0, manifest.dim), dtype=np.float32)

    return _of(manifest, "server", encode)


def pretrained(source: str) -> Subject:
    """A pretrained encoder by torch: a directory, or `package:NAME`. Raises TeacherError."""
    directory = find_directory(source)
    encoder = PretrainedTeacher(directory, max_tokens=TEACHER_TOKENS)
    name = source.removeprefix("package:") if source.startswith("package:") else directory.name
    return Subject(
        name=name.replace("_", "-"),
        version=encoder.digest[:12],
        space="",
        source="teacher",
        dimensions=(encoder.dim,),
        encode=encoder.encode,
        teacher=encoder,
    )


def _of(manifest: Manifest, source: str, encode: Callable[[Sequence[str]], Floats]) -> Subject:
    if manifest.kind != "text":
        raise ConfigError(
            f"{manifest.name} encodes {manifest.kind}, and the suite is about texts; "
            "its own figures come from: encodery evaluate CONFIG.toml"
        )
    dimensions = tuple(sorted({manifest.dim, *manifest.dimensions}, reverse=True))
    return Subject(manifest.name, manifest.version, manifest.space, source, dimensions, encode)


def _requests(lengths: Sequence[int]) -> Iterator[int]:
    """Where requests begin and end."""
    yield 0
    start, chars = 0, 0
    for row, length in enumerate(lengths):
        if row > start and (row - start == REQUEST_TEXTS or chars + length > REQUEST_CHARS):
            yield row
            start, chars = row, 0
        chars += length
    if lengths:
        yield len(lengths)


def _manifest(url: str, name: str, version: str | None) -> Manifest:
    """Of the version that answers. Raises ServerError."""
    address = f"{url.rstrip('/')}/models/{urllib.parse.quote(name, safe='')}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:  # noqa: S310  # checked by `served`
            detail: dict[str, Any] = json.load(response)
        wanted = version or detail["current"]
        [found] = [one for one in detail["versions"] if one["version"] == wanted]
        return Manifest.model_validate_json(json.dumps(found))
    except urllib.error.HTTPError as error:
        with error:
            raise ServerError(f"{error.code}: {error.read(4096).decode(errors='replace')}") from None
    except OSError as error:
        raise ServerError(f"no server answers at {address}: {getattr(error, 'reason', error)}") from None
    except (ValueError, KeyError, TypeError):
        raise ServerError(f"{address} does not tell of version {version or 'current'}") from None
