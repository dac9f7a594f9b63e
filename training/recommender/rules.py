"""Which settings of a recommender go together, and with its data; checked before anything costly is done."""

from __future__ import annotations

from training.console import say
from training.errors import ConfigError
from training.recommender import baselines
from training.recommender.config.towers import TowersConfig
from training.recommender.settings import RecommenderRun


def check(run: RecommenderRun) -> None:
    """Refuse settings that contradict each other. Raises ConfigError."""
    user, item = run.towers.user_layers.output_dim, run.towers.item_layers.output_dim
    if user != item:
        raise ConfigError(f"towers.user.output_dim is {user}, towers.item.output_dim {item}; make them equal")
    check_width(run.towers)
    sequence = run.towers.sequence
    longest = max((feature.max_length for feature in run.user if feature.kind == "history"), default=0)
    if sequence is not None and longest and sequence.length > longest:
        raise ConfigError(
            f"towers.sequence.length is {sequence.length}, but a history has {longest} entries at most "
            "(its max_length)"
        )


def check_width(towers: TowersConfig) -> None:
    """Refuse item inputs that cannot hold the start, before it is chosen. Raises ConfigError."""
    if towers.initialisation is None or towers.item_dim is None or not (towers.user or towers.item):
        return
    needed = (2 + bool(towers.unweighted)) * (towers.item_layers.output_dim - towers.item_bias) + 1
    if towers.item_dim < needed:
        raise ConfigError(
            f"towers.item_dim is {towers.item_dim}, and the start needs {needed} for vectors of "
            f"{towers.item_layers.output_dim}; leave it out, or make output_dim smaller"
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


def check_users(run: RecommenderRun, learned: int, training: int) -> None:
    """Say how many training users nothing can be learned from, and refuse batches of which that is true.

    Args:
        run: the config.
        learned: how many training users have a known item.
        training: how many there are.

    Raises:
        ConfigError: nothing would be learned.
    """
    if not learned:
        raise ConfigError(f"data: none of {training:,} training users has a known item")
    if learned < training:
        say(f"{training - learned:,} of {training:,} training users have no known item, and are left out")
    run.loss.chosen.check_batch(min(learned, run.train.batch_size))
