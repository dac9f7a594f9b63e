"""An adapter as a bundle: a matrix and a bias that were fitted elsewhere -> ONNX -> proven -> Draft."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from bundle import Draft, Manifest
from bundle.encoder import OUTPUT
from bundle.golden import golden_of
from bundle.manifest import Adapts, Metric
from bundle.preprocess.vector import VECTOR, Vector
from bundle.preprocess.vector.preprocessor import SOURCE, VectorFile
from training.card import model_card
from training.export import OPSET, compare, trained
from training.provenance import Provenance

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def adapter_draft(
    name: str,
    *,
    adapts: Adapts,
    weights: Doubles,
    bias: Doubles,
    sample: Floats,
    expected: Floats,
    target: Manifest,
    metrics: Mapping[str, Metric],
    data_sha256: str,
) -> Draft:
    """The draft of v -> v W + b, of norm 1 where the target's vectors are.

    Args:
        name: of the adapter.
        adapts: the two spaces, and the fit.
        weights: float64 [d, e].
        bias: float64 [e].
        sample: old vectors, for golden.json; float32 [n, d].
        expected: what the map makes of them; float32 [n, e].
        target: the manifest of the encoder that is adapted to.
        metrics: held-out figures.
        data_sha256: of the file of documents.

    Raises:
        ExportError: the graph does not compute the map.
    """
    graph = adapter_graph(weights, bias, normalizes=target.normalized)
    inputs, content = [Vector(row) for row in sample], VectorFile(dim=len(weights)).to_bytes()
    preprocessor = VECTOR.load(content, 1)
    provenance = _provenance(adapts, data_sha256)
    old, new = (f"{one.name}/{one.version}" for one in (adapts.source, adapts.target))
    draft = Draft(
        name=name,
        description=f"Turns vectors of {old} towards the space of {new}, for an index that is not yet "
        "encoded again.",
        kind=VECTOR.name,
        graph=graph,
        preprocessor=content,
        golden=golden_of(inputs, expected, None).to_bytes(),
        card="",
        dim=target.dim,
        dimensions=target.dimensions,
        normalized=target.normalized,
        metric=target.metric,
        max_length=1,
        parity=compare(graph, preprocessor, preprocessor.prepare(inputs), expected),
        trained=trained(provenance, metrics),
        adapts=adapts,
    )
    return model_card(draft, provenance, [round(number, 4) for number in sample[0].tolist()[:4]] + ["..."])


def adapter_graph(weights: Doubles, bias: Doubles, *, normalizes: bool) -> bytes:
    """ONNX bytes of the map, from `source` [n, d] to `vector` [n, e]."""
    nodes = [
        helper.make_node("MatMul", [SOURCE, "weights"], ["turned"]),
        helper.make_node("Add", ["turned", "bias"], ["moved" if normalizes else OUTPUT]),
    ]
    if normalizes:
        nodes.append(helper.make_node("LpNormalization", ["moved"], [OUTPUT], axis=1, p=2))
    graph = helper.make_graph(
        nodes,
        "adapter",
        [helper.make_tensor_value_info(SOURCE, TensorProto.FLOAT, ["n", weights.shape[0]])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", weights.shape[1]])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(
        graph, producer_name="encodery", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _provenance(adapts: Adapts, data_sha256: str) -> Provenance:
    settings = adapts.model_dump(mode="json")
    return Provenance(
        command="encodery adapt fit",
        config_sha256=_sha256(settings),
        data_sha256=data_sha256,
        seed=0,
        inputs=f"{adapts.documents:,} documents, sha256 `{data_sha256[:16]}`, {adapts.method}",
        details=[
            "Vectors of this space may be searched by queries of "
            f"`{adapts.target.name}` {adapts.target.version}; they are near its own, not equal to them.",
        ],
    )


def _sha256(settings: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
