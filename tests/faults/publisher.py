"""Publishes, in a process of its own each time, with one system call that fails or is the last.

    a line of JSON -> a fork that publishes -> a line of JSON: how it ended, and after how many calls

A crash is a crash: SIGKILL, after which nothing is cleaned up. Run as a program, which has no threads, so
that it can be forked.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tiny

from bundle import BundleError, publish, set_alias, switch_current
from bundle.disk import Disk

ROOT = Path(__file__).parents[2]
KILLED = "killed"
FAULTS = (KILLED, "ENOSPC", "EIO", "EIO, though it was done")
READING = ("open", "os.listdir", "os.scandir")  # of Python's audit events, those that calls of `Disk` are not
WRITING = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
    "shutil.rmtree",
)


class FailingDisk(Disk):
    """Counts the calls; one of them, from 0, has a fault. A file is half-written by then."""

    def __init__(self, fault: str | None, at: int | None) -> None:
        self.fault, self.at, self.calls, self.is_calling = fault, at, 0, False

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.calls += 1
        self.is_calling = True
        try:
            return (
                super().call(function, *args, **options)
                if self.calls - 1 != self.at
                else self._fail(function, *args)
            )
        finally:
            self.is_calling = False

    def _fail(self, function: Callable[..., Any], *args: Any) -> None:
        if function is os.write:
            descriptor, content = args
            os.write(descriptor, content[: len(content) // 2])
        elif function is os.close or self.fault == FAULTS[3]:
            function(*args)  # what is closed is closed, whatever else
        if self.fault == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        assert self.fault
        raise failure(self.fault)


def failure(fault: str) -> OSError:
    number = getattr(errno, fault.partition(",")[0])
    return OSError(number, os.strerror(number))


def watch(disk: FailingDisk, at: int | None) -> list[int]:
    """Let a read that goes past `Disk` fail, from 0; the list gets one entry for each. No write may."""
    reads: list[int] = []

    def seen(event: str, args: tuple[Any, ...]) -> None:
        is_ours = event in (*READING, *WRITING) and "models" in str(args[0] if args else "")
        if disk.is_calling or not is_ours:
            return
        is_write = event in WRITING or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR))
        assert not is_write, f"{event} goes past the class that publishing writes with"
        reads.append(1)
        if len(reads) - 1 == at:
            raise failure("EIO")

    sys.addaudithook(seen)
    return reads


def do(job: dict[str, Any]) -> dict[str, Any]:
    """Publish the pair of another seed, or make version 1 current, or 2 the champion; what came of it."""
    is_read = job["fault"] == "EIO while it reads"
    disk = FailingDisk(None, None) if is_read else FailingDisk(job["fault"], job["at"])
    models, reads = Path(job["models"]), watch(disk, job["at"] if is_read else None)
    said = None
    try:
        if job["do"] == "publish":
            publish(models, DRAFTS, disk=disk)
        elif job["do"] == "alias":
            set_alias(models, "shop-user", "champion", {"2": 100}, new_space=True, disk=disk)
        else:
            switch_current(models, "shop-user", "1", disk=disk)
    except BundleError as error:
        said = ["BundleError", str(error)]
    except BaseException as error:
        said = [type(error).__name__, str(error)]
    return {"said": said, "calls": disk.calls, "reads": len(reads)}


@contextmanager
def publisher() -> Iterator[Callable[..., dict[str, Any]]]:
    """`ask(models, do, fault, at)` does it once; what came of it."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
    ) as process:
        assert process.stdin
        assert process.stdout

        def ask(models: Path, what: str, fault: str | None = None, at: int | None = None) -> dict[str, Any]:
            job = {"models": str(models), "do": what, "fault": fault, "at": at}
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


def main() -> None:
    for line in sys.stdin:
        reading, writing = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(writing, json.dumps(do(json.loads(line))).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            told = answer.read()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write((told or json.dumps({"status": os.waitstatus_to_exitcode(status)})) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    DRAFTS = tiny.pair_drafts(seed=1)
    main()
