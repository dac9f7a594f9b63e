"""The settings of a run that trains a text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from training.config.sections import (
    Run,
    Section,
    TrainConfig,
)
from training.text.config.data import TextDataConfig
from training.text.config.model import TeacherConfig, TextModelConfig, VocabularyConfig
from training.text.objectives import LossConfig


class TextTrainConfig(TrainConfig):
    """The loop, and how large a step of texts is.

    Attributes:
        pairs_per_step: pairs in a batch; 0 for `batch_size`. Where pairs are few and long, and texts many and
            short, a smaller number takes most of the time off a step.
        chunk_tokens: padded tokens whose intermediate values are held at the same time (cached gradients), so
            that a large batch, or one of long texts, fits a small memory, for a third more time where it has
            more than that. 0 for all.
        max_tokens: of a text that are read while training; longer ones are cut at the end. 0 for as many as
            the encoder reads. Long texts take most of a step's time, and where a teacher cuts them it is
            followed best on what it has read itself.
    """

    pairs_per_step: Annotated[int, Field(ge=0)] = 0
    chunk_tokens: Annotated[int, Field(ge=0)] = 0
    max_tokens: Annotated[int, Field(ge=0)] = 0


class TextRates(Section):
    """Learning rates that differ from `train.learning_rate`; tables of embeddings want more."""

    table: Annotated[float, Field(gt=0)] | None = None
    token_weights: Annotated[float, Field(gt=0)] | None = None


class TextExportConfig(Section):
    """The form of the published bundle.

    Attributes:
        table: storage of the token embeddings; `int8` keeps one scale per row and is expanded in the
            graph after the gather, so that a vector does not depend on its neighbours.
        layers: storage of the other layers' weights, not of a pretrained encoder's; `float16` ones are
            widened when the graph is loaded, so they cost no time.
    """

    table: Literal["float32", "int8"] = "float32"
    layers: Literal["float32", "float16"] = "float32"


# What [train] is by default where an encoder is fine-tuned, for some 1,000 pairs. `start`, `layers` and
# `head` were measured on a classic one (docs/training.md), `lora` on all-MiniLM-L6-v2 and MedQuAD;
# `pretrained` has the usual values.
FINE_TUNING: Mapping[str, Mapping[str, float]] = {
    "start": {"epochs": 5, "batch_size": 64, "learning_rate": 1e-4},
    "layers": {"epochs": 5, "batch_size": 64, "learning_rate": 3e-4},
    "head": {"epochs": 5, "batch_size": 64, "learning_rate": 3e-4},
    "lora": {"epochs": 2, "batch_size": 32, "learning_rate": 1e-3},
    "pretrained": {"epochs": 3, "batch_size": 32, "learning_rate": 5e-5},
}
# What [rates] leaves out of a classic start, in learning rates: a row is in few texts, and moves seldom.
RATES_OF_A_START: Mapping[str, float] = {"table": 30.0, "token_weights": 200.0}


class TextRun(Run):
    """A run that trains a text encoder.

    Where it fine-tunes one, [train] has other defaults: `FINE_TUNING`.

    Attributes:
        not_for: what the encoder should not be used for, in words; stands in its card and at /models.
    """

    kind: Literal["text"]
    not_for: str = ""
    data: TextDataConfig
    teacher: TeacherConfig | None = None
    vocabulary: VocabularyConfig = VocabularyConfig()
    model: TextModelConfig = TextModelConfig()
    loss: LossConfig
    train: TextTrainConfig
    rates: TextRates = TextRates()
    export: TextExportConfig = TextExportConfig()

    @model_validator(mode="before")
    @classmethod
    def _fine_tuned(cls, raw: Any) -> Any:
        """Put in the defaults of fine-tuning, so that they stand in the run's config and in its card."""
        model, train = (raw.get(key) for key in ("model", "train")) if isinstance(raw, dict) else (None, None)
        if not isinstance(model, dict) or not isinstance(train, dict):
            return raw  # said to be wrong where it is read
        origin = next((key for key in ("start", "pretrained") if model.get(key)), None)
        tune = model.get("tune")
        way = tune if origin and tune in ("layers", "head", "lora") else origin
        return raw if way is None else raw | {"train": {**FINE_TUNING[way], **train}}
