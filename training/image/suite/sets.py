"""The sets of a suite: tables NAME-SPLIT.jsonl in one directory, and what is measured on each.

A set with labels of several pictures each is told apart by them, with NAME-train.jsonl for probe and
neighbours if it is there; in one whose captions differ, each caption is to find its own picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle import InputError
from bundle.preprocess.image import Image
from bundle.preprocess.text import Text
from tabular import BadRows
from training.data.media import MediaExample, read_media
from training.errors import ConfigError
from training.image.measures import (
    Vectors,
    nearest_text,
    neighbours_in,
    recall,
    text_to_image,
)
from training.image.suite.probe import probe
from training.metrics import MetricValue
from training.task import Encode

SUFFIX = ".jsonl"
RANKS = (1, 5, 10)


@dataclass(frozen=True)
class PictureSet:
    """A set, encoded.

    Attributes:
        name: of the set.
        examples: its pictures.
        vectors: of the pictures, of norm 1. float32 [n, dim].
        texts: names of the classes, or the captions.
        text_vectors: of the texts, of norm 1. float32 [m, dim].
        right: the number of each picture's text. int64 [n].
        figures: what was measured.
    """

    name: str
    examples: Sequence[MediaExample]
    vectors: Vectors
    texts: Sequence[str]
    text_vectors: Vectors
    right: npt.NDArray[np.int64]
    figures: Mapping[str, MetricValue]

    @property
    def is_right(self) -> npt.NDArray[np.bool_]:
        """Which picture belongs to which text. bool [m, n]."""
        return np.asarray(np.arange(len(self.texts))[:, None] == self.right[None, :])


def tables_of(data: Path, split: str) -> list[Path]:
    """The tables of a split. Raises ConfigError."""
    found = sorted(data.glob(f"*-{split}{SUFFIX}"))
    if not found:
        raise ConfigError(f"{data} has no table NAME-{split}{SUFFIX}; say where the sets are by --data")
    return found


def measure(table: Path, split: str, pictures: Encode, texts: Encode) -> PictureSet:
    """Encode a set and measure it. Raises ConfigError."""
    name = table.name.removesuffix(f"-{split}{SUFFIX}")
    examples = _read(table)
    known = [one.label or (one.captions[0] if one.captions else None) for one in examples]
    if None in known:
        raise ConfigError(f"{table.name}: a picture has neither label nor captions; nothing is to be found")
    names = list(dict.fromkeys(text for text in known if text is not None))
    vectors, named = _encoded(pictures, examples), _unit(texts([Text(text) for text in names]))
    right = np.array([names.index(text) for text in known if text is not None])
    found = PictureSet(name, examples, vectors, names, named, right, {})
    figures = (
        _of_captions(found) if len(names) == len(examples) else _of_classes(found, table, split, pictures)
    )
    return PictureSet(name, examples, vectors, names, named, right, figures)


def _of_captions(found: PictureSet) -> dict[str, MetricValue]:
    """How often a caption finds its picture, and a picture its caption."""
    texts, vectors = found.text_vectors, found.vectors
    figures = {f"text to image, recall@{k}": recall(texts, vectors, k) for k in RANKS}
    return figures | {f"image to text, recall@{k}": recall(vectors, texts, k) for k in RANKS}


def _of_classes(found: PictureSet, table: Path, split: str, pictures: Encode) -> dict[str, MetricValue]:
    figures = {
        "zero-shot accuracy": nearest_text(found.vectors, found.text_vectors, found.right.tolist()),
        "text to image, mAP": text_to_image(found.text_vectors, found.vectors, found.is_right),
    }
    train = table.with_name(f"{found.name}-train{SUFFIX}")
    if split == "train" or not train.exists():
        return figures
    number = {text: index for index, text in enumerate(found.texts)}
    examples = _read(train)
    labels = np.array([number.setdefault(one.label or one.captions[0], len(number)) for one in examples])
    vectors = _encoded(pictures, examples)
    return figures | {
        "probe accuracy": probe(vectors, labels, found.vectors, found.right),
        "5 neighbours": neighbours_in(found.vectors, found.right.tolist(), vectors, labels.tolist()),
    }


def _read(table: Path) -> list[MediaExample]:
    return read_media(table.parent, [table.name], BadRows("stop"))


def _encoded(encode: Encode, examples: Sequence[MediaExample]) -> Vectors:
    return _unit(encode([_image(one) for one in examples]))


def _image(example: MediaExample) -> Image:
    try:
        return Image.from_bytes(example.content())
    except InputError as error:
        raise ConfigError(f"{example.place}: {example.path.name}: {error.reason}") from None


def _unit(vectors: npt.NDArray[np.float32]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    return np.asarray(vectors / lengths, np.float32)
