"""Other people's protocols over the one engine. Thin: a body in, a body out, errors in their own shape.

Every route and every field that it reads is in PROTOCOLS; the docs' table is written from there.
"""

from app.api.protocols.base import Protocol
from app.api.protocols.cohere import COHERE
from app.api.protocols.infinity import INFINITY
from app.api.protocols.kserve import KSERVE
from app.api.protocols.ollama import OLLAMA
from app.api.protocols.openai import OPENAI
from app.api.protocols.tei import TEI

PROTOCOLS: tuple[Protocol, ...] = (OPENAI, INFINITY, TEI, OLLAMA, COHERE, KSERVE)

__all__ = ["PROTOCOLS", "Protocol"]
