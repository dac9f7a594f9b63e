"""Trains an encoder of pictures on captions, labels, a teacher or the pictures themselves, and exports it.

files -> the bundle's own preprocessing -> views -> encoder -> objectives -> one graph
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bundle.inputs import Input
from bundle.manifest import Joined, Metric
from bundle.preprocess import KINDS, Preprocessor
from bundle.preprocess.image import ImageFile
from bundle.progress import phase
from bundle.publish import Draft
from tabular import BadRows
from training.console import say
from training.data.media import MediaExample, media_sha256, read_media
from training.errors import ConfigError
from training.export import Exportable, draft_of
from training.image.backbone import read_lite0
from training.image.encoders.assembled import ImageEncoder
from training.image.encoders.lite import BLOCKS, Lite0
from training.image.encoders.network import Network
from training.image.measures import nearest_text, neighbours
from training.image.objectives import (
    Captions,
    Distilled,
    Labels,
    Objective,
    Reconstructed,
    Supervised,
    label_numbers,
)
from training.image.parity import parity_pictures
from training.image.pictures import (
    DrawnViews,
    KeptViews,
    Lower,
    canvases_of,
    kept_part,
    lower_of,
    squares_of,
    vectors_of,
)
from training.image.settings import ImageRun
from training.locked import LockedText
from training.metrics import MetricValue, Validation
from training.provenance import of_run
from training.task import Encode

SMALL_BATCH = 64


class Batch(NamedTuple):
    """Rows of the examples, and what chance is drawn from."""

    rows: npt.NDArray[np.int64]
    random: np.random.Generator


@dataclass(frozen=True)
class Held:
    """A validation set, decoded.

    Attributes:
        name: of its file or folder.
        lower: what the part of the encoder that stays gives of each picture, float16; None if none stays.
        squares: uint8 [n, side, side, 3].
    """

    name: str
    examples: Sequence[MediaExample]
    lower: Tensor | None
    squares: npt.NDArray[np.uint8]


class ImageLearner(nn.Module):
    """The encoder, and what is trained beside it.

    Args:
        encoder: is exported.
        objectives: by name; their layers are not.
    """

    def __init__(self, encoder: ImageEncoder, objectives: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoder, self.objectives = encoder, nn.ModuleDict(dict(objectives))


class ImageTask:
    """See `training.task.Task`.

    Args:
        run: the config.
        data: the directory that its paths are relative to.
        models: directory of published models, of which one may be the anchor.

    Raises:
        ConfigError: the anchor is none.
        BundleError: it is not published, or not sound.
    """

    starts_learned = False

    def __init__(self, run: ImageRun, data: Path, *, models: Path = Path("models")) -> None:
        self.run, self._data, self._bad = run, data, BadRows(run.data.bad_rows)
        self.anchor = None if run.anchor is None else LockedText.of(models, run.anchor.model)
        if self.anchor is not None and run.model.output_dim != self.anchor.dim:
            raise ConfigError(f"model.output_dim must be {self.anchor.dim}, that of {run.anchor.model}")  # type: ignore[union-attr]  # it is there
        file = ImageFile(side=run.model.side, fit=run.model.fit)
        self._file = file.to_bytes()
        self.preprocessor: Preprocessor = KINDS["image"].load(self._file, 1, ())

    @cached_property
    def examples(self) -> list[MediaExample]:
        """What is learned from."""
        return read_media(self._data, self.run.data.train, self._bad)

    @cached_property
    def data_sha256(self) -> str:
        """Digest of pictures, labels and captions, and of the anchor."""
        anchor = "" if self.anchor is None else self.anchor.encoder.manifest.digest
        return hashlib.sha256(f"{media_sha256(self.examples)} {anchor}".encode()).hexdigest()

    @cached_property
    def model(self) -> ImageLearner:
        """The encoder, and what is trained beside it."""
        torch.manual_seed(self.run.seed)
        config, losses, dim = self.run.model, self.run.loss, self.run.model.output_dim
        encoder = ImageEncoder(self._body(), dim, normalize=config.normalize)
        for one in encoder.body.parameters():
            one.requires_grad_(False)
        for one in encoder.body.tuned():
            one.requires_grad_(True)
        found = dict[str, nn.Module]()
        if losses.caption is not None and self.anchor is not None:
            with phase("encode the captions"):
                found["caption"] = Captions(losses.caption, self.examples, self.anchor)
        if losses.label is not None:
            found["label"] = Labels(losses.label, self._labels("loss.label"), dim)
        if losses.supervised is not None:
            found["supervised"] = Supervised(losses.supervised, self._labels("loss.supervised"))
        if losses.distill is not None:
            with phase("ask the teacher"):
                network = read_lite0(losses.distill.source, losses.distill.sha256)
                teacher = ImageEncoder(network, 1, normalize=False)
                targets = kept_part(teacher, self.preprocessor)(self._squares).half()
                found["distill"] = Distilled(losses.distill, targets, dim)
        if losses.reconstruction is not None:
            found["reconstruction"] = Reconstructed(losses.reconstruction, self._squares, dim)
        return ImageLearner(encoder, found)

    def _body(self) -> Lite0 | Network:
        config = self.run.model
        if config.backbone is not None:
            return read_lite0(config.backbone.source, config.backbone.sha256, config.backbone.tune)
        assert config.network is not None  # the config's own checks have seen to it
        network = Network(config.network)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        return network

    def _labels(self, key: str) -> Tensor:
        labels = label_numbers(self.examples)
        if int(labels.max()) < 1:
            raise ConfigError(
                f"{key}: the pictures have {int(labels.max()) + 1} labels; it takes two at least"
            )
        return labels

    @cached_property
    def _squares(self) -> npt.NDArray[np.uint8]:
        return squares_of(self.examples, self.run.model)

    @property
    def _keeps_part(self) -> bool:
        """Part of the encoder stays as it is."""
        backbone = self.run.model.backbone
        return backbone is not None and backbone.tune < BLOCKS

    @cached_property
    def _lower(self) -> Lower:
        """What no step changes."""
        encoder = self.model.encoder
        return kept_part(encoder, self.preprocessor) if self._keeps_part else partial(lower_of, encoder)

    @cached_property
    def _views(self) -> KeptViews | DrawnViews:
        run = self.run
        if self._keeps_part:
            return KeptViews.of(self.examples, self._lower, run.model, run.augment, run.seed)
        canvases = canvases_of(self.examples, run.model)
        return DrawnViews(canvases, self.model.encoder, run.model.side, run.augment)

    @cached_property
    def _held(self) -> list[Held]:
        found = list[Held]()
        for source in self.run.data.validation:
            examples = read_media(self._data, [source], self._bad)
            squares = squares_of(examples, self.run.model)
            lower = self._lower(squares).half() if self._keeps_part else None
            found.append(Held(Path(source).stem, examples, lower, squares))
        return found

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of one pass; what is left over differs from pass to pass."""
        return max(1, len(self.examples) // self.run.train.batch_size)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        encoder, backbone = self.model.encoder, self.run.model.backbone
        times = 1.0 if backbone is None else backbone.rate
        body = {"params": encoder.body.tuned(), "lr": learning_rate * times}
        rest = [*encoder.output.parameters(), *self.model.objectives.parameters()]
        return [*([body] if body["params"] else []), {"params": rest, "lr": learning_rate}]

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        order = np.random.default_rng([self.run.seed, epoch]).permutation(len(self.examples))
        size = self.run.train.batch_size
        for step in range(start, self.steps_per_epoch):
            yield Batch(
                order[step * size : (step + 1) * size],
                np.random.default_rng([self.run.seed, epoch, step]),
            )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        rows, random = batch
        lower = self._views(rows, random)
        if (rebuilt := self.run.loss.reconstruction) is not None and rebuilt.noise:
            lower = lower + rebuilt.noise * torch.randn_like(lower)
        vectors = self.model.encoder.upper(lower)
        parts = dict[str, Tensor]()
        for name, one in self.model.objectives.items():
            objective: Objective = one  # type: ignore[assignment]  # a ModuleDict tells of modules only
            parts[f"{name} loss"] = objective.loss(vectors, rows, random)
        return {"loss": torch.stack(list(parts.values())).sum()} | parts

    def evaluate(self) -> Validation:
        metrics, groups = dict[str, MetricValue](), dict[str, list[MetricValue]]()
        for held in self._held:
            for name, value in self._figures(held).items():
                metrics[f"{name} {held.name}"] = value
                groups.setdefault(name, []).append(value)
        means = {name: _mean(values) for name, values in groups.items()}
        return Validation(means | (metrics if len(self._held) > 1 else {}))

    def _figures(self, held: Held) -> dict[str, MetricValue]:
        lower = self._lower(held.squares) if held.lower is None else held.lower
        vectors = vectors_of(self.model.encoder, lower)
        directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
        found = dict[str, MetricValue]()
        first = [one.captions[0] if one.captions else None for one in held.examples]
        names = list(dict.fromkeys(text for text in first if text is not None))
        if self.anchor is not None and len(names) > 1 and None not in first:
            right = [names.index(text) for text in first if text is not None]
            found["caption@1"] = nearest_text(directions, self.anchor.vectors(names), right)
        labels = label_numbers(held.examples)
        if (labels >= 0).all() and int(labels.max()) + 1 < len(labels):
            found["knn"] = neighbours(directions, labels.tolist())
        if "reconstruction" in self.model.objectives:
            decoder: Any = self.model.objectives["reconstruction"]
            with torch.no_grad():
                errors = decoder.errors(torch.from_numpy(vectors), held.squares)
            found["reconstruction"] = MetricValue.of(-errors.numpy().astype(np.float64))
        if not found:
            raise ConfigError(f"data.validation: {held.name} has neither captions nor labels to measure")
        return found

    def encoders(self) -> dict[str, Encode]:
        return {self.run.name: self._encode}

    def _encode(self, inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
        prepared = self.preprocessor.prepare(inputs)
        pixels = self.preprocessor.collate(prepared)["pixels"]
        return vectors_of(self.model.encoder, self._lower(pixels))

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """What a vector leaves of a picture, where the run has a decoder."""
        rebuilt = self.run.loss.reconstruction
        if rebuilt is None:
            return {}
        decoder: Any = self.model.objectives["reconstruction"]
        squares = np.concatenate([held.squares for held in self._held])
        lower = self._lower(squares)
        vectors = torch.from_numpy(vectors_of(self.model.encoder, lower))
        with torch.inference_mode():
            error = float(decoder.errors(vectors, squares).mean())
        mean = squares.mean(0, keepdims=True).astype(np.uint8).repeat(len(squares), 0)
        plain = float(np.square((mean.astype(np.float64) - squares) / 255).mean())
        rate = self.run.model.side**2 * 3 / (4 * self.run.model.output_dim)
        return {
            f"reconstruction error at {rebuilt.side} pixels": Metric(
                value=error, baselines={"mean picture": plain}
            ),
            "compression rate, bytes of pixels to bytes of the vector": Metric(value=rate),
        }

    @property
    def joins(self) -> Joined | None:
        """The encoder whose space the run is to join, if it is."""
        return None if self.anchor is None else self.anchor.joins

    def drafts(self, metrics: dict[str, Metric]) -> list[Draft]:
        run = self.run
        if self.joins is not None:
            say(f"its vectors may be compared with those of {self.joins.name}/{self.joins.version}")
        exportable = Exportable(
            name=run.name,
            description=run.description,
            kind="image",
            model=self.model.encoder,
            preprocessor=self._file,
            parity_inputs=parity_pictures(),
            dimensions=[],
            normalized=run.model.normalize,
            metric="cosine" if run.model.normalize else "inner_product",
            max_length=1,
            not_for=run.not_for,
            joins=self.joins,
        )
        return [draft_of(exportable, of_run(run, self.data_sha256), metrics)]


def _mean(values: Sequence[MetricValue]) -> MetricValue:
    """The mean over sets, each counting alike."""
    mean = sum(value.mean for value in values) / len(values)
    error = sum(value.standard_error**2 for value in values) ** 0.5 / len(values)
    return values[0] if len(values) == 1 else MetricValue(mean, error)
