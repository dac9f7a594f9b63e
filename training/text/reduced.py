"""A large Unigram vocabulary cut to the pieces that the texts of a run use most.

    tokenizer.json of a teacher -> case folded -> pieces counted -> the commonest, and all characters

Removing pieces is safe: a text is then split into others. `origins` finds what each kept piece is to the
teacher, whose vector it starts from.
Source: Abdaoui et al. 2020, arXiv 2010.05609, who keep 15 to 45 % of a multilingual vocabulary so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, normalizers

from training.errors import ConfigError

CHUNK = 8192  # texts at once
VOWEL_MARKS = "[\u0640\u064b-\u065f\u0670]"  # of Arabic, and the stroke that lengthens a word
DIGITS = 3  # of a logarithm of a probability: what more of them change is no split


def reduced(content: bytes, texts: Iterable[str], size: int, *, lowercase: bool) -> bytes:
    """The tokenizer.json with so many pieces at most: padding is 0, the unknown one 1.

    Args:
        content: of the tokenizer.json, of a Unigram model.
        texts: to count in.
        size: of the vocabulary. Characters of the texts are all kept, and come first.
        lowercase: fold case, and leave out Arabic vowel marks; of the pieces that are one then, the
            likeliest is kept.

    Raises:
        ConfigError: it is of another kind, or `size` has no room for the characters.
    """
    file = json.loads(content)
    if file["model"]["type"] != "Unigram":
        raise ConfigError(
            f"vocabulary.size cuts a Unigram vocabulary, and the teacher's is {file['model']['type']}; "
            "leave it out"
        )
    if lowercase:
        file["normalizer"] = _folding(content)
    pad, unknown = _padding(file), file["model"]["vocab"][file["model"]["unk_id"]][0]
    scores = {piece: score for piece, (score, _) in _pieces(file, lowercase=lowercase).items()}
    whole = [[pad, 0.0], [unknown, 0.0], *map(list, scores.items())]
    counts = _counted(_with_pieces(file, whole, (pad, unknown)), texts)[2:]
    pieces = list(scores)
    used = [number for number in np.argsort(-counts, kind="stable").tolist() if counts[number]]
    characters = {one for number in used for one in pieces[number]}
    kept = [number for number, piece in enumerate(pieces) if piece in characters]
    if len(kept) + 2 > size:
        raise ConfigError(f"vocabulary.size is {size}; the texts have {len(kept)} characters; give more")
    kept += islice((one for one in used if len(pieces[one]) > 1), size - 2 - len(kept))
    chosen = [[pieces[one], round(scores[pieces[one]], DIGITS)] for one in sorted(kept)]
    return json.dumps(
        _with_pieces(file, [[pad, 0.0], [unknown, 0.0], *chosen], (pad, unknown)), ensure_ascii=False
    ).encode()


def origins(content: bytes, teacher: bytes) -> list[int]:
    """The teacher's id of each piece of a reduced tokenizer.json, in its order."""
    small, large = json.loads(content), json.loads(teacher)
    is_folded = all(piece == piece.lower() for piece, _ in small["model"]["vocab"])
    found = _pieces(large, lowercase=is_folded)
    own = {piece: number for number, (piece, _) in enumerate(large["model"]["vocab"])}
    return [found[piece][1] if piece in found else own[piece] for piece, _ in small["model"]["vocab"]]


def _pieces(file: dict[str, Any], *, lowercase: bool) -> dict[str, tuple[float, int]]:
    """Each piece but the special ones, with the likeliest score and the id that has it."""
    special = {one["content"] for one in file["added_tokens"]}
    found: dict[str, tuple[float, int]] = {}
    for number, (piece, score) in enumerate(file["model"]["vocab"]):
        name = piece.lower() if lowercase else piece
        if piece not in special and (name not in found or found[name][0] < score):
            found[name] = score, number
    return found


def _padding(file: dict[str, Any]) -> str:
    names = [one["content"] for one in file["added_tokens"] if "pad" in one["content"].lower()]
    if not names:
        raise ConfigError("vocabulary.size needs a padding token in the teacher's tokenizer; it has none")
    return str(names[0])


def _folding(content: bytes) -> Any:
    """The normaliser, then without what a word may be written with or without."""
    tokenizer = Tokenizer.from_str(content.decode())
    rest = [tokenizer.normalizer] if tokenizer.normalizer else []
    tokenizer.normalizer = normalizers.Sequence(
        [*rest, normalizers.Replace(Regex(VOWEL_MARKS), ""), normalizers.Lowercase()]
    )
    return json.loads(tokenizer.to_str())["normalizer"]


def _with_pieces(file: dict[str, Any], pieces: Sequence[Any], specials: Sequence[str]) -> dict[str, Any]:
    """The file with these pieces; the special ones come first."""
    plain = next(one for one in file["added_tokens"] if one["content"] == specials[0])
    added = [plain | {"id": number, "content": one} for number, one in enumerate(specials)]
    return file | {"added_tokens": added, "model": file["model"] | {"vocab": pieces, "unk_id": 1}}


def _counted(file: dict[str, Any], texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """How often each piece stands in the texts, each text once: (pieces,)."""
    tokenizer = Tokenizer.from_str(json.dumps(file, ensure_ascii=False))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    counts, rest = np.zeros(len(file["model"]["vocab"]), np.int64), iter(dict.fromkeys(texts))
    while some := list(islice(rest, CHUNK)):
        encodings = tokenizer.encode_batch_fast(some, add_special_tokens=False)
        ids = np.fromiter(chain.from_iterable(one.ids for one in encodings), np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    return counts
