"""POST /encode with NDJSON: a body of any size in, lines or Arrow batches out, in bounded memory.

    body -> chunks of lines (lines) -> engine, bulk priority (job) -> blocks (formats) -> answer (respond)

One input per line. Its answer has the line's number as `index`, and either its vector or an error in the
shape of every other error; it costs no other line. Options stand in the query.
"""

from app.api.stream.formats import NDJSON
from app.api.stream.lines import CHUNK_LINES
from app.api.stream.respond import IN_FLIGHT, PARAMETERS, is_stream, respond

__all__ = ["CHUNK_LINES", "IN_FLIGHT", "NDJSON", "PARAMETERS", "is_stream", "respond"]
