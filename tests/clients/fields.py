"""Every field that client libraries send with texts to encode, by what their own types say.

Checked in, so that the server is held to it where no library is installed. A value is one that means
something.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Sent(NamedTuple):
    """What one library sends to one route.

    Attributes:
        path: of the route.
        texts: the field that holds the texts.
        fields: all others, each with a value that a caller may give.
    """

    path: str
    texts: str
    fields: Mapping[str, Any]


SENT: Mapping[str, Sent] = {
    "openai": Sent(
        "/v1/embeddings",
        "input",
        {"model": "text", "dimensions": 4, "encoding_format": "base64", "user": "somebody"},
    ),
    "voyageai": Sent(
        "/v1/embeddings",
        "input",
        {
            "model": "text",
            "input_type": "query",
            "truncation": True,
            "output_dtype": "int8",
            "output_dimension": 4,
            "encoding_format": "base64",
        },
    ),
    "mistralai": Sent(
        "/v1/embeddings",
        "input",
        {
            "model": "text",
            "metadata": {"a": "b"},
            "output_dimension": 4,
            "output_dtype": "ubinary",
            "encoding_format": "base64",
        },
    ),
    "cohere": Sent(
        "/v2/embed",
        "texts",
        {
            "model": "text",
            "input_type": "search_query",
            "images": ["data:image/png;base64,AAAA"],
            "inputs": [{"content": [{"type": "text", "text": "hello"}]}],
            "max_tokens": 3,
            "output_dimension": 4,
            "embedding_types": ["int8"],
            "truncate": "START",
            "priority": 3,
        },
    ),
    "cohere_v1": Sent(
        "/v1/embed",
        "texts",
        {
            "model": "text",
            "input_type": "classification",
            "images": ["data:image/png;base64,AAAA"],
            "embedding_types": ["uint8"],
            "truncate": "NONE",
        },
    ),
    "ollama": Sent(
        "/api/embed",
        "input",
        {
            "model": "text",
            "truncate": False,
            "options": {"num_ctx": 3, "seed": 1},
            "keep_alive": "5m",
            "dimensions": 4,
        },
    ),
    "ollama_embeddings": Sent(
        "/api/embeddings", "prompt", {"model": "text", "options": {"temperature": 0.5}, "keep_alive": 0}
    ),
    "huggingface_hub": Sent(
        "/embed",
        "inputs",
        {
            "normalize": False,
            "prompt_name": "",
            "truncate": True,
            "truncation_direction": "left",
            "dimensions": 4,
            "encoding_format": "base64",
        },
    ),
}
