"""sentence-transformers on torch, with its defaults."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path = [
    path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent
]  # not this file

from sentence_transformers import SentenceTransformer

sys.path.append(str(Path(__file__).parent))
from naive import serve

port, directory = int(sys.argv[1]), sys.argv[2]
model = SentenceTransformer(directory, device="cpu", local_files_only=True)
serve(lambda texts: model.encode(texts, show_progress_bar=False), port)
