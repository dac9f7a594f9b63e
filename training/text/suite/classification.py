"""Classification: how many labels a linear probe on the vectors tells right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tabular.jsonl import reason, strict_json
from training.data.files import open_text
from training.errors import ConfigError
from training.metrics import MetricValue
from training.text.config.data import SourceConfig
from training.text.data.readers import read_labels
from training.text.suite.probe import FOLDS, Ints, probe
from training.text.suite.splits import Split, held_out, plain, share
from training.text.suite.task import Floats, LabelledTexts, NoSuchSplit, TaskDescription, VectorsOf, counted

FIGURE = "accuracy"
FEWEST_LABELS = 2


@dataclass(frozen=True)
class Classification:
    """Labelled texts to learn a probe from, and others to judge it by.

    Attributes:
        train: to learn from, and to choose the probe's one setting by; none is like a judged text.
        judged: never learned from.
    """

    about: TaskDescription
    train: LabelledTexts
    judged: LabelledTexts
    baselines: Mapping[str, Mapping[str, MetricValue]]

    @classmethod
    def of(cls, directory: Path, split: Split) -> Classification | NoSuchSplit | None:
        """Read train.csv and the file of the split (columns text, category), or one JSON of train, val, test.

        Without a dev part, a fixed fifth of train is the dev split, and only the rest is learned from.
        """
        read = _csv(directory, split) or _json(directory)
        if read is None or "train" not in (parts := read.parts):
            return None
        if split == "test" and "test" not in parts:
            return NoSuchSplit(directory.name, f"it has {parts['train']} and no {read.missing('test')}")
        train = read.examples("train")
        if split in parts:
            judged, where = read.examples(split), parts[split]
        else:
            judged = train.where(lambda text: held_out(text, "dev"))
            train = train.where(lambda text: not held_out(text, "dev"))
            where = f"a fixed fifth of {parts['train']}"
        kept = _apart(train, judged, directory)
        known, removed = set(kept.labels), len(train.texts) - len(kept.texts)
        unknown = sum(label not in known for label in judged.labels)
        about = TaskDescription.of(
            directory,
            sorted({read.files["train"], read.files.get(split, read.files["train"])}),
            kind="classification",
            split=where,
            size=f"{len(judged.texts):,} texts, {len(kept.texts):,} to learn from, "
            f"{len(known | set(judged.labels))} labels",
            headline=FIGURE,
            judged=len(judged.texts),
            notes=[
                *counted(removed, "texts to learn from were left out: a judged text is the same"),
                *counted(unknown, "judged texts have a label that nothing is learned of"),
            ],
        )
        return cls(about, kept.in_fixed_order(), judged.in_fixed_order(), {})

    @property
    def labelled(self) -> LabelledTexts:
        """The judged texts."""
        return self.judged

    def texts(self) -> Sequence[str]:
        return [*self.train.texts, *self.judged.texts]

    def score(self, vectors: VectorsOf) -> dict[str, MetricValue]:
        """Accuracy, with its standard error over the judged texts."""
        names = sorted({*self.train.labels, *self.judged.labels})
        number = {name: index for index, name in enumerate(names)}

        def part(examples: LabelledTexts) -> tuple[Floats, Ints]:
            return vectors(examples.texts), np.array([number[label] for label in examples.labels])

        found = probe(part(self.train), fold_of(self.train.texts), part(self.judged))
        value = MetricValue.of(found.right.astype(np.float64))
        return {FIGURE: replace(value, chosen={"l2": found.l2, "gradient": found.gradient})}


def fold_of(texts: Sequence[str]) -> Ints:
    """The fold of the cross-validation of each text; texts that are the same stay together. int64 [n]."""
    return np.array([int(share(plain(text), "l2") * FOLDS) for text in texts], dtype=np.int64)


def _apart(train: LabelledTexts, judged: LabelledTexts, directory: Path) -> LabelledTexts:
    """Those to learn from that are the same as no judged text. Raises ConfigError if they are too few."""
    seen = {plain(text) for text in judged.texts}
    kept = train.where(lambda text: plain(text) not in seen)
    labels, folds = set(kept.labels), set(fold_of(kept.texts).tolist())
    if min(len(labels), len(folds)) < FEWEST_LABELS:
        raise ConfigError(
            f"{directory}: {len(kept.texts)} texts of {len(labels)} labels to learn from; "
            f"a probe needs at least {FEWEST_LABELS} labels, and a few texts of each"
        )
    return kept


@dataclass(frozen=True)
class _Read:
    """Where the parts of a set are: in words, in which file, and their content."""

    parts: Mapping[str, str]
    files: Mapping[str, str]
    directory: Path
    content: Mapping[str, Any] | None = None

    def missing(self, part: str) -> str:
        """What a part would be, in words."""
        return f"{part}.csv" if self.content is None else f"list {part!r}"

    def examples(self, part: str) -> LabelledTexts:
        """The texts of a part."""
        if self.content is None:
            found = read_labels(self.directory, [SourceConfig(path=self.files[part])])
            return LabelledTexts(found.texts, [found.names[number] for number in found.labels])
        name = "val" if part == "dev" else part
        rows = self.content[name]
        for number, (text, label) in enumerate(rows, start=1):
            if not (isinstance(text, str) and isinstance(label, (str, int))):
                raise ConfigError(
                    f"{self.directory / self.files[part]}: entry {number} of {name!r} is no text with a label"
                )
        return LabelledTexts([text for text, _ in rows], [str(label) for _, label in rows])


def _csv(directory: Path, split: Split) -> _Read | None:
    """The files of a set; that of another split than the one asked for is not opened."""
    files = {part: f"{part}.csv" for part in ("train", split)}
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
        raw = path.read_bytes()
        try:
            content = strict_json(raw.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            if b'"train"' in raw:  # other files of JSON are no business of ours
                raise ConfigError(f"{path}: {reason(raw.decode(errors='replace'), error)}") from None
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
