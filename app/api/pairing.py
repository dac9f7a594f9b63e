"""Which encoders the two sides of a score have: the query's, and the candidates' in its space."""

from __future__ import annotations

from typing import Protocol

from app.api.inputs import GivenInputs
from app.api.service import EncodeRequest, Target, resolve
from app.engine import NotReady, SpaceMismatch, UnknownModel
from app.http.context import Context
from app.http.errors import InvalidRequest
from bundle import InputError, Manifest, Truncate


class Asked(Protocol):
    """The fields that requests of pairs have in common; as in `ScoreRequest`."""

    model: str | None
    version: str | None
    candidates_model: str | None
    space: str | None
    adapted: bool
    truncate: Truncate
    dimensions: int | None


def query_target(context: Context, asked: Asked, given: GivenInputs) -> Target:
    """The encoder of the query. Raises EngineError, InvalidRequest."""
    return resolve(
        context,
        EncodeRequest(
            inputs=given,
            model=asked.model,
            version=asked.version,
            space=asked.space,
            dim=asked.dimensions,
            truncate=asked.truncate,
            adapted=asked.adapted,
        ),
    )


def candidates_target(
    context: Context, asked: Asked, given: GivenInputs, query: Manifest, *, space: str, dim: int
) -> Target:
    """The encoder of the candidates, in the query's own space or in the one that it joined.

    Raises EngineError, InvalidRequest.
    """
    try:
        wanted = EncodeRequest(
            inputs=given,
            model=asked.candidates_model or _other(context, query),
            space=space,
            dim=asked.dimensions,
            truncate=asked.truncate,
        )
        try:
            return resolve(context, wanted)
        except SpaceMismatch:
            joined = query.spaces_of(dim)[-1]
            if asked.space is not None or joined == space:
                raise
            return resolve(context, wanted._replace(space=joined))
    except (UnknownModel, NotReady) as error:
        error.param = "candidates_model"
        raise


def _other(context: Context, query: Manifest) -> str:
    """The model of the candidates where the request names none. Raises UnknownModel."""
    peers = [peer.name for peer in query.peers]
    if len(peers) != 1:
        return query.name
    if peers[0] not in context.registry.models:  # or not for this caller
        raise UnknownModel(
            f"the candidates are for the other encoder of {query.name}, which is not there; name one "
            'of its space, or send "vectors" in place of candidates'
        )
    return peers[0]


def placed(error: InputError, place: str, start: int) -> InvalidRequest:
    """Say the error of its place in this request."""
    param = place if place == "query" else f"{place}[{start + error.index}]"
    return InvalidRequest(f"{param}{error.path}: {error.reason}", code=error.code, param=param + error.path)
