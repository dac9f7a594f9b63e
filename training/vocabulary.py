"""The vocabulary of a text encoder: taken from a pretrained directory, or trained on the corpus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from training.config import VocabularyConfig

PAD, UNKNOWN = "[PAD]", "[UNK]"


def pretrained_tokenizer(directory: Path) -> bytes:
    """tokenizer.json of a pretrained encoder, without what is of no use to a pooled table of tokens.

    Special tokens at the ends would be the same for every text, and the file's own truncation and
    padding (all-MiniLM's pads every text to 128) are not this encoder's.
    """
    content = json.loads((directory / "tokenizer.json").read_text())
    return json.dumps(
        content | {"post_processor": None, "truncation": None, "padding": None}, ensure_ascii=False
    ).encode()


def train_tokenizer(texts: Sequence[str], config: VocabularyConfig) -> bytes:
    """A WordPiece tokenizer.json trained on these texts. Id 0 is padding, 1 the unknown token.

    Source: Schuster and Nakajima 2012; the `tokenizers` library's trainer.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=config.lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=config.size,
        min_frequency=config.min_count,
        special_tokens=[PAD, UNKNOWN],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str().encode()
