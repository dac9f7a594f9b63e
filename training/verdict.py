"""What a run has shown, in words: its figure beside the start's, how sure that is, and whether it learned.

The figure of the best of many evaluations is above the start's by chance alone, and the more so the fewer
examples it is taken of.
"""

from __future__ import annotations

from collections.abc import Mapping

from bundle.manifest import ERROR, Metric
from training.metrics import MetricValue, Validation, said
from training.trainer import State

FEW = 100  # examples; a rate of .5 has a standard error of .05 over them
LOSS_FELL = 0.01
LARGEST = 1.0  # of a rate, a cosine and a correlation; other figures have no end where they could stay


def has_learned(state: State, metric: str) -> bool:
    """Whether the best figure is above the start's by more than the best of all evaluations by chance."""
    return state.metrics[metric].minus(state.start[metric]).is_above_chance(state.evaluations)


def is_the_start(state: State, metric: str) -> bool:
    """Whether the best weights do no better than those of the start, whatever step they are of.

    A figure that was at its end from the start leaves the word to the held-out loss: it must fall by 1 %,
    since a learning rate of next to nothing changes its last digits. Elsewhere the loss does not count: on
    shuffled targets it falls as well, when the encoder becomes less sure.
    """
    start, best = state.start[metric].mean, state.metrics[metric].mean
    loss_fell = state.best_loss < state.start_loss - LOSS_FELL * abs(state.start_loss)
    return best <= start and not (start >= LARGEST and loss_fell)


def verdict(state: State, metric: str, *, starts_learned: bool) -> list[str]:
    """Say what was reached, and plainly so where it is nothing or cannot be told.

    Args:
        state: of a run that is over.
        metric: that decided.
        starts_learned: see `training.task.Task`.
    """
    start, best = state.start[metric], state.metrics[metric]
    of_examples = f" of {_examples(best.n)}" if best.n else ""
    lines = [f"best {metric} {said(best)} at step {state.best_step}, {said(start)} at the start{of_examples}"]
    if 0 < best.n < FEW:
        lines.append(
            f"{_examples(best.n)} cannot tell encoders apart that differ by less than "
            f"{_resolution(best.minus(start)):.2g} in {metric}: measure by at least {2 * FEW} (of texts, "
            "from files in [data.validation]), or do not go by it"
        )
    if not has_learned(state, metric):
        lines.append(_nothing(state, metric, starts_learned=starts_learned))
    return lines


def _nothing(state: State, metric: str, *, starts_learned: bool) -> str:
    start, best = state.start[metric], state.metrics[metric]
    gain = best.minus(start)
    nothing = (
        "training added nothing to the start, which is computed from the data"
        if starts_learned
        else "NOTHING WAS LEARNED that the held-out examples show"
    )
    if is_the_start(state, metric):
        return f"{nothing}: none of {state.evaluations} evaluations was better than the start"
    if gain.mean == 0:
        return (
            f"{nothing}: {metric} is {best.mean:.4f} as at the start; the held-out loss fell from "
            f"{state.start_loss:.4f} to {state.best_loss:.4f}, and chose the step"
        )
    return (
        f"{nothing}: {metric} went from {start.mean:.4f} to {best.mean:.4f}; a gain of {gain.mean:.4f} ± "
        f"{gain.standard_error:.4f} is what the best of {state.evaluations} evaluations may have by chance"
    )


def _resolution(difference: MetricValue) -> float:
    """Two standard errors; where all examples say the same, the rule of three, 1 at most as of a rate."""
    return 2 * difference.standard_error or min(1.0, 3 / difference.n)


def _examples(n: int) -> str:
    return f"{n:,} held-out example" + ("s" if n > 1 else "")


def refusal(state: State, metric: str) -> str:
    """Why weights of the start are not published, and what to try."""
    return (
        f"nothing was learned: of {state.evaluations} evaluations none was better than the start "
        f"({metric} {said(state.start[metric])}), so the weights are as good as those it started "
        "with, and are not published; try another learning_rate (ten times, or a tenth), more epochs, or "
        "other data; --force publishes them as they are"
    )


def validation_metrics(found: Validation, start: Mapping[str, MetricValue]) -> dict[str, Metric]:
    """The validation figures of the weights that are published, beside the start's."""
    metrics = {}
    for name, value in found.metrics.items():
        figure = f"validation {name}" + (f" (n = {value.n})" if value.n else "")
        metrics[figure] = Metric(value=value.mean, baselines={"start": start[name].mean})
        if value.n:
            metrics[figure + ERROR] = Metric(value=value.standard_error)
    return metrics
