"""Text to token ids, with the tokenizer the encoder was trained with.

tokenizer.json is Hugging Face `tokenizers` format. Padding and truncation settings inside the file
are ignored: length is the manifest's business, and a text is never cut unless the caller asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from bundle.errors import InputError, ManifestError
from bundle.inputs import Input
from bundle.preprocess.base import Arrays, Axes, Layout, Pieces, Prepared, Token, Truncate, evened, pad
from bundle.preprocess.facts import Facts, Truncation
from bundle.preprocess.text.growth import Growth
from bundle.preprocess.text.input import EMPTY, FIELD, Text, TextFacts, TokenIds
from bundle.preprocess.text.languages import Languages
from bundle.preprocess.text.pieces import pieces_of
from bundle.preprocess.text.spelling import Spelling
from bundle.preprocess.text.wordpiece import TokenCache

PIECE = 128 * 1024  # characters that are tokenised at once: their tokens take a hundred times the memory


class TextPreprocessor:
    """Tokenises whole requests at once: plain texts from a memory of words, all others by the library.

    Args:
        tokenizer_json: the content of tokenizer.json.
        max_length: most tokens the encoder reads, special tokens included.
        languages: that the encoder was trained for; of texts in others the caller is told. None if unknown.
        respells: misspelt words are read as `spelling` finds that they were meant, and the caller is told.
    """

    input_names = ("input_ids", "attention_mask")
    packed_names = ("token_ids", "grid", "spots")

    def __init__(
        self,
        tokenizer_json: bytes,
        max_length: int,
        languages: Sequence[str] = (),
        *,
        respells: bool = False,
    ) -> None:
        self.max_length = max_length
        self._tokenizer = _tokenizer(tokenizer_json)
        self._unknown_id = _unknown_id(tokenizer_json)
        self._last_id = max(self._tokenizer.get_vocab().values(), default=0)
        self._are_terms = _are_terms(self._tokenizer, self._unknown_id, self._last_id)
        self._growth = Growth(self._tokenizer)
        self._memory = TokenCache.of(self._tokenizer, tokenizer_json)
        self._languages = Languages.of(languages, self._tokenizer)
        self._spelling = Spelling.of(tokenizer_json) if respells else None
        self._has_no_part = _parts(self._tokenizer, self._unknown_id).isdisjoint
        self._specials = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        if max_length <= self._specials:
            raise ManifestError(
                f"manifest.json: max_length {max_length} leaves no room by {self._specials} special tokens"
            )

    @property
    def layouts(self) -> tuple[Layout, ...]:  # kept, they would refer to what keeps them, and outlive it
        return (
            Layout(self.input_names, self.collate, even=evened),
            Layout(self.packed_names, pack, is_packed=True, even=even_grid),
        )

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        items = [_text(index, item) for index, item in enumerate(inputs)]
        prepared: list[Prepared] = []
        for piece in _pieces(items) if len(items) > 1 else (items,):
            first = len(prepared)
            if self._growth.is_possible:
                for index, item in enumerate(piece, first):
                    if isinstance(item, Text):
                        self._growth.check(index, item.text)
            ids = self._ids(piece)
            prepared += [
                self._prepare_one(index, item, row, truncate)
                for index, (item, row) in enumerate(zip(piece, ids, strict=True), first)
            ]
        return prepared

    def _ids(self, items: Sequence[Text | TokenIds]) -> list[list[int]]:
        """Ids of each, uncut: from memory where that can be, else by the library, all at once."""
        found = [self._known_ids(one) for one in items]
        rest = {
            row: one.text for row, one in enumerate(items) if found[row] is None and isinstance(one, Text)
        }
        encodings = self._tokenizer.encode_batch_fast(list(rest.values())) if rest else ()
        for row, encoding in zip(rest, encodings, strict=True):
            found[row] = encoding.ids
        return [ids for ids in found if ids is not None]

    def _known_ids(self, item: Text | TokenIds) -> list[int] | None:
        if isinstance(item, TokenIds):
            return list(item.ids)
        return self._memory.ids(item.text) if self._memory else None

    def _prepare_one(self, index: int, item: Text | TokenIds, ids: list[int], truncate: Truncate) -> Prepared:
        if isinstance(item, TokenIds):
            return self._prepare_ids(index, ids, truncate)
        if len(ids) <= self._specials:
            raise InputError(index, "empty_input", EMPTY)
        other, respelt = self._is_other(item, ids), 0
        if self._spelling and not other and not self._has_no_part(ids):
            item, respelt = self._respelt(item, self._spelling)
            ids = self._ids([item])[0] if respelt else ids
        truncated: tuple[Truncation, ...] = () if item.dropped is None else (item.dropped,)
        if (length := len(ids)) > self.max_length:
            if truncate == "none":
                raise self._too_long(index, length)
            ids = self._cut(item.text, truncate)
            truncated += (Truncation(FIELD, length, self.max_length, "tokens"),)
        row = np.array(ids, dtype=np.int64)  # [t]
        unknown = (FIELD,) if self._unknown_id in ids else ()
        if truncated or unknown or item.is_media_address or other or respelt:
            facts = TextFacts(len(ids), truncated, unknown, item.is_media_address, other, respelt)
        else:
            facts = _plain(len(ids))
        return Prepared({"input_ids": row}, cost=len(ids), facts=facts)

    def _is_other(self, item: Text, ids: Sequence[int]) -> bool:
        """Tell whether a text is in a language that the encoder was not trained for."""
        languages = self._languages
        if languages and (languages.has_no_sure(ids) or item.prompt_chars or not item.text.isascii()):
            return languages.is_other(item.text, ids, item.prompt_chars)
        return False

    def _respelt(self, item: Text, spelling: Spelling) -> tuple[Text, int]:
        """A text as it was meant, and how many of its words are read otherwise; a prompt is as it stands."""
        prompt, rest = item.text[: item.prompt_chars], item.text[item.prompt_chars :]
        if item.is_media_address or not (read := spelling.read(rest)).changed:
            return item, 0
        return replace(item, text=prompt + read.text), read.changed

    def _prepare_ids(self, index: int, ids: list[int], truncate: Truncate) -> Prepared:
        length, most, truncated = len(ids), self.max_length, tuple[Truncation, ...]()
        if length > most:
            if truncate == "none":
                raise self._too_long(index, length)
            ids = ids[-most:] if truncate == "start" else ids[:most]
            truncated = (Truncation(FIELD, length, most, "tokens"),)
        unknown = (FIELD,) if self._unknown_id in ids else ()
        other = self._languages is not None and self._languages.is_other(self._tokenizer.decode(ids), ids)
        facts = TextFacts(len(ids), truncated, unknown, other_language=other)
        return Prepared({"input_ids": np.array(ids, dtype=np.int64)}, cost=len(ids), facts=facts)

    def _too_long(self, index: int, length: int) -> InputError:
        limit = f"the text has {length} tokens, the limit is {self.max_length}"
        return InputError(index, "too_long", f'{limit}; shorten it or send "truncate":"end"')

    def of_ids(self, ids: Sequence[Any]) -> TokenIds:
        """A text as ids of this tokenizer. Raises InputError, for an id that it has not as well."""
        if not ids:
            raise InputError(0, "empty_input", "the list of token ids is empty; leave it out")
        if not set(map(type, ids)) <= {int}:
            raise InputError(0, "wrong_type", "expected a text, or a list of token ids (whole numbers)")
        if min(ids) < 0 or max(ids) > self._last_id:
            message = f"a token id is none of this model's, which go from 0 to {self._last_id}"
            raise InputError(0, "unknown_token_id", f"{message}; POST /tokenize tells those of a text")
        return TokenIds(tuple(ids))

    def _cut(self, text: str, truncate: Truncate) -> list[int]:
        """Ids of `max_length` tokens; the special ones are added after the cut, so they stay."""
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        side = "left" if truncate == "start" else "right"
        encoding.truncate(self.max_length - self._specials, direction=side)
        return list(self._tokenizer.post_process(encoding).ids)

    def pieces(self, item: Input, most: int, truncate: Truncate = "none") -> Pieces:
        """Words, or sentences where these are too many. Raises InputError."""
        text = _text(0, item)
        if isinstance(text, TokenIds):
            raise InputError(0, "wrong_kind", "token ids have no words to take apart; send the text")
        return pieces_of(text, most, self._are_read)

    def _are_read(self, texts: Sequence[str]) -> list[bool]:
        return [len(ids) > self._specials for ids in self._ids([Text(text) for text in texts])]

    def tokens(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[list[Token]]:
        """What the encoder reads of each text, uncut. Raises InputError for one that grows too much."""
        for index, text in enumerate(texts):
            self._growth.check(index, text)
        read = [self._read(text) for text in texts] if self._spelling else list(texts)
        encodings = self._tokenizer.encode_batch(read, add_special_tokens=add_special_tokens)
        return [_tokens(encoding) for encoding in encodings]

    def _read(self, text: str) -> str:
        """A text as `prepare` reads it; of the same length."""
        item = Text(text)
        (ids,) = self._ids([item])
        if not self._spelling or self._has_no_part(ids) or self._is_other(item, ids):
            return text
        return self._respelt(item, self._spelling)[0].text

    def decode(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool = True) -> list[str]:
        """Texts of token ids; an id that is not in the vocabulary has none."""
        batch = [list(one) for one in ids]
        return list(self._tokenizer.decode_batch(batch, skip_special_tokens=skip_special_tokens))

    @property
    def vocabulary(self) -> int:
        return self._last_id + 1

    def terms(self, prepared: Prepared) -> npt.NDArray[np.int64]:
        """Tokens of the text but the special ones and the unknown one, which is no word in particular."""
        ids: npt.NDArray[np.int64] = prepared.arrays["input_ids"]
        return ids[self._are_terms[ids]]

    def collate(self, batch: Sequence[Prepared]) -> Arrays:
        rows = [prepared.arrays["input_ids"] for prepared in batch]
        lengths = np.array([len(row) for row in rows])
        input_ids = pad(rows)  # [n, t]
        mask = np.arange(input_ids.shape[1]) < lengths[:, None]  # [n, t]
        return {"input_ids": input_ids, "attention_mask": mask.astype(np.int64)}

    def schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "minLength": 1,
            "description": f"A text of at most {self.max_length} tokens.",
        }

    def from_json(self, value: Any, now: float | None = None) -> Input:
        return Text.from_json(value)

    def key(self, item: Input) -> Hashable:
        return item.key

    def extremes(self) -> Sequence[Prepared]:
        last = np.array([self._last_id], dtype=np.int64)
        return [Prepared({"input_ids": last}, cost=1, facts=Facts(1))]


def _pieces(items: Sequence[Text | TokenIds]) -> Iterator[Sequence[Text | TokenIds]]:
    """The texts in order, some at a time."""
    start, size = 0, 0
    for place, item in enumerate(items):
        size += item.size
        if size >= PIECE:
            yield items[start : place + 1]
            start, size = place + 1, 0
    if start < len(items):
        yield items[start:]


def pack(batch: Sequence[Prepared]) -> Arrays:
    """The packed layout of n texts, t tokens in all, l in the longest.

    token_ids int64 [t]: of all texts, one after another.
    grid int64 [n, l]: where in `token_ids` each token of each text is; -1 where a text has ended.
    spots int64 [t]: the inverse, where in the flattened grid each token is.
    """
    rows = [prepared.arrays["input_ids"] for prepared in batch]
    lengths = np.array([len(row) for row in rows])
    present = np.arange(lengths.max()) < lengths[:, None]  # [n, l]
    spots = np.flatnonzero(present)  # [t]: row by row, as the tokens lie
    grid = np.full(present.shape, -1)
    grid.flat[spots] = np.arange(len(spots))
    return {"token_ids": np.concatenate(rows), "grid": grid, "spots": spots}


def even_grid(arrays: Arrays, axes: Axes) -> Arrays:
    """The packed layout with a wider grid; `spots` are counted along its rows."""
    grid, spots = arrays["grid"], arrays["spots"]
    wider = evened({"grid": grid}, {"grid": axes.get("grid", ())}, fill=-1)["grid"]
    row, column = np.divmod(spots, grid.shape[1])
    return arrays | {"grid": wider, "spots": row * wider.shape[1] + column}


@lru_cache(maxsize=8192)
def _plain(tokens: int) -> TextFacts:
    return TextFacts(tokens)


def _tokens(encoding: Encoding) -> list[Token]:
    rows = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
    return [
        Token(number, text, bool(special), *((None, None) if special else offsets))
        for number, text, special, offsets in rows
    ]


def _tokenizer(content: bytes) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(content.decode())
    except Exception as error:  # tokenizers raises bare Exception for a malformed file
        raise ManifestError(f"tokenizer.json cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _are_terms(tokenizer: Tokenizer, unknown: int | None, last: int) -> npt.NDArray[np.bool_]:
    """Whether each id stands for a part of a text: not the special ones, nor the unknown one. [last + 1]."""
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    are_terms = np.ones(last + 1, dtype=np.bool_)
    are_terms[list(special if unknown is None else {*special, unknown})] = False
    return are_terms


def _parts(tokenizer: Tokenizer, unknown: int | None) -> frozenset[int]:
    """The tokens that words have which a WordPiece vocabulary does not hold whole."""
    parts = {number for token, number in tokenizer.get_vocab().items() if token.startswith("##")}
    return frozenset(parts if unknown is None else {*parts, unknown})


def _unknown_id(content: bytes) -> int | None:
    """The id of the unknown token; Unigram models name it by id, the others by its text.

    None for a BPE model without one, which drops what it does not know.

    Raises:
        ManifestError: the tokenizer would fail at the first word it does not know.
    """
    model = json.loads(content)["model"]
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    token, vocabulary = model.get("unk_token"), model["vocab"]
    if token is None and model.get("type") == "BPE":
        return None
    if not isinstance(vocabulary, dict) or token not in vocabulary:
        raise ManifestError("tokenizer.json: its vocabulary has no unknown token; train it with one")
    return int(vocabulary[token])


def _text(index: int, item: Input) -> Text | TokenIds:
    if not isinstance(item, Text | TokenIds):
        raise InputError(index, "wrong_kind", "this model takes texts; send a string")
    return item
