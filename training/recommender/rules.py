"""Which settings of a recommender go together, and with its data; checked before anything costly is done."""

from __future__ import annotations

from training.errors import ConfigError
from training.recommender import baselines
from training.recommender.settings import RecommenderRun


def check(run: RecommenderRun) -> None:
    """Refuse settings that contradict each other. Raises ConfigError."""
    user, item = run.towers.user.output_dim, run.towers.item.output_dim
    if user != item:
        raise ConfigError(f"towers.user.output_dim is {user}, towers.item.output_dim {item}; make them equal")
    sequence = run.towers.sequence
    longest = max((feature.max_length for feature in run.user if feature.kind == "history"), default=0)
    if sequence is not None and longest and sequence.length > longest:
        raise ConfigError(
            f"towers.sequence.length is {sequence.length}, but a history has {longest} entries at most "
            "(its max_length)"
        )


def check_size(run: RecommenderRun, items: int) -> None:
    """Refuse what grows with the square of the items, or scores each of them, where it would not end.

    Raises:
        ConfigError: it would not.
    """
    if run.towers.initialisation is not None and items > baselines.MOST_ITEMS:
        raise ConfigError(
            f"towers.initialisation solves for every pair of items; {items:,} are more than "
            f"{baselines.MOST_ITEMS:,}, so leave it out"
        )
    run.loss.chosen.check_size(items)
