"""Triton's configuration of a model: clients such as PyTriton's ModelClient ask for it first.

Only what is true here is told. triton-inference-server: extension_model_configuration.md, model_config.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Response

from app.api.protocols.base import json_response
from app.api.protocols.kserve.protocol import EMBEDDING, KSERVE
from app.engine import Loaded
from app.http.context import Ctx
from app.settings import Settings
from bundle.preprocess.kind import TensorType

_OPTIMIZATION: Mapping[str, Any] = {
    "priority": "PRIORITY_DEFAULT",
    "input_pinned_memory": {"enable": False},
    "output_pinned_memory": {"enable": False},
    "gather_kernel_buffer_threshold": 0,
    "eager_batching": False,
}
_NO_GPU: Mapping[str, Any] = {
    "kind": "KIND_CPU",
    "gpus": [],
    "secondary_devices": [],
    "profile": [],
    "passive": False,
    "host_policy": "",
}


@KSERVE.get("/v2/models/{model}/config", "A model's configuration, as Triton has it")
@KSERVE.get("/v2/models/{model}/versions/{version}/config", "A version's configuration, as Triton has it")
async def config(context: Ctx, model: str, version: str | None = None) -> Response:
    """Tensors, and where they are computed. The first axis of every tensor is the batch."""
    loaded = context.registry.find(model, version=version)
    return json_response(_config(model, loaded, context.settings))


def _config(name: str, loaded: Loaded, settings: Settings) -> dict[str, Any]:
    encoder = loaded.encoder
    schema = encoder.schema()
    output = TensorType(EMBEDDING, "FP32", (-1, loaded.manifest.dim))
    return {
        "name": name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "runtime": "",
        "version_policy": {"latest": {"num_versions": settings.versions_per_model}},
        "max_batch_size": 0,  # a batch is written into the shapes, as in the metadata; more would hide it
        "input": [
            _tensor(one)
            | {"format": "FORMAT_NONE", "allow_ragged_batch": False, "optional": "properties" in schema}
            for one in encoder.kind.tensors(schema)
        ],
        "output": [_tensor(output) | {"label_filename": ""}],
        "batch_input": [],
        "batch_output": [],
        "optimization": _OPTIMIZATION,
        "instance_group": [{**_NO_GPU, "name": f"{name}_0", "count": settings.threads}],
        "default_model_filename": "model.onnx",
        "cc_model_filenames": {},
        "metric_tags": {},
        "parameters": {},
        "model_warmup": [],
    }


def _tensor(one: TensorType) -> dict[str, Any]:
    datatype = "STRING" if one.datatype == "BYTES" else one.datatype
    return {
        "name": one.name,
        "data_type": f"TYPE_{datatype}",
        "dims": list(one.shape),
        "is_shape_tensor": False,
        "is_non_linear_format_io": False,
    }
