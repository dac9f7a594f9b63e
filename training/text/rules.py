"""Which settings of a text run go together, asked before anything costly is done."""

from __future__ import annotations

from collections.abc import Sequence

from training.config.sections import Section
from training.errors import ConfigError
from training.text.config.model import TextModelConfig
from training.text.settings import TextLossConfig, TextRun

# What only an encoder has that is made anew, and what only a pretrained one.
OF_TABLE_VOCABULARY = ("source", "size", "min_count", "lowercase")
OF_TABLE = ("embedding_dim", "init", "poolings", "sif", "window", "bigrams", "hidden")
OF_PRETRAINED = ("tune", "frozen_layers", "layers", "lora", "dropout", "precision")

# Weight in [loss] -> the list in [data] that it learns from. A teacher's are apart.
NEEDED = {
    "simcse": "texts",
    "denoising": "texts",
    "infonce": "pairs",
    "triplet": "triplets",
    "hard_infonce": "triplets",
    "cosent": "graded_pairs",
    "cross_entropy": "labels",
    "supervised_contrast": "labels",
}


def follows_texts(loss: TextLossConfig) -> bool:
    """Whether a teacher's vectors of single texts are learned from."""
    return any((loss.cosine, loss.mse, loss.teacher_infonce, loss.similarity_kl))


def distilled(loss: TextLossConfig) -> bool:
    """Whether a teacher's vectors are learned from."""
    return follows_texts(loss) or loss.pair_similarity_kl > 0


def distils(run: TextRun) -> bool:
    """The same of a run."""
    return distilled(run.loss)


def needs_teacher(run: TextRun) -> bool:
    """Whether the teacher's vectors of the texts are wanted: as targets, or for the axes of the table."""
    return distils(run) or run.model.init == "teacher"


def figures_of(run: TextRun) -> list[str]:
    """Names of the validation figures that a run has."""
    loss = run.loss
    given = {
        "spearman": run.data.graded is not None,
        "teacher_cosine": follows_texts(loss),
        "pair_similarity": loss.pair_similarity_kl > 0,
        "uniformity": loss.simcse > 0,
        "reconstruction": loss.denoising > 0,
        "pair_first_hit": loss.infonce > 0,
        "triplet_accuracy": loss.triplet + loss.hard_infonce > 0,
        "graded_spearman": loss.cosent > 0,
        "accuracy": loss.cross_entropy > 0,
        "neighbour_accuracy": loss.supervised_contrast > 0,
    }
    return [name for name, there in given.items() if there]


def check_width(run: TextRun, teacher_dim: int) -> None:
    """Refuse an encoder wider than the teacher it learns from. Raises ConfigError."""
    wide = {
        "model.hidden.output_dim": run.model.hidden.output_dim
        if distils(run) and not run.model.pretrained
        else 0,
        "model.embedding_dim": run.model.embedding_dim if run.model.init == "teacher" else 0,
    }
    for key, dim in wide.items():
        if dim > teacher_dim:
            raise ConfigError(f"{key} is {dim}, but the teacher's vectors have {teacher_dim} dimensions")


def check(run: TextRun) -> None:
    """Refuse settings that contradict each other, before anything costly. Raises ConfigError."""
    loss, data, model, taught = run.loss, run.data, run.model, distils(run)
    from_teacher, figures = needs_teacher(run), figures_of(run)
    needs = [
        (from_teacher, data.texts or data.pair_texts, "learning from a teacher needs data.texts"),
        (data.pair_texts, data.pairs, "data.pair_texts needs data.pairs"),
        (data.spans, from_teacher, "data.spans needs a loss that follows a teacher"),
        (data.spans, data.texts, "data.spans needs data.texts"),
        (loss.pair_similarity_kl, data.pair_texts, "loss.pair_similarity_kl needs data.pair_texts = true"),
        (from_teacher, run.teacher, "learning from a teacher needs a [teacher] table"),
        (
            run.vocabulary.source == "teacher",
            run.teacher,
            'vocabulary.source = "teacher" needs a [teacher] table',
        ),
        *(
            (getattr(loss, name), getattr(data, key), f"loss.{name} needs data.{key}")
            for name, key in NEEDED.items()
        ),
        (
            loss.simcse and not model.pretrained,
            model.hidden.dropout and model.hidden.widths,
            "loss.simcse needs dropout: set model.hidden.dropout and widths, or both passes are the same",
        ),
        (
            True,
            taught or any(getattr(loss, name) for name in NEEDED),
            "every weight in [loss] is 0: there is nothing to learn from",
        ),
        (
            model.init == "teacher",
            run.vocabulary.source == "teacher",
            'model.init = "teacher" needs vocabulary.source = "teacher", whose tokens they are',
        ),
        (
            model.dimensions and not model.pretrained,
            all(m < model.hidden.output_dim for m in model.dimensions),
            f"model.dimensions must be smaller than output_dim ({model.hidden.output_dim}), always there",
        ),
        (
            True,
            run.train.metric in figures,
            f"train.metric is {run.train.metric!r}; what this run measures is {', '.join(figures)}",
        ),
    ]
    for wanted, given, message in needs:
        if wanted and not given:
            raise ConfigError(message)
    _check_idle(run)


def _check_idle(run: TextRun) -> None:
    """Refuse settings of the one kind of encoder that the other does not read. Raises ConfigError."""
    model = run.model
    kind = "a pretrained encoder" if model.pretrained else "an encoder without model.pretrained"
    idle: dict[str, Sequence[str] | None] = {
        "vocabulary": OF_TABLE_VOCABULARY,
        "model": OF_TABLE,
        "rates": None,
        "export": ("layers",),
    }
    if not model.pretrained:
        idle = {"model": OF_PRETRAINED}
    for table, keys in idle.items():
        section: Section = getattr(run, table)
        default = type(section)()
        for key in keys or type(section).model_fields:
            if getattr(section, key) != getattr(default, key):
                raise ConfigError(f"{table}.{key} says nothing about {kind}; leave it out")
    for key, tune in (("frozen_layers", "top"), ("lora", "lora")):
        if model.tune != tune and getattr(model, key) != getattr(TextModelConfig(), key):
            raise ConfigError(f'model.{key} needs model.tune = "{tune}"')


def check_pretrained(run: TextRun, dim: int, teacher_dim: int | None) -> None:
    """Refuse what does not fit a pretrained encoder of `dim` dimensions. Raises ConfigError."""
    for m in run.model.dimensions:
        if m >= dim:
            raise ConfigError(f"model.dimensions has {m}; it must be smaller than the encoder's own {dim}")
    if teacher_dim is not None and distils(run) and teacher_dim != dim:
        raise ConfigError(f"the teacher's vectors have {teacher_dim} dimensions, the encoder's {dim}")
