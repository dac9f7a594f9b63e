"""Tokens of texts, and texts of tokens, in pieces: each is a little work, and counts towards the answer.

The pieces are made as somebody asks for them: `app.side_work`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import orjson

from app.api.inputs import GivenInputs, check_count, variable
from app.api.large import sliced
from app.api.service import check_answer
from app.engine import Loaded
from app.http.errors import InvalidRequest
from app.settings import Settings
from bundle import Input, InputError
from bundle.preprocess import Token, Tokenizes
from bundle.preprocess.kind import CHARS_PER_REQUEST

TOKENS = 2048  # that are written at once: 1 ms
LONGEST = 128 * 1024  # characters of a text: its tokens take a hundred times the memory while they are made
ROWS = 64  # of ids that are decoded at once


def read_texts(given: GivenInputs, loaded: Loaded, settings: Settings) -> Sequence[Input]:
    """Texts to be taken apart: longer ones than can be encoded, so that a client can split them by tokens.

    Raises InputError, InvalidRequest, for an empty one as well.
    """
    check_count(len(given), settings)
    inputs = given.read(loaded)
    sizes = [one.size for one in inputs]
    for index, size in enumerate(sizes):
        if size == 0:
            raise InputError(index, "empty_input", "the text is empty; leave it out")
        if size > LONGEST:
            message = f"{size} characters, the limit is {LONGEST}; take it apart in parts"
            raise InputError(index, "too_large", message)
    if sum(sizes) > (most := settings.value(CHARS_PER_REQUEST)):
        limit = f"the limit is {most} ({variable(CHARS_PER_REQUEST)})"
        message = f"the inputs have {sum(sizes)} characters together, {limit}; send several requests"
        raise InvalidRequest(message, code="too_large", param="inputs")
    return inputs


def tokenised(
    tokenizer: Tokenizes, inputs: Sequence[str], settings: Settings, *, add_special_tokens: bool
) -> Iterator[bytes]:
    """JSON of the tokens of each text, one by one: as objects they take much more than their text."""
    size = 0
    for index, text in enumerate(inputs):
        try:
            [found] = tokenizer.tokens([text], add_special_tokens=add_special_tokens)
        except InputError as error:
            raise error.at(index) from None
        tokens = in_bytes(found, text)
        piece = b"[" + b",".join(orjson.dumps(part)[1:-1] for part in sliced(tokens, TOKENS)) + b"]"
        size += len(piece)
        check_answer(size, settings)
        yield piece


def in_bytes(tokens: Sequence[Token], text: str) -> Sequence[Token]:
    """The tokens as TEI tells them: the slice of the text, and its place in bytes of UTF-8."""
    lengths = () if text.isascii() else map(len, map(str.encode, text))
    places = list(accumulate(lengths, initial=0)) if lengths else range(len(text) + 1)
    return [
        one
        if one.start is None or one.stop is None
        else Token(one.id, text[one.start : one.stop], one.special, places[one.start], places[one.stop])
        for one in tokens
    ]


def decoded(
    tokenizer: Tokenizes, rows: Sequence[Any], settings: Settings, *, skip_special_tokens: bool
) -> Iterator[list[str]]:
    """Texts of the rows of ids, some at a time."""
    size = 0
    for part in sliced(rows, ROWS):
        _check_ids(part)
        piece = tokenizer.decode(part, skip_special_tokens=skip_special_tokens)
        size += sum(map(len, piece))
        check_answer(size, settings)
        yield piece


def id_rows(ids: Any, settings: Settings) -> tuple[list[list[Any]], int]:
    """A list of ids, or several, as several; and how many ids there are. Raises InvalidRequest."""
    rows = ids if isinstance(ids, list) and ids and isinstance(ids[0], list) else [ids]
    if len(rows) > settings.max_items:
        raise InvalidRequest(
            f"{len(rows)} lists of ids, the limit is {settings.max_items} (ENCODERY_MAX_ITEMS); send several "
            "requests",
            code="too_many_inputs",
            param="ids",
        )
    if [] in rows:
        raise InvalidRequest(
            "ids: a list of token ids is empty; send at least one id", code="empty_inputs", param="ids"
        )
    if not all(isinstance(row, list) for row in rows):
        raise _wrong_ids("expected a list of token ids, or a list of such lists")
    if (count := sum(map(len, rows))) > (most := settings.max_queue_tokens):
        raise InvalidRequest(
            f"{count} token ids, the limit is {most} (ENCODERY_MAX_QUEUE_TOKENS); send several requests",
            code="too_many_inputs",
            param="ids",
        )
    return rows, count


def _check_ids(rows: Sequence[list[Any]]) -> None:
    """Raise InvalidRequest for what is no token id."""
    for row in rows:
        if not set(map(type, row)) <= {int} or (row and not 0 <= min(row) <= max(row) < 1 << 32):
            raise _wrong_ids("a token id is a whole number from 0 to 4294967295")


def _wrong_ids(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param="ids")
