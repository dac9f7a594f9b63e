"""A directory of a static encoder: a table of token vectors, of which a text has the mean.

Two forms of it: sentence-transformers' StaticEmbedding, and model2vec's, which leaves unknown tokens out and
may keep fewer rows than tokens (`mapping`) and a weight of each token (`weights`).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from training.errors import ConfigError
from training.text.pretrained.directory import (
    MOST_TOKENS,
    WEIGHTS,
    Pretrained,
    check_weights,
    dense_layers,
    metric_of,
    prompts_of,
    read_json,
    read_modules,
)
from training.text.pretrained.tokenizer import FILE, check_vocabulary

STATIC = "static"  # in the place of a network's family
_MODULES = ("StaticEmbedding", "Dense", "Normalize")  # in the only order that is understood
_MODEL2VEC_LENGTH = 512  # what it reads where nothing is said


def read_static(directory: Path) -> Pretrained | None:
    """Describe the static encoder in a directory; None if it holds another one. Raises ConfigError."""
    named = read_json(directory / "modules.json", default=[])
    is_model2vec = _is_model2vec(directory)
    if not is_model2vec and not any(_MODULES[0] in str(part) for part in named):
        return None
    name = directory.resolve().name
    modules = [] if is_model2vec else read_modules(directory, _MODULES, once=_MODULES[:1])
    place = directory / next((path for _, path in modules), "")
    check_weights(place, name)
    config = read_json(directory / "config.json", default={}) if is_model2vec else {}
    sentence = read_json(directory / "config_sentence_transformers.json", default={})
    rows = _rows(place, name)
    meant = config.get("max_length") or _MODEL2VEC_LENGTH if is_model2vec else MOST_TOKENS
    prompts, default_prompt = prompts_of(sentence)
    return Pretrained(
        name=name,
        directory=place,
        family=STATIC,
        hidden_size=rows.shape[1],
        layers=0,
        vocabulary=len(rows),
        poolings=("mean",),
        dense=dense_layers(directory, modules),
        normalize=bool(config.get("normalize")) or any(kind == "Normalize" for kind, _ in modules),
        metric=metric_of(sentence),
        positions=MOST_TOKENS,
        max_length=min(int(meant), MOST_TOKENS),
        lowercase=False,
        prompts=prompts,
        default_prompt=default_prompt,
    )


def load_static(spec: Pretrained) -> tuple[Tensor, int | None, bytes]:
    """Read the parts of a static encoder.

    Returns:
        float32, float16 or int8 (tokens, d); the token that is left out of the mean, if one is; the content
        of tokenizer.json, without special tokens, which are no part of a text here.

    Raises:
        ConfigError: the tokenizer is missing, or of another table.
    """
    try:
        tokenizer = Tokenizer.from_file(str(spec.directory / FILE))
    except Exception as error:  # tokenizers raises bare Exception for a missing or malformed file
        raise ConfigError(f"the {FILE} of {spec.name} cannot be read: {error}") from error
    check_vocabulary(spec, tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    content = json.loads(tokenizer.to_str()) | {"post_processor": None}
    unknown = _unknown(content["model"], tokenizer) if _is_model2vec(spec.directory) else None
    return _rows(spec.directory, spec.name), unknown, json.dumps(content).encode()


def _is_model2vec(directory: Path) -> bool:
    """Its own files come before those of sentence-transformers that may lie beside them."""
    config = read_json(directory / "config.json", default={})
    return config.get("model_type") == "model2vec" or "StaticModel" in (config.get("architectures") or ())


def _rows(directory: Path, name: str) -> Tensor:
    """A row of each token, with its weight. Raises ConfigError."""
    try:
        found = load_file(directory / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{name}/{WEIGHTS} cannot be read: {str(error).splitlines()[0]}") from error
    rows = found.get("embedding.weight", found.get("embeddings"))
    if rows is None or rows.dim() != 2:
        raise ConfigError(f"{name}/{WEIGHTS} has no table of token vectors (embedding.weight, embeddings)")
    try:
        if (mapping := found.get("mapping")) is not None:
            rows = rows[mapping.long()]
        if (weights := found.get("weights")) is not None:
            rows = rows.float() * weights.float().unsqueeze(1)
    except (IndexError, RuntimeError):
        raise ConfigError(f"{name}/{WEIGHTS}: mapping and weights do not fit the table") from None
    return rows if rows.dtype in (torch.float32, torch.float16, torch.int8) else rows.float()


def _unknown(model: dict[str, object], tokenizer: Tokenizer) -> int | None:
    """Unigram models name it by id, the others by its text."""
    if isinstance(number := model.get("unk_id"), int):
        return number
    return tokenizer.token_to_id(str(model.get("unk_token")))
