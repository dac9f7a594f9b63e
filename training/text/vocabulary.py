"""The vocabulary of a text encoder: taken from a pretrained directory, or trained on the corpus."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bundle.preprocess.text.wordpiece import SYMBOLS
from training.errors import ConfigError
from training.text.config.model import VocabularyConfig

TRAINED = 30_000  # entries, by default
PAD, UNKNOWN = "[PAD]", "[UNK]"
INSIDE = "##"  # begins an entry that continues a word
UNUSED = re.compile(r"\[unused\d+\]")  # BERT's entries for whoever needs some
REPLACEMENT = "\ufffd"  # stands for what could not be read


def pooled_tokenizer(content: bytes) -> bytes:
    """A pretrained encoder's tokenizer.json, without what is of no use to a pooled table of tokens.

    Special tokens at the ends would be the same for every text, and the file's own truncation and
    padding (all-MiniLM's pads every text to 128) are not this encoder's.
    """
    return json.dumps(
        json.loads(content) | {"post_processor": None, "truncation": None, "padding": None},
        ensure_ascii=False,
    ).encode()


def reading_plainly(content: bytes, wanted: bool | None) -> bytes:
    """The tokenizer.json with compatibility forms read as plain letters, and symbols as words (`plain`).

    Raises:
        ConfigError: it is wanted, and the tokenizer is not of BERT's form.
    """
    tokenizer = Tokenizer.from_str(content.decode())
    parts = tokenizer.normalizer, tokenizer.pre_tokenizer
    if not isinstance(parts[0], normalizers.BertNormalizer) or not isinstance(
        parts[1], pre_tokenizers.BertPreTokenizer
    ):
        if wanted:
            raise ConfigError("vocabulary.plain: this tokenizer is not of BERT's form; leave it out")
        return content
    if wanted is False:
        return content
    _read_plainly(tokenizer)
    return tokenizer.to_str().encode()


def _read_plainly(tokenizer: Tokenizer) -> None:
    """NFKC before what BERT folds; a break on both sides of a symbol after what BERT splits."""
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), tokenizer.normalizer])
    symbols = pre_tokenizers.Split(Regex(SYMBOLS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([tokenizer.pre_tokenizer, symbols])


def with_symbols(content: bytes, texts: Iterable[str], most: int) -> bytes:
    """The tokenizer.json with the commonest symbols that it lacks in the places of its unused entries."""
    file = json.loads(content)
    vocabulary = file["model"]["vocab"]
    if not isinstance(vocabulary, dict):
        return content
    unused = sorted((token for token in vocabulary if UNUSED.fullmatch(token)), key=vocabulary.__getitem__)
    if not (free := unused[:most]):
        return content
    counts = Counter(one for text in texts if not text.isascii() for one in text if _is_symbol(one))
    lacking = (one for one in sorted(counts, key=lambda one: (-counts[one], one)) if one not in vocabulary)
    named = dict(zip(free, lacking, strict=False))
    file["model"]["vocab"] = {named.get(token, token): number for token, number in vocabulary.items()}
    return json.dumps(file, ensure_ascii=False).encode()


def _is_symbol(one: str) -> bool:
    """Whether a character is a symbol, and no other way to write something else."""
    return unicodedata.category(one) == "So" and unicodedata.normalize("NFKC", one) == one != REPLACEMENT


def train_tokenizer(texts: Sequence[str], config: VocabularyConfig) -> bytes:
    """A WordPiece tokenizer.json trained on these texts; the same texts give the same bytes.

    Id 0 is padding, 1 the unknown token. The library numbers the letters inside of words in the order
    of a hash map, which changes from run to run, and equally frequent pairs are merged in the order of
    those numbers. So a first pass finds the letters, and a second is given them in order.

    Source: Schuster and Nakajima 2012; the `tokenizers` library's trainer.
    """
    letters = sorted(token for token in _train(texts, config, [], size=1) if token.startswith(INSIDE))
    vocabulary = _train(texts, config, letters, size=config.size or TRAINED)
    tokenizer = _untrained(config, vocabulary)
    tokenizer.add_special_tokens([PAD, UNKNOWN])
    return tokenizer.to_str().encode()


def _train(texts: Sequence[str], config: VocabularyConfig, first: Sequence[str], size: int) -> dict[str, int]:
    """Token to id; `first` are numbered before all that is found. Letters are kept whatever the size."""
    tokenizer = _untrained(config, {UNKNOWN: 0})
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=config.min_count,
        special_tokens=[PAD, UNKNOWN, *first],
        continuing_subword_prefix=INSIDE,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab(with_added_tokens=False)


def _untrained(config: VocabularyConfig, vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN, continuing_subword_prefix=INSIDE))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=config.lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if config.plain is not False:
        _read_plainly(tokenizer)
    tokenizer.decoder = decoders.WordPiece(prefix=INSIDE)
    return tokenizer
