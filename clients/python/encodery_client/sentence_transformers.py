"""Takes the arguments of sentence-transformers, for code that was written for it.

Needs neither it nor torch. Vectors are always numpy arrays, normalised where the model says so;
`batch_size` is the number of inputs per request; devices and pools of processes are the server's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from encodery_client.client import Client
from encodery_client.wire import Output, Vectors

FLOATS = ("float32", "float16")


class SentenceEncoder:
    """Stands in for a `SentenceTransformer`.

    Args:
        client: how the server is reached.
        prompts: name to a text that is put before the inputs; default: the model's own.
    """

    def __init__(self, client: Client, *, prompts: Mapping[str, str] | None = None) -> None:
        self.client, self._prompts = client, None if prompts is None else dict(prompts)

    @property
    def prompts(self) -> Mapping[str, str]:
        """The prompts, name to text; for the model's own the server is asked once."""
        if self._prompts is None:
            self._prompts = self.client.prompts()
        return self._prompts

    def encode(
        self,
        sentences: str | Sequence[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        *,
        precision: Output = "float32",
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        **ignored: Any,
    ) -> Vectors:
        """Encode: [n, dim], or [dim] for a single string. Too long texts are cut at their end, as there.

        Only floats are normalised; a lower `precision` is made of what the model gives.

        Raises:
            KeyError: there is no prompt of that name.
            TypeError: torch tensors are asked for.
        """
        if ignored.get("convert_to_tensor"):
            raise TypeError("convert_to_tensor: vectors are numpy arrays here; use torch.from_numpy")
        text = prompt if prompt is not None else self.prompts[prompt_name] if prompt_name else None
        inputs = [sentences] if isinstance(sentences, str) else list(sentences)
        options: dict[str, Any] = {"truncate": "end"} | ({"dimensions": truncate_dim} if truncate_dim else {})
        if text is not None:  # in place of the model's default, so the server puts none before it
            inputs, options = [text + sentence for sentence in inputs], options | {"prompt": ""}
        vectors = self.client.encode(inputs, output=precision, **options)
        if normalize_embeddings and precision in FLOATS:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        return vectors[0] if isinstance(sentences, str) else vectors

    def encode_query(self, sentences: str | Sequence[str], **options: Any) -> Vectors:
        """Encode with the prompt called `query`, where there is one."""
        return self.encode(sentences, self._first("query"), **options)

    def encode_document(self, sentences: str | Sequence[str], **options: Any) -> Vectors:
        """Encode with the prompt called `document`, `passage` or `corpus`, where there is one."""
        return self.encode(sentences, self._first("document", "passage", "corpus"), **options)

    def _first(self, *names: str) -> str | None:
        return next((name for name in names if name in self.prompts), None)

    def get_sentence_embedding_dimension(self) -> int:
        """Return the length of a vector; asks the server."""
        return len(self.client.encode_one("a"))

    @staticmethod
    def similarity(first: Vectors, second: Vectors) -> Vectors:
        """Compute the cosines of all pairs. float32 [n, m]."""
        return np.asarray(_unit(first) @ _unit(second).T, dtype=np.float32)


def _unit(vectors: Vectors) -> Vectors:
    rows = np.atleast_2d(vectors)
    return np.asarray(
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    )
