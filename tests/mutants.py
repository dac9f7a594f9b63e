"""Bundles changed and sealed again, so that every digest fits: what only running them can find.

The worst of them kill, or never let go of, the process that loads them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tiny
from onnx import TensorProto, helper, numpy_helper

from bundle.directory import GRAPH, MANIFEST
from bundle.manifest import FileEntry, Manifest, space_id
from bundle.preprocess import KINDS

TOKENIZER = "tokenizer.json"


def sealed_again(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a version of a model without peers, and let its manifest and pointer fit them."""
    manifest = Manifest.from_bytes((directory / MANIFEST).read_bytes())
    for name, content in files.items():
        (directory / name).write_bytes(content)
    entries = {
        name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for name, content in files.items()
    }
    write_manifest(directory, manifest.model_copy(update={"files": {**manifest.files, **entries}}))


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write it with a space and a digest that follow from the rest, and point to it."""
    own = manifest.encoder_digest(KINDS[manifest.kind].file)
    sealed = manifest.model_copy(update={"space_members": [own], "space": space_id([own])}).sealed()
    (directory / MANIFEST).write_bytes(sealed.to_bytes())
    pointer = {"version": sealed.version, "manifest_digest": sealed.digest}
    (directory.parent / "current").write_text(json.dumps(pointer))


def tokenizer_with(**parts: Any) -> bytes:
    """The tiny tokenizer with other parts."""
    return json.dumps(json.loads(tiny.tokenizer_json()) | parts).encode()


def graph_with(nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto]) -> bytes:
    """The tiny text graph with more nodes, whose result `nothing` [] is added to the vector."""
    model = onnx.load_from_string(tiny.text_draft().graph)
    for node in model.graph.node:
        if "vector" in node.output:
            node.output[0] = "alone"
    model.graph.node.extend([*nodes, helper.make_node("Add", ["alone", "nothing"], ["vector"])])
    model.graph.initializer.extend(initializers)
    return bytes(model.SerializeToString())


def endless_loop() -> bytes:
    """A Loop that always goes on."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["more"], ["again"]), helper.make_node("Mul", ["x", "half"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, []),
        ],
        [numpy_helper.from_array(np.float32(0.5), "half")],
    )
    # Begins with a number of the input, or the whole loop would be folded when the graph is loaded.
    begin = [
        helper.make_node("ReduceSum", ["input_ids"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["begin"], to=TensorProto.FLOAT),
    ]
    loop = helper.make_node("Loop", ["", "yes", "begin"], ["nothing"], body=body)
    return graph_with([*begin, loop], [numpy_helper.from_array(np.array(True), "yes")])


def needs_all_memory() -> bytes:
    """A tensor of 2.5 TB, made when an input comes."""
    nodes = [
        helper.make_node("ReduceSum", ["input_ids"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nil"]),
        helper.make_node("Add", ["nil", "side"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["giant"]),
        helper.make_node("ReduceSum", ["giant"], ["nothing"], keepdims=0),
    ]
    constants = {"zero": np.array([0]), "side": np.array([800_000, 800_000])}
    return graph_with(nodes, [numpy_helper.from_array(value, name) for name, value in constants.items()])


def doubling(times: int) -> bytes:
    """A tokenizer that doubles every letter, again and again."""
    double = {"type": "Replace", "pattern": {"Regex": "."}, "content": "aa"}
    return tokenizer_with(normalizer={"type": "Sequence", "normalizers": [double] * times})


KILLERS: dict[str, Callable[[], dict[str, bytes]]] = {
    "panics-when-read": lambda: {
        TOKENIZER: tokenizer_with(pre_tokenizer={"type": "FixedLength", "length": 0})
    },
    "aborts": lambda: {
        TOKENIZER: tokenizer_with(
            normalizer={
                "type": "Precompiled",
                "precompiled_charsmap": base64.b64encode(b"\xff\xff\xff\x7f" + bytes(range(256))).decode(),
            }
        )
    },
    "doubles": lambda: {TOKENIZER: doubling(60)},
    "loops": lambda: {GRAPH: endless_loop()},
    "needs-memory": lambda: {GRAPH: needs_all_memory()},
}


def publish_killers(models: Path) -> None:
    """One model for each, all of the kind of texts."""
    for name, made in KILLERS.items():
        tiny.publish(models, [tiny.text_draft(name)])
        sealed_again(models / name / "1", made())
