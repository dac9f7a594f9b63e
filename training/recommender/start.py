"""Sets the weights that training starts at, from the log: the closed form, and what users' features say.

interactions, texts, histories -> matrix -> item inputs and linear paths -> user features
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from training.recommender import baselines
from training.recommender.arrays import tensors
from training.recommender.choice.new_items import choose_content, new_items
from training.recommender.choice.questions import training_histories
from training.recommender.choice.resolve import given, lines_of
from training.recommender.data.examples import RecommenderExamples
from training.recommender.encoders.content import ContentSettings
from training.recommender.encoders.initialisation import content_of, initialise_from_closed_form
from training.recommender.encoders.towers import TwoTowers
from training.recommender.encoders.user_features import MOST_TAKEN, HeldOut, initialise_user_features
from training.recommender.settings import RecommenderRun

HalfLives = tuple[float, ...]


def initialise(
    towers: TwoTowers,
    known: Sequence[Tensor],
    run: RecommenderRun,
    examples: RecommenderExamples,
    tell: Callable[[Iterable[str]], None],
) -> RecommenderRun:
    """Set the towers' weights, and return the run with what was chosen for it.

    Args:
        towers: of the run's config.
        known: the known items' arrays.
        run: with `towers.initialisation`, and nothing left out of it but how far content is believed.
        examples: its data.
        tell: takes a line for each setting that is chosen.
    """
    form = given(run.towers)
    half_lives = [form.half_lives_days, *([()] if run.towers.unweighted else [])]
    run, believed = _believed(content_of(towers, known), run, examples, half_lives[-1], tell)
    config = run.towers.initialisation
    assert config is not None
    assert config.scale is not None
    words = examples.texts()
    initialise_from_closed_form(
        towers,
        known,
        baselines.multi_hot(examples.training_items(), len(examples.known)),
        examples.training_lately(),
        form,
        histories=[training_histories(examples, one) for one in half_lives],
        scale=config.scale,
        believed=believed,
        texts=baselines.tfidf([words[number] for number in examples.known]) if any(words) else None,
    )
    if towers.user_tower.slots:
        _initialise_user_features(towers, known, run, examples)
    return run


def _believed(
    content: Tensor,
    run: RecommenderRun,
    examples: RecommenderExamples,
    half_lives_days: HalfLives,
    tell: Callable[[Iterable[str]], None],
) -> tuple[RecommenderRun, ContentSettings | None]:
    """How far content is believed, as the config says or chosen by new items; and the run that says so."""
    config = run.towers.initialisation
    assert config is not None
    if config.content_ridge is not None:
        return run, ContentSettings(config.content_ridge, config.content_own or 0.0)
    if not content.shape[1]:
        return run, None
    question = new_items(examples, given(run.towers), half_lives_days)
    chosen, tried = choose_content(question, content, run.train.metric, config.content_own)
    tell(lines_of(tried))
    if chosen is None:
        return run, None
    changed = config.model_copy(update={"content_ridge": chosen.ridge, "content_own": chosen.own})
    towers = run.towers.model_copy(update={"initialisation": changed})
    return run.model_copy(update={"towers": towers}), chosen


def _initialise_user_features(
    towers: TwoTowers, known: Sequence[Tensor], run: RecommenderRun, examples: RecommenderExamples
) -> None:
    held_out = examples.validation()
    inputs, since = examples.training_beginnings(max(1, MOST_TAKEN // len(examples.known)))
    candidates = examples.candidates(held_out)
    initialise_user_features(
        towers,
        known,
        tensors(examples.users, inputs),
        baselines.multi_hot(since, len(examples.known)),
        HeldOut(
            tensors(examples.users, held_out.users),
            tensors(examples.items, candidates)[: len(examples.content_specs)],
            held_out.history,
            held_out.targets,
        ),
        metric=run.train.metric,
    )
