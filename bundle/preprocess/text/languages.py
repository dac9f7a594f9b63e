"""Tells whether a text is in a language that its encoder was not trained for, by script and by common words.

    not ASCII -> letters of other scripts than the trained ones? -> other
    tokens    -> a word that only the trained languages have?    -> not other (nearly every text ends here)
              -> common words of other languages prevail?        -> other

An encoder gives any text a vector, and unrelated texts in a language that it never read lie close together.
What is told errs on the side of silence: names, code and misspelt words are no language of their own.
The words of `frequencies.tsv`, with their occurrences in a million words of a language, are counted by
`python -m bench.languages table`; the limits were chosen by its `measure` (docs/text-encoders.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import islice
from math import log

from tokenizers import Tokenizer

SCRIPT_SHARE = (
    0.3  # of a text's letters in other scripts; of Russian, Arabic, Hindi and Chinese all have more
)
MOST_WEIGHT, EVIDENCE, EVIDENCE_PER_WORD = 4.0, 4.0, 0.5  # so one word alone is never enough
SURE_WEIGHT, SURE_WORDS = -2.3, 200  # ten times as common as in any other language; of the commonest
RARE = 10.0  # in a million: how common a word that a language does not list may yet be
FIRST_TOKENS, FIRST_CHARS = 48, 1000  # that are looked at

# Characters of scripts, by ISO 15924, as they stand in a class of a regular expression.
_LATIN = "A-Za-z\u00aa-\u024f\u0250-\u036f\u1d00-\u1eff\u2070-\u218f\ufb00-\ufb06\uff21-\uff5a"
SCRIPTS: Mapping[str, str] = {
    "Latn": _LATIN + "\U0001d400-\U0001d7ff",  # mathematical letters are plain ones in another dress
    "Cyrl": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff",
    "Grek": "\u0370-\u03ff\u1f00-\u1fff",
    "Arab": "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    "Hebr": "\u0590-\u05ff\ufb1d-\ufb4f",
    "Deva": "\u0900-\u097f\ua8e0-\ua8ff",
    "Beng": "\u0980-\u09ff",
    "Thai": "\u0e00-\u0e7f",
    "Hani": "\u2e80-\u2fdf\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "Kana": "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "Hang": "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff",
}
# A letter of these says as much as several of an alphabet.
_DENSE, DENSE_LETTERS = re.compile(f"[{SCRIPTS['Hani']}{SCRIPTS['Kana']}{SCRIPTS['Hang']}]"), 3

# ISO 639-1 to scripts; of a language that is not here nothing is told.
SCRIPTS_OF: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(["de", "en", "es", "fr", "it", "nl", "pl", "pt", "tr"], ("Latn",)),
    **dict.fromkeys(["be", "bg", "mk", "ru", "uk"], ("Cyrl",)),
    **dict.fromkeys(["ar", "fa", "ur"], ("Arab",)),
    **dict.fromkeys(["hi", "mr", "ne"], ("Deva",)),
    "bn": ("Beng",),
    "el": ("Grek",),
    "he": ("Hebr",),
    "ja": ("Hani", "Kana"),
    "ko": ("Hang", "Hani"),
    "th": ("Thai",),
    "zh": ("Hani",),
}
_WORD = re.compile(r"[^\W\d_]+")
_NAME = re.compile(r"\S*\w[./\\@:=_]\w\S*")  # an address, a file, a name of a program
_SYMBOL = re.compile(r"(?<![^\W\d_])[\u0370-\u03ff](?![^\W\d_])")  # π alone is no Greek


class Languages:
    """The languages of one encoder. Thread-safe.

    Args:
        languages: ISO 639-1, all of them in SCRIPTS_OF.
        tokenizer: of the encoder; its tokens of common words say at once what most texts are not.

    Attributes:
        has_no_sure: of token ids, whether none is a word that these languages alone have. An ASCII text that
            has one, and no prompt, need not be asked about: that is nearly every text, and the call takes
            .1 µs where `is_other` takes .3.
    """

    def __init__(self, languages: Sequence[str], tokenizer: Tokenizer) -> None:
        scripts = {script for one in languages for script in SCRIPTS_OF[one]}
        own = "".join(SCRIPTS[one] for one in sorted(scripts))
        self._own, self._other = re.compile(f"[{own}]"), re.compile(f"(?![{own}])[^\\W\\d_]")
        self._is_latin = "Latn" in scripts
        latin = sorted(one for one in languages if "Latn" in SCRIPTS_OF[one])
        self._weights = weights(tuple(latin)) if latin else {}
        foreign = (word for word, weight in self._weights.items() if weight > 0)
        foreign_tokens = _first_tokens(tokenizer, foreign, only_whole=False)
        sure = _first_tokens(tokenizer, sure_words(self._weights), only_whole=True)
        sure -= foreign_tokens  # German "notwendig" begins with "not" for many a tokenizer
        self.has_no_sure, self._has_no_foreign = sure.isdisjoint, foreign_tokens.isdisjoint

    @classmethod
    def of(cls, languages: Sequence[str], tokenizer: Tokenizer) -> Languages | None:
        """Make one; None where nothing can be told, of no languages or of one that is not in the table."""
        return cls(languages, tokenizer) if languages and set(languages) <= SCRIPTS_OF.keys() else None

    def is_other(self, text: str, ids: Sequence[int], prompt_chars: int = 0) -> bool:
        """Tell whether a text is in a script or language that the encoder was not trained for.

        Args:
            text: after so many characters of a prompt, which says nothing of its language.
            ids: its tokens, the prompt's among them.
            prompt_chars: of the prompt.
        """
        if prompt_chars:
            rest = text[prompt_chars:]
            return self._is_other_script(rest) or self._is_other_words(rest)
        if not (self._is_latin and text.isascii()) and self._is_other_script(text):
            return True
        first = ids if len(ids) <= FIRST_TOKENS else ids[:FIRST_TOKENS]
        return self.has_no_sure(first) and not self._has_no_foreign(first) and self._is_other_words(text)

    def _is_other_script(self, text: str) -> bool:
        first = _SYMBOL.sub(" ", text[:FIRST_CHARS])
        others = [one for one in self._other.findall(first) if one.isalpha()]  # no number, as ⅷ is
        dense = sum(map(len, _DENSE.findall("".join(others))))
        weight = len(others) + (DENSE_LETTERS - 1) * dense
        return weight > SCRIPT_SHARE * (weight + len(self._own.findall(first)))

    def _is_other_words(self, text: str) -> bool:
        found = words(text[:FIRST_CHARS])
        evidence = sum(self._weights.get(word, 0.0) for word in found)
        return evidence > max(EVIDENCE, EVIDENCE_PER_WORD * len(found))


def words(text: str) -> list[str]:
    """The words of a text in lower case and without accents, as BERT's tokenizers read them."""
    text = _NAME.sub(" ", text.lower())
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(one for one in decomposed if unicodedata.category(one) != "Mn")
    return _WORD.findall(text)


