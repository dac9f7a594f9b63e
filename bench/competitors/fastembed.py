"""fastembed with the same network, exported padded; two threads per forward pass, its default."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path = [
    path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent
]  # not this file

from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

sys.path.append(str(Path(__file__).parent))
from naive import serve

port, directory = int(sys.argv[1]), sys.argv[2]
TextEmbedding.add_custom_model(
    model="local/minilm",
    pooling=PoolingType.DISABLED,  # pooled and normalised in the graph
    normalization=False,
    sources=ModelSource(hf="local/minilm"),
    dim=384,
    model_file="model.onnx",
)
model = TextEmbedding("local/minilm", specific_model_path=directory)
serve(lambda texts: np.stack(list(model.embed(texts))), port)
