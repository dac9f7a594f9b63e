"""Text to token ids, with the tokenizer the encoder was trained with.

tokenizer.json is Hugging Face `tokenizers` format. Padding and truncation settings inside the file
are ignored: length is the manifest's business, and a text is never cut unless the caller asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from bundle.errors import InputError, ManifestError
from bundle.inputs import Input, Text
from bundle.preprocess.base import Arrays, Cut, Facts, Kind, Prepared, Truncate, pad

FIELD = "text"


class TextPreprocessor:
    """Tokenises whole requests at once (`encode_batch_fast` releases the GIL, `encode` does not).

    Args:
        tokenizer_json: the content of tokenizer.json.
        max_length: most tokens the encoder reads, special tokens included.
    """

    input_names = ("input_ids", "attention_mask")

    def __init__(self, tokenizer_json: bytes, max_length: int) -> None:
        self.max_length = max_length
        self._tokenizer = _tokenizer(tokenizer_json)
        self._cutters: dict[Truncate, Tokenizer] = {}
        for direction, side in (("end", "right"), ("start", "left")):
            cutter = _tokenizer(tokenizer_json)
            cutter.enable_truncation(max_length, direction=side)
            self._cutters[direction] = cutter  # type: ignore[index]  # the loop's literals are the keys
        self._unknown_id = _unknown_id(tokenizer_json)
        self._specials = self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        texts = [_checked(index, item) for index, item in enumerate(inputs)]
        encodings = self._tokenizer.encode_batch_fast(texts)
        return [
            self._prepare_one(index, text, encoding, truncate)
            for index, (text, encoding) in enumerate(zip(texts, encodings, strict=True))
        ]

    def _prepare_one(self, index: int, text: str, encoding: Encoding, truncate: Truncate) -> Prepared:
        ids = encoding.ids
        if len(ids) <= self._specials:
            raise InputError(index, "empty_input", "the text is empty or has no token; leave it out")
        truncated: tuple[Cut, ...] = ()
        if (length := len(ids)) > self.max_length:
            if truncate == "none":
                raise InputError(
                    index,
                    "too_long",
                    f'the text has {length} tokens, the limit is {self.max_length}; shorten it or send "truncate":"end"',
                )
            ids = self._cutters[truncate].encode_batch_fast([text])[0].ids
            truncated = (Cut(FIELD, length, self.max_length, "tokens"),)
        row = np.array(ids, dtype=np.int64)  # [t]
        unknown = (FIELD,) if self._unknown_id in ids else ()
        facts = Facts(tokens=len(row), truncated=truncated, unknown=unknown)
        return Prepared({"input_ids": row}, cost=len(row), facts=facts)

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

    def to_json(self, item: Input) -> Any:
        assert isinstance(item, Text), type(item)
        return item.text

    def from_json(self, value: Any, now: float | None = None) -> Input:
        return Text(value)


def _tokenizer(content: bytes) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(content.decode())
    except Exception as error:  # tokenizers raises bare Exception for a malformed file
        raise ManifestError(f"tokenizer.json cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _unknown_id(content: bytes) -> int | None:
    """The id of the unknown token; Unigram models name it by id, the others by its text."""
    model = json.loads(content)["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    vocabulary = model.get("vocab", {})
    found = vocabulary.get(model.get("unk_token")) if isinstance(vocabulary, dict) else None
    return None if found is None else int(found)


def _checked(index: int, item: Input) -> str:
    if not isinstance(item, Text):
        raise InputError(index, "wrong_kind", "this model takes texts; an object of features was sent")
    try:
        item.text.encode()
    except UnicodeEncodeError:
        raise InputError(
            index, "invalid_text", "the text holds a lone surrogate (half of a character); send valid Unicode"
        ) from None
    return item.text


TEXT = Kind(
    name="text",
    input_type=Text,
    noun="a text",
    file="tokenizer.json",
    version=1,
    load=TextPreprocessor,
)
