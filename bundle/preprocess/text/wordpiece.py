"""What `tokenizers` makes of a text, word by word from memory: five times as fast for BERT's tokenizers.

A WordPiece tokenizer looks at one word at a time, and texts are made of few different words. So words are
kept with their ids once the library has seen them, and a text is split, looked up and joined. Everything
that is not plain is left to the library: other tokenizers, texts that are not ASCII, control characters,
special tokens written out in the text, very long words. What is answered is what the library answers; a
property test holds the two together.

Sources: BERT's basic tokenizer, Devlin et al. 2018 (whitespace and every punctuation mark end a word).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

MOST_WORDS = 65_536  # kept; some 15 MiB. Then the memory starts anew
LONGEST_WORD = 40  # characters; a longer one is left to the library
SYMBOLS = r"\p{S}"  # of Unicode; in ASCII, BERT's tokenizers part them anyway
_WORD = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9\s]")
_SPACES = str.maketrans("\t\n\r", "   ")


class TokenCache:
    """Ids of plain texts by a tokenizer that `of` has recognised. Thread-safe.

    Args:
        tokenizer: splits at whitespace and punctuation and then looks at single words.
        lowercase: it folds case.
        specials: texts that are tokens as they stand.
        most: words kept.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, lowercase: bool, specials: Sequence[str], most: int = MOST_WORDS
    ) -> None:
        self._tokenizer, self._lowercase, self._most = tokenizer, lowercase, most
        self._specials = tuple(self._folded(special) for special in specials)
        self._known: dict[str, tuple[int, ...]] = {}
        probe = tokenizer.encode("a")
        first = probe.special_tokens_mask.index(0)
        self._before = probe.ids[:first]
        self._after = probe.ids[first + len(tokenizer.encode("a", add_special_tokens=False).ids) :]

    @classmethod
    def of(cls, tokenizer: Tokenizer, content: bytes) -> TokenCache | None:
        """Make one for the tokenizer of that tokenizer.json; None when it is not of this form."""
        file = json.loads(content)
        normalizer, splitter = _of_ascii(file.get("normalizer")), _of_ascii(file.get("pre_tokenizer"))
        kinds = (normalizer.get("type"), splitter.get("type"), file["model"].get("type"))
        if kinds != ("BertNormalizer", "BertPreTokenizer", "WordPiece"):
            return None
        specials = [token["content"] for token in file.get("added_tokens", ())]
        return cls(tokenizer, lowercase=normalizer["lowercase"], specials=specials)

    def ids(self, text: str) -> list[int] | None:
        """The ids that the library gives, special tokens included; None when the text is left to it."""
        if not text.isascii():
            return None
        text = self._folded(text)
        if not text.isprintable():
            text = text.translate(_SPACES)
            if not text.isprintable():
                return None
        if any(special in text for special in self._specials):
            return None
        words, known = _WORD.findall(text), self._known
        try:
            return self._joined(words, known)
        except KeyError:
            unknown = [word for word in dict.fromkeys(words) if word not in known]
            if max(map(len, unknown)) > LONGEST_WORD:
                return None
            self._learn(unknown, known)
            return self._joined(words, known)

    def _joined(self, words: Sequence[str], known: Mapping[str, tuple[int, ...]]) -> list[int]:
        ids = self._before.copy()
        for word in words:
            ids += known[word]
        ids += self._after
        return ids

    def _learn(self, words: Sequence[str], known: dict[str, tuple[int, ...]]) -> None:
        """Add the words to `known`, which never shrinks: other threads may be reading it."""
        encodings = self._tokenizer.encode_batch_fast(list(words), add_special_tokens=False)
        known.update((word, tuple(one.ids)) for word, one in zip(words, encodings, strict=True))
        if len(known) > self._most:
            self._known = {}

    def _folded(self, text: str) -> str:
        return text.lower() if self._lowercase else text


def _of_ascii(part: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A part of a tokenizer as ASCII texts meet it: of a sequence the one that changes them."""
    if part is None or part.get("type") != "Sequence":
        return part or {}
    members = part.get("normalizers") or part.get("pretokenizers") or ()
    rest = [one for one in members if not _leaves_ascii(one)]
    return rest[0] if len(rest) == 1 else {}


def _leaves_ascii(part: Mapping[str, Any]) -> bool:
    """Whether it changes nothing that BERT's tokenizers make of ASCII: NFKC, and a break around symbols."""
    is_break = part["type"] == "Split" and (part["pattern"], part["invert"]) == ({"Regex": SYMBOLS}, False)
    return part["type"] == "NFKC" or (is_break and part["behavior"] == "Isolated")
