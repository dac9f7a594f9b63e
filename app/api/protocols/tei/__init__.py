"""Text Embeddings Inference: /embed and its relatives, for the default model."""

from app.api.protocols.tei import embed, embed_sparse, info, other_kinds, tokens, vertex
from app.api.protocols.tei.protocol import TEI

__all__ = ["TEI", "embed", "embed_sparse", "info", "other_kinds", "tokens", "vertex"]
