"""The sentence at the end of a run: is the pair better than what needs no training, and if not, what then?"""

from __future__ import annotations

from collections.abc import Mapping

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
    if gap.high < 0:
        return f"{metric} {value:.4f} is BELOW a baseline: {figures}. Try {_next(run, chosen[best])}"
    return f"{metric} {value:.4f} cannot be told from a baseline: {figures}. Try {_next(run, chosen[best])}"


def _next(run: RecommenderRun, rival: Settings) -> str:
    """What the baseline's settings suggest for the config."""
    start, found = run.towers.initialisation, []
    if start is None:
        found.append("[towers.initialisation], which starts at EASE's solution")
    elif "lambda" in rival and rival["lambda"] != start.ease_lambda:
        found.append(f"towers.initialisation.ease_lambda = {rival['lambda']:g}")
    if "half_lives_days" in rival and [*rival["half_lives_days"]] != run.towers.half_lives_days:
        found.append(f"towers.half_lives_days = {[*rival['half_lives_days']]}")
    found.append("a smaller train.learning_rate, or more of the log")
    return "; ".join(found)
