"""Places with files as in a directory of models: a directory, a web server, a bucket of S3 or its like."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from bundle import BundleError
from bundle.directory import MAX_MANIFEST_BYTES, Contents, read_file
from bundle.install import Foreign, install
from encodery.transfer.base import Tree
from encodery.transfer.errors import TransferError
from encodery.transfer.web import NOT_FOUND, OK, PIECE, ask, refused, stream

MOST_PUT_BYTES = 5 << 30  # of an object that is sent at once, as AWS has it
FORBIDDEN = 403  # what a bucket says of a file that is not there to who may not list it


class Directory(Tree):
    """A directory of models, as a share or a stick has it. What is put there is proven there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str) -> bytes | None:
        """See `Tree`."""
        if not (self._root / path).exists():
            return None
        try:
            return read_file(self._root / path, MAX_MANIFEST_BYTES)
        except BundleError as error:
            raise TransferError(f"{path}: {error}") from None

    def pieces(self, path: str, start: int) -> Iterator[bytes]:
        """See `Tree`."""
        try:
            with (self._root / path).open("rb") as file:
                file.seek(start)
                while piece := file.read(PIECE):
                    yield piece
        except OSError as error:
            raise TransferError(f"{path} cannot be read: {error.strerror}") from None

    def write(self, path: str, content: bytes) -> None:
        """Never called: `send` publishes as everywhere."""
        raise AssertionError(path)

    def send(self, group: Sequence[Contents], *, use: bool) -> None:
        """See `Place`."""
        foreign = [
            Foreign(one.manifest, one.manifest.to_bytes(), one.files.__getitem__, one.signatures)
            for one in group
        ]
        install(self._root, foreign, use=use)


class Web(Tree):
    """A web server that serves a directory of models; it is only read."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def read(self, path: str) -> bytes | None:
        """See `Tree`."""
        url = self._at(path)
        answer = ask(url, headers=self._headers("GET", url))
        if answer.status == NOT_FOUND:
            return None
        if answer.status != OK:
            raise refused(url, answer.status)
        return answer.body

    def pieces(self, path: str, start: int) -> Iterator[bytes]:
        """See `Tree`."""
        url = self._at(path)
        return stream(url, start=start, headers=self._headers("GET", url))

    def write(self, path: str, content: bytes) -> None:
        """See `Tree`."""
        raise TransferError("a web server is only read; push to a directory, s3:// or oci://")

    def _at(self, path: str) -> str:
        return f"{self._url}/{quote(path)}"

    def _headers(self, method: str, url: str, body: bytes = b"") -> Mapping[str, str]:
        return {}


class Bucket(Web):
    """A bucket: s3://BUCKET/PREFIX, at AWS or at any store that speaks S3 (`AWS_ENDPOINT_URL`).

    With the keys of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY every request is signed; without them only
    what is public is read.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        self._key, self._secret = (
            environment.get(f"AWS_{one}", "") for one in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
        )
        self._token = environment.get("AWS_SESSION_TOKEN", "")
        self._region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        endpoint = endpoint or f"https://s3.{self._region}.amazonaws.com"
        super().__init__(f"{endpoint.rstrip('/')}/{url.removeprefix('s3://').strip('/')}")

    def read(self, path: str) -> bytes | None:
        """See `Tree`."""
        url = self._at(path)
        answer = ask(url, headers=self._headers("GET", url))
        if answer.status == NOT_FOUND or (answer.status == FORBIDDEN and b"AccessDenied" in answer.body):
            return None
        if answer.status != OK:
            raise refused(url, answer.status)
        return answer.body

    def write(self, path: str, content: bytes) -> None:
        """See `Tree`."""
        url = self._at(path)
        headers = {"Content-Type": "application/octet-stream", **self._headers("PUT", url, content)}
        answer = ask(url, method="PUT", body=content, headers=headers)
        if answer.status != OK:
            raise refused(url, answer.status)

    def tag(self, key: str) -> str | None:
        """What is another one when an object changes; None if it is not there. Raises TransferError."""
        url = self._at(key)
        answer = ask(url, method="HEAD", headers=self._headers("HEAD", url))
        if answer.status == NOT_FOUND:
            return None
        if answer.status != OK:
            raise refused(url, answer.status)
        return answer.headers.get("ETag", "")

    def keys(self, prefix: str) -> Iterator[str]:
        """The objects whose keys begin so, with no further slash. Raises TransferError.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
        """
        more = ""
        while True:
            asked = {"continuation-token": more} if more else {}
            asked |= {"delimiter": "/", "list-type": "2", "prefix": prefix}
            url = f"{self._url}?" + "&".join(
                f"{name}={quote(value, safe='')}" for name, value in asked.items()
            )
            answer = ask(url, headers=self._headers("GET", url))
            if answer.status != OK:
                raise refused(url, answer.status)
            text = answer.body.decode()
            yield from map(html.unescape, re.findall("<Key>([^<]*)</Key>", text))
            found = re.search("<NextContinuationToken>([^<]*)<", text)
            if found is None:
                return
            more = html.unescape(found[1])

    def send_file(self, key: str, path: Path) -> None:
        """Put a file of up to MOST_PUT_BYTES, over one that is there. Raises TransferError."""
        url = self._at(key)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(path.stat().st_size),
                **self._headers("PUT", url, digest=digest),
            }
            answer = ask(url, method="PUT", body=file, headers=headers)
        if answer.status != OK:
            raise refused(url, answer.status)

    def _headers(self, method: str, url: str, body: bytes = b"", digest: str = "") -> Mapping[str, str]:
        if not self._key:
            return {}
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        return signed(
            method,
            url,
            digest or hashlib.sha256(body).hexdigest(),
            key=self._key,
            secret=self._secret,
            token=self._token,
            region=self._region,
            now=now,
        )


def signed(
    method: str, url: str, digest: str, *, key: str, secret: str, token: str, region: str, now: str
) -> dict[str, str]:
    """The headers that sign a request for S3 by version 4 of AWS' signatures.

    Args:
        method: of the request.
        url: of it, its query in the order of names.
        digest: of its body, sha256 in hexadecimal.
        key: who signs.
        secret: of that key.
        token: of a session; may be empty.
        region: of the bucket.
        now: as 20261231T235959Z.
    """
    parts = urlsplit(url)
    headers = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": now}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"{method}\n{parts.path}\n{parts.query}\n{lines}\n{names}\n{digest}"
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    told = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    step = f"AWS4{secret}".encode()
    for part in (now[:8], region, "s3", "aws4_request"):
        step = hmac.digest(step, part.encode(), "sha256")
    signature = hmac.digest(step, told.encode(), "sha256").hex()
    del headers["host"]  # whoever sends it writes the same
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers
