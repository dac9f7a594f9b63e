"""Runs `encodery encode IN OUT`: from its arguments to a finished output, or one to go on with."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from bundle import Store
from bundle.cores import usable_cores
from bundle.preprocess.facts import warning_names
from bundle.progress import Progress
from bundle.signatures import TrustedKeys
from encodery import __version__
from encodery.bulk.backends import Backend, EncodedChunk, LocalBackend, Options, RemoteBackend
from encodery.bulk.errors import BulkError
from encodery.bulk.files import PATH, state_of
from encodery.bulk.outputs import EMBEDDING, ROW, TRUNCATED, WARNINGS, assemble, beside, check_output
from encodery.bulk.parts import Parts
from encodery.bulk.rows import InputRow, Selection, check_columns, read_rows, survey
from tabular import RowCounts

CHUNK_ROWS, CHUNK_CHARS = 4096, 4_000_000
AHEAD = 2  # chunks being encoded while one is written and another read
REQUEST_S = 600.0  # patience with a server that is busy, retries included


def say(line: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(line + "\n")


@dataclass(frozen=True)
class Shard:
    """One of several runs that share a file: neighbouring rows, as many as the others' to within one.

    Attributes:
        index: from 0.
        count: of all shards.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parsed(cls, text: str) -> Shard:
        """Read "0/4" to "3/4". Raises BulkError."""
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if found is None or int(found[1]) >= int(found[2]):
            raise BulkError("--shard is INDEX/COUNT with an index from 0, as 0/4, 1/4, 2/4 and 3/4")
        return cls(int(found[1]), int(found[2]))

    def rows(self, total: int) -> range:
        """Its rows of so many."""
        return range(total * self.index // self.count, total * (self.index + 1) // self.count)


@dataclass(frozen=True)
class Job:
    """A file to encode, and how.

    Attributes:
        column: the column that holds the input, for models that read one; None is the kind's own.
        keep: columns that go into the output as they are.
        models: directory of bundles; not used with a URL.
        url: of a server.
        shard: which of its rows.
        trusted: keys of which one must have signed the bundle.
        tell: takes what is to be told before anything is encoded.
    """

    source: Path
    out: Path
    model: str
    version: str | None
    models: Path
    url: str | None
    column: str | None = None
    keep: Sequence[str] = ()
    options: Options = field(default_factory=Options)
    shard: Shard = Shard()
    trusted: TrustedKeys | None = None
    tell: Callable[[str], None] = say


@dataclass(frozen=True)
class Summary:
    """Counts of a finished job, and the metadata of its output.

    Attributes:
        warnings: name to the number of rows about which that was to be told.
    """

    rows: int
    bad: int
    warnings: Mapping[str, int]
    meta: dict[str, Any]
    counts: RowCounts


def run(job: Job) -> Summary:
    """Encode the file, going on where an earlier run stopped. Raises EncoderyError."""
    check_output(job.out)
    if reserved := {ROW, EMBEDDING, TRUNCATED, WARNINGS} & set(job.keep):
        raise BulkError(f"--keep {', '.join(reserved)}: the output has a column of that name already")
    found = survey(job.source)
    rows = job.shard.rows(found.rows)
    parts = Parts(beside(job.out, ".partial"), rows.start)
    source = state_of(job.source)
    with parts.locked(), closing(_backend(job)) as backend:
        selection = _selection(job, backend)
        for sentence in check_columns(job.source, found, selection):
            job.tell(sentence)
        parts.begin(_description(job, backend) | source)
        _encode(job.source, selection, backend, parts, rows)
        if state_of(job.source) != source:
            raise BulkError(
                f"{job.source.name} changed while it was read, so that no row is sure; remove "
                f"{parts.directory} and give the same command again"
            )
        summary = _summary(job, backend, parts)
        assemble(job.out, parts.all(), summary.meta, backend.kind.facts)
    shutil.rmtree(parts.directory)
    return summary


def _selection(job: Job, backend: Backend) -> Selection:
    """The columns that are read; of a folder its one. Raises BulkError."""
    if not job.source.is_dir():
        return Selection(backend.kind.columns(backend.schema, job.column), job.keep)
    inputs = backend.kind.columns(backend.schema, PATH)
    if not inputs.are_files:
        raise BulkError(f"{job.source} is a folder, and {job.model} takes {backend.kind.plural}; give a file")
    if job.column is not None:
        raise BulkError(f"--column: {job.source} is a folder, which has no columns; leave it out")
    return Selection(inputs, [PATH, *(name for name in job.keep if name != PATH)])


def _encode(source: Path, selection: Selection, backend: Backend, parts: Parts, wanted: range) -> None:
    before = parts.all()
    start = before[-1].end if before else wanted.start
    rows = islice(read_rows(source, selection), start, wanted.stop)
    done = start - wanted.start
    with (
        Progress(total=len(wanted), label=backend.identity.model, unit="rows", done=done) as progress,
        closing(_encoded(chunks(rows), backend)) as encoded,
    ):
        for chunk, vectors in encoded:
            _add(parts, chunk, vectors)
            progress.advance(len(chunk))


def _encoded(
    found: Iterable[list[InputRow]], backend: Backend
) -> Generator[tuple[list[InputRow], EncodedChunk]]:
    """Yield every chunk with its vectors, in order; AHEAD of them in work."""
    pending: deque[tuple[list[InputRow], Future[EncodedChunk]]] = deque()
    threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="chunk")
    try:
        for chunk in found:
            values = [row.value for row in chunk if not row.fault]
            pending.append((chunk, threads.submit(backend.encode, values)))
            if len(pending) > AHEAD:
                first, future = pending.popleft()
                yield first, future.result()
        while pending:
            first, future = pending.popleft()
            yield first, future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _add(parts: Parts, chunk: Sequence[InputRow], encoded: EncodedChunk) -> None:
    whole = [row for row in chunk if not row.fault]
    faults = {whole[position].number: reason for position, reason in encoded.faults.items()}
    faults |= {row.number: row.fault for row in chunk if row.fault}
    kept = [
        {ROW: row.number, **row.kept, TRUNCATED: TRUNCATED in told, WARNINGS: told}
        for row, told in zip(whole, map(encoded.told, range(len(whole))), strict=True)
        if row.number not in faults
    ]
    bad = [
        {ROW: row.number, "line": row.line, "reason": faults[row.number], "input": row.source}
        for row in chunk
        if row.number in faults
    ]
    parts.add(chunk[0].number, chunk[-1].number + 1, encoded.vectors, kept, bad)


