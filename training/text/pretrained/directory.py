"""A local directory of a large pretrained encoder, read into one description. Nothing is fetched or run.

Understands Hugging Face directories (config.json, tokenizer, model.safetensors) and what
sentence-transformers adds to them (modules.json: pooling, dense layers, normalisation; prompts; maximal
length). What it cannot represent it refuses, naming what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from training.errors import ConfigError
from training.text.pretrained.families import FAMILIES

WEIGHTS = "model.safetensors"
MOST_TOKENS = 8192  # unless more are asked for; attention's memory grows with the square of them

# sentence-transformers' names of pooling, in the order in which it concatenates several.
_POOLINGS: Mapping[str, str] = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt",
    "pooling_mode_weightedmean_tokens": "by_position",
    "pooling_mode_lasttoken": "last",
}
_POOLING_WORDS: Mapping[str, str] = {
    "cls": "first",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt",
    "weightedmean": "by_position",
    "lasttoken": "last",
}
_ACTIVATIONS: Mapping[str, str] = {
    "Identity": "identity",
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Sigmoid": "sigmoid",
}
_METRICS: Mapping[str, Literal["cosine", "inner_product"]] = {"cosine": "cosine", "dot": "inner_product"}
_MODULES = ("Transformer", "Pooling", "Dense", "Normalize")  # in the only order that is understood


@dataclass(frozen=True)
class DenseSpec:
    """A layer after pooling."""

    directory: Path
    in_features: int
    out_features: int
    bias: bool
    activation: str


@dataclass(frozen=True)
class Pretrained:
    """A pretrained encoder, as its directory describes it.

    Attributes:
        name: of the directory, without where it lies.
        directory: of the network and its tokenizer.
        family: `model_type` of config.json.
        vocabulary: how many tokens it has vectors of.
        poolings: one or several, concatenated.
        dense: layers after pooling, in order.
        normalize: L2-normalise at the end.
        metric: how two vectors are compared.
        positions: most tokens that the network can read, special ones included.
        max_length: most tokens that it is meant to read.
        lowercase: fold case before the tokenizer, which does not do it itself.
        prompts: name to text put before an input.
        default_prompt: name of the one that sentence-transformers puts before every text.
    """

    name: str
    directory: Path
    family: str
    hidden_size: int
    layers: int
    vocabulary: int
    poolings: tuple[str, ...]
    dense: tuple[DenseSpec, ...]
    normalize: bool
    metric: Literal["cosine", "inner_product"]
    positions: int
    max_length: int
    lowercase: bool
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.dense[-1].out_features if self.dense else self.hidden_size * len(self.poolings)

    @property
    def position_offset(self) -> int:
        """The position of the first token in the table of positions."""
        return FAMILIES[self.family].offset

    def weights(self) -> dict[str, str]:
        """SHA-256 of each file of weights: the network's first, then the dense layers'."""
        files = {WEIGHTS: self.directory / WEIGHTS}
        files |= {f"{each.directory.name}/{WEIGHTS}": each.directory / WEIGHTS for each in self.dense}
        return {name: _sha256(path) for name, path in files.items()}


def read_pretrained(directory: Path) -> Pretrained:
    """Describe the encoder in a directory.

    Raises:
        ConfigError: it is none, or has a part that cannot be represented.
    """
    name, modules = directory.resolve().name, read_modules(directory)
    network = directory / next((path for kind, path in modules if kind == "Transformer"), "")
    config = read_json(network / "config.json")
    _check_network(name, network, config)
    sizes = _first(sorted(network.glob("sentence_*_config.json")))
    sentence = read_json(directory / "config_sentence_transformers.json", default={})
    positions, max_length = _lengths(network, config, sizes)
    prompts, default_prompt = prompts_of(sentence)
    return Pretrained(
        name=name,
        directory=network,
        family=str(config["model_type"]),
        hidden_size=_size(config, "hidden_size", "dim", "d_model"),
        layers=_size(config, "num_hidden_layers", "n_layers", "num_layers"),
        vocabulary=_size(config, "vocab_size"),
        poolings=_poolings(directory, modules, bool(sentence.get("prompts"))),
        dense=dense_layers(directory, modules),
        normalize=any(kind == "Normalize" for kind, _ in modules),
        metric=metric_of(sentence),
        positions=positions,
        max_length=max_length,
        lowercase=bool(sizes.get("do_lower_case", False)),
        prompts=prompts,
        default_prompt=default_prompt,
    )


def _check_network(name: str, network: Path, config: Mapping[str, Any]) -> None:
    """Raises ConfigError for a network whose vectors would not be its own."""
    family = str(config.get("model_type"))
    if config.get("auto_map"):
        raise ConfigError(
            f"{name} needs code of its own (auto_map), which is never run; if transformers has its family by "
            "now, load it there without that code and save it again"
        )
    if family not in FAMILIES:
        raise ConfigError(f"{name} is of the family {family!r}; supported are {', '.join(FAMILIES)}")
    if config.get("is_decoder") and not FAMILIES[family].is_decoder:
        raise ConfigError(f"{name} is a decoder (is_decoder), which reads only to the left")
    positions = config.get("position_embedding_type") or "absolute"
    if positions != "absolute":
        raise ConfigError(f"{name} has {positions} positions (position_embedding_type), not absolute ones")
    if config.get("quantization_config"):
        raise ConfigError(f"{name} has quantised weights (quantization_config); give float ones")
    if (network / "adapter_config.json").is_file():
        raise ConfigError(f"{name} holds an adapter (adapter_config.json); merge it into its network first")
    check_weights(network, name)


def check_weights(directory: Path, name: str) -> None:
    """Raise ConfigError unless there are weights that need not be unpickled."""
    if (directory / WEIGHTS).is_file():
        return
    others = sorted(
        path.name for path in directory.glob("*") if path.suffix in (".bin", ".pt", ".h5", ".pkl")
    )
    if (directory / f"{WEIGHTS}.index.json").is_file():
        raise ConfigError(f"{name} has its weights in several files; save them as one {WEIGHTS}")
    found = f", only {others[0]}, which is never unpickled" if others else ""
    raise ConfigError(f"{name} has no {WEIGHTS}{found}; save it with safe_serialization=True")


def read_modules(
    directory: Path, known: Sequence[str] = _MODULES, once: Sequence[str] = _MODULES[:2]
) -> Sequence[tuple[str, str]]:
    """(kind, path) of each part of modules.json, none without it.

    Args:
        directory: of the encoder.
        known: the kinds that are understood, in the only order.
        once: those of which there must be one.

    Raises:
        ConfigError: it names others, or in another order.
    """
    named = read_json(directory / "modules.json", default=[])
    try:
        parts = [(str(part["type"]).rsplit(".", 1)[-1], str(part["path"])) for part in named]
    except (KeyError, TypeError):
        raise ConfigError("modules.json: each part must have a type and a path") from None
    parts = [(kind, path) for kind, path in parts if kind != "Dropout"]  # does nothing after training
    for kind, _ in parts:
        if kind not in known:
            raise ConfigError(f"modules.json names a {kind}; supported are {', '.join(known)}")
    kinds = [kind for kind, _ in parts]
    is_whole = all(kinds.count(kind) == 1 for kind in once)
    if parts and not (is_whole and kinds == sorted(kinds, key=list(known).index)):
        wanted = [f"one {kind}" for kind in once] + [f"then {kind}" for kind in known[len(once) :]]
        raise ConfigError(f"modules.json has {', '.join(kinds)}; supported is {', '.join(wanted)}")
    return parts


def _poolings(directory: Path, modules: Sequence[tuple[str, str]], has_prompts: bool) -> tuple[str, ...]:
    """The mean, as sentence-transformers has it, where nothing is said."""
    path = next((path for kind, path in modules if kind == "Pooling"), None)
    if path is None:
        return ("mean",)
    config = read_json(directory / path / "config.json")
    if has_prompts and not config.get("include_prompt", True):
        raise ConfigError(
            "the pooling leaves the prompt's tokens out (include_prompt), which is not supported"
        )
    if (word := config.get("pooling_mode")) is not None:
        known, named = _POOLING_WORDS, [word] if isinstance(word, str) else list(word)
    else:
        known = _POOLINGS
        named = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
        named.sort(key=[*_POOLINGS, *named].index)
    unknown = [one for one in named if one not in known]
    if unknown or not named:
        raise ConfigError(f"pooling by {', '.join(map(str, unknown)) or 'nothing'} is not supported")
    return tuple(known[one] for one in named)


def dense_layers(directory: Path, modules: Sequence[tuple[str, str]]) -> tuple[DenseSpec, ...]:
    """Describe the layers after pooling, in order. Raises ConfigError."""
    return tuple(_dense(directory / path) for kind, path in modules if kind == "Dense")


def _dense(directory: Path) -> DenseSpec:
    config = read_json(directory / "config.json")
    activation = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    if activation not in _ACTIVATIONS:
        raise ConfigError(f"{directory.name} ends in {activation}; supported are {', '.join(_ACTIVATIONS)}")
    if config.get("use_residual"):
        raise ConfigError(f"{directory.name} adds its input to its output (use_residual)")
    for key in ("module_input_name", "module_output_name"):
        if (config.get(key) or "sentence_embedding") != "sentence_embedding":
            raise ConfigError(f"{directory.name} works on {config[key]} ({key}), not on the pooled vector")
    check_weights(directory, directory.name)
    return DenseSpec(
        directory,
        _size(config, "in_features"),
        _size(config, "out_features"),
        bool(config.get("bias", True)),
        _ACTIVATIONS[activation],
    )


def prompts_of(sentence: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
    """Those that say something, and the name of the default one, of config_sentence_transformers.json."""
    prompts = {name: text for name, text in (sentence.get("prompts") or {}).items() if text}
    return prompts, sentence.get("default_prompt_name")


def metric_of(sentence: Mapping[str, Any]) -> Literal["cosine", "inner_product"]:
    """How vectors are compared, of config_sentence_transformers.json. Raises ConfigError."""
    name = sentence.get("similarity_fn_name") or "cosine"
    if name not in _METRICS:
        raise ConfigError(f"vectors are compared by {name} (similarity_fn_name), not by cosine or dot")
    return _METRICS[name]


def _lengths(network: Path, config: Mapping[str, Any], sizes: Mapping[str, Any]) -> tuple[int, int]:
    """Most tokens that the network can read, and that it is meant to read."""
    family = FAMILIES[str(config["model_type"])]
    positions = (
        MOST_TOKENS if family.is_relative else _size(config, "max_position_embeddings") - family.offset
    )
    tokenizer = read_json(network / "tokenizer_config.json", default={})
    meant = sizes.get("max_seq_length") or tokenizer.get("model_max_length") or positions
    return positions, min(int(meant), positions, MOST_TOKENS)


def _size(config: Mapping[str, Any], *keys: str) -> int:
    """The first of these that is there."""
    for key in keys:
        if isinstance(config.get(key), int):
            return int(config[key])
    raise ConfigError(f"config.json does not say {keys[0]}")


def _first(paths: Sequence[Path]) -> Any:
    return read_json(paths[0]) if paths else {}


def read_json(path: Path, default: Any = ...) -> Any:
    """The content of a file, an object or a list as the default is."""
    if not path.is_file():
        if default is not ...:
            return default
        raise ConfigError(f"{path} is missing: this is no directory of a pretrained encoder")
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        raise ConfigError(f"{path} is no valid JSON") from None
    if not isinstance(content, list if isinstance(default, list) else dict):
        raise ConfigError(f"{path} is not what this file must be: {type(content).__name__}")
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
