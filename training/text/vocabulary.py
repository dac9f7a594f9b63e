"""The vocabulary of a text encoder: taken from a pretrained directory, or trained on the corpus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from training.text.config.model import VocabularyConfig

PAD, UNKNOWN = "[PAD]", "[UNK]"
INSIDE = "##"  # begins an entry that continues a word


def pretrained_tokenizer(directory: Path) -> bytes:
    """tokenizer.json of a pretrained encoder, without what is of no use to a pooled table of tokens.

    Special tokens at the ends would be the same for every text, and the file's own truncation and
    padding (all-MiniLM's pads every text to 128) are not this encoder's.
    """
    content = json.loads((directory / "tokenizer.json").read_bytes())
    return json.dumps(
        content | {"post_processor": None, "truncation": None, "padding": None}, ensure_ascii=False
    ).encode()


def train_tokenizer(texts: Sequence[str], config: VocabularyConfig) -> bytes:
    """A WordPiece tokenizer.json trained on these texts; the same texts give the same bytes.

    Id 0 is padding, 1 the unknown token. The library numbers the letters inside of words in the order
    of a hash map, which changes from run to run, and equally frequent pairs are merged in the order of
    those numbers. So a first pass finds the letters, and a second is given them in order.

    Source: Schuster and Nakajima 2012; the `tokenizers` library's trainer.
    """
    letters = sorted(token for token in _train(texts, config, [], size=1) if token.startswith(INSIDE))
    vocabulary = _train(texts, config, letters, size=config.size)
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
    tokenizer.decoder = decoders.WordPiece(prefix=INSIDE)
    return tokenizer
