"""model2vec with random vectors of 256 dimensions: the speed of a static model, not its quality."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path = [
    path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent
]  # not this file

from model2vec import StaticModel
from tokenizers import Tokenizer

sys.path.append(str(Path(__file__).parent))
from naive import serve

port, directory = int(sys.argv[1]), Path(sys.argv[2])
tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
vectors = np.random.default_rng(0).standard_normal((tokenizer.get_vocab_size(), 256)).astype(np.float32)
model = StaticModel(vectors, tokenizer)
serve(lambda texts: model.encode(texts, use_multiprocessing=False), port)
