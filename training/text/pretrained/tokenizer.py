"""The tokenizer of a pretrained encoder, whole: the tokenizer.json that its bundle gets.

tokenizer.json is taken as it is. Where there is none, transformers converts vocab.txt and the like.
Where tokenizer_config.json makes transformers (and so sentence-transformers) read texts otherwise than
tokenizer.json says, nobody can know which was meant, and that is refused.
"""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, normalizers

from training.errors import ConfigError
from training.text.pretrained.directory import Pretrained

FILE = "tokenizer.json"
_TELLING = (
    "MiXeD CaSe, Größe, naïveté and 東京 in one line 🙂",
    "don't   e-mail me@example.org; 1,234.50 EUR (incl. VAT)!",
    "\tspaces \n and   lines\r\n",
)


def whole_tokenizer(spec: Pretrained) -> bytes:
    """The content of tokenizer.json, special tokens included, without padding and truncation.

    Raises:
        ConfigError: there is none, or none that works without Python, or two that differ.
    """
    path = spec.directory / FILE
    try:
        if path.is_file():
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
            _check_same(spec, tokenizer)
        else:
            tokenizer = Tokenizer.from_str(_converted(spec).to_str())
    except ConfigError:
        raise
    except Exception as error:  # tokenizers raises bare Exception for a malformed file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"the tokenizer of {spec.name} cannot be used: {reason}") from error
    check_vocabulary(spec, tokenizer)
    tokenizer.no_padding()  # all-MiniLM's file pads every text to 128
    tokenizer.no_truncation()
    if spec.lowercase:
        rest = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *rest])
    return tokenizer.to_str().encode()


def check_vocabulary(spec: Pretrained, tokenizer: Tokenizer) -> None:
    """Refuse an empty tokenizer, which transformers makes where files are missing, and says nothing."""
    ids = tokenizer.get_vocab().values()
    if not len(ids) > spec.vocabulary / 2 or max(ids) >= spec.vocabulary:
        raise ConfigError(
            f"the tokenizer of {spec.name} has {len(ids)} tokens up to number {max(ids, default=0)}, its "
            f"network {spec.vocabulary}: put the {FILE} (or vocab.txt and the like) of this network there"
        )


def _check_same(spec: Pretrained, tokenizer: Tokenizer) -> None:
    if not (spec.directory / "tokenizer_config.json").is_file():
        return  # transformers would only guess from the family
    converted = _converted(spec)
    for text in _TELLING:
        if _ids(tokenizer, text) != _ids(converted, text):
            raise ConfigError(
                f"{spec.name}: tokenizer.json and what transformers makes of tokenizer_config.json differ "
                f"for {text!r}; remove the one that is wrong"
            )


def _converted(spec: Pretrained) -> Any:
    """The Tokenizer inside of transformers' own."""
    from transformers import AutoTokenizer  # noqa: PLC0415  # slow to import, and only needed here

    loaded = AutoTokenizer.from_pretrained(spec.directory, local_files_only=True, trust_remote_code=False)
    return loaded.backend_tokenizer


def _ids(tokenizer: Any, text: str) -> list[int]:
    tokenizer.no_padding()
    return list(tokenizer.encode_batch_fast([text])[0].ids)
