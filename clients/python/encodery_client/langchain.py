"""LangChain's `Embeddings`. Needs langchain-core."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from encodery_client.aio import AsyncClient
from encodery_client.client import Client


class EncoderyEmbeddings(Embeddings):
    """Turns texts into vectors, for vector stores and retrievers of LangChain.

    Args:
        client: how the server is reached.
        async_client: for the `a...` methods; without it they run the synchronous ones on a thread.
        query_prompt, document_prompt: names of the model's prompts for them; default: the client's.
    """

    def __init__(
        self,
        client: Client,
        async_client: AsyncClient | None = None,
        *,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
    ) -> None:
        self.client, self.async_client = client, async_client
        self.query_prompt, self.document_prompt = query_prompt, document_prompt

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return list(self.client.encode(texts, prompt=self.document_prompt).tolist())

    def embed_query(self, text: str) -> list[float]:
        return list(self.client.encode_one(text, prompt=self.query_prompt).tolist())

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.async_client is None:
            return await super().aembed_documents(texts)
        return list((await self.async_client.encode(texts, prompt=self.document_prompt)).tolist())

    async def aembed_query(self, text: str) -> list[float]:
        if self.async_client is None:
            return await super().aembed_query(text)
        return list((await self.async_client.encode_one(text, prompt=self.query_prompt)).tolist())
