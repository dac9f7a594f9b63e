"""Something small to learn from: tones of three heights, each with a label and a caption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import sounds
import tiny
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from training.audio.settings import AudioRun
from training.config import parse_config

HEIGHTS = {"low": (250.0, "dog"), "middle": (700.0, "cat"), "high": (1600.0, "hello world")}
CONFIG: dict[str, Any] = {
    "kind": "audio",
    "name": "tones",
    "description": "How high a tone is.",
    "data": {"train": ["tones/train.jsonl"], "validation": ["tones/dev.jsonl"]},
    "anchor": {"model": "text"},
    "front_end": {
        "sample_rate": 8000,
        "window_s": 0.3,
        "hop_s": 0.2,
        "lead_s": 0.02,
        "max_windows": 5,
        "bins": 16,
    },
    "model": {
        "blocks": [{"width": 8, "pairs": 1}, {"width": 8, "pairs": 1}],
        "output_width": 8,
        "hidden": {"widths": [16], "output_dim": tiny.DIM},
    },
    "loss": {
        "captions": {"temperature": 0.1},
        "nearness": {},
        "cross_entropy": {},
        "supervised_contrast": {},
    },
    "train": {"epochs": 8, "batch_size": 8, "learning_rate": 0.01, "metric": "nearest_caption", "threads": 1},
}


def write_set(data: Path, counts: dict[str, int] | None = None) -> Path:
    """tones/train.jsonl and so on, with a speaker for each sound; the data directory."""
    folder, random = data / "tones", np.random.default_rng(0)
    folder.mkdir(parents=True)
    for split, count in (counts or {"train": 24, "dev": 9, "test": 9}).items():
        rows = []
        for number in range(count):
            label = list(HEIGHTS)[number % 3]
            hz, caption = HEIGHTS[label]
            tone = sounds.tone(float(random.uniform(0.1, 0.4)), hz * float(random.uniform(0.95, 1.05)))
            path = f"{split}-{number}.flac"
            (folder / path).write_bytes(sounds.file_of(tone, "FLAC"))
            rows.append({"path": path, "label": label, "captions": [caption], "speaker": f"s{number % 2}"})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


def config(**tables: Any) -> AudioRun:
    """CONFIG with other tables; None leaves one out."""
    raw = {key: value for key, value in (CONFIG | tables).items() if value is not None}
    found = parse_config(raw)
    assert isinstance(found, AudioRun)
    return found


STARTED = config().model.model_copy(update={"batch_norm": False, "activation": "leaky_floor"})


def onnx_of(network: nn.Module) -> bytes:
    """Its convolutions, as any exporter would name them."""
    nodes, constants = [], []
    for number, one in enumerate(part for part in network.modules() if isinstance(part, nn.Conv2d)):
        names = [f"w{number}"] + ([f"b{number}"] if one.bias is not None else [])
        values = [one.weight, *([] if one.bias is None else [one.bias])]
        constants += [
            numpy_helper.from_array(v.detach().numpy(), n) for n, v in zip(names, values, strict=True)
        ]
        nodes.append(helper.make_node("Conv", [f"x{number}", *names], [f"x{number + 1}"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x0", f"x{len(nodes)}")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return bytes(helper.make_model(graph).SerializeToString())
