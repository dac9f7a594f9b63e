"""LlamaIndex's `BaseEmbedding`. Needs llama-index-core."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr

from encodery_client.client import Client


class EncoderyEmbedding(BaseEmbedding):
    """Turns texts into vectors, for indexes and query engines of LlamaIndex.

    Args:
        client: how the server is reached.
        query_prompt, text_prompt: names of the model's prompts for them; default: the client's.
        **fields: of BaseEmbedding, for example `embed_batch_size`.
    """

    query_prompt: str | None = None
    text_prompt: str | None = None
    _client: Client = PrivateAttr()

    def __init__(self, client: Client, **fields: Any) -> None:
        super().__init__(**{"model_name": "encodery", "embed_batch_size": 512} | fields)
        self._client = client

    @classmethod
    def class_name(cls) -> str:
        return "EncoderyEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return list(self._client.encode_one(query, prompt=self.query_prompt).tolist())

    def _get_text_embedding(self, text: str) -> list[float]:
        return list(self._client.encode_one(text, prompt=self.text_prompt).tolist())

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return list(self._client.encode(texts, prompt=self.text_prompt).tolist())

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)
