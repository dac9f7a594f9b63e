"""Triton's configuration of a model: clients such as PyTriton's ModelClient ask for it first.

Only what is true here is told. triton-inference-server: extension_model_configuration.md, model_config.proto.
"""

from __future__ import annotations

from typing import Any

from fastapi import Response

from app.api.protocols.base import json_response
from app.api.protocols.kserve.protocol import EMBEDDING, KSERVE
from app.engine import Loaded
from app.http.context import Ctx
from bundle.preprocess.kind import TensorType


@KSERVE.get("/v2/models/{model}/config", "A model's configuration, as Triton has it")
@KSERVE.get("/v2/models/{model}/versions/{version}/config", "A version's configuration, as Triton has it")
async def config(context: Ctx, model: str, version: str | None = None) -> Response:
    """Tensors, and where they are computed. The first axis of every tensor is the batch."""
    loaded = context.registry.find(model, version=version)
    return json_response(_config(model, loaded, context.settings.threads))


def _config(name: str, loaded: Loaded, threads: int) -> dict[str, Any]:
    encoder = loaded.encoder
    schema = encoder.schema()
    output = TensorType(EMBEDDING, "FP32", (-1, loaded.manifest.dim))
    return {
        "name": name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "runtime": "",
        "version_policy": {"specific": {"versions": [loaded.manifest.version]}},
        "max_batch_size": 0,  # a batch is written into the shapes, as in the metadata; more would hide it
        "input": [
            _tensor(one) | {"format": "FORMAT_NONE", "optional": "properties" in schema}
            for one in encoder.kind.tensors(schema)
        ],
        "output": [_tensor(output) | {"label_filename": ""}],
        "batch_input": [],
        "batch_output": [],
        "optimization": {"priority": "PRIORITY_DEFAULT"},
        "instance_group": [{"name": f"{name}_0", "kind": "KIND_CPU", "count": threads, "gpus": []}],
        "default_model_filename": "model.onnx",
        "parameters": {},
        "model_warmup": [],
        "model_transaction_policy": {"decoupled": False},
    }


def _tensor(one: TensorType) -> dict[str, Any]:
    datatype = "STRING" if one.datatype == "BYTES" else one.datatype
    return {"name": one.name, "data_type": f"TYPE_{datatype}", "dims": list(one.shape)}
