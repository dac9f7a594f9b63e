"""Ollama: /api/embed, the older /api/embeddings, what clients ask about models, and what is refused.

ollama docs/api.md and server/routes.go.
"""

from app.api.protocols.ollama import embed, models, refused
from app.api.protocols.ollama.protocol import OLLAMA

__all__ = ["OLLAMA", "embed", "models", "refused"]
