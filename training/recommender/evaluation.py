"""How well a pair of towers ranks what users took next, beside tuned baselines of the same data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bundle.manifest import Metric
from bundle.progress import phase
from training.console import say
from training.metrics import MetricValue
from training.recommender import baselines
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit, InnerSplit
from training.recommender.ranking import Values, evaluate_vectors, means
from training.recommender.rivals import table
from training.recommender.rivals.interactions import TrainingInteractions
from training.recommender.rivals.search import Choice
from training.recommender.rivals.table import TunedBaseline, values_of
from training.recommender.settings import RecommenderRun
from training.recommender.verdict import verdict
from training.task import Encode
from training.threads import fastest_algebra

FEW_USERS = 100  # of so few, means differ by some hundredths for no reason


class Evaluation:
    """The metrics of a run's encoders.

    Args:
        run: the config, whose `train.metric` chooses the settings of the baselines.
        examples: its data.
        counts: (k,), how often each known item is in a training user's history.
    """

    def __init__(self, run: RecommenderRun, examples: RecommenderExamples, counts: np.ndarray) -> None:
        self._run, self._examples, self._counts = run, examples, counts
        self._validation = examples.validation()
        if (count := len(self._validation.users)) < FEW_USERS:
            say(f"only {count} validation users: too few to choose settings by, or to judge a difference")

    def validate(self, encoders: Mapping[str, Encode]) -> Mapping[str, MetricValue]:
        """Measure validation users; larger is better."""
        return means(self._of_encoders(encoders, self._validation))

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """Recall and NDCG on test users, with standard errors, beside baselines; says which is better."""
        is_timed = self._run.data.protocol == "time"
        inner = self._examples.validation_in_time() if is_timed else None
        rivals = [table.ITEMCF, table.EASE, table.EASE_RECENCY, *([table.EASE_NOW] if is_timed else [])]
        metrics = self._beside(rivals, encoders, self._examples.test(), inner)
        if len(self._examples.cold):
            inner, held_out = self._examples.validation_of_new_items(), self._examples.new_items()
            cold = self._beside(
                [table.TFIDF, table.KERNEL_RIDGE], encoders, held_out, inner, what="new items: "
            )
            metrics |= {f"new items: {name}": metric for name, metric in cold.items()}
        return metrics

    def _beside(
        self,
        rivals: Sequence[TunedBaseline],
        encoders: Mapping[str, Encode],
        held_out: EvaluationSplit,
        inner: InnerSplit | None,
        what: str = "",
    ) -> dict[str, Metric]:
        """Measure the pair and its rivals on the same users."""
        own, others, chosen = self._of_encoders(encoders, held_out), dict[str, Values](), dict[str, Choice]()
        if not what:
            others["popularity"] = self._popularity(held_out)
        if len(self._examples.log.items) <= baselines.MOST_ITEMS:
            data = TrainingInteractions.of(self._examples)
            fitted = data if inner is None else TrainingInteractions.of(self._examples, inner)
            by = self._validation if inner is None or not inner.held_out.users else inner.held_out
            for rival in rivals:
                with phase(f"{what}tune {rival.name}"), fastest_algebra(data.items):
                    chosen[rival.name] = rival.choose(fitted, by, self._run.train.metric, chosen)
                    others[rival.name] = values_of(rival.fit(data, chosen[rival.name].settings), held_out)
        settings = {name: choice.settings for name, choice in chosen.items()}
        if others:
            say(what + verdict(self._run, own, others, {"popularity": {}} | settings))
        return _metrics(means(own), {name: means(values) for name, values in others.items()})

    def _of_encoders(self, encoders: Mapping[str, Encode], held_out: EvaluationSplit) -> Values:
        users = encoders[self._run.user_name](held_out.users)
        items = encoders[self._run.item_name](self._examples.candidates(held_out))
        return evaluate_vectors(users, items, held_out.history, held_out.targets)

    def _popularity(self, held_out: EvaluationSplit) -> Values:
        """Rank by how often each item was taken in training: a vector of one dimension."""
        counts = np.zeros(len(self._examples.log.items), dtype=np.float32)
        counts[self._examples.known] = self._counts
        everybody = np.ones((len(held_out.users), 1), dtype=np.float32)
        items = counts[held_out.candidates, None]
        return evaluate_vectors(everybody, items, held_out.history, held_out.targets)


def _metrics(
    own: Mapping[str, MetricValue], others: Mapping[str, Mapping[str, MetricValue]]
) -> dict[str, Metric]:
    """Every metric beside the baselines', and its standard error."""
    values = {
        name: Metric(value=value.mean, baselines={other: rows[name].mean for other, rows in others.items()})
        for name, value in own.items()
    }
    errors = {f"{name}, standard error": Metric(value=value.standard_error) for name, value in own.items()}
    return values | errors
