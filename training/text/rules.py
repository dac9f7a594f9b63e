"""Which settings of a text run go together; checked before anything costly is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bundle.manifest import Manifest
from training.config.sections import Section
from training.errors import ConfigError
from training.text.settings import FINE_TUNING, TextRun

# What only an encoder has that is made anew, and what only a pretrained one.
OF_TABLE_VOCABULARY = ("source", "size", "min_count", "lowercase")
OF_READING = ("plain", "symbols")
OF_TABLE = ("embedding_dim", "init", "poolings", "sif", "window", "bigrams", "hidden")
OF_PRETRAINED = ("tune", "frozen_layers", "layers", "lora", "dropout", "precision")
NEARNESS = ("cosine", "mse", "teacher_infonce")  # losses that leave vectors no other axes than the teacher's
OF_START = ("normalize", "dimensions")  # what a start has of its own


def learns_from_teacher(run: TextRun) -> bool:
    """Say whether a teacher's vectors are learned from."""
    return any(loss.follows_teacher for loss in run.loss.chosen().values())


def learns_from_texts(run: TextRun) -> bool:
    """Say whether a teacher's vectors of single texts are learned from."""
    losses = run.loss.chosen().values()
    return any(loss.follows_teacher and loss.objective.key == "texts" for loss in losses)


def needs_teacher(run: TextRun) -> bool:
    """Say whether a teacher's vectors are wanted: as targets, or for the axes of the table."""
    return learns_from_teacher(run) or run.model.init == "teacher"


def metrics_of(run: TextRun) -> list[str]:
    """Names of the validation metrics that a run has."""
    graded = ["spearman"] if run.data.graded is not None else []
    of_losses = (name for loss in run.loss.chosen().values() for name in loss.metrics)
    misspelt = ["misspelt_cosine"] if run.data.typos is not None else []
    return list(dict.fromkeys([*graded, *of_losses, *misspelt]))


def check_width(run: TextRun, teacher_dim: int) -> None:
    """Refuse an encoder wider than the teacher it learns from. Raises ConfigError."""
    is_new = not (run.model.pretrained or run.model.start)
    wide = {
        "model.hidden.output_dim": run.model.hidden.output_dim if learns_from_teacher(run) and is_new else 0,
        "model.embedding_dim": run.model.embedding_dim if run.model.init == "teacher" else 0,
    }
    for key, dim in wide.items():
        if dim > teacher_dim:
            raise ConfigError(f"{key} is {dim}, but the teacher's vectors have {teacher_dim} dimensions")


def check(run: TextRun) -> None:
    """Refuse settings that contradict each other, before anything costly. Raises ConfigError."""
    for rule in (*_teacher_rules(run), *_loss_rules(run), *_encoder_rules(run)):
        if rule.wanted and not rule.given:
            raise ConfigError(rule.message)
    _check_idle(run)


class _Rule(NamedTuple):
    """What is wanted needs something to be given."""

    wanted: Any
    given: Any
    message: str


def _teacher_rules(run: TextRun) -> Iterator[_Rule]:
    data, from_teacher = run.data, needs_teacher(run)
    yield _Rule(from_teacher, data.texts or data.pair_texts, "learning from a teacher needs data.texts")
    yield _Rule(data.pair_texts, data.pairs, "data.pair_texts needs data.pairs")
    yield _Rule(data.spans, from_teacher, "data.spans needs a loss that follows a teacher")
    yield _Rule(data.spans, data.texts, "data.spans needs data.texts")
    yield _Rule(data.typos, learns_from_texts(run), "data.typos needs a loss of texts that follows a teacher")
    yield _Rule(data.pair_limits, data.pairs, "data.pair_limits needs data.pairs")
    yield _Rule(from_teacher, run.teacher, "learning from a teacher needs a [teacher] table")
    from_its_tokens = run.vocabulary.source == "teacher"
    yield _Rule(from_its_tokens, run.teacher, 'vocabulary.source = "teacher" needs a [teacher] table')
    yield _Rule(
        run.model.init == "teacher",
        from_its_tokens,
        'model.init = "teacher" needs vocabulary.source = "teacher", whose tokens they are',
    )


def _loss_rules(run: TextRun) -> Iterator[_Rule]:
    losses, model, metrics = run.loss.chosen(), run.model, metrics_of(run)
    for name, loss in losses.items():
        if loss.needs is not None:
            yield _Rule(True, getattr(run.data, loss.needs), f"loss.{name} needs data.{loss.needs}")
        yield _Rule(
            loss.needs_dropout and not (model.pretrained or model.start),
            model.hidden.dropout and model.hidden.widths,
            f"loss.{name} needs dropout: set model.hidden.dropout and widths, or two passes are alike",
        )
        size = (
            "pairs_per_step" if loss.objective.key == "pairs" and run.train.pairs_per_step else "batch_size"
        )
        yield _Rule(
            loss.contrasts,
            getattr(run.train, size) > 1,
            f"loss.{name} compares the examples of a batch, so one by itself teaches nothing: "
            f"train.{size} is 1; it must be at least 2",
        )
    for key, sources in run.data.validation.sources().items():
        yield _Rule(
            sources,
            any(loss.objective.key == key for loss in losses.values()),
            f"data.validation.{key} measures nothing: no loss of the run learns from data.{key}",
        )
    yield _Rule(True, losses, "[loss] names no loss with a weight: there is nothing to learn from")
    yield _Rule(
        True,
        run.train.metric in metrics,
        f"train.metric is {run.train.metric!r}; what this run measures is {', '.join(metrics)}",
    )


