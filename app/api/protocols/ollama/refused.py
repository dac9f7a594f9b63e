"""What Ollama does and this server does not: each says so, or its users would look for a wrong path."""

from __future__ import annotations

from app.api.protocols.ollama.protocol import OLLAMA

_ENCODES = "the models of this server give vectors, no texts; send texts to /api/embed"
_MANAGES = (
    "the models of this server are bundles in its own directory: `encodery import` makes one, `encodery "
    "models` lists and chooses them, and SIGHUP loads what is new"
)
_ALIASES = "give a model another name in the settings: ENCODERY_MODEL_ALIASES"

for _path in ("/api/generate", "/api/chat"):
    OLLAMA.refuse(_path, _ENCODES)
for _path in ("/api/pull", "/api/push", "/api/create"):
    OLLAMA.refuse(_path, _MANAGES)
OLLAMA.refuse("/api/copy", _ALIASES)
OLLAMA.refuse("/api/delete", _MANAGES, method="DELETE")
