"""Classification: how many labels a linear probe on the vectors tells right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.data.files import files_sha256, open_text
from training.errors import ConfigError
from training.metrics import MetricValue
from training.text.config.data import SourceConfig
from training.text.data.readers import read_labels
from training.text.suite.probe import Ints, classified_right
from training.text.suite.splits import held_out
from training.text.suite.task import Floats, LabelledTexts, Split, TaskDescription, VectorsOf

FIGURE = "accuracy"


@dataclass(frozen=True)
class Classification:
    """Labelled texts to learn a probe from, and others to judge it by.

    Attributes:
        fit: to learn from.
        kept: to choose the probe's one setting by, then learned from as well.
        judged: never learned from.
    """

    about: TaskDescription
    fit: LabelledTexts
    kept: LabelledTexts
    judged: LabelledTexts
    baselines: Mapping[str, Mapping[str, MetricValue]]

    @classmethod
    def of(cls, directory: Path, split: Split) -> Classification | None:
        """Read train.csv, dev.csv, test.csv (columns text, category), or one JSON of train, val, test.

        Without a dev part, a fixed fifth of train is the dev split, and only the rest is learned from.
        """
        read = _csv(directory) or _json(directory)
        if read is None or "train" not in (parts := read.parts):
            return None
        train = read.examples("train")
        if split in parts:
            judged, where = read.examples(split), parts[split]
        elif split == "dev":
            judged = train.where(lambda text: held_out(text, "dev"))
            train = train.where(lambda text: not held_out(text, "dev"))
            where = f"a fixed fifth of {parts['train']}"
        else:
            return None
        fit = train.where(lambda text: not held_out(text, "l2"))
        kept = train.where(lambda text: held_out(text, "l2"))
        if not (fit.texts and kept.texts and judged.texts):
            raise ConfigError(f"{directory} has too few labelled texts: {len(train.texts)} to learn from")
        names = sorted({*fit.labels, *kept.labels, *judged.labels})
        size = f"{len(judged.texts):,} texts, {len(train.texts):,} to learn from, {len(names)} labels"
        digest = files_sha256(
            directory, sorted({read.files["train"], read.files.get(split, read.files["train"])})
        )
        return cls(
            TaskDescription(directory.name, "classification", where, size, digest, FIGURE),
            fit,
            kept,
            judged,
            {},
        )

    @property
    def labelled(self) -> LabelledTexts:
        """The judged texts."""
        return self.judged

    def texts(self) -> Sequence[str]:
        return [*self.fit.texts, *self.kept.texts, *self.judged.texts]

    def score(self, vectors: VectorsOf) -> dict[str, MetricValue]:
        """Accuracy, with its standard error over the judged texts."""
        names = sorted({*self.fit.labels, *self.kept.labels, *self.judged.labels})
        number = {name: index for index, name in enumerate(names)}

        def part(examples: LabelledTexts) -> tuple[Floats, Ints]:
            return vectors(examples.texts), np.array([number[label] for label in examples.labels])

        right = classified_right(part(self.fit), part(self.kept), part(self.judged))
        return {FIGURE: MetricValue.of(right.astype(np.float64))}


@dataclass(frozen=True)
class _Read:
    """Where the parts of a set are: in words, in which file, and their content."""

    parts: Mapping[str, str]
    files: Mapping[str, str]
    directory: Path
    content: Mapping[str, Any] | None = None

    def examples(self, part: str) -> LabelledTexts:
        """The texts of a part."""
        if self.content is None:
            found = read_labels(self.directory, [SourceConfig(path=self.files[part])])
            return LabelledTexts(found.texts, [found.names[number] for number in found.labels])
        rows = self.content["val" if part == "dev" else part]
        return LabelledTexts([str(text) for text, _ in rows], [str(label) for _, label in rows])


def _csv(directory: Path) -> _Read | None:
    files = {part: f"{part}.csv" for part in ("train", "dev", "test")}
    there = {part: name for part, name in files.items() if _has_labels(directory / name)}
    return (
        _Read({part: f"the file {name}" for part, name in there.items()}, there, directory) if there else None
    )


def _has_labels(path: Path) -> bool:
    if not path.is_file():
        return False
    with open_text(path) as file:
        return {"text", "category"} <= {field.strip() for field in file.readline().split(",")}


def _json(directory: Path) -> _Read | None:
    """CLINC150's form; lists of other names, such as its out-of-scope ones, are left alone."""
    for path in sorted(directory.glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
        except ValueError:
            continue
        keys = {"train": "train", "dev": "val", "test": "test"}
        there = {
            part: key for part, key in keys.items() if isinstance(content, dict) and _rows(content.get(key))
        }
        if "train" in there:
            words = {part: f"the list {key!r} of {path.name}" for part, key in there.items()}
            return _Read(words, dict.fromkeys(there, path.name), directory, content)
    return None


def _rows(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, list) and len(row) == 2 for row in value)
    )
