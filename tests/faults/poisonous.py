"""Tiny text encoders that one word breaks, for real: by what their graphs compute, without a patch.

spreads_nan    the word's row makes the vectors of all rows of its batch NaN, as a norm over a batch would
fails          the word makes a node raise, and with it the whole forward pass
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import tiny
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models, pre_tokenizers

from bundle import Encoder, Store, publish
from bundle.inputs import Input
from bundle.preprocess.text import Text

MARKER = "lamp"
WORDS = [*tiny.WORDS, "last"]  # the last one is tried when a bundle is proven
OUT_OF_BOUNDS = 99  # no row of the table of one


def spreads_nan(directory: Path) -> Encoder:
    """Adds the root of a sum over the whole batch: of nothing, or of -1 for the word."""
    nodes = [
        helper.make_node("Gather", ["of_word", "input_ids"], ["odd"]),  # (n, t)
        helper.make_node("ReduceMin", ["odd"], ["oddest"], keepdims=0),
        helper.make_node("Sqrt", ["oddest"], ["nothing"]),
    ]
    return _loaded(directory, nodes, _of_word(0.0, -1.0, np.float32))


def fails(directory: Path) -> Encoder:
    """Looks up a row that there is not."""
    nodes = [
        helper.make_node("Gather", ["of_word", "input_ids"], ["rows"]),  # (n, t)
        helper.make_node("Gather", ["nothings", "rows"], ["found"]),
        helper.make_node("ReduceSum", ["found"], ["nothing"], keepdims=0),
    ]
    of_word = _of_word(0, OUT_OF_BOUNDS, np.int64)
    return _loaded(directory, nodes, of_word | {"nothings": np.zeros(1, np.float32)})


def _of_word(usual: float, marked: float, kind: type) -> dict[str, np.ndarray]:
    values = np.full(len(WORDS), usual, kind)
    values[WORDS.index(MARKER)] = marked
    return {"of_word": values}


def _loaded(directory: Path, odd: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> Encoder:
    """A masked sum of token vectors, L2-normalised, plus what the odd nodes call `nothing`; published."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),  # (n, t, d)
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),  # (n, t, 1)
        helper.make_node("Mul", ["tokens", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["pooled"], keepdims=0),
        helper.make_node("LpNormalization", ["pooled"], ["clean"], axis=1, p=2),
        *odd,
        helper.make_node("Add", ["clean", "nothing"], ["vector"]),
    ]
    inputs = {"input_ids": (TensorProto.INT64, ["n", "t"]), "attention_mask": (TensorProto.INT64, ["n", "t"])}
    table = np.random.default_rng(0).normal(size=(len(WORDS), tiny.DIM)).astype(np.float32)
    graph = tiny.graph_bytes(
        nodes, inputs, {"table": table, "last": np.array([2]), "one": np.array([1])} | constants
    )
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    texts: list[Input] = [Text(text) for text in tiny.TEXTS if MARKER not in text]
    publish(
        directory,
        [tiny.draft("text", "text", graph, tokenizer.to_str().encode(), texts, max_length=tiny.MAX_LENGTH)],
    )
    return Store(directory).load("text")
