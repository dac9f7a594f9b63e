"""How well a pair of towers ranks what users took next, beside the baselines of the same data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bundle.manifest import Metric
from training.metrics import MetricValue
from training.recommender import baselines
from training.recommender.baselines import Floats
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit
from training.recommender.ranking import evaluate_scores, evaluate_vectors, means
from training.recommender.settings import RecommenderRun
from training.task import Encode


class Evaluation:
    """The metrics of a run's encoders.

    Args:
        run: the config, whose `train.metric` chooses the settings of EASE.
        examples: its data.
        counts: (k,), how often each known item is in a training user's history.
    """

    def __init__(self, run: RecommenderRun, examples: RecommenderExamples, counts: np.ndarray) -> None:
        self._run, self._examples, self._counts = run, examples, counts
        self._validation = examples.validation()

    def validate(self, encoders: Mapping[str, Encode]) -> Mapping[str, MetricValue]:
        """Measure validation users; larger is better."""
        return self._of_encoders(encoders, self._validation)

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """Recall and NDCG on test users, with standard errors and the baselines of the same data."""
        held_out = self._examples.test()
        others = {"popularity": self._popularity(held_out)}
        if len(self._examples.log.items) <= baselines.MOST_ITEMS:
            scores = self._item_item_scores(held_out)
            others |= {
                name: evaluate_scores(rows, held_out.history, held_out.targets)
                for name, rows in scores.items()
            }
        metrics = _metrics(self._of_encoders(encoders, held_out), others)
        if len(self._examples.cold):
            held_out = self._examples.new_items()
            rows = self._content_scores(held_out)
            tfidf = {"tfidf": evaluate_scores(rows, held_out.history, held_out.targets)}
            cold = _metrics(self._of_encoders(encoders, held_out), tfidf)
            metrics |= {f"new items: {name}": metric for name, metric in cold.items()}
        return metrics

    def _of_encoders(
        self, encoders: Mapping[str, Encode], held_out: EvaluationSplit
    ) -> Mapping[str, MetricValue]:
        users = encoders[self._run.user_name](held_out.users)
        items = encoders[self._run.item_name](self._examples.candidates(held_out))
        return means(evaluate_vectors(users, items, held_out.history, held_out.targets))

    def _interactions(self) -> Floats:
        """Mark the items of each training user, float32 (users, items) of 0 and 1."""
        known = self._examples.known
        numbers = [known[items] for items in self._examples.training_items()]
        return baselines.multi_hot(numbers, len(self._examples.log.items))

    def _popularity(self, held_out: EvaluationSplit) -> Mapping[str, MetricValue]:
        """Rank by how often each item was taken in training: a vector of one dimension."""
        counts = np.zeros(len(self._examples.log.items), dtype=np.float32)
        counts[self._examples.known] = self._counts
        everybody = np.ones((len(held_out.users), 1), dtype=np.float32)
        items = counts[held_out.candidates, None]
        return means(evaluate_vectors(everybody, items, held_out.history, held_out.targets))

    def _item_item_scores(self, held_out: EvaluationSplit) -> dict[str, Floats]:
        """Scores (n, candidates) of ItemCF and of EASE."""
        ease, train = self._choose_ease(), self._interactions()
        history = baselines.multi_hot(held_out.warm, train.shape[1])
        scores = {"itemcf": history @ baselines.item_cosine(train), "ease": history @ ease}
        return {name: rows[:, held_out.candidates] for name, rows in scores.items()}

    def _choose_ease(self) -> Floats:
        """EASE with the lambda that is best on validation users, float32 (items, items)."""
        train, held_out = self._interactions(), self._validation

        def value(matrix: Floats) -> float:
            scores = (baselines.multi_hot(held_out.warm, len(matrix)) @ matrix)[:, held_out.candidates]
            found = evaluate_scores(scores, held_out.history, held_out.targets)
            return found[self._run.train.metric].mean

        return max((baselines.ease(train, one) for one in baselines.EASE_LAMBDAS), key=value)

    def _content_scores(self, held_out: EvaluationSplit) -> Floats:
        """TF-IDF profiles of what users took, against the candidates."""
        rows = baselines.tfidf(self._examples.texts())
        profiles = baselines.multi_hot(held_out.warm, len(rows)) @ rows
        return np.asarray(profiles @ rows[held_out.candidates].T, dtype=np.float32)


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
