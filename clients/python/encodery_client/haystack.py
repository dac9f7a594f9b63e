"""Haystack's two embedder components. Needs haystack-ai."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from encodery_client.client import Client


@component
class EncoderyTextEmbedder:
    """Turns one text, for example a query, into its vector.

    Args:
        url: of the server.
        **options: of `Client`; what is written into a pipeline's file.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.url, self.options = url, options
        self._client = Client(url, **options)

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        answer = self._client.answer([text])
        return {
            "embedding": answer.vectors[0].tolist(),
            "meta": {"model": answer.model, "space": answer.space},
        }

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(self, url=self.url, **self.options)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EncoderyTextEmbedder:
        return default_from_dict(cls, data)


@component
class EncoderyDocumentEmbedder:
    """Gives documents their vectors; one without content gets none.

    Args:
        url: of the server.
        **options: of `Client`; what is written into a pipeline's file.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.url, self.options = url, options
        self._client = Client(url, **options)

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        filled = [document for document in documents if document.content]
        answer = self._client.answer([document.content for document in filled])
        vectors = dict(zip((document.id for document in filled), answer.vectors.tolist(), strict=True))
        done = [replace(document, embedding=vectors.get(document.id)) for document in documents]
        return {"documents": done, "meta": {"model": answer.model, "space": answer.space}}

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(self, url=self.url, **self.options)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EncoderyDocumentEmbedder:
        return default_from_dict(cls, data)
