"""A published text encoder that stays as it is, and whose space an encoder of other things joins.

Its bundle is run by onnxruntime, as a server would, so captions have the very vectors that queries will have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle import Encoder, Store
from bundle.encoder import normalized
from bundle.manifest import Joined
from training.errors import ConfigError

KIND = "text"


@dataclass(frozen=True)
class LockedText:
    """The encoder.

    Attributes:
        encoder: its bundle.
    """

    encoder: Encoder

    @classmethod
    def of(cls, models: Path, source: str) -> LockedText:
        """The one called NAME or NAME@VERSION. Raises ConfigError, BundleError."""
        name, _, version = source.partition("@")
        encoder = Store(models).load(name, version or None)
        if encoder.manifest.kind != KIND:
            raise ConfigError(
                f"anchor.model is {source}, which takes {encoder.kind.plural}; name one of texts"
            )
        if encoder.manifest.metric != "cosine":
            raise ConfigError(f"anchor.model is {source}, whose vectors are not compared by cosine")
        return cls(encoder)

    @property
    def joins(self) -> Joined:
        """What a bundle says of the space that it joined."""
        manifest = self.encoder.manifest
        return Joined(name=manifest.name, version=manifest.version, space=manifest.space)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.encoder.manifest.dim

    def vectors(self, captions: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of texts, of norm 1. float32 [n, dim]."""
        read = self.encoder.read(list(captions))
        return normalized(self.encoder.encode(read))
