"""Where IN and OUT of `encodery encode` are: a path, file://PATH, or s3://BUCKET/KEY; one file or several.

A file of a bucket passes through a directory of this machine, where a run that was stopped finds it again;
so all that reads and writes rows knows files alone. Of a directory each table has an OUT of its own.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from encodery.bulk.command import Summary
from encodery.bulk.errors import BulkError
from encodery.bulk.outputs import SIDES, beside
from encodery.transfer.trees import MOST_PUT_BYTES, Bucket
from tabular.formats import SUFFIXES, suffix_of

S3, FILE = "s3", "file"
STATE = "state.json"  # of what was fetched


@dataclass(frozen=True)
class Object:
    """A file of a bucket, or with a slash at its end a directory."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{S3}://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of its key."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def is_directory(self) -> bool:
        """It stands for all objects below it."""
        return not self.key or self.key.endswith("/")

    def within(self, name: str) -> Object:
        """The object of that name in the directory."""
        return Object(self.bucket, self.key + name)

    @property
    def store(self) -> Bucket:
        """The bucket, as the environment says how to reach it."""
        return Bucket(f"{S3}://{self.bucket}")


Place = Path | Object


def place_of(address: str) -> Place:
    """Read an address. Raises BulkError."""
    scheme, is_url, _ = address.partition("://")
    if not is_url:
        return Path(address)
    parts = urlsplit(address)
    if scheme == FILE and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if scheme == S3 and parts.netloc and "@" not in parts.netloc:
        return Object(parts.netloc, address.removeprefix(f"{S3}://{parts.netloc}").removeprefix("/"))
    raise BulkError("IN and OUT are a path, file:///PATH or s3://BUCKET/KEY")


def are_directories(source: str, out: str) -> bool:
    """Whether every table in IN is to have an OUT of its own.

    Not so for a folder of this machine with a file as OUT: there the files are the inputs.

    Args:
        source: address; that of a directory in a bucket ends with a slash.
        out: address; a directory is there already, or ends with a slash.

    Raises:
        BulkError: one is a directory and the other is not.
    """
    source_at, out_at = place_of(source), place_of(out)
    is_source = source_at.is_directory if isinstance(source_at, Object) else source_at.is_dir()
    is_out = out_at.is_directory if isinstance(out_at, Object) else out.endswith("/") or out_at.is_dir()
    if is_source == is_out or (is_source and isinstance(source_at, Path)):
        return is_out
    of_source, of_out = ("a directory" if one else "no directory" for one in (is_source, is_out))
    raise BulkError(f"{source} is {of_source} and {out} is {of_out}; a directory ends with a slash")


def pairs(source: Place, out: Place, suffix: str) -> Iterator[tuple[Place, Place]]:
    """Each table of a directory with its OUT in another.

    Args:
        source: of the tables.
        out: of the outputs; made where it is not there.
        suffix: of their names, as `.parquet`.

    Raises:
        BulkError: there is no table, or two would have one OUT.
    """
    names = _tables(source)
    if not names:
        raise BulkError(f"{source} has no tables ({', '.join(SUFFIXES)})")
    if isinstance(out, Path):
        out.mkdir(parents=True, exist_ok=True)
    for name in names:
        yield _within(source, name), _within(out, _stem(name) + suffix)


def _within(place: Place, name: str) -> Place:
    return place / name if isinstance(place, Path) else place.within(name)


def _tables(place: Place) -> list[str]:
    """Names of the tables of a directory, sorted. Raises BulkError where two have one OUT."""
    if isinstance(place, Path):
        found = [one.name for one in place.iterdir() if one.is_file()]
    else:
        found = [key.removeprefix(place.key) for key in place.store.keys(place.key)]
    names = sorted(
        name for name in found if suffix_of(Path(name)) in SUFFIXES and not name.startswith((".", "_"))
    )
    stems: dict[str, str] = {}
    for name in names:
        if (other := stems.setdefault(_stem(name), name)) != name:
            raise BulkError(f"{other} and {name} would have one OUT; rename one of them")
    return names


def _stem(name: str) -> str:
    """A table's name without what says its format."""
    bare = name[:-3] if name.lower().endswith(".gz") else name
    return bare.rpartition(".")[0]


def is_there(place: Place) -> bool:
    """Whether an OUT is written already. Raises TransferError."""
    return place.exists() if isinstance(place, Path) else place.store.tag(place.key) is not None


def space_of(place: Place) -> str:
    """The space of the vectors in an OUT that is there; "" where nothing says so. Raises TransferError."""
    try:
        if isinstance(place, Path):
            content: bytes | None = beside(place, ".meta.json").read_bytes()
        else:
            content = place.store.read(f"{place.key}.meta.json")
        return str(json.loads(content or b"{}").get("space", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def passed(source: Place, out: Place, work: Path, encode: Callable[[Path, Path], Summary]) -> Summary:
    """Encode a file; what is in a bucket is fetched before, and sent after.

    Args:
        source: of the rows.
        out: of the vectors.
        work: directory of this machine for what is in a bucket; what is left there is gone on with.
        encode: IN and OUT as paths to what came of it.

    Raises:
        EncoderyError: of `encode`; or the bucket cannot be read or written.
    """
    if isinstance(source, Path) and isinstance(out, Path):
        return encode(source, out)
    if isinstance(out, Object) and is_there(out):
        raise BulkError(f"{out} exists; remove it, or choose another name")
    which = hashlib.sha256(f"{source} {out}".encode()).hexdigest()[:12]
    here = work / f"encodery-encode-{which}"
    (here / "in").mkdir(parents=True, exist_ok=True)
    summary = encode(
        source if isinstance(source, Path) else _fetched(source, here),
        out if isinstance(out, Path) else here / out.name,
    )
    if isinstance(out, Object):
        _send(here / out.name, out)
    shutil.rmtree(here)
    return summary


def _fetched(source: Object, here: Path) -> Path:
    """The object as a file, fetched unless it is there already."""
    tag, path, state = source.store.tag(source.key), here / "in" / source.name, here / STATE
    if tag is None:
        raise BulkError(f"there is no {source}; the address of a directory ends with a slash")
    if state.exists():
        if json.loads(state.read_text()) != tag:
            raise BulkError(
                f"{source} has changed since the run began; remove {here} and give the same command again"
            )
        return path
    with path.open("wb") as file:
        for piece in source.store.pieces(source.key, 0):
            file.write(piece)
    state.write_text(json.dumps(tag))
    return path


def _send(path: Path, out: Object) -> None:
    """Put an output and what goes with it, itself last, so that where it is all is."""
    sides = [beside(path, suffix) for suffix in SIDES]
    for file in [*(one for one in sides if one.exists()), path]:
        if (size := file.stat().st_size) > MOST_PUT_BYTES:
            raise BulkError(
                f"{file.name} has {size:,} bytes, and a bucket takes {MOST_PUT_BYTES:,} at once: it is in "
                f"{file.parent}; send it by other means, or encode parts by --shard"
            )
        out.store.send_file(out.key.removesuffix(out.name) + file.name, file)
