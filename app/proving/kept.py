"""What is kept from start to start: proofs, the weights as prepared for this machine, and the pace measured.

    DIRECTORY/KEY/verdict.json, DIRECTORY/KEY/DIGEST-OF-THE-GRAPH/{graph.onnx, weights.bin}

KEY is a digest of all that a proof depends on: the version's manifest, the code of `bundle`, the libraries,
the processor and the threads. Trusted is what only this user could have written: the directory is his and
nobody else's, and so are those above it, as for ssh's keys. What the disk spoilt is noticed by its digest.
Where there is no such directory, one for the life of the server takes its place.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import structlog

import bundle
from app.places import default_cache_dir
from app.proving.plan import Planned
from app.proving.verdicts import Verdict
from app.shared.files import write_whole
from bundle.manifest import canonical_json

FORMAT = 1  # of what is kept
VERDICT = "verdict.json"
WORK = ".work-"  # starts the names of what is being made
MOST_BYTES = 4 << 30  # of all that is kept; the longest unused goes first
FORGOTTEN_S = 30 * 24 * 3600.0  # what was not used for so long goes in any case
WORK_S = 3600.0  # what is older and still being made is of a process that died
log = structlog.get_logger("encodery")

LIBRARIES = ("numpy", "onnxruntime", "tokenizers")


class NotPrivate(Exception):
    """The directory cannot be used; the message says why."""


class Kept:
    """What proving found and prepared, in a directory.

    Args:
        directory: private; None to keep nothing.
        threads: of a forward pass.
        is_lasting: it is there at the next start; else what is not used goes at once.
    """

    def __init__(self, directory: Path | None, threads: int, *, is_lasting: bool = True) -> None:
        self.directory, self._forgotten_s = directory, FORGOTTEN_S if is_lasting else 0.0
        self._has_warned = False
        self._machine = machine_digest(threads) if directory else ""

    def find(self, planned: Planned) -> Verdict | None:
        """The verdict of an earlier start; None if there is none, or its files are not as they were."""
        if self.directory is None:
            return None
        place = self._place(planned)
        try:
            verdict = Verdict.from_bytes((place / VERDICT).read_bytes())
            if any(_sha256(place / name) != digest for name, digest in verdict.files.items()):
                return None
            os.utime(place)  # used
        except (OSError, ValueError):
            return None
        return replace(verdict, weights=place if verdict.files else None)

    def begin(self) -> Path | None:
        """A new directory to prepare weights in; None if they cannot be kept."""
        if self.directory is None:
            return None
        try:
            return Path(tempfile.mkdtemp(dir=self.directory, prefix=WORK))
        except OSError as error:
            self._warn(error)
            return None

    def keep(self, planned: Planned, work: Path | None, verdict: Verdict) -> Verdict:
        """Keep a proof with the weights that were prepared for it; returns where these are from now on."""
        if work is None or self.directory is None:
            return verdict
        place = self._place(planned)
        try:
            files = sorted(path for path in work.rglob("*") if path.is_file() and path.name != ".lock")
            verdict = replace(
                verdict, files={str(path.relative_to(work)): _sha256(path) for path in files}, weights=None
            )
            write_whole(work / VERDICT, verdict.to_bytes())
            shutil.rmtree(place, ignore_errors=True)  # not as it was, or `find` would have found it
            work.rename(place)
        except OSError as error:  # the disk is full, or another server was sooner
            shutil.rmtree(work, ignore_errors=True)
            if (found := self.find(planned)) is not None:
                return found
            self._warn(error)
            return replace(verdict, files={}, weights=None)
        return replace(verdict, weights=place if verdict.files else None)

    def drop(self, work: Path | None) -> None:
        """Remove what came to nothing."""
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)

    def update(self, planned: Planned, verdict: Verdict) -> None:
        """Keep what was learnt later."""
        if self.directory is not None:
            with suppress(OSError):
                write_whole(self._place(planned) / VERDICT, replace(verdict, weights=None).to_bytes())

    def sweep(self, used: Collection[Planned]) -> None:
        """Remove what was not used for long, what dead processes left, and what is too much."""
        if self.directory is None:
            return
        spared, room = {self._place(one) for one in used}, MOST_BYTES
        with suppress(OSError):
            entries = sorted(self.directory.iterdir(), key=_last_use_s, reverse=True)
            for path in entries:
                room -= _size(path)
                age_s = time.time() - _last_use_s(path)
                most_s = WORK_S if path.name.startswith(WORK) else self._forgotten_s
                if path not in spared and (age_s >= most_s or room < 0):
                    shutil.rmtree(path, ignore_errors=True)

    def forget(self, planned: Planned) -> None:
        """Remove what is kept of a version that is published no more."""
        if self.directory is not None:
            shutil.rmtree(self._place(planned), ignore_errors=True)

    def _warn(self, error: OSError) -> None:
        """Once, however many versions there are."""
        if not self._has_warned:
            self._has_warned = True
            told = {"cache_dir": str(self.directory), "reason": error.strerror}
            log.warning("what is proven cannot be kept; it is proven again at the next start", **told)

    def _place(self, planned: Planned) -> Path:
        assert self.directory is not None
        key = hashlib.sha256(f"{self._machine} {planned.digest}".encode()).hexdigest()
        return self.directory / key


def cache_directory(wanted: Path | None) -> Path:
    """The directory, made if it is not there.

    Args:
        wanted: which one; by default `encodery` in the user's cache directory.

    Raises:
        NotPrivate: it cannot be made or written, or others than this user could write in it.
    """
    try:
        directory = wanted or default_cache_dir()
        if directory is None:
            raise NotPrivate("this user has no home directory")
        directory = directory.absolute()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = directory.resolve()
        _check_private(directory)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError as error:
        raise NotPrivate(getattr(error, "strerror", None) or str(error)) from None


@lru_cache(maxsize=4)
def machine_digest(threads: int) -> str:
    """Equal where a proof, prepared weights and a pace of before hold."""
    code = hashlib.sha256()
    root = Path(bundle.__file__).parent
    for path in sorted(root.rglob("*.py")):
        code.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    depends = {
        "format": FORMAT,
        "code": code.hexdigest(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "processor": processor(),
        "threads": threads,
    }
    return hashlib.sha256(canonical_json(depends)).hexdigest()


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's model and what it can do: a prepared graph has kernels for just that."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    told = {line for line in lines if line.partition(":")[0].strip() in ("model name", "flags", "Features")}
    return "\n".join([platform.machine(), platform.processor(), *sorted(told)])


def _check_private(directory: Path) -> None:
    if sys.platform == "win32":  # a user's profile is his by default there
        return
    status, user = directory.stat(), os.geteuid()
    if status.st_uid != user or stat.S_IMODE(status.st_mode) & 0o077:
        raise NotPrivate(f"{directory} is not this user's alone; chown and chmod 700 it")
    for above in directory.parents:
        status = above.stat()
        others_write = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, user) or others_write:
            raise NotPrivate(f"{above}, above {directory.name}, can be changed by others; choose another one")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _last_use_s(path: Path) -> float:
    return path.lstat().st_mtime


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
