"""Searches texts by words and vectors together, in a Qdrant index in memory: docs/clients.md.

    pip install qdrant-client
    python clients/examples/search_with_qdrant.py [URL]

URL is a running server with the bundled text encoder. Nothing of this project is imported.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Sequence
from typing import Any

from qdrant_client import QdrantClient, models

TEXTS = [
    "The program does not start after an update",
    "E1043: the licence has ended; renew it in the account",
    "E1047: no network; look at the proxy",
    "Opening hours on public holidays",
]


def encode(url: str, texts: Sequence[str], **options: str) -> tuple[list[Any], str]:
    """Encode; the vectors and their space."""
    body = json.dumps({"inputs": texts, **options}).encode()
    request = urllib.request.Request(f"{url}/encode", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    return answer["embeddings"], answer["space"]


def main(arguments: list[str]) -> int:
    """Index, then ask by vectors, by words and by both."""
    url = arguments[0] if arguments else "http://127.0.0.1:8000"
    dense, dense_space = encode(url, TEXTS)
    sparse, sparse_space = encode(url, TEXTS, output="sparse")
    index = QdrantClient(":memory:")
    index.create_collection(  # the idf is in the query's weights, so Qdrant is not asked for its own
        "texts",
        vectors_config={
            dense_space: models.VectorParams(size=len(dense[0]), distance=models.Distance.COSINE)
        },
        sparse_vectors_config={sparse_space: models.SparseVectorParams()},
    )
    vectors = (
        {dense_space: row, sparse_space: models.SparseVector(**words)}
        for row, words in zip(dense, sparse, strict=True)
    )
    index.upsert("texts", [models.PointStruct(id=at, vector=one) for at, one in enumerate(vectors)])

    query = ["what does E1047 mean"]
    (meaning,), _ = encode(url, query, space=dense_space)
    (words,), _ = encode(url, query, output="sparse", input_type="query", space=sparse_space)
    by_vectors = models.Prefetch(query=meaning, using=dense_space, limit=20)
    by_words = models.Prefetch(query=models.SparseVector(**words), using=sparse_space, limit=20)
    for name, parts in {"vectors": [by_vectors], "words": [by_words], "both": [by_vectors, by_words]}.items():
        fusion = models.FusionQuery(fusion=models.Fusion.DBSF)
        found = index.query_points("texts", prefetch=parts, query=fusion, limit=2)
        print(name, [TEXTS[point.id] for point in found.points])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
