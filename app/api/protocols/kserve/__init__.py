"""The Open Inference Protocol (KServe V2), as Triton speaks it over HTTP; what tritonclient[http] needs.

kserve/open-inference-protocol, specification/protocol/inference_rest.md, with the binary extension. A
model's tensors are those that GET /v2/models/{model} lists; what comes back is `embedding`, FP32 [n, dim].
"""

from app.api.protocols.kserve import (
    config,
    infer,
    metadata,
    repository,
)  # their routes are registered with KSERVE
from app.api.protocols.kserve.protocol import KSERVE

__all__ = ["KSERVE", "config", "infer", "metadata", "repository"]
