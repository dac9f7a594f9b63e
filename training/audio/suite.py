"""`encodery evaluate audio NAME SET`: how good a published encoder is, on sounds with labels or captions.

    SET/train.jsonl, SET/test.jsonl -> vectors -> probe, neighbours, captions -> results.json, results.html

Labels: a linear probe and the nearest neighbours, both by the sounds of train.jsonl; the probe once more for
each group (a speaker) that it has not seen. Captions: sounds found by texts, in the space that was joined.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.inputs import Input
from bundle.manifest import Manifest
from bundle.preprocess.audio import Sound
from bundle.preprocess.text import Text
from bundle.progress import Progress
from tabular import BadRows
from training.audio.measures import Vectors, nearest_caption, neighbours, probe, recall
from training.audio.page import page
from training.data.media import MediaExample, read_media
from training.data.tables import good_rows
from training.errors import ConfigError
from training.metrics import MetricValue, said
from training.published import Published, PublishedEncoder

SPLITS = ("dev", "test")
AT_ONCE, RECALLS, FOUND = 32, (1, 10), 5
FORMS = ("jsonl", "parquet", "csv")


@dataclass(frozen=True)
class Finding:
    """What a caption found.

    Attributes:
        caption: the text that was asked.
        rank: of the first sound that it is of, from 1.
        found: the nearest sounds' captions, the nearest first.
    """

    caption: str
    rank: int
    found: Sequence[str]


@dataclass(frozen=True)
class Results:
    """All figures of one encoder on one set, and its worst captions."""

    manifest: Manifest
    source: str
    name: str
    split: str
    figures: dict[str, MetricValue]
    worst: Sequence[Finding]

    def to_json(self) -> str:
        """The content of results.json, as `encodery models describe` reads it."""
        own = self.manifest.name
        encoder = {"name": own, "version": self.manifest.version, "space": self.manifest.space}
        rows = [
            {
                "task": self.name,
                "kind": figure,
                "figure": figure,
                "encoder": own,
                "dimension": self.manifest.dim,
            }
            | {"value": one.mean, "standard_error": one.standard_error, "examples": one.n}
            for figure, one in self.figures.items()
        ]
        content: dict[str, Any] = {
            "schema_version": 2,
            "suite": "audio",
            "split": self.split,
            "encoders": [encoder | {"source": self.source, "dimensions": [self.manifest.dim]}],
            "tasks": [{"name": self.name, "kind": one, "headline": one} for one in self.figures],
            "figures": rows,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def report(self) -> str:
        """What the terminal shows."""
        lines = [f"{self.manifest.name}/{self.manifest.version} on {self.name}, split {self.split}"]
        return "\n".join(
            [*lines, *(f"{name}: {said(one)} (n = {one.n})" for name, one in self.figures.items())]
        )


def evaluate(  # one argument for each option of the command
    name: str,
    folder: Path,
    place: Published,
    *,
    version: str | None,
    split: str,
    group: str | None,
    out: Path,
) -> Results:
    """Measure, and write results.json and results.html.

    Args:
        name: of the model.
        folder: of the set.
        place: where the model is published, and the encoder whose space it joined.
        version: of the model; by default the current one.
        split: which is measured: dev to choose by, test to report.
        group: the column of what the probe is not to have seen, as a speaker; None for none.
        out: where results go.

    Raises:
        ConfigError: the set cannot be read, or has neither labels nor captions.
        BundleError, ServerError: an encoder is not there.
    """
    if split not in SPLITS:
        raise ConfigError(f"--split is {split!r}; it is {' or '.join(SPLITS)}")
    encoder = place.open(name, version)
    if encoder.manifest.kind != "audio":
        raise ConfigError(f"{name} takes no sounds; this command is about encoders that do")
    train, test = (_read(folder, part) for part in ("train", split))
    own = _vectors(encoder, test, f"encode {split}")
    figures, worst = dict[str, MetricValue](), list[Finding]()
    if all(one.label is not None for one in [*train, *test]):
        learned = _vectors(encoder, train, "encode train")
        figures |= dict(_of_labels(learned, train, own, test))
        if group is not None:
            groups = np.array(_groups(folder, group))
            figures["unseen group, probe accuracy"] = _unseen(learned, _labels(train), groups)
    if encoder.manifest.joins is not None and all(one.captions for one in test):
        joins = encoder.manifest.joins
        found, worst = _of_captions(place.open(joins.name, joins.version), own, test)
        figures |= found
    if not figures:
        raise ConfigError(
            f"{folder} has no labels for all of its sounds, and no captions that can be compared"
        )
    results = Results(encoder.manifest, encoder.source, folder.name, split, figures, worst)
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(results.to_json(), encoding="utf-8")
    (out / "results.html").write_text(page(results), encoding="utf-8")
    return results


def _path(folder: Path, part: str) -> Path:
    """The table of a split. Raises ConfigError."""
    for form in FORMS:
        if (folder / f"{part}.{form}").is_file():
            return folder / f"{part}.{form}"
    raise ConfigError(f"{folder} has no {part}.jsonl; say where the data is by --data or ENCODERY_DATA")


def _read(folder: Path, part: str) -> list[MediaExample]:
    return read_media(folder, [_path(folder, part).name], BadRows("stop"))


def _groups(folder: Path, column: str) -> list[str]:
    rows = good_rows(_path(folder, "train"), [column], BadRows("stop"))
    return [str(row.content[column]) for row in rows]


def _labels(examples: Sequence[MediaExample]) -> npt.NDArray[np.str_]:
    return np.array([one.label for one in examples])


def _vectors(encoder: PublishedEncoder, examples: Sequence[MediaExample], label: str) -> Vectors:
    parts = []
    with Progress(total=len(examples), label=label, unit="sounds") as progress:
        for start in range(0, len(examples), AT_ONCE):
            some = examples[start : start + AT_ONCE]
            sounds: list[Input] = [Sound.from_bytes(one.content()) for one in some]
            parts.append(encoder.encode(sounds))
            progress.advance(len(some))
    return np.concatenate(parts)


def _of_labels(
    learned: Vectors, train: Sequence[MediaExample], own: Vectors, test: Sequence[MediaExample]
) -> Iterator[tuple[str, MetricValue]]:
    yield "probe accuracy", probe(learned, _labels(train), own, _labels(test))
    yield "neighbour accuracy", neighbours(learned, _labels(train), own, _labels(test))


def _unseen(vectors: Vectors, labels: npt.NDArray[np.str_], groups: npt.NDArray[np.str_]) -> MetricValue:
    """The probe's accuracy on each group when it learned from the others: one value for each group."""
    parts = [
        probe(
            vectors[groups != one], labels[groups != one], vectors[groups == one], labels[groups == one]
        ).mean
        for one in np.unique(groups)
    ]
    return MetricValue.of(np.array(parts))


def _of_captions(
    texts: PublishedEncoder, vectors: Vectors, test: Sequence[MediaExample]
) -> tuple[dict[str, MetricValue], list[Finding]]:
    """Figures of finding sounds by texts, and the captions whose sounds were found last."""
    captions = sorted({one.captions[0] for one in test})
    own = np.array([captions.index(one.captions[0]) for one in test])
    asked = texts.encode([Text(one) for one in captions])
    figures = {f"caption recall@{k}": recall(vectors, asked, own, k) for k in RECALLS}
    figures["caption accuracy"] = nearest_caption(vectors, asked, own)
    order = np.argsort(-(asked @ vectors.T), axis=1, kind="stable")  # (captions, n)
    ranks = (own[order] == np.arange(len(captions))[:, None]).argmax(1) + 1
    worst = [
        Finding(captions[row], int(ranks[row]), [captions[own[place]] for place in order[row, :FOUND]])
        for row in np.argsort(-ranks, kind="stable")[:20]
    ]
    return figures, worst
