"""A bundle's own decoder and graph behind the obvious FastAPI application: the least that works."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path = [
    path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent
]  # not the files beside this one
sys.path.append(str(Path(__file__).parent.parent.parent))

from bundle import Store

sys.path.append(str(Path(__file__).parent))
from naive import serve

port, models, name = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
encoder = Store(models).load(name)
serve(lambda files: encoder.run(encoder.prepare(encoder.read(files))), port)
