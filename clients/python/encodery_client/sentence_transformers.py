"""`encode` with the arguments of sentence-transformers, for code that was written for it.

Needs neither it nor torch. Vectors are always numpy float32, normalised where the model says so;
`batch_size` is the number of inputs per request; devices and pools of processes are the server's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from encodery_client.client import Client
from encodery_client.wire import Vectors


class SentenceEncoder:
    """In place of a `SentenceTransformer`.

    Args:
        client: how the server is reached.
        prompts: name to a text that is put before the inputs.
    """

    def __init__(self, client: Client, *, prompts: Mapping[str, str] | None = None) -> None:
        self.client, self.prompts = client, dict(prompts or {})

    def encode(
        self,
        sentences: str | Sequence[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        *,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        **ignored: Any,
    ) -> Vectors:
        """float32 [n, dim], or [dim] for a single string; too long texts are cut at their end, as there.

        Raises:
            KeyError: there is no prompt of that name.
            TypeError: torch tensors are asked for.
        """
        if ignored.get("convert_to_tensor"):
            raise TypeError("convert_to_tensor: vectors are numpy arrays here; use torch.from_numpy")
        text = prompt if prompt is not None else self.prompts[prompt_name] if prompt_name else ""
        inputs = [sentences] if isinstance(sentences, str) else list(sentences)
        options: dict[str, Any] = {"truncate": "end"} | ({"dimensions": truncate_dim} if truncate_dim else {})
        vectors = self.client.encode([text + sentence for sentence in inputs], **options)
        if normalize_embeddings:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        return vectors[0] if isinstance(sentences, str) else vectors

    def encode_query(self, sentences: str | Sequence[str], **options: Any) -> Vectors:
        """With the prompt called `query`, where there is one."""
        return self.encode(sentences, "query" if "query" in self.prompts else None, **options)

    def encode_document(self, sentences: str | Sequence[str], **options: Any) -> Vectors:
        """With the prompt called `document`, where there is one."""
        return self.encode(sentences, "document" if "document" in self.prompts else None, **options)

    def get_sentence_embedding_dimension(self) -> int:
        """Length of a vector; asks the server."""
        return len(self.client.encode_one("a"))

    @staticmethod
    def similarity(first: Vectors, second: Vectors) -> Vectors:
        """Cosines of all pairs. float32 [n, m]."""
        return np.asarray(_unit(first) @ _unit(second).T, dtype=np.float32)


def _unit(vectors: Vectors) -> Vectors:
    rows = np.atleast_2d(vectors)
    return np.asarray(
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    )
