"""Proves and measures bundles, as it is told on standard input: `python -m app.process.prover`.

`app.proving.prover` runs it, a line of JSON for a line of JSON. It limits itself before each bundle, dies
with whoever started it, and is the first that the system kills when memory runs out.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bundle import BundleError, Encoder, Execution, Store
from bundle.store import build

if sys.platform != "win32":
    import resource

MEMORY, MEMORY_PER_BYTE = 1 << 30, 12  # bytes it may allocate: at all, and for each byte of the bundle
LOW_PRIORITY = 10  # while it measures; requests are served meanwhile
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Answer until there is nobody to answer."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer
    _be_first_to_die()

    def tell(answer: Mapping[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    for line in sys.stdin:
        tell({"begun": True})  # from here on it is the bundle's fault
        job = json.loads(line)
        _limit(job)
        tell(_answer(job))


def _answer(job: Mapping[str, Any]) -> dict[str, Any]:
    """What came of it; `ends` says that this process cannot be trusted any more."""
    try:
        return _DOES[job["do"]](job)
    except BundleError as error:
        return {"reason": str(error)}
    except MemoryError:
        return {"reason": f"its proof needs more than {_most_bytes(job) >> 20} MiB of memory", "ends": True}
    except BaseException as error:  # pyo3's PanicException is no Exception
        return {"reason": f"cannot be loaded: {type(error).__name__}", "ends": True}


def _prove(job: Mapping[str, Any]) -> dict[str, Any]:
    _load(job, is_proven=False)
    return {}


def _measure(job: Mapping[str, Any]) -> dict[str, Any]:
    from app.engine.loading import measure  # noqa: PLC0415  # a proof needs no engine, and a start waits for it

    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, LOW_PRIORITY)
    return {"pace": measure(_load(job, is_proven=True))}


def _read(job: Mapping[str, Any]) -> dict[str, Any]:
    Store(Path(job["models_dir"])).read(job["name"], job["version"], job["digest"])
    return {}


_DOES = {"prove": _prove, "measure": _measure, "read": _read}


def _load(job: Mapping[str, Any], *, is_proven: bool) -> Encoder:
    contents = Store(Path(job["models_dir"])).read(job["name"], job["version"], job["digest"])
    weights = Path(job["weights"]) if job["weights"] else None
    return build(contents, Execution(job["threads"], weights), is_proven=is_proven)


def _most_bytes(job: Mapping[str, Any]) -> int:
    return MEMORY + MEMORY_PER_BYTE * int(job["size"])


def _limit(job: Mapping[str, Any]) -> None:
    """Limit what the next bundle may take, over what was taken so far."""
    if sys.platform == "win32":
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = int(used.ru_utime + used.ru_stime + job["limit_s"]) + 1
    # Of data, not of addresses: onnxruntime and its threads reserve much that they never touch.
    for what, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_DATA, _most_bytes(job)),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        with suppress(ValueError, OSError):  # macOS has no RLIMIT_DATA that counts
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _be_first_to_die() -> None:
    """End with the thread that started this, and before it when memory runs out."""
    if sys.platform != "linux":
        return
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
