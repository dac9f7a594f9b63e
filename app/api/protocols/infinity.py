"""What Infinity has beside OpenAI's routes, and this server has not: told by name.

https://github.com/michaelfeil/infinity: its /embeddings is OpenAI's (`app.api.protocols.openai`), its /models
ours (`app.api.models`), and its /rerank TEI's as well, as which it is answered.
"""

from __future__ import annotations

from app.api.protocols.base import MODALITY, Protocol
from app.api.protocols.openai import openai_error
from app.http.errors import ErrorBody

INFINITY = Protocol("Infinity", body=openai_error, error=ErrorBody, statuses={422: 400})

INFINITY.refuse("/embeddings_image", MODALITY)
INFINITY.refuse("/embeddings_audio", MODALITY)
INFINITY.refuse("/classify", "no model here gives classes, only vectors; encode with /embeddings")
