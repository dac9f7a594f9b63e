"""Which settings of a text run go together, asked before anything costly is done."""

from __future__ import annotations

from collections.abc import Sequence

from training.config.sections import Section
from training.errors import ConfigError
from training.text.settings import TextRun

# What only an encoder has that is made anew, and what only a pretrained one.
OF_TABLE_VOCABULARY = ("source", "size", "min_count", "lowercase")
OF_TABLE = ("embedding_dim", "init", "poolings", "sif", "window", "bigrams", "hidden")
OF_PRETRAINED = ("tune", "frozen_layers", "layers", "lora", "dropout", "precision")


def learns_from_teacher(run: TextRun) -> bool:
    """Whether a teacher's vectors are learned from."""
    return any(loss.follows_teacher for loss in run.loss.chosen().values())


def needs_teacher(run: TextRun) -> bool:
    """Whether the teacher's vectors of the texts are wanted: as targets, or for the axes of the table."""
    return learns_from_teacher(run) or run.model.init == "teacher"


def metrics_of(run: TextRun) -> list[str]:
    """Names of the validation metrics that a run has."""
    graded = ["spearman"] if run.data.graded is not None else []
    return list(dict.fromkeys([*graded, *(loss.metric for loss in run.loss.chosen().values())]))


def check_width(run: TextRun, teacher_dim: int) -> None:
    """Refuse an encoder wider than the teacher it learns from. Raises ConfigError."""
    wide = {
        "model.hidden.output_dim": run.model.hidden.output_dim
        if learns_from_teacher(run) and not run.model.pretrained
        else 0,
        "model.embedding_dim": run.model.embedding_dim if run.model.init == "teacher" else 0,
    }
    for key, dim in wide.items():
        if dim > teacher_dim:
            raise ConfigError(f"{key} is {dim}, but the teacher's vectors have {teacher_dim} dimensions")


def check(run: TextRun) -> None:
    """Refuse settings that contradict each other, before anything costly. Raises ConfigError."""
    losses, data, model = run.loss.chosen(), run.data, run.model
    from_teacher, metrics = needs_teacher(run), metrics_of(run)
    needs = [
        (from_teacher, data.texts or data.pair_texts, "learning from a teacher needs data.texts"),
        (data.pair_texts, data.pairs, "data.pair_texts needs data.pairs"),
        (data.spans, from_teacher, "data.spans needs a loss that follows a teacher"),
        (data.spans, data.texts, "data.spans needs data.texts"),
        (from_teacher, run.teacher, "learning from a teacher needs a [teacher] table"),
        (
            run.vocabulary.source == "teacher",
            run.teacher,
            'vocabulary.source = "teacher" needs a [teacher] table',
        ),
        *(
            (loss.needs, getattr(data, str(loss.needs), None), f"loss.{name} needs data.{loss.needs}")
            for name, loss in losses.items()
        ),
        *(
            (
                loss.needs_dropout and not model.pretrained,
                model.hidden.dropout and model.hidden.widths,
                f"loss.{name} needs dropout: set model.hidden.dropout and widths, or two passes are alike",
            )
            for name, loss in losses.items()
        ),
        (True, losses, "[loss] names no loss with a weight: there is nothing to learn from"),
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
            run.train.metric in metrics,
            f"train.metric is {run.train.metric!r}; what this run measures is {', '.join(metrics)}",
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
        for key in section.changed(keys or type(section).model_fields):
            raise ConfigError(f"{table}.{key} says nothing about {kind}; leave it out")
    for key, tune in (("frozen_layers", "top"), ("lora", "lora")):
        if model.tune != tune and model.changed([key]):
            raise ConfigError(f'model.{key} needs model.tune = "{tune}"')


def check_pretrained(run: TextRun, dim: int, teacher_dim: int | None) -> None:
    """Refuse what does not fit a pretrained encoder of `dim` dimensions. Raises ConfigError."""
    for m in run.model.dimensions:
        if m >= dim:
            raise ConfigError(f"model.dimensions has {m}; it must be smaller than the encoder's own {dim}")
    if teacher_dim is not None and learns_from_teacher(run) and teacher_dim != dim:
        raise ConfigError(f"the teacher's vectors have {teacher_dim} dimensions, the encoder's {dim}")
