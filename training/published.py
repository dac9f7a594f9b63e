"""Where published encoders are found, here or there: bundles in a directory, or a running server.

Whoever measures an encoder opens it here, so the same lines measure a bundle and what is served of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundle.manifest import Manifest
from bundle.store import Store
from training.client import manifest_of, served
from training.task import Encode


@dataclass(frozen=True)
class PublishedEncoder:
    """One version of a published model, ready to encode."""

    manifest: Manifest
    source: Literal["bundle", "server"]
    encode: Encode


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
        return PublishedEncoder(encoder.manifest, "bundle", encoder.encode)
