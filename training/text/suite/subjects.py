"""What is measured: a published bundle, a model of a running server, or a pretrained teacher, all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bundle.preprocess.text import Text
from training.errors import ConfigError
from training.published import Published
from training.text.suite.task import Floats
from training.text.teacher import PretrainedTeacher, find_directory

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

    dimensions = tuple(sorted({manifest.dim, *manifest.dimensions}, reverse=True))
    return Subject(manifest.name, manifest.version, manifest.space, found.source, dimensions, encode_texts)


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
