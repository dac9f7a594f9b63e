"""fastembed with the network of `image` in place of one that it knows, and fastembed's own decoding."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import numpy as np

sys.path = [
    path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent
]  # not the files beside this one

from fastembed import ImageEmbedding
from PIL import Image

sys.path.append(str(Path(__file__).parent))
from naive import serve

port, directory = int(sys.argv[1]), sys.argv[2]
model = ImageEmbedding("Qdrant/resnet50-onnx", specific_model_path=directory)
serve(
    lambda files: np.stack(
        list(model.embed([Image.open(io.BytesIO(base64.b64decode(one))) for one in files]))
    ),
    port,
)
