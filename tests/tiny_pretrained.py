"""Directories of pretrained encoders as transformers and sentence-transformers save them: tiny and random."""

from __future__ import annotations

import json
from collections.abc import Mapping
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


_SHARED_KEYS: dict[str, Any] = _SIZES | _TOKENS | {"num_key_value_heads": 1}
_BY_DISTANCE: dict[str, Any] = {  # DeBERTa's scores of relative positions, in several buckets
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
_LEFT_WINDOW = ["sliding_attention", "full_attention"]
_T5: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "d_model": HIDDEN,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 16,
    "initializer_factor": 1.0,
}
# What a family's tiny network differs in: in one layer windows, shared keys and biases show as well.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "albert": _SIZES | {"embedding_size": 8},
    "bert": _SIZES,
    "camembert": _SIZES | _AFTER_PADDING,
    "data2vec-text": _SIZES | _AFTER_PADDING,
    "deberta": _SIZES | _ONE_LAYER | _BY_DISTANCE,
    "deberta-v2": _SIZES | _BY_DISTANCE | {"position_buckets": 8, "share_att_key": True},
    "distilbert": _SIZES | {"dim": HIDDEN, "n_layers": 1, "n_heads": 2, "hidden_dim": 24},
    "electra": _SIZES | _ONE_LAYER | {"embedding_size": 8},
    "ernie": _SIZES | _ONE_LAYER,
    "eurobert": _SHARED_KEYS | _ONE_LAYER | {"mask_token_id": 4},
    "gemma": _SHARED_KEYS | _ONE_LAYER | {"head_dim": 8},
    "gemma2": _SHARED_KEYS | {"head_dim": 8, "sliding_window": 6, "layer_types": _LEFT_WINDOW},
    "gemma3_text": _SHARED_KEYS | {"head_dim": 8, "sliding_window": 6, "layer_types": _LEFT_WINDOW},
    "granite": _SHARED_KEYS | _ONE_LAYER,
    "gte": _SIZES | _ONE_LAYER,
    "jina_embeddings_v3": _SIZES | _ONE_LAYER,
    "llama": _SHARED_KEYS | _ONE_LAYER,
    "mistral": _SHARED_KEYS | {"sliding_window": 6},
    "modernbert": _SIZES  # sees 4 tokens to each side, in one layer all
    | _TOKENS
    | {"local_attention": 8, "layer_types": ["full_attention", "sliding_attention"]},
    "mpnet": _SIZES | _AFTER_PADDING,
    "mt5": _T5,
    "nomic_bert": _SIZES | _ONE_LAYER,
    "qwen2": _SHARED_KEYS | {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1},
    "qwen3": _SHARED_KEYS | _ONE_LAYER | {"head_dim": 8},
    "rembert": _SIZES | _ONE_LAYER | {"input_embedding_size": 8},
    "roberta": _SIZES | _AFTER_PADDING,
    "t5": _T5,
    "xlm-roberta": _SIZES | _AFTER_PADDING,
    "xlm-roberta-xl": _SIZES | _AFTER_PADDING,
}
# The same families by other words of their configuration: decoders that read both ways.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "llama": {"is_causal": False},
    "qwen2": {"is_causal": False},
    "gemma3_text": {"use_bidirectional_attention": True},
}


def write_network(directory: Path, family: str = "bert", **changes: Any) -> Path:
    """config.json, model.safetensors and tokenizer.json; `changes` are settings of the network."""
    import transformers

    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(len(family))
    auto: Any = transformers  # without types
    config = auto.AutoConfig.for_model(family, **SETTINGS[family] | changes)
    maker = auto.AutoModelForTextEncoding if "d_model" in SETTINGS[family] else auto.AutoModel
    maker.from_config(config).save_pretrained(directory)
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

    auto: Any = transformers  # without types
    is_t5 = "d_model" in json.loads((directory / "config.json").read_text())
    maker = auto.AutoModelForTextEncoding if is_t5 else auto.AutoModel
    model = maker.from_pretrained(directory, local_files_only=True).eval()
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([tokenizer.encode(text).ids])).last_hidden_state
    return np.asarray(states[0].numpy(), dtype=np.float32)
