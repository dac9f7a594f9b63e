"""A large pretrained encoder as one module from ids to vector: backbone, pooling, dense layers, norm.

The parts that sentence-transformers keeps outside of the network are inside `forward`, so they are in
the exported graph: an encoder exported without its pooling is the commonest fault of such exports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from training.config.sections import Precision
from training.errors import ConfigError
from training.layers import ACTIVATIONS, POOLINGS, Int8Table, last_pool, position_pool, turn_linear
from training.text.pretrained.directory import WEIGHTS, DenseSpec, Pretrained
from training.text.pretrained.families import FAMILIES

# The poolings of other people's encoders: those of ours, and two for networks that read to the left alone.
ALL_POOLINGS = {**POOLINGS, "last": last_pool, "by_position": position_pool}


class PretrainedEncoder(nn.Module):
    """Token ids to vectors.

    Args:
        spec: what the directory says.
        backbone: the network of the family; loaded from the directory if not given.
        dense: the layers after pooling, likewise.
        precision: of the backbone's matrix products while it is trained; evaluation is in float32.
    """

    def __init__(
        self,
        spec: Pretrained,
        backbone: nn.Module | None = None,
        dense: nn.Sequential | None = None,
        *,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        self.spec, self.precision = spec, precision
        self.backbone = backbone or load_backbone(spec)
        family = FAMILIES.get(spec.family)
        if family and family.is_decoder:  # keys and values are kept for texts that go on; none does here
            cast(Any, self.backbone.config).use_cache = False
        self.dense = nn.Sequential(*(_dense(layer) for layer in spec.dense)) if dense is None else dense

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids and attention_mask int64 (n, t) -> float32 (n, dim)."""
        if self.training and self.precision == "bfloat16":
            with torch.autocast("cpu", torch.bfloat16):
                tokens = self._tokens(input_ids, attention_mask).float()
        else:
            tokens = self._tokens(input_ids, attention_mask)
        return self.pooled(tokens, attention_mask.to(tokens.dtype))

    def pooled(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """All that comes after the network: its states (n, t, d) and which are real (n, t) -> (n, dim)."""
        pooled = [ALL_POOLINGS[name](tokens, mask, mask) for name in self.spec.poolings]  # each (n, d)
        vectors: Tensor = self.dense(torch.cat(pooled, dim=-1))
        return F.normalize(vectors, dim=-1) if self.spec.normalize else vectors

    def _tokens(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states  # (n, t, d)

    def turn(self, axes: npt.NDArray[np.float32]) -> None:
        """Turn the vectors to these orthonormal axes, (dim, dim): in its last layer, or in one more."""
        rotation = torch.from_numpy(axes)
        with torch.no_grad():
            if len(self.dense) and isinstance(last := self.dense[-1], nn.Linear):
                turn_linear(last, rotation)
                return
            linear = nn.Linear(len(axes), len(axes), bias=False)
            linear.weight.copy_(rotation.T)
            self.dense.append(linear)

    def quantize_table(self) -> None:
        """Replace the token embeddings by int8 ones; what is evaluated from here on is what is exported."""
        backbone: Any = self.backbone  # transformers' own methods, without types
        table = backbone.get_input_embeddings()
        if isinstance(table, nn.Embedding):
            backbone.set_input_embeddings(Int8Table(table.weight.detach()))


def load_backbone(spec: Pretrained) -> nn.Module:
    """The network with its weights, without heads. Never fetches, never runs code of the directory.

    Raises:
        ConfigError: the file does not hold all of the network's weights, or others.
    """
    try:
        with _quiet():
            model, report = _auto(spec.family).from_pretrained(
                spec.directory,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="eager",  # plain operators: the exporter makes a portable graph of them
                output_loading_info=True,
                **_without_pooler(spec.family),
            )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ConfigError(f"{spec.name} cannot be loaded: {str(error).splitlines()[0]}") from error
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:  # transformers would start them at random, and only warn
        raise ConfigError(f"{spec.name}/{WEIGHTS} has no {missing[0]} ({len(missing)} weights are missing)")
    return cast(nn.Module, model.eval())


def backbone_of(network: Mapping[str, Any]) -> nn.Module:
    """The network of a config.json's content, with random weights."""
    import transformers  # noqa: PLC0415  # slow to import, and only needed here

    auto: Any = transformers  # its classes have no types
    settings = dict(network)
    family = str(settings.pop("model_type"))
    config = auto.AutoConfig.for_model(family, **settings)
    model = _auto(family).from_config(config, attn_implementation="eager", **_without_pooler(family))
    return cast(nn.Module, model.eval())


def _without_pooler(family: str) -> dict[str, bool]:
    """The pooler's vector is not used, and its weights may be missing."""
    return {"add_pooling_layer": False} if FAMILIES[family].has_pooler else {}


def _auto(family: str) -> Any:
    """Transformers' class that makes networks of a family; without types."""
    import transformers  # noqa: PLC0415  # slow to import, and only needed here

    return getattr(transformers, FAMILIES[family].auto)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' progress bar and its table of weights: what is missing is an error here."""
    import transformers  # noqa: PLC0415  # slow to import, and only needed here

    logging: Any = transformers.logging  # has no types
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _dense(spec: DenseSpec) -> nn.Module:
    linear = nn.Linear(spec.in_features, spec.out_features, bias=spec.bias)
    weights = load_file(spec.directory / WEIGHTS)
    try:
        linear.load_state_dict({name.removeprefix("linear."): value for name, value in weights.items()})
    except RuntimeError as error:
        raise ConfigError(f"{spec.directory.name}/{WEIGHTS} does not fit its config.json") from error
    if spec.activation == "identity":
        return linear
    return nn.Sequential(linear, ACTIVATIONS[spec.activation]())  # type: ignore[index]  # a key of both tables
