"""Where published encoders are found, here or there: bundles in a directory, or a running server.

Whoever measures an encoder opens it here, so the same lines measure a bundle and what is served of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from bundle.inputs import Input
from bundle.lexical import InputType, SparseVector
from bundle.manifest import Manifest
from bundle.store import Store
from training.client import manifest_of, served
from training.task import Encode

# Inputs and their side of BM25 to sparse vectors.
Sparse: TypeAlias = Callable[[Sequence[Input], InputType], list[SparseVector]]


@dataclass(frozen=True)
class PublishedEncoder:
    """One version of a published model, ready to encode.

    Attributes:
        sparse: gives the weights of words; None without statistics of them, and of a server's model.
    """

    manifest: Manifest
    source: Literal["bundle", "server"]
    encode: Encode
    sparse: Sparse | None = None


@dataclass(frozen=True)
class Published:
    """A place of published models.

    Attributes:
        models: the directory of bundles.
        url: in its place, the base URL of a running server.
    """

    models: Path
    url: str | None = None

    def open(self, name: str, version: str | None = None) -> PublishedEncoder:
        """Open a model, by default its current version.

        Raises:
            BundleError: it is not published there, or not sound.
            ServerError: the server does not answer, or has no such model.
        """
        if self.url is not None:
            encode = served(self.url, name, version=version)  # refuses what is no URL
            return PublishedEncoder(manifest_of(self.url, name, version), "server", encode)
        encoder = Store(self.models).load(name, version)
        sparse = None if encoder.lexical is None else encoder.encode_sparse
        return PublishedEncoder(encoder.manifest, "bundle", encoder.encode, sparse)
