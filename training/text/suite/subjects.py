"""What is measured: a published bundle, a model of a running server, or a pretrained teacher, all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bundle.lexical import InputType, SparseVector
from bundle.preprocess.text import Text
from training.errors import ConfigError
from training.published import Published
from training.text.suite.task import Floats, SparseOf
from training.text.teacher import PretrainedTeacher, find_directory

ITEM_CHARS = 16_000  # the server's default limit is 16,384; encoders read their few hundred tokens before
TEACHER_TOKENS = 256
NOTHING = SparseVector(np.zeros(0, np.uint32), np.zeros(0, np.float32))  # of a blank text


@dataclass(frozen=True)
class Subject:
    """One encoder of texts.

    Attributes:
        source: bundle, server or teacher.
        dimensions: lengths that its vectors may be cut to, the full one first.
        sparse: gives the weights of words, where the encoder has statistics of them.
        teacher: what encodes them, where vectors are so costly that they are kept for good.
    """

    name: str
    version: str
    space: str
    source: str
    dimensions: tuple[int, ...]
    encode: Callable[[Sequence[str]], Floats]
    teacher: PretrainedTeacher | None = None
    sparse: SparseOf | None = None

    @property
    def dim(self) -> int:
        """The full length."""
        return self.dimensions[0]


def published(place: Published, name: str, version: str | None = None) -> Subject:
    """A published model, here or at a server. Raises BundleError, ServerError, ConfigError."""
    found = place.open(name, version)
    manifest, encode = found.manifest, found.encode
    if manifest.kind != "text":
        raise ConfigError(
            f"{manifest.name} encodes {manifest.kind}, and the suite is about texts; "
            "its own metrics come from: encodery evaluate run CONFIG.toml"
        )

    most = ITEM_CHARS if found.source == "server" else None

    def encode_texts(texts: Sequence[str]) -> Floats:
        return encode([Text(text[:most]) for text in texts])

    def sparse_texts(texts: Sequence[str], role: InputType) -> list[SparseVector]:
        assert found.sparse is not None
        there = [row for row, text in enumerate(texts) if text.strip()]
        rows = dict(zip(there, found.sparse([Text(texts[row]) for row in there], role), strict=True))
        return [rows.get(row, NOTHING) for row in range(len(texts))]

    dimensions = tuple(sorted({manifest.dim, *manifest.dimensions}, reverse=True))
    return Subject(
        name=manifest.name,
        version=manifest.version,
        space=manifest.space,
        source=found.source,
        dimensions=dimensions,
        encode=encode_texts,
        sparse=sparse_texts if found.sparse else None,
    )


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
