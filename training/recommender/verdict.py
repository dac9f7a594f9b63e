"""The sentence at the end of a run: is the pair better than what needs no training, and if not, what then?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from training.recommender.compare import difference
from training.recommender.ranking import Values
from training.recommender.rivals.search import Settings
from training.recommender.settings import RecommenderRun


def verdict(
    run: RecommenderRun, own: Values, others: Mapping[str, Values], chosen: Mapping[str, Settings]
) -> str:
    """Compare a pair with the best of the tuned baselines, user by user, by `train.metric`.

    Args:
        run: the config.
        own: the metrics of each user.
        others: those of every baseline, for the same users.
        chosen: the baselines' settings.
    """
    metric = run.train.metric
    best = max(others, key=lambda name: float(others[name][metric].mean()))
    gap = difference(own[metric], others[best][metric])
    value, rival = float(own[metric].mean()), float(others[best][metric].mean())
    figures = (
        f"the best tuned baseline, {best}, has {rival:.4f}; the difference is {gap.mean:+.4f} "
        f"(95 %: {gap.low:+.4f} to {gap.high:+.4f}, {len(own[metric])} users)"
    )
    if gap.low > 0:
        return f"{metric} {value:.4f}, better than what needs no training: {figures}"
    advice = "" if gap.mean >= 0 else f". Try {_next(run, best, chosen[best])}"
    if gap.high < 0:
        return f"{metric} {value:.4f} is BELOW a baseline: {figures}{advice}"
    return f"{metric} {value:.4f} cannot be told from a baseline: {figures}{advice}"


def _next(run: RecommenderRun, name: str, rival: Settings) -> str:
    """What the better baseline has that the config has not; or that it is none of its settings."""
    if run.towers.initialisation is None:
        return "[towers.initialisation], which starts at EASE's solution"
    if not rival:
        return "a looser data.where, a lower data.core or more of the log: no history beats popularity yet"
    found = [*_structure(run, rival), *_beside(run, rival)]
    return "; ".join(found) or f"more of the log: what {name} is set to is in the config already"


def _structure(run: RecommenderRun, rival: Settings) -> Iterator[str]:
    """What differs in the item-item matrix: which one it is, and how it is regularised."""
    start = run.towers.initialisation
    assert start is not None
    if "own" in rival or not {"shrink", "lambda"} & rival.keys():  # of new items: other units
        return
    itemcf, key, setting, own = (
        (1.0, "shrink", "shrink", start.shrink)
        if "shrink" in rival
        else (0.0, "lambda", "ease_lambda", start.ease_lambda)
    )
    if start.itemcf not in (itemcf, None):
        yield f"towers.initialisation.itemcf = {itemcf:g}"
    if own != rival[key]:
        yield f"towers.initialisation.{setting} = {rival[key]:g}"


def _beside(run: RecommenderRun, rival: Settings) -> Iterator[str]:
    """What differs in how histories fade, in popularity of now, and in what is read of texts."""
    is_unweighted = run.towers.unweighted and "own" in rival  # which is of new items
    half_lives = None if is_unweighted else rival.get("half_lives_days")
    if half_lives is not None and [*half_lives] != (run.towers.half_lives_days or []):
        fading = "" if half_lives else " (entries of all ages weigh alike)"
        yield f"towers.half_lives_days = {[*half_lives]}{fading}"
    recent = run.towers.recent
    if rival.get("weight") and (recent is None or recent.days != rival["days"]):
        yield "[towers.recent]" + ("" if rival["days"] is None else f" with days = {rival['days']:g}")
    alone = [one.name for one in run.item if one.kind == "text" and not one.bigrams]
    if rival.get("pairs") and alone:
        yield f"bigrams = true of {', '.join(alone)}"
    start = run.towers.initialisation
    if "pairs" in rival and "own" not in rival and start is not None:  # words alone
        yield f"towers.initialisation.content_own = {2 * max(1.0, start.content_own or 0.0):g}"
