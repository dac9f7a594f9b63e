"""Texts: tokens of the tokenizer that the encoder was trained with."""

from bundle.preprocess.text.input import Text, TextFacts, TokenIds
from bundle.preprocess.text.kind import TEXT
from bundle.preprocess.text.preprocessor import TextPreprocessor, pack
from bundle.preprocess.text.spelling import RULE

__all__ = ["RULE", "TEXT", "Text", "TextFacts", "TextPreprocessor", "TokenIds", "pack"]