def frequencies() -> Mapping[str, Mapping[str, int]]:
    """Word to its occurrences in a million words, by language."""
    table = (files(__package__) / "frequencies.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines())
    return {word: {one[:2]: int(one[2:]) for one in counts.split()} for word, counts in rows}


@cache
def weights(own: tuple[str, ...]) -> Mapping[str, float]:
    """Word to the logarithm of how much more common it is in another language than in these.

    The commonest words come first.
    """
    found = {}
    for word, row in sorted(frequencies().items(), key=lambda one: -max(one[1].values())):
        here = max((row.get(one, 0) for one in own), default=0)
        there = max((count for one, count in row.items() if one not in own), default=0)
        weight = log((there + RARE) / (here + RARE))
        found[word] = max(-MOST_WEIGHT, min(MOST_WEIGHT, weight))
    return found


def sure_words(found: Mapping[str, float]) -> list[str]:
    """The commonest words that only the languages have which these weights are of."""
    return list(islice((word for word, weight in found.items() if weight < SURE_WEIGHT), SURE_WORDS))


def _first_tokens(tokenizer: Tokenizer, found: Iterable[str], *, only_whole: bool) -> frozenset[int]:
    """The tokens that these words begin with, or of those that are one token; as they may be written."""
    forms = list(found)
    if _differ(tokenizer, "a", "A"):
        forms += [form for word in forms for form in (word.capitalize(), word.upper())]
    if _differ(tokenizer, "a", " a"):  # byte-level ones mark the beginning of a word
        forms += [f" {form}" for form in forms]
    encodings = tokenizer.encode_batch_fast(forms, add_special_tokens=False)
    return frozenset(one.ids[0] for one in encodings if one.ids and (len(one.ids) == 1 or not only_whole))


def _differ(tokenizer: Tokenizer, one: str, other: str) -> bool:
    return bool(tokenizer.encode(one).ids != tokenizer.encode(other).ids)