def _encoder_rules(run: TextRun) -> Iterator[_Rule]:
    model = run.model
    yield _Rule(
        run.vocabulary.changed(["symbols"]),
        model.start or model.pretrained or run.vocabulary.source == "teacher",
        "vocabulary.symbols says nothing about a trained vocabulary, which has all symbols of its texts; "
        "leave it out",
    )
    yield _Rule(
        run.vocabulary.size is not None and run.vocabulary.source == "teacher",
        not run.vocabulary.changed(OF_READING),
        "vocabulary.size cuts a Unigram vocabulary, and plain and symbols are about one of BERT's form; "
        "leave them out",
    )
    yield _Rule(
        model.start, not model.pretrained, "model.start and model.pretrained are two starts; give one"
    )
    yield _Rule(
        run.teacher is not None and run.teacher.share_space,
        any(name in run.loss.chosen() for name in NEARNESS),
        "teacher.share_space needs loss.cosine, mse or teacher_infonce: by similarities alone vectors may "
        "turn away from the teacher's",
    )
    yield _Rule(
        model.dimensions and not model.pretrained,
        all(m < model.hidden.output_dim for m in model.dimensions),
        f"model.dimensions must be smaller than output_dim ({model.hidden.output_dim}), always there",
    )


def _check_idle(run: TextRun) -> None:
    """Refuse settings of the one kind of encoder that the other does not read. Raises ConfigError."""
    model = run.model
    kind = "an encoder without model.pretrained"
    if model.start or model.pretrained:
        kind = "a run with model.start" if model.start else "a pretrained encoder"
    idle: dict[str, Sequence[str] | None] = {
        "vocabulary": OF_TABLE_VOCABULARY,
        "model": OF_TABLE,
        "rates": None,
        "export": ("layers",),
    }
    if model.start:
        vocabulary = (*OF_TABLE_VOCABULARY, *OF_READING)
        idle = {"vocabulary": vocabulary, "model": (*OF_TABLE, *OF_START), "export": None}
    elif not model.pretrained:
        idle = {"model": OF_PRETRAINED}
    for table, keys in idle.items():
        section: Section = getattr(run, table)
        for key in section.changed(keys or type(section).model_fields):
            raise ConfigError(f"{table}.{key} says nothing about {kind}; leave it out")
    for key, tune in (("frozen_layers", "top"), ("lora", "lora")):
        if model.tune != tune and model.changed([key]):
            raise ConfigError(f'model.{key} needs model.tune = "{tune}"')
    if model.pretrained and model.tune in ("layers", "head"):
        raise ConfigError(f'model.tune = "{model.tune}" is about a classic encoder; give "top"')


def unusual_rate(run: TextRun) -> str | None:
    """Caution where a pretrained encoder is given a learning rate that is meant for something else."""
    way = "lora" if run.model.tune == "lora" else "pretrained"
    rate, usual = run.train.learning_rate, FINE_TUNING[way]["learning_rate"]
    said = f"train.learning_rate is {rate:g}: {{}} by it; {usual:g} is usual"
    if way == "lora" and rate < usual / 10:
        return said.format("adapters start at 0 and hardly move")
    if way == "pretrained" and rate > usual * 4 and not learns_from_teacher(run):
        return said.format("a pretrained encoder forgets what it knows")
    return None


def check_dimensions(run: TextRun, dim: int, teacher_dim: int | None) -> None:
    """Refuse what does not fit an encoder of `dim` dimensions that is not new. Raises ConfigError.

    A wider teacher is cut to its principal axes for a published start, unless its own axes are to be kept.
    """
    for m in run.model.dimensions:
        if m >= dim:
            raise ConfigError(f"model.dimensions has {m}; it must be smaller than the encoder's own {dim}")
    if teacher_dim is None or not learns_from_teacher(run):
        return
    is_cut = run.model.start is not None and run.teacher is not None and not run.teacher.share_space
    if teacher_dim < dim or (teacher_dim > dim and not is_cut):
        raise ConfigError(f"the teacher's vectors have {teacher_dim} dimensions, the encoder's {dim}")


def check_shared(theirs: Manifest, *, is_normalized: bool) -> None:
    """Refuse to join a space in which the vectors could not be compared. Raises ConfigError."""
    for who, unit in ((f"{theirs.name}/{theirs.version}", theirs.normalized), ("this run", is_normalized)):
        if not unit:
            raise ConfigError(f"teacher.share_space needs vectors of norm 1, and those of {who} are not")
