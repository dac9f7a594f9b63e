"""The rows of the fault harness: what is promised, and which tests show it.

A test belongs to a row by its file, or by a part of its name after `::`. A row may have several.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        promise: what the server does.
        how: the fault, and how it is made.
        tests: files below the repository, each alone or with `::` and an expression for pytest's `-k`.
    """

    promise: str
    how: str
    tests: tuple[str, ...]


ROWS: dict[str, Row] = {
    "L1": Row(
        "Under overload it goes on doing what it can do, and refuses the rest at once",
        "an open loop at 2, 5 and 10 times the peak of a closed loop; requests that wait 1 s, and 10 s",
        ("tests/faults/test_overload.py::goodput",),
    ),
    "L2": Row(
        "After overload it is normal again within seconds",
        "half the peak, ten times the peak, half the peak: until p99 is at most twice what it was at first",
        ("tests/faults/test_overload.py::soon_after",),
    ),
    "L3": Row(
        "No work is done for a request whose time is over",
        "bursts of requests that may take 100 ms, of which most must wait longer; rows run, by the metrics",
        ("tests/faults/test_aborts.py::expired",),
    ),
    "L4": Row(
        "Health answers under overload",
        "both probes every 50 ms, each on a new connection, during L1",
        ("tests/faults/test_overload.py::goodput",),
    ),
    "L5": Row(
        "No body holds up the event loop, or takes memory out of proportion",
        "the worst bodies that a search over routes, media types and shapes found; pictures and sounds as "
        "large as they may be, and hostile ones",
        ("tests/faults/test_stalls.py", "tests/faults/test_media_stalls.py"),
    ),
    "M1": Row(
        "Nothing grows in a long life",
        "mixed requests in batches of any size, one in twenty bad, one in twenty whose caller hangs up",
        ("tests/faults/test_soak.py",),
    ),
    "M2": Row(
        "The largest requests that are allowed fit into the container",
        "a thousand of them, of every sort, 32 at a time; the limit is docker-compose.yml's",
        ("tests/faults/test_memory.py",),
    ),
    "F1": Row(
        "A worker that dies takes its own requests with it, no others, and is replaced",
        "kill -9 at 70 % of the peak, two workers; the Python client beside it tries three times",
        ("tests/faults/test_kill.py",),
    ),
    "F2": Row(
        "A rolling restart fails no request",
        "SIGTERM in turn to two servers behind a balancer that asks whether they are ready, with half-open "
        "connections",
        ("tests/faults/test_rolling.py",),
    ),
    "F3": Row(
        "A reload fails no request, and no answer mixes versions",
        "a new version published and SIGHUP sent, again and again, under load; each vector compared with "
        "that of the version it names",
        ("tests/faults/test_reload.py",),
    ),
    "F4": Row(
        "A bad bundle is refused, named, and stops nobody",
        "mutants of a bundle: cut, flipped, missing, linked, sealed again with right digests",
        ("tests/faults/test_bad_bundles.py",),
    ),
    "F5": Row(
        "A crash or a full disk while publishing leaves the old version or the new one, whole",
        "killed, or ENOSPC and EIO, at every file system call of publishing and of making a version current",
        ("tests/faults/test_publish_crash.py",),
    ),
    "F6": Row(
        "Slow clients cost the others nothing",
        "half heads, half bodies and answers that nobody reads, 500 of each",
        ("tests/faults/test_slow_clients.py",),
    ),
    "F7": Row(
        "Callers that hang up leave nothing behind, and what waited for them is not computed",
        "aborts at any moment, from a connection without a word to half an answer read",
        ("tests/faults/test_aborts.py::not expired",),
    ),
    "F8": Row(
        "A bad input fails alone",
        "random batches with one input that makes NaN or an exception",
        ("tests/faults/test_poison.py",),
    ),
    "F9": Row(
        "A vector does not depend on its neighbours",
        "every input alone and in random batches",
        ("tests/faults/test_batch_invariance.py",),
    ),
    "F10": Row(
        "Odd HTTP is answered rightly or closed",
        "smuggling sets on raw sockets, a million chunks, every method on every route",
        ("tests/app/http/test_smuggling.py", "tests/faults/test_odd_http.py"),
    ),
    "F11": Row(
        "A bad body gets a small 4xx",
        "classes of bad JSON, UTF-8, numbers and types, on every route",
        ("tests/faults/test_bad_bodies.py",),
    ),
    "F12": Row(
        "A forward pass that never ends is noticed, its worker replaced, and others are served",
        "a bundle whose graph loops for years at one word; one and two workers, one and two threads",
        ("tests/faults/test_hang.py",),
    ),
    "S1": Row(
        "Nobody passes without a key",
        "every route with no key, a wrong one, a wrong scope, and tricks of path and Host",
        ("tests/faults/test_no_way_round_keys.py",),
    ),
    "S2": Row(
        "Nothing that was sent is in a log, an error or a metric",
        "canaries in every field, at debug level",
        ("tests/faults/test_canaries.py",),
    ),
    "S3": Row(
        "Random requests find no crash",
        "schemathesis and Hypothesis against the API's own document",
        ("tests/faults/test_fuzz.py",),
    ),
    "S4": Row(
        "Nothing older than known holes is installed, and nothing that was sent or published is run",
        "floors of versions, hashes in every lock, imports read and tried: no torch, no pickle",
        ("tests/packaging/test_locks.py", "tests/test_architecture.py"),
    ),
    "S5": Row(
        "The container may do no more than it needs",
        "user, read-only root, capabilities, limits, writable places, base by digest, in both files",
        ("tests/packaging/test_image.py",),
    ),
}