def chunks(rows: Iterator[InputRow]) -> Iterator[list[InputRow]]:
    """Gather rows in lists, bounded in number and in characters or bytes."""
    chunk: list[InputRow] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row.value if isinstance(row.value, bytes) else str(row.value))
        if len(chunk) >= CHUNK_ROWS or size >= CHUNK_CHARS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _backend(job: Job) -> Backend:
    if job.url is None:
        encoder = Store(job.models, job.trusted).load(job.model, job.version)
        return LocalBackend(encoder, job.options, usable_cores())
    try:
        from encodery_client import Client, EncoderyClientError
    except ModuleNotFoundError:
        raise BulkError(
            "a server is reached through its client, and that is not installed: "
            "pip install ./clients/python, in a checkout of encodery"
        ) from None
    headers = {"X-Priority": "bulk"}  # other callers of that server go first
    client = Client(job.url, model=job.model, version=job.version, timeout_s=REQUEST_S, headers=headers)
    try:
        return RemoteBackend(client, job.model, job.version, job.options)
    except EncoderyClientError as error:
        client.close()
        raise BulkError(str(error)) from None


def _description(job: Job, backend: Backend) -> dict[str, Any]:
    """Gather all that decides what is in the output, but for the state of the input."""
    return {
        "input": str(job.source.resolve()),
        "column": job.column,
        "keep": list(job.keep),
        "shard": [job.shard.index, job.shard.count],
        **asdict(job.options),
        **asdict(backend.identity),
    }


def _summary(job: Job, backend: Backend, parts: Parts) -> Summary:
    """Count what was written, so that it is true of every run that took part."""
    found = parts.all()
    rows, end = 0, found[-1].end - parts.first if found else 0
    counts = RowCounts(job.source.name, "row" if job.source.suffix == ".parquet" else "line", read=end)
    names = warning_names(backend.kind.facts)  # type: ignore[arg-type]  # mypy takes it for a Facts
    warnings = Counter(dict.fromkeys(names, 0))
    for part in found:
        for bad in part.bad_rows():
            counts.add_bad(bad["reason"], bad["line"])
        for kept in part.rows():
            rows += 1
            warnings.update(kept[WARNINGS].keys())
    meta = {
        **asdict(backend.identity),
        "dtype": "float32",
        "rows": rows,
        "bad": end - rows,
        "truncated": warnings[TRUNCATED],
        "warnings": dict(warnings),
        "prompt": job.options.prompt,
        "input": job.source.name,
        **({} if job.shard == Shard() else {"shard": f"{job.shard.index}/{job.shard.count}"}),
        "encodery": __version__,
    }
    return Summary(rows, end - rows, warnings, meta, counts)
