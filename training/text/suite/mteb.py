"""A published bundle, or a model of a running server, as an encoder of the `mteb` package.

    import mteb
    from training.text.suite.mteb import MtebEncoder
    mteb.evaluate(MtebEncoder("text", models=Path("models")), mteb.get_tasks(tasks=["STS12"]))

mteb is no dependency: only the description of the model asks for it, and only when mteb does. The
interface is that of mteb 2, `mteb.models.EncoderProtocol`; the tasks are mteb's, and so is their download.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.errors import ConfigError
from training.published import Published
from training.text.metrics import finite
from training.text.suite.subjects import Subject, published
from training.text.suite.task import Floats


class MtebEncoder:
    """A published model as an encoder of mteb.

    Args:
        model_name: the model's.
        revision: its version, by default the current one.
        device: mteb passes it; a bundle runs where it runs.
        models: directory of published models, by default `models`.
        url: in its place, the base URL of a running server.
        dimensions: a shorter length to measure.

    Raises:
        BundleError, ServerError: there is no such model.
        ConfigError: it encodes no texts, or not in this length.
    """

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        device: str | None = None,
        models: Path = Path("models"),
        url: str | None = None,
        dimensions: int | None = None,
    ) -> None:
        self.subject: Subject = published(Published(models, url), model_name, revision)
        self.dimensions = dimensions or self.subject.dim
        if self.dimensions not in self.subject.dimensions:
            has = ", ".join(map(str, self.subject.dimensions))
            raise ConfigError(f"{model_name} cannot be cut to {dimensions} dimensions, only to {has}")

    def encode(self, inputs: Iterable[Mapping[str, Any]], **about: Any) -> Floats:
        """float32 [n, dimensions], L2-normalised; 0 for a blank text.

        Args:
            inputs: batches, each with the list `text`.
            about: task, split and prompt type, which make no difference to encoders without prompts.

        Raises:
            VectorError: a vector is not finite; mteb would rank it somehow.
        """
        texts = [str(text) for batch in inputs for text in batch["text"]]
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        there = [row for row, text in enumerate(texts) if text.strip()]
        if there:
            every = finite(self.subject.encode([texts[row] for row in there]), self.subject.name)
            found = every[:, : self.dimensions]
            vectors[there] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return vectors

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosine of every vector with every other: (n, m)."""
        return _unit(embeddings1) @ _unit(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosine row by row: (n,)."""
        return (_unit(embeddings1) * _unit(embeddings2)).sum(-1)

    @cached_property
    def mteb_model_meta(self) -> Any:
        """The model as mteb describes models. Raises ConfigError without mteb."""
        try:
            models = importlib.import_module("mteb.models")
        except ImportError:
            raise ConfigError("mteb is not installed; pip install mteb") from None
        unknown = dict.fromkeys(
            (
                *("release_date", "languages", "n_parameters", "memory_usage_mb", "max_tokens", "license"),
                *("public_training_code", "public_training_data", "training_datasets"),
            )
        )
        return models.ModelMeta(
            loader=None,
            name=f"encodery/{self.subject.name}",
            revision=f"{self.subject.version}@{self.dimensions}",
            embed_dim=self.dimensions,
            open_weights=True,
            framework=["ONNX"],
            similarity_fn_name="cosine",
            use_instructions=False,
            **unknown,
        )


def _unit(vectors: Any) -> Tensor:
    rows = torch.as_tensor(vectors)
    return torch.nn.functional.normalize(rows.float().reshape(-1, rows.shape[-1]), dim=-1)
