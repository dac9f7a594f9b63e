"""Puts a whole catalogue into a Qdrant index in memory, and asks it for recommendations: docs/recommender.md.

    pip install qdrant-client
    python clients/examples/recommend_with_qdrant.py LOG.csv.gz [URL]

LOG is Online Retail, of which the catalogue is made; URL is a running server with the bundled pair.
Nothing of this project is imported: it is what a backend would do.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

BATCH = 1024


def catalogue(log: Path) -> list[dict[str, Any]]:
    """Read one record for each stock code of goods: its last description and price."""
    records: dict[str, dict[str, Any]] = {}
    with gzip.open(log, "rt", encoding="utf-8-sig", newline="") as file:
        for line in csv.DictReader(file):
            code, title = line["StockCode"].upper(), line["Description"].strip()
            if code[:5].isdecimal() and title and float(line["UnitPrice"]) > 0 and int(line["Quantity"]) > 0:
                price = float(line["UnitPrice"])
                records[code] = {"id": code, "code": code, "description": title, "price": price}
    return list(records.values())


def encode(url: str, model: str, inputs: Sequence[Any], space: str | None = None) -> tuple[Any, str]:
    """Encode; vectors [n, dim] and their space, or 412 if it is not the one that is expected."""
    body = {"model": model, "inputs": inputs} | ({"space": space} if space else {})
    headers = {"Content-Type": "application/json", "Accept": "application/x-npy", "X-Priority": "bulk"}
    request = urllib.request.Request(f"{url}/encode", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return np.load(io.BytesIO(response.read())), response.headers["X-Embedding-Space"]


def main(arguments: list[str]) -> int:
    """Index, then ask for three users."""
    url = arguments[1] if len(arguments) > 1 else "http://127.0.0.1:8000"
    items = catalogue(Path(arguments[0]))
    items.append({"id": "NEW-1", "description": "REGENCY GRAVY BOAT PINK", "price": 3.25})
    started = time.perf_counter()
    vectors, space = encode(url, "retail-item", items[:BATCH])
    parts = [
        encode(url, "retail-item", items[at : at + BATCH], space)[0] for at in range(BATCH, len(items), BATCH)
    ]
    vectors = np.concatenate([vectors, *parts])
    print(f"{len(vectors):,} items of {space} in {time.perf_counter() - started:.1f} s")

    index = QdrantClient(":memory:")
    size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.DOT)
    index.create_collection(
        space, vectors_config=size
    )  # named by its space: vectors of another have no place
    index.upload_collection(space, vectors=vectors, payload=items, ids=range(len(items)))

    def recommend(user: dict[str, Any], count: int) -> None:
        (vector,), _ = encode(url, "retail-user", [user], space)
        had = [one if isinstance(one, str) else one["id"] for one in user.get("history", [])]
        not_again = [models.FieldCondition(key="id", match=models.MatchAny(any=had))] if had else []
        found = index.query_points(
            space, query=vector.tolist(), query_filter=models.Filter(must_not=not_again), limit=count
        )
        for point in found.points:
            print(f"  {point.score:6.2f}  {point.payload['description'].title()}")

    print("after teacups:")
    tea = [{"id": "22699", "time": "2011-10-20"}, {"id": "22697", "time": "2011-10-02"}]
    recommend({"history": tea, "country": "United Kingdom"}, 10)
    print("after an item that training never saw:")
    recommend({"history": [items[-1]], "country": "United Kingdom"}, 5)
    print("a new user:")
    recommend({"country": "France"}, 5)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
