"""The tables that every kind of run has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from bundle.manifest import Name

Activation: TypeAlias = Literal["relu", "gelu", "tanh", "sigmoid", "silu"]
Pooling: TypeAlias = Literal["mean", "mean_sqrt", "max", "weighted", "first"]
Precision: TypeAlias = Literal["float32", "bfloat16"]
Positive: TypeAlias = Annotated[int, Field(ge=1)]
Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1)]
NotNegative: TypeAlias = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Base of every table of a config. Strict: TOML has types, so "3" is no number and true is no 1.

    Attributes:
        former: keys that earlier versions had in this table, each with how it is written now, as in
            `[loss.infonce] weight = {value}`. Whoever still has one is told.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    former: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def moved(cls, key: str) -> str | None:
        """Say how a key of an earlier version is written now; None for a key that there never was."""
        return cls.former.get(key)

    def changed(self, keys: Iterable[str]) -> list[str]:
        """Name those of these settings that differ from their default.

        The one rule for settings that nothing reads: they may stand at their default, and are refused else.
        """
        fields = type(self).model_fields
        return [key for key in keys if getattr(self, key) != fields[key].get_default()]


class HiddenConfig(Section):
    """Hidden layers and the linear output.

    Attributes:
        widths: of the hidden layers; [] for none.
        activation: after each hidden layer.
        dropout: after each activation, in training.
        layer_norm: before the first hidden layer.
        skip: add a linear path from the input straight to the output.
        output_dim: length of the vector.
    """

    widths: list[Positive] = []
    activation: Activation = "gelu"
    dropout: Fraction = 0.0
    layer_norm: bool = True
    skip: bool = True
    output_dim: Positive = 256


class TrainConfig(Section):
    """The loop.

    Attributes:
        epochs: passes over the data.
        batch_size: examples per step.
        optimizer: `adamw` or `sgd` (Nesterov momentum 0.9).
        learning_rate: at its peak.
        warmup_steps: linear, from 0.
        schedule: after the warm-up, down to 0 at the last step (`constant` stays).
        clip_norm: largest gradient norm; 0 for no clipping.
        evaluate_every: steps between evaluations; 0 for once per epoch, and at least five times a run.
        metric: the validation metric that picks the best checkpoint and stops early; larger is better, and
            the smaller held-out loss where it is equal.
        patience: evaluations without a better value before stopping; 0 for never.
        checkpoint_every_s: seconds between checkpoints, besides one at each evaluation.
        threads: of torch; 0 for as many as are fastest, measured at the start and again every now and
            then. A fixed number repeats a run to the bit.
        loggers: where figures go besides log.jsonl, by packages that have to be installed.
    """

    epochs: Positive = 1
    batch_size: Positive = 256
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: NotNegative = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    clip_norm: NotNegative = 1.0
    evaluate_every: Annotated[int, Field(ge=0)] = 0
    metric: str
    patience: Annotated[int, Field(ge=0)] = 0
    checkpoint_every_s: Annotated[float, Field(gt=0)] = 60.0
    threads: Annotated[int, Field(ge=0)] = 0
    loggers: list[Literal["tensorboard", "mlflow"]] = []


class Run(Section):
    """The settings that every kind of run has; a kind adds its own tables.

    Attributes:
        kind: the row of `training.kinds.KINDS`.
        name: of the model, or the beginning of the names of several.
        seed: of everything random.
    """

    kind: str
    name: Name
    description: str
    seed: int = 0
    train: TrainConfig

    def model_names(self) -> list[str]:
        """Name the models that the run publishes."""
        return [self.name]
