"""Client of an Encodery server: texts, users and items in, numpy vectors out.

    with Client("http://127.0.0.1:8000") as client:
        vectors = client.encode(["hello world", "good morning"])  # float32 [2, dim]

`Client` is synchronous and may be shared by threads, `AsyncClient` lives on one event loop; both do the
same. Hooks for frameworks are modules of their own, each needing its framework only:
`encodery_client.langchain`, `.llama_index`, `.haystack`, and `.sentence_transformers`, which needs none.
`encodery_client.testing` has a fake server for your tests.
"""

from encodery_client.aio import AsyncClient
from encodery_client.aliases import Alias
from encodery_client.answers import (
    Answer,
    Explanation,
    Explanations,
    InputWarning,
    Score,
    Scores,
    Side,
    SparseVector,
)
from encodery_client.client import Client
from encodery_client.errors import (
    AliasChanged,
    DeadlineExceeded,
    EncoderyClientError,
    Overloaded,
    RequestRefused,
    ServerFailed,
    ServerUnreachable,
    SpaceChanged,
    UnexpectedAnswer,
)
from encodery_client.retry import Retry

__all__ = [
    "Alias",
    "AliasChanged",
    "Answer",
    "AsyncClient",
    "Client",
    "DeadlineExceeded",
    "EncoderyClientError",
    "Explanation",
    "Explanations",
    "InputWarning",
    "Overloaded",
    "RequestRefused",
    "Retry",
    "Score",
    "Scores",
    "ServerFailed",
    "ServerUnreachable",
    "Side",
    "SpaceChanged",
    "SparseVector",
    "UnexpectedAnswer",
]
__version__ = "0.1.0"
