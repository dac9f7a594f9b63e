"""Trains an encoder of sounds by labels, by captions in the space of a text encoder, or by both.

files -> the bundle's own decoding and windows -> augmentation -> network -> losses -> one graph
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnxruntime import InferenceSession
from torch import Tensor, nn
from torch.nn import functional as F

from bundle.inputs import Input
from bundle.manifest import Metric
from bundle.preprocess.audio import AudioPreprocessor
from bundle.progress import phase
from bundle.publish import Draft
from training.audio.data import NONE, Sounds, read_sounds
from training.audio.measures import nearest_caption, nearest_label, recall
from training.audio.network import AudioEncoder
from training.audio.parity import parity_sounds
from training.audio.reading import FrozenReading, LiveReading, Reading, frozen
from training.audio.settings import AudioRun
from training.audio.start import load_start
from training.data.holdout import held_out
from training.data.media import MediaExample, media_sha256, read_media
from training.data.stream import Stream
from training.data.tables import BadRows
from training.errors import ConfigError
from training.export import Exportable, draft_of, run_torch
from training.locked import LockedText
from training.losses.labels import supervised_contrast
from training.losses.locked import locked_contrast
from training.metrics import MetricValue, Validation
from training.provenance import of_run
from training.task import Encode

RECALLS = (1, 10)


class AudioLearner(nn.Module):
    """The encoder, and the linear layer from vectors to labels, if labels are learned by one."""

    def __init__(self, encoder: AudioEncoder, dim: int, labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(dim, labels) if labels else None


class AudioTask:
    """See `training.task.Task`.

    Args:
        run: the config.
        data: the directory that its paths are relative to.
        models: directory of published models, among them the text encoder of the captions.

    Raises:
        ConfigError: settings contradict each other.
        BundleError: the text encoder is not published there, or not sound.
    """

    starts_learned = False

    def __init__(self, run: AudioRun, data: Path, *, models: Path = Path("models")) -> None:
        self.run, self._data, self._models = run, data, models
        self.preprocessor = AudioPreprocessor(self._file, run.front_end.max_windows)
        self._bad = BadRows(run.data.bad_rows)
        self.anchor = None if run.anchor is None else LockedText.of(models, run.anchor.model)
        if self.anchor is not None and self.anchor.dim != run.model.hidden.output_dim:
            raise ConfigError(
                f"model.hidden.output_dim is {run.model.hidden.output_dim}; the anchor's vectors have "
                f"{self.anchor.dim} dimensions"
            )

    @property
    def _file(self) -> bytes:
        return self.run.front_end.file.to_bytes()

    @cached_property
    def _examples(self) -> tuple[list[MediaExample], list[MediaExample]]:
        """Files to learn from, and to measure by."""
        data, bad = self.run.data, self._bad
        return read_media(self._data, data.train, bad), read_media(self._data, data.validation, bad)

    @cached_property
    def data_sha256(self) -> str:
        """Digest of the sounds, and of what they are compared with."""
        anchor = "" if self.anchor is None else self.anchor.encoder.manifest.digest
        parts = [media_sha256(some) for some in self._examples]
        return hashlib.sha256(" ".join([*parts, self.run.data.bad_rows, anchor]).encode()).hexdigest()

    @cached_property
    def _split(self) -> tuple[Sounds, Sounds]:
        """What is learned from, and what is measured by; labels and captions are numbered over both."""
        learned, measured = self._examples
        rate, skip = self.run.front_end.sample_rate, self.run.data.bad_rows == "skip"
        most = int(self.preprocessor.most_s * rate)
        sounds = read_sounds([*learned, *measured], rate, most=most, skip=skip)
        if measured:
            is_learned = sounds.origins < len(learned)
            return sounds.at(np.flatnonzero(is_learned)), sounds.at(np.flatnonzero(~is_learned))
        chosen, held = held_out(np.arange(len(sounds)), self.run.seed, sounds.labels - sounds.labels.min())
        return sounds.at(chosen), sounds.at(held)

    @cached_property
    def model(self) -> AudioLearner:
        """The encoder, and the head of the labels."""
        run = self.run
        torch.manual_seed(run.seed)
        encoder = AudioEncoder(run.front_end, run.model, run.augment)
        if run.model.start is not None:
            load_start(encoder, run.model.start)
            for part in (encoder.blocks, encoder.last):
                part.requires_grad_(requires_grad=not run.model.start.frozen)
        labels = len(self._split[0].label_names) if run.loss.cross_entropy else 0
        return AudioLearner(encoder, run.model.hidden.output_dim, labels)

    @cached_property
    def _captions(self) -> Tensor:
        """Vectors of all captions, as the locked encoder gives them: (k, d)."""
        assert self.anchor is not None, "the config's own checks have seen to it"
        with phase("encode the captions"):
            return torch.from_numpy(self.anchor.vectors(self._split[0].caption_texts))

    @cached_property
    def _learned(self) -> Tensor:
        """The numbers of the captions that are learned, ascending; those of measured sounds are not seen."""
        captions = np.unique(self._split[0].captions)
        return torch.from_numpy(captions[captions != NONE])

    @cached_property
    def _stream(self) -> Stream:
        alike = np.ones(len(self._split[0]), dtype=np.int64)  # nothing is padded, so lengths do not matter
        return Stream(alike, self.run.train.batch_size, self.run.seed)

    @property
    def steps_per_epoch(self) -> int:
        return self._stream.steps

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """All that is trained; the convolutions of a start at a rate of their own."""
        encoder, start = self.model.encoder, self.run.model.start
        convolutions = [*encoder.blocks.parameters(), *encoder.last.parameters()]
        own = {id(one) for one in convolutions}
        rest = [one for one in self.model.parameters() if id(one) not in own]
        rate = learning_rate * (start.rate if start else 1.0)
        trained = [one for one in convolutions if one.requires_grad]
        return [{"params": rest, "lr": learning_rate}, {"params": trained, "lr": rate}]

    def batches(self, epoch: int, start: int) -> Iterator[int]:
        """Steps counted from the start of training: the rows of a batch follow from that."""
        return iter(range(epoch * self.steps_per_epoch + start, (epoch + 1) * self.steps_per_epoch))

    @cached_property
    def _learning(self) -> Reading:
        return self._reading(self._split[0], self.run.augment.copies)

    @cached_property
    def _measuring(self) -> Reading:
        return self._reading(self._split[1], copies=0)

    def _reading(self, sounds: Sounds, copies: int) -> Reading:
        run, start = self.run, self.run.model.start
        parts = self.preprocessor, sounds.samples, run.augment
        if start is None or not start.frozen:
            return LiveReading(self.model.encoder, *parts, seed=run.seed)
        return FrozenReading(self._frozen, *parts, copies=copies, seed=run.seed)

    @cached_property
    def _frozen(self) -> InferenceSession:
        return frozen(self.model.encoder, self.preprocessor)

    def loss(self, batch: int) -> dict[str, Tensor]:
        rows = self._stream.rows(batch)
        vectors = self.model.encoder.vectors(*self._learning.altered(rows, batch))
        parts = self._losses(vectors, self._split[0].at(rows))
        return {"loss": torch.stack(list(parts.values())).sum()} | parts

    def _losses(self, vectors: Tensor, sounds: Sounds) -> dict[str, Tensor]:
        """Each loss that the config names, over the sounds that have what it reads, times its weight."""
        chosen, parts = self.run.loss, dict[str, Tensor]()
        labels, captions = torch.from_numpy(sounds.labels), torch.from_numpy(sounds.captions)
        labelled, captioned = labels != NONE, captions != NONE
        if (one := chosen.cross_entropy) is not None and self.model.head is not None and labelled.any():
            scores = self.model.head(vectors[labelled]) / one.temperature
            parts["cross_entropy"] = one.weight * F.cross_entropy(
                scores, labels[labelled], label_smoothing=one.smoothing
            )
        if (two := chosen.supervised_contrast) is not None and labelled.any():
            found = supervised_contrast(vectors[labelled], labels[labelled], two.temperature)
            parts["supervised_contrast"] = two.weight * found
        if not (chosen.reads_captions and captioned.any()):
            return parts or {"nothing": vectors.sum() * 0}  # a batch of sounds that no loss reads
        candidates = self._captions[self._learned]
        own = torch.searchsorted(self._learned, captions[captioned])
        if (three := chosen.captions) is not None:
            found = locked_contrast(vectors[captioned], candidates, own, three.temperature)
            parts["captions"] = three.weight * found
        if (four := chosen.nearness) is not None:
            cosines = (vectors[captioned] * candidates[own]).sum(1)
            parts["nearness"] = four.weight * (1 - cosines).mean()
        return parts

    def evaluate(self) -> Validation:
        measured, encoder, step = self._split[1], self.model.encoder, self.run.train.batch_size
        with torch.no_grad():
            parts = [
                encoder.vectors(*self._measuring.clean(np.arange(start, min(start + step, len(measured)))))
                for start in range(0, len(measured), step)
            ]
        vectors = torch.cat(parts).numpy()
        metrics = dict[str, MetricValue]()
        if (measured.labels != NONE).sum() > 1:
            metrics["nearest_label"] = nearest_label(vectors, measured.labels)
        if self.run.loss.reads_captions and (measured.captions != NONE).any():
            captions = self._captions.numpy()
            metrics["nearest_caption"] = nearest_caption(vectors, captions, measured.captions)
            for k in RECALLS:
                metrics[f"caption_recall@{k}"] = recall(vectors, captions, measured.captions, k)
        return Validation(metrics)

    def _encode(self, inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
        prepared = self.preprocessor.prepare(inputs, "end")
        return run_torch(self.model.encoder, self.preprocessor, prepared, batch_size=32)

    def encoders(self) -> dict[str, Encode]:
        return {self.run.name: self._encode}

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """Nothing besides the validation figures: test splits are for `encodery evaluate audio`."""
        return {}

    def drafts(self, metrics: dict[str, Metric]) -> list[Draft]:
        exportable = Exportable(
            name=self.run.name,
            description=self.run.description,
            kind="audio",
            model=self.model.encoder,
            preprocessor=self._file,
            parity_inputs=parity_sounds(self.run.front_end),
            dimensions=[],
            normalized=True,
            metric="cosine",
            max_length=self.run.front_end.max_windows,
            not_for=self.run.not_for,
            joins=None if self.anchor is None else self.anchor.joins,
        )
        return [draft_of(exportable, of_run(self.run, self.data_sha256), metrics)]
