"""Infinity on onnxruntime, started by its own command on what optimum exports.

Its engine opens a local model under optimum 2 only as the current directory, and averages only if told to.
Without the fusions that it would ask optimum 1 for: they cost 6 % here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path = [
    path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent
]  # not the files beside this one

from optimum.exporters.onnx import main_export

BATCH = "8"  # of 8, 16 and 32, its default: texts in order of arrival are padded least in small ones

port, network, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
main_export(network, directory, task="feature-extraction", library_name="transformers")
os.environ |= {"DO_NOT_TRACK": "1", "HF_HOME": str(directory)}  # it writes its caches there
os.chdir(directory)
command = [str(Path(sys.executable).with_name("infinity_emb")), "v2", "--model-id", "."]
command += ["--engine", "optimum", "--device", "cpu", "--pooling-method", "mean"]
command += ["--no-bettertransformer", "--onnx-disable-optimize"]
command += ["--batch-size", BATCH, "--host", "127.0.0.1", "--port", port, "--log-level", "error"]
os.execv(command[0], command)  # without what the export left in memory
