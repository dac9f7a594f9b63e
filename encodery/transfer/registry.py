"""A registry of container images: oci://HOST/PREFIX holds each model as the repository PREFIX/NAME.

A version is an artifact (image-spec 1.1) whose layers are the files of the bundle, titled by their names; its
tag is the version, and `current` is a tag like any other.
https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from bundle import Manifest
from bundle.aliases import CURRENT
from bundle.directory import MANIFEST, Contents
from bundle.signatures import SIGNATURES
from encodery.transfer.base import sent_files
from encodery.transfer.errors import TransferError
from encodery.transfer.web import NOT_FOUND, OK, UNAUTHORIZED, Answer, ask, refused, stream

ARTIFACT = "application/vnd.encodery.bundle.v1"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
EMPTY, EMPTY_TYPE = b"{}", "application/vnd.oci.empty.v1+json"
FILE_TYPE = "application/octet-stream"
TITLE = "org.opencontainers.image.title"
CREATED, ACCEPTED = 201, 202
_LOCAL = {"localhost", "127.0.0.1", "::1"}  # such registries speak HTTP, as docker takes it
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Registry:
    """See `Place`. Names and passwords are those of `docker login`: ~/.docker/config.json."""

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        parts = urlsplit(url)
        self._host, self._prefix = parts.netloc, parts.path.strip("/")
        scheme = "http" if parts.hostname in _LOCAL else "https"
        self._url = f"{scheme}://{parts.netloc}/v2"
        self._basic = _login(self._host, environment)
        self._authorization = ""

    def version(self, name: str, wanted: str | None) -> str:
        """See `Place`."""
        content = self._files(name, wanted or CURRENT)[1]
        try:
            return str(json.loads(content)["version"])
        except (ValueError, KeyError, TypeError):
            raise TransferError(f"{name}:{wanted or CURRENT} holds no manifest.json of ours") from None

    def manifest(self, name: str, version: str) -> bytes:
        """See `Place`."""
        return self._files(name, version)[1]

    def signatures(self, name: str, version: str) -> bytes | None:
        """See `Place`."""
        digests = self._files(name, version)[0]
        return self._small(name, version, SIGNATURES, digests[SIGNATURES]) if SIGNATURES in digests else None

    def stream(self, manifest: Manifest, file: str, start: int) -> Iterator[bytes]:
        """See `Place`."""
        layers = self._files(manifest.name, manifest.version)[0]
        url = self._blob(manifest.name, layers.get(file, f"sha256:{manifest.files[file].sha256}"))
        return stream(url, start=start, headers=self._headers())

    def send(self, group: Sequence[Contents], *, use: bool) -> None:
        """See `Place`."""
        images = [(one.manifest, self._sent(one)) for one in group]
        for manifest, image in images if use else ():
            self._tag(manifest.name, CURRENT, image)

    def _sent(self, contents: Contents) -> bytes:
        """Send a version; returns its image's manifest."""
        name = contents.manifest.name
        layers = [
            {**self._upload(name, content, FILE_TYPE), "annotations": {TITLE: file}}
            for file, content in sorted(sent_files(contents).items())
        ]
        image = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "artifactType": ARTIFACT,
            "config": self._upload(name, EMPTY, EMPTY_TYPE),
            "layers": layers,
        }
        content = json.dumps(image, sort_keys=True).encode()
        self._tag(name, contents.manifest.version, content)
        return content

    def _files(self, name: str, tag: str) -> tuple[dict[str, str], bytes]:
        """The digests of a version's files, and its manifest.json."""
        try:
            layers = json.loads(self._image(name, tag))["layers"]
            digests = {one["annotations"][TITLE]: str(one["digest"]) for one in layers}
            digest = digests[MANIFEST]
        except (ValueError, KeyError, TypeError):
            raise TransferError(f"{name}:{tag} at {self._host} is no bundle of ours") from None
        return digests, self._small(name, tag, MANIFEST, digest)

    def _small(self, name: str, tag: str, file: str, digest: str) -> bytes:
        url = self._blob(name, digest)
        answer = self._ask(url)
        if answer.status != OK:
            raise refused(url, answer.status)
        if f"sha256:{hashlib.sha256(answer.body).hexdigest()}" != digest:
            raise TransferError(f"{self._host} sent another {file} than {name}:{tag} names")
        return answer.body

    def _image(self, name: str, tag: str) -> bytes:
        url = self._at(name, f"manifests/{tag}")
        answer = self._ask(url, headers={"Accept": IMAGE})
        if answer.status == NOT_FOUND:
            raise TransferError(f"{self._host} has no {name}:{tag}")
        if answer.status != OK:
            raise refused(url, answer.status)
        return answer.body

    def _tag(self, name: str, tag: str, image: bytes) -> None:
        url = self._at(name, f"manifests/{tag}")
        answer = self._ask(url, method="PUT", headers={"Content-Type": IMAGE}, body=image)
        if answer.status not in (OK, CREATED):
            raise refused(url, answer.status)

    def _upload(self, name: str, content: bytes, media_type: str) -> dict[str, Any]:
        """Send a blob, unless it is there; its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if self._ask(self._blob(name, digest), method="HEAD").status != OK:
            begun = self._ask(self._at(name, "blobs/uploads/"), method="POST", body=b"")
            if begun.status != ACCEPTED:
                raise refused(self._url, begun.status)
            place = urljoin(f"{self._url}/", begun.headers.get("Location", ""))
            if urlsplit(place).netloc != self._host:
                raise TransferError(f"{self._host} wants uploads sent to another host")
            url = f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': digest})}"
            done = self._ask(url, method="PUT", headers={"Content-Type": FILE_TYPE}, body=content)
            if done.status != CREATED:
                raise refused(url, done.status)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def _ask(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """The answer; where the registry wants a token, with one."""
        answer = ask(url, method=method, headers={**(headers or {}), **self._headers()}, body=body)
        if answer.status != UNAUTHORIZED:
            return answer
        self._authorization = self._authorized(answer.headers.get("WWW-Authenticate", ""))
        return ask(url, method=method, headers={**(headers or {}), **self._headers()}, body=body)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._authorization} if self._authorization else {}

    def _authorized(self, challenge: str) -> str:
        """What to send as Authorization. https://distribution.github.io/distribution/spec/auth/token/."""
        if challenge.lower().startswith("basic"):
            if not self._basic:
                raise TransferError(f"{self._host} wants a name and a password; docker login {self._host}")
            return f"Basic {self._basic}"
        asked = dict(_CHALLENGE.findall(challenge))
        realm = asked.pop("realm", "")
        if urlsplit(realm).scheme != "https" and urlsplit(realm).hostname not in _LOCAL:
            raise TransferError(f"{self._host} names no address for tokens that a password may be sent to")
        headers = {"Authorization": f"Basic {self._basic}"} if self._basic else {}
        answer = ask(f"{realm}?{urlencode(asked)}", headers=headers)
        if answer.status != OK:
            raise refused(realm, answer.status)
        found = json.loads(answer.body)
        return f"Bearer {found.get('token') or found.get('access_token')}"

    def _at(self, name: str, path: str) -> str:
        return f"{self._url}/{f'{self._prefix}/' if self._prefix else ''}{name}/{path}"

    def _blob(self, name: str, digest: str) -> str:
        return self._at(name, f"blobs/{digest}")


def _login(host: str, environment: Mapping[str, str]) -> str:
    """Name and password for a host in base64, as `docker login` keeps them; empty for none."""
    directory = environment.get("DOCKER_CONFIG")
    file = (Path(directory) if directory else Path.home() / ".docker") / "config.json"
    try:
        kept = json.loads(file.read_bytes())["auths"][host]["auth"]
        base64.b64decode(kept, validate=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return ""
    return str(kept)
