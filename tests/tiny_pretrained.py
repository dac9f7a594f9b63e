"""Directories of pretrained encoders as transformers and sentence-transformers save them: tiny and random."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tiny_training
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

POSITIONS = 40
WORDS = [*tiny_training.SPECIALS, *(word for words in tiny_training.TOPICS.values() for word in words)]
WORDS += [*tiny_training.FILLERS, "[MASK]"]
HIDDEN = 16
_SIZES: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.3,  # far from all vectors being alike
}
_ONE_LAYER = {"num_hidden_layers": 1}  # each is one more to trace
_AFTER_PADDING = _ONE_LAYER | {"max_position_embeddings": POSITIONS + 2, "pad_token_id": 1}
_TOKENS = {"pad_token_id": 0, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}


def _config(family: str) -> Any:
    import transformers

    makers: Mapping[str, Callable[[], Any]] = {
        "bert": lambda: transformers.BertConfig(**_SIZES),
        "distilbert": lambda: transformers.DistilBertConfig(
            **_SIZES | {"dim": HIDDEN, "n_layers": 1, "n_heads": 2, "hidden_dim": 24}
        ),
        "electra": lambda: transformers.ElectraConfig(**_SIZES | _ONE_LAYER, embedding_size=8),
        "modernbert": lambda: transformers.ModernBertConfig(  # sees 4 tokens to each side, in one layer all
            **_SIZES, **_TOKENS, local_attention=8, layer_types=["full_attention", "sliding_attention"]
        ),
        "mpnet": lambda: transformers.MPNetConfig(**_SIZES | _AFTER_PADDING),
        "roberta": lambda: transformers.RobertaConfig(**_SIZES | _AFTER_PADDING),
        "xlm-roberta": lambda: transformers.XLMRobertaConfig(**_SIZES | _AFTER_PADDING),
    }
    return makers[family]()


def write_network(directory: Path, family: str = "bert") -> Path:
    """config.json, model.safetensors and tokenizer.json."""
    import transformers

    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(len(family))
    transformers.AutoModel.from_config(_config(family)).save_pretrained(directory)
    tokenizer = tiny_training.wordpiece(WORDS)
    tokenizer.enable_padding(length=30)
    tokenizer.enable_truncation(30)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def write_modules(directory: Path, *modules: tuple[str, Mapping[str, Any]]) -> Path:
    """modules.json with a Transformer first, and a folder with config.json for each module."""
    parts = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for i, (kind, config) in enumerate(modules, start=1):
        path = f"{i}_{kind}"
        parts.append({"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"})
        if config:
            write_json(directory / path / "config.json", config)
    write_json(directory / "modules.json", parts)
    return directory


def write_dense(directory: Path, inputs: int, outputs: int, *, bias: bool = True) -> tuple[Any, Any]:
    """Weights of a Dense layer, as saved: (outputs, inputs) and (outputs,)."""
    torch.manual_seed(inputs)
    weight, offset = torch.randn(outputs, inputs), torch.randn(outputs)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {"linear.weight": weight} | ({"linear.bias": offset} if bias else {})
    save_file(tensors, directory / "model.safetensors")
    return weight.numpy(), offset.numpy() if bias else np.zeros(outputs)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def edit_json(path: Path, **changes: Any) -> None:
    write_json(path, json.loads(path.read_text()) | changes)


def hidden_states(directory: Path, text: str) -> npt.NDArray[np.float32]:
    """What transformers itself gives for one text alone, unpadded: float32 [t, d]."""
    import transformers

    model = transformers.AutoModel.from_pretrained(directory, local_files_only=True).eval()
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([tokenizer.encode(text).ids])).last_hidden_state
    return np.asarray(states[0].numpy(), dtype=np.float32)
