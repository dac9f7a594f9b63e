"""Moves a Qdrant collection from an old encoder to a new one, searched all the while: docs/migrating.md.

    pip install qdrant-client
    python clients/examples/migrate_with_qdrant.py SET OLD NEW [URL]

SET is a directory in BEIR's form; OLD and NEW are versions of `text` that the server at URL has loaded
(ENCODERY_VERSIONS_PER_MODEL), beside an adapter from the one to the other.
Nothing of this project is imported.
"""

from __future__ import annotations

import csv
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models

BATCH, QUERIES, STEPS, K = 128, 500, 4, 10


class Server:
    """Encodes, and turns old vectors towards the new space."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            found: dict[str, Any] = json.load(response)
        return found

    def encode(self, texts: Sequence[str], space: str) -> list[list[float]]:
        """Vectors of that space and no other."""
        found: list[list[float]] = self.post("/encode", inputs=texts, space=space, truncate="end")[
            "embeddings"
        ]
        return found


@dataclass(frozen=True)
class Place:
    """Where vectors are searched: a collection's named vectors, each with the space that queries need."""

    collection: str
    spaces: dict[str, str]


class Search:
    """Ten ids for a query, wherever the vectors are at the moment; `place` is changed in one assignment."""

    def __init__(self, index: QdrantClient, server: Server, place: Place) -> None:
        self.index, self.server, self.place = index, server, place
        self.lock = threading.Lock()  # an index in memory has none of its own
        self.answered, self.failures = 0, list[str]()

    def best(self, place: Place, vectors: dict[str, list[float]]) -> list[int]:
        """The best of all named vectors: scores of adapted and of new ones are of one kind."""
        points: dict[int, float] = {}
        for name, space in place.spaces.items():
            with self.lock:
                found = self.index.query_points(place.collection, vectors[space], using=name, limit=K).points
            points |= {int(point.id): point.score for point in found}
        return sorted(points, key=points.__getitem__, reverse=True)[:K]

    def until(self, ended: threading.Event, queries: Sequence[str]) -> None:
        """Ask on and on, as users do."""
        while not ended.is_set():
            place, query = self.place, queries[self.answered % len(queries)]
            try:
                spaces = sorted(set(place.spaces.values()))
                blocks = self.server.post("/encode", inputs=query, spaces=spaces)["blocks"]
                assert len(self.best(place, {one["space"]: one["embeddings"][0] for one in blocks})) == K
            except Exception as error:
                self.failures.append(repr(error))
            self.answered += 1
            time.sleep(0.02)


def batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut into pieces that a request may have."""
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def read(directory: Path) -> tuple[list[str], list[str], list[set[int]]]:
    """Read documents, queries, and the documents that answer each query."""
    corpus = [json.loads(line) for line in (directory / "corpus.jsonl").open()]
    queries = {one["_id"]: one["text"] for one in map(json.loads, (directory / "queries.jsonl").open())}
    at = {one["_id"]: number for number, one in enumerate(corpus)}
    relevant: dict[str, set[int]] = {}
    for row in csv.DictReader((directory / "qrels.tsv").open(), delimiter="\t"):
        relevant.setdefault(row["query-id"], set()).add(at[row["corpus-id"]])
    chosen = list(relevant)[:: max(1, len(relevant) // QUERIES)][:QUERIES]
    return (
        [one["text"] for one in corpus],
        [queries[key] for key in chosen],
        [relevant[key] for key in chosen],
    )


def main(arguments: list[str]) -> int:
    """Index by the old encoder, then move, and measure at every step."""
    server = Server(arguments[3] if len(arguments) > 3 else "http://127.0.0.1:8000")
    texts, queries, relevant = read(Path(arguments[0]))
    old, new = (server.post("/encode", inputs="a", version=version)["space"] for version in arguments[1:3])
    vectors = {
        space: [
            row
            for ids in batches(range(len(queries)))
            for row in server.encode([queries[at] for at in ids], space)
        ]
        for space in (old, new)
    }
    index, ids = QdrantClient(":memory:"), range(len(texts))

    def create(name: str, spaces: Sequence[str], dim: int) -> None:
        params = models.VectorParams(size=dim, distance=models.Distance.COSINE)
        index.create_collection(name, vectors_config=dict.fromkeys(spaces, params))

    def put(name: str, some: Sequence[int], space: str, rows: Sequence[list[float]]) -> None:
        points = [models.PointStruct(id=at, vector={space: row}) for at, row in zip(some, rows, strict=True)]
        with search.lock:
            index.upsert(name, points)

    def told(step: str) -> None:
        found = [
            search.best(search.place, {space: rows[at] for space, rows in vectors.items()})
            for at in range(len(queries))
        ]
        shares = [len(one & set(best)) / min(K, len(one)) for one, best in zip(relevant, found, strict=True)]
        print(f"{step:34} recall@10 {sum(shares) / len(shares):.3f}", flush=True)

    search = Search(index, server, Place("old", {old: old}))
    create("old", [old], len(vectors[old][0]))
    for some in batches(ids):
        put("old", some, old, server.encode([texts[at] for at in some], old))
    ended = threading.Event()
    users = threading.Thread(target=search.until, args=(ended, queries))
    users.start()
    told("the old index")

    derived = server.post("/adapt", vectors=[vectors[old][0]], space=old)["space"]
    create("new", [derived, new], len(vectors[new][0]))
    started = time.perf_counter()
    for some in batches(ids):
        with search.lock:
            points = index.retrieve("old", list(some), with_vectors=[old])
        given = {int(point.id): point.vector[old] for point in points}
        adapted = server.post("/adapt", vectors=[given[at] for at in some], space=old)["embeddings"]
        put("new", some, derived, adapted)
    search.place = Place("new", {derived: new, new: new})
    told(f"adapted, in {time.perf_counter() - started:.0f} s")

    for number, some in enumerate(batches(ids), 1):
        rows = server.encode([texts[at] for at in some], new)
        put("new", some, new, rows)  # an upsert takes the adapted vector away with the same write
        if number % (-(-len(texts) // BATCH) // STEPS) == 0 and some[-1] + 1 < len(texts):
            told(f"{(some[-1] + 1) / len(texts):.0%} encoded again")
    search.place = Place("new", {new: new})
    told("all encoded again")
    ended.set()
    users.join()
    index.delete_collection("old")
    print(f"searches meanwhile: {search.answered:,}, of which failed {len(search.failures)}")
    print("\n".join(search.failures[:3]), end="")
    return 1 if search.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
