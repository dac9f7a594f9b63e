"""A tiny text encoder whose forward pass takes as long as its words say, without a patch: an ONNX Loop.

Every row costs `trips` turns of the loop, about a microsecond each; the word `hang` costs years.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tiny
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models, pre_tokenizers

from bundle import publish
from bundle.inputs import Input
from bundle.preprocess.text import Text

HANG = "hang"
WORDS = [*tiny.WORDS, HANG, "last"]  # the last one is tried when a bundle is proven
YEARS = 1 << 50  # turns


def publish_slow(directory: Path, trips: int = 0) -> Path:
    """Publish `text/1`; its known vectors have no such word."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    texts: list[Input] = [Text(text) for text in tiny.TEXTS]
    draft = tiny.draft(
        "text", "text", _graph(trips), tokenizer.to_str().encode(), texts, max_length=tiny.MAX_LENGTH
    )
    publish(directory, [draft])
    return directory


def _graph(trips: int) -> bytes:
    """Masked mean of token vectors, L2-normalised, plus nothing, which takes long to compute."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),  # (n, t, d)
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),  # (n, t, 1)
        helper.make_node("Mul", ["tokens", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["pooled"], keepdims=0),
        helper.make_node("LpNormalization", ["pooled"], ["quick"], axis=1, p=2),
        helper.make_node("Gather", ["trips_of_word", "input_ids"], ["trips"]),  # (n, t)
        helper.make_node("ReduceMax", ["trips", "one"], ["trips_of_row"], keepdims=0),
        helper.make_node("ReduceSum", ["trips_of_row"], ["trips_in_all"], keepdims=0),
        helper.make_node("Loop", ["trips_in_all", "true", "nothing"], ["counted"], body=_body()),
        helper.make_node("Mul", ["counted", "nothing"], ["zero"]),
        helper.make_node("Add", ["quick", "zero"], ["vector"]),
    ]
    inputs = {"input_ids": (TensorProto.INT64, ["n", "t"]), "attention_mask": (TensorProto.INT64, ["n", "t"])}
    trips_of_word = np.full(len(WORDS), trips, dtype=np.int64)
    trips_of_word[WORDS.index(HANG)] = YEARS
    constants = {
        "table": np.random.default_rng(0).normal(size=(len(WORDS), tiny.DIM)).astype(np.float32),
        "trips_of_word": trips_of_word,
        "last": np.array([2]),
        "one": np.array([1]),
        "true": np.array(True),
        "nothing": np.array(0.0, dtype=np.float32),
    }
    return tiny.graph_bytes(nodes, inputs, constants)


def _body() -> object:
    """Adds one, every turn."""
    one = helper.make_node("Constant", [], ["step"], value_float=1.0)
    nodes = [
        one,
        helper.make_node("Add", ["sum", "step"], ["next"]),
        helper.make_node("Identity", ["goes_on"], ["goes_on_too"]),
    ]
    return helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("goes_on_too", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, []),
        ],
    )
