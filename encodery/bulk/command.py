"""`encodery encode IN OUT`: from a command's arguments to a finished output, or one to go on with."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from encodery import __version__
from encodery.bulk.backends import Backend, Encoded, Local, Options, Remote
from encodery.bulk.errors import BulkError
from encodery.bulk.outputs import EMBEDDING, ROW, TRUNCATED, assemble, beside, check_output
from encodery.bulk.parts import Parts
from encodery.bulk.rows import Reading, Row, count_rows, read_rows

CHUNK_ROWS, CHUNK_CHARS = 4096, 4_000_000
AHEAD = 2  # chunks being encoded while one is written and another read
REQUEST_S = 600.0  # patience with a server that is busy, retries included


@dataclass(frozen=True)
class Asked:
    """What is to be encoded, and how.

    Attributes:
        text: the column of a text model's input.
        keep: columns that go into the output as they are.
        models: directory of bundles; not used with a URL.
        url: of a server.
    """

    source: Path
    out: Path
    model: str
    version: str | None
    models: Path
    url: str | None
    text: str = "text"
    keep: Sequence[str] = ()
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Done:
    """How it went."""

    rows: int
    bad: int
    truncated: int
    meta: dict[str, Any]


def run(asked: Asked) -> Done:
    """Encode the file, going on where an earlier run stopped. Raises EncoderyError."""
    check_output(asked.out)
    if reserved := {ROW, EMBEDDING, TRUNCATED} & set(asked.keep):
        raise BulkError(f"--keep {', '.join(reserved)}: the output has a column of that name already")
    parts = Parts(beside(asked.out, ".partial"))
    total = count_rows(asked.source)
    with parts.alone(), closing(_backend(asked)) as backend:
        parts.begin(_job(asked, backend))
        reading = _reading(asked, backend)
        _encode(asked.source, reading, backend, parts, total)
        done = _done(asked, backend, parts)
        assemble(asked.out, parts.all(), done.meta)
    shutil.rmtree(parts.directory)
    return done


def _encode(source: Path, reading: Reading, backend: Backend, parts: Parts, total: int) -> None:
    from training.progress import Progress

    before = parts.all()
    start = before[-1].end if before else 0
    rows = islice(read_rows(source, reading), start, None)
    with (
        Progress(total=total, label=backend.identity.model, unit="rows", done=start) as progress,
        closing(_encoded(chunks(rows), backend)) as done,
    ):
        for chunk, encoded in done:
            _add(parts, chunk, encoded)
            progress.advance(len(chunk))


def _encoded(found: Iterable[list[Row]], backend: Backend) -> Generator[tuple[list[Row], Encoded]]:
    """Every chunk with its vectors, in order; AHEAD of them in work."""
    flying: deque[tuple[list[Row], Future[Encoded]]] = deque()
    threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="chunk")
    try:
        for chunk in found:
            values = [row.value for row in chunk if not row.fault]
            flying.append((chunk, threads.submit(backend.encode, values)))
            if len(flying) > AHEAD:
                first, future = flying.popleft()
                yield first, future.result()
        while flying:
            first, future = flying.popleft()
            yield first, future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _add(parts: Parts, chunk: Sequence[Row], encoded: Encoded) -> None:
    whole = [row for row in chunk if not row.fault]
    faults = {whole[position].number: reason for position, reason in encoded.faults.items()}
    faults |= {row.number: row.fault for row in chunk if row.fault}
    kept = [
        {ROW: row.number, **row.kept, TRUNCATED: position in encoded.truncated}
        for position, row in enumerate(whole)
        if row.number not in faults
    ]
    bad = [
        {ROW: row.number, "reason": faults[row.number], "input": row.source}
        for row in chunk
        if row.number in faults
    ]
    parts.add(chunk[0].number, chunk[-1].number + 1, encoded.vectors, kept, bad)


def chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows in lists, bounded in number and in characters."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row.value) if isinstance(row.value, str) else len(str(row.value))
        if len(chunk) >= CHUNK_ROWS or size >= CHUNK_CHARS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _backend(asked: Asked) -> Backend:
    if asked.url is None:
        from bundle import Store
        from bundle.cores import usable_cores

        encoder = Store(asked.models).load(asked.model, asked.version)
        return Local(encoder, asked.options, usable_cores())
    try:
        from encodery_client import Client, EncoderyClientError
    except ModuleNotFoundError:
        raise BulkError("a server is reached through its client: pip install encodery-client") from None
    headers = {"X-Priority": "bulk"}  # other callers of that server go first
    client = Client(asked.url, model=asked.model, version=asked.version, timeout_s=REQUEST_S, headers=headers)
    try:
        schema = client.schema(asked.model)
        return Remote(client, asked.options, schema, schema["examples"][0])
    except EncoderyClientError as error:
        client.close()
        raise BulkError(str(error)) from None


def _reading(asked: Asked, backend: Backend) -> Reading:
    features = backend.schema.get("properties")
    if features is None:
        return Reading(text=asked.text, keep=asked.keep)
    return Reading(text=None, features=features, keep=asked.keep)


def _job(asked: Asked, backend: Backend) -> dict[str, Any]:
    """All that decides what is in the output."""
    stat = asked.source.stat()
    return {
        "input": str(asked.source.resolve()),
        "bytes": stat.st_size,
        "modified": stat.st_mtime_ns,
        "text": asked.text,
        "keep": list(asked.keep),
        **asdict(asked.options),
        **asdict(backend.identity),
    }


def _done(asked: Asked, backend: Backend, parts: Parts) -> Done:
    """Counted from what was written, so that it is true of every run that took part."""
    found = parts.all()
    rows, truncated, end = 0, 0, found[-1].end if found else 0
    for part in found:
        for kept in part.rows():
            rows += 1
            truncated += kept[TRUNCATED]
    meta = {
        **asdict(backend.identity),
        "rows": rows,
        "bad": end - rows,
        "truncated": truncated,
        "prompt": asked.options.prompt,
        "input": asked.source.name,
        "encodery": __version__,
    }
    return Done(rows, end - rows, truncated, meta)
