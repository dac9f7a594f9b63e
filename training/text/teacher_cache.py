"""A teacher's vectors on disk, shard by shard: a pass that was killed resumes where it stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle.progress import Progress
from training.text.teacher import Teacher

SHARD_TEXTS = 4096


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

    def token_vectors(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """Give the teacher's vectors of these tokens, kept on disk. float32 [tokens, dim]."""
        which = hashlib.sha256(np.array(tokens, np.int64).tobytes()).hexdigest()
        key = hashlib.sha256(f"{self.teacher.digest} tokens {which}".encode()).hexdigest()
        return self._kept(key, lambda: self.teacher.token_vectors(tokens)).astype(np.float32)

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
