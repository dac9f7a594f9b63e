"""Trains a user and an item tower on an interaction log, and exports them as a pair.

    log -> examples -> part of each history -> user vector -> scores of all items -> softmax over the rest

Items are scored all at once, which is right up to some 50,000 of them, or a sample of them
(`training.recommender.sampling`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bundle.inputs import Input
from bundle.manifest import Metric
from bundle.preprocess.features import FeaturePreprocessor, Features
from bundle.preprocess.features.schema import FIRST, PAD, FeatureSchema
from bundle.publish import Draft
from training.errors import ConfigError
from training.export import Exportable, draft_of, run_torch
from training.metrics import Figure
from training.provenance import of_run
from training.recommender import baselines
from training.recommender import sampling as sampled
from training.recommender.config.towers import StartConfig
from training.recommender.data.examples import Examples, Quiz
from training.recommender.encoders.export_modules import ServedItems, ServedUsers
from training.recommender.encoders.initialisation import start_from_ease
from training.recommender.encoders.towers import TwoTowers
from training.recommender.losses import bpr, full_softmax, sampled_softmax
from training.recommender.parity import item_probes, user_probes
from training.recommender.ranking import judge, judge_vectors
from training.recommender.settings import RecommenderLossConfig, RecommenderRun
from training.task import Encode

HALF_LIFE_RATE = (
    30.0  # times the learning rate: it is one number, and its logarithm has to move by 1, not 0.01
)
MOST_SCORED = 50_000  # items of the full softmax


@dataclass(frozen=True)
class Batch:
    """Training users, and the number that everything random about this step follows from."""

    users: npt.NDArray[np.int64]
    seed: tuple[int, int, int]


class RecommenderTask:
    """See `training.task.Task`.

    Args:
        run: the config.
        data: the directory that its paths are relative to.

    Raises:
        ConfigError: settings or data that cannot be used.
    """

    def __init__(self, run: RecommenderRun, data: Path) -> None:
        self.run = run
        _check(run)
        self.examples = Examples(run, data)
        check_size(run, len(self.examples.log.items))
        self.data_sha256 = self.examples.log.sha256
        known = [self.examples.item_input(int(number)) for number in self.examples.known]
        self._known = _tensors(self.examples.items, known)
        self._counts = np.bincount(
            np.concatenate(self.examples.training_items()), minlength=len(self.examples.known)
        )
        self._sampler = sampled.Sampler(self._counts / self._counts.sum(), run.loss.uniform_negatives)
        self._validation = self.examples.validation()
        self._history = self.examples.users.input_names.index(self.examples.history_name)
        torch.manual_seed(run.seed)
        self.model = TwoTowers(
            self.examples.user_schema,
            self.examples.item_schema,
            run.user,
            run.item,
            config=run.towers,
            id_name=self.examples.id_name,
        )
        if run.towers.start is not None:
            self._start(run.towers.start)

    def _start(self, config: StartConfig) -> None:
        lately = self.examples.training_lately()
        texts = None
        if config.content_weight:
            words = self.examples.texts()
            texts = baselines.tfidf([words[number] for number in self.examples.known])
        start_from_ease(self.model, self._known, self._taken(), lately, config, texts=texts)

    def _taken(self) -> baselines.Floats:
        """Which training user took which known item, float32 (users, k)."""
        return baselines.multi_hot(self.examples.training_items(), len(self.examples.known))

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.examples.split.train) // self.run.train.batch_size)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        tower, sequence = self.model.user_tower, self.run.towers.sequence
        half_lives = list(tower.pool.parameters())
        order = list(tower.sequence.parameters()) if tower.sequence is not None else []
        apart = {id(parameter) for parameter in (*half_lives, *order)}
        groups = [
            {"params": [one for one in self.model.parameters() if id(one) not in apart], "lr": learning_rate},
            {"params": half_lives, "lr": HALF_LIFE_RATE * learning_rate, "weight_decay": 0.0},
            {"params": order, "lr": (sequence.rate if sequence else 1.0) * learning_rate},
        ]
        return [group for group in groups if group["params"]]

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        order = np.random.default_rng((self.run.seed, epoch)).permutation(len(self.examples.split.train))
        size = self.run.train.batch_size
        for step in range(start, self.steps_per_epoch):
            yield Batch(order[step * size : (step + 1) * size], (self.run.seed, epoch, step))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        arrays = _arrays(self.examples.users, self.examples.training(batch.users))
        entries = arrays[self._history]  # (n, h)
        generator = np.random.default_rng(batch.seed)
        asked = ask(entries, self.run.loss, generator)  # (n, h)
        arrays[self._history] = entries.masked_fill(asked, PAD)
        if self.run.loss.kind != "full_softmax":
            return {"loss": self._sampled(arrays, entries, asked, generator)}
        users = self.model.user_tower(self.model.history_table(*self._known), *arrays)  # (n, d)
        scores = users @ self.model.item_vectors(*self._known).T  # (n, k)
        shown = self._multi_hot(entries.masked_fill(asked, PAD))
        wanted = self._multi_hot(entries.masked_fill(~asked, PAD))
        return {"loss": full_softmax(scores.masked_fill(shown > 0, -torch.inf), wanted)}

    def _sampled(
        self, arrays: Sequence[Tensor], entries: Tensor, asked: Tensor, generator: np.random.Generator
    ) -> Tensor:
        """The loss of one asked item of each user, against a sample."""
        some = asked.any(1)  # a history without a known item asks for nothing
        arrays, entries, asked = [array[some] for array in arrays], entries[some], asked[some]
        places = sampled.one_asked(asked, generator)
        positives = entries.gather(1, places.unsqueeze(1)).squeeze(1) - FIRST  # (n,)
        table, arrays[self._history] = sampled.short_table(self.model, self._known, arrays[self._history])
        users = self.model.user_tower(table, *arrays)  # (n, d)
        sample = self._sampler.draw(positives, generator)
        vectors = self.model.item_vectors(*(array[sample.columns] for array in self._known))  # (c, d)
        positive, others = sampled.scores_of(users, vectors, sample.columns, entries)
        if self.run.loss.kind == "bpr":
            return bpr(positive, others)
        own = sample.log_expected[: len(positive)] if self.run.loss.positive == "corrected" else None
        return sampled_softmax(positive, others, sample.log_expected, log_expected_positive=own)

    def _multi_hot(self, entries: Tensor) -> Tensor:
        """int64 (n, h), padded with 0 -> (n, k) of 0 and 1."""
        hot = torch.zeros(len(entries), FIRST + len(self.examples.known))
        return hot.scatter_(1, entries, 1.0)[:, FIRST:]

    def evaluate(self) -> dict[str, float]:
        figures = self._judge(self.encoders(), self._validation)
        return {name: figure.mean for name, figure in figures.items()}

    def encoders(self) -> dict[str, Encode]:
        users, items = self._served()
        return {
            self.run.user_name: _encode(users, self.examples.users),
            self.run.item_name: _encode(items, self.examples.items),
        }

    def _served(self) -> tuple[nn.Module, nn.Module]:
        """Both towers as they are exported."""
        self.model.eval()
        return ServedUsers(self.model, self._known), ServedItems(self.model, self._known)

    def _judge(self, encoders: Mapping[str, Encode], quiz: Quiz) -> Mapping[str, Figure]:
        users = encoders[self.run.user_name](quiz.users)
        items = encoders[self.run.item_name]([self.examples.item_input(int(n)) for n in quiz.candidates])
        return judge_vectors(users, items, quiz.history, quiz.targets)

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """Recall and NDCG on test users, with standard errors and the baselines of the same data."""
        quiz = self.examples.test()
        others = {"popularity": self._popularity(quiz)}
        if len(self.examples.log.items) <= baselines.MOST_ITEMS:
            scores = self._baselines(quiz, self._choose_ease())
            others |= {name: judge(rows, quiz.history, quiz.targets) for name, rows in scores.items()}
        metrics = _metrics(self._judge(encoders, quiz), others)
        if len(self.examples.cold):
            quiz = self.examples.new_items()
            tfidf = judge(self._content_scores(quiz), quiz.history, quiz.targets)
            found = self._judge(encoders, quiz)
            metrics |= {f"new items: {name}": m for name, m in _metrics(found, {"tfidf": tfidf}).items()}
        return metrics

    def _choose_ease(self) -> baselines.Floats:
        """EASE with the lambda that is best on validation users, float32 (items, items)."""
        train, quiz = self._all_taken(), self._validation

        def value(matrix: baselines.Floats) -> float:
            scores = (baselines.multi_hot(quiz.warm, len(matrix)) @ matrix)[:, quiz.candidates]
            return judge(scores, quiz.history, quiz.targets)[self._choice].mean

        return max((baselines.ease(train, one) for one in baselines.EASE_LAMBDAS), key=value)

    @property
    def _choice(self) -> str:
        return self.run.train.metric

    def _all_taken(self) -> baselines.Floats:
        """As `_taken`, by the log's item numbers: float32 (users, items)."""
        known = self.examples.known
        numbers = [known[items] for items in self.examples.training_items()]
        return baselines.multi_hot(numbers, len(self.examples.log.items))

    def _popularity(self, quiz: Quiz) -> Mapping[str, Figure]:
        """How often each item was taken in training, as a vector of one dimension."""
        counts = np.zeros(len(self.examples.log.items), dtype=np.float32)
        counts[self.examples.known] = self._counts
        everybody = np.ones((len(quiz.users), 1), dtype=np.float32)
        return judge_vectors(everybody, counts[quiz.candidates, None], quiz.history, quiz.targets)

    def _baselines(self, quiz: Quiz, ease: baselines.Floats) -> dict[str, baselines.Floats]:
        """Scores (n, candidates) of the item-item ones."""
        train = self._all_taken()
        history = baselines.multi_hot(quiz.warm, train.shape[1])
        scores = {
            "itemcf": history @ baselines.item_cosine(train),
            "ease": history @ ease,
        }
        return {name: rows[:, quiz.candidates] for name, rows in scores.items()}

    def _content_scores(self, quiz: Quiz) -> baselines.Floats:
        """TF-IDF profiles of what users took, against the candidates."""
        rows = baselines.tfidf(self.examples.texts())
        profiles = baselines.multi_hot(quiz.warm, len(rows)) @ rows
        return np.asarray(profiles @ rows[quiz.candidates].T, dtype=np.float32)

    def drafts(self, metrics: dict[str, Metric]) -> list[Draft]:
        users, items = self._served()
        examples = self.examples
        return [
            self._draft(self.run.user_name, users, examples.user_schema, user_probes(examples), metrics),
            self._draft(self.run.item_name, items, examples.item_schema, item_probes(examples), metrics),
        ]

    def _draft(
        self,
        name: str,
        model: nn.Module,
        schema: FeatureSchema,
        probes: Sequence[Input],
        metrics: Mapping[str, Metric],
    ) -> Draft:
        exportable = Exportable(
            name=name,
            description=f"{self.run.description} This is the {schema.side} side.",
            kind="features",
            model=model,
            preprocessor=schema.to_bytes(),
            probes=probes,
            dimensions=[],
            normalized=False,
            metric="inner_product",
            max_length=1,
            now=self.examples.now,
        )
        return draft_of(exportable, of_run(self.run, self.data_sha256), metrics)


def ask(entries: Tensor, config: RecommenderLossConfig, generator: np.random.Generator) -> Tensor:
    """Which entries of the histories are hidden and asked for: bool (n, h).

    Of every history at least one entry is asked for, and at least one is shown if it has two.

    Args:
        entries: int64 (n, h), newest first, padded with 0.
        config: which, and how many.
        generator: of the shares, and of the choice if it is random.
    """
    lengths = (entries != PAD).sum(1, keepdim=True)  # (n, 1)
    low, high = config.ask_share
    share = torch.from_numpy(generator.uniform(low, high, (len(entries), 1)))
    count = (lengths * share).round().long().clamp(min=1)
    count = torch.minimum(count, (lengths - 1).clamp(min=1))
    if config.ask == "latest":
        place = torch.arange(entries.shape[1]).expand_as(entries)
    else:
        keys = torch.from_numpy(generator.random(tuple(entries.shape)))
        place = keys.masked_fill(entries == PAD, 2.0).argsort(1).argsort(1)  # the entries in random order
    return (place < count) & (entries != PAD)


def _check(run: RecommenderRun) -> None:
    """Settings that contradict each other are refused before anything costly."""
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
    low, high = run.loss.ask_share
    if low > high:
        raise ConfigError(f"loss.ask_share = [{low}, {high}]: the smallest share comes first")


def check_size(run: RecommenderRun, items: int) -> None:
    """What grows with the square of the items, or scores each of them, is refused where it would not end."""
    if run.towers.start is not None and items > baselines.MOST_ITEMS:
        raise ConfigError(
            f"towers.start solves for every pair of items; {items:,} are more than {baselines.MOST_ITEMS:,}, "
            "so leave it out"
        )
    if run.loss.kind == "full_softmax" and items > MOST_SCORED:
        raise ConfigError(
            f'loss.kind = "full_softmax" scores all items in every step; {items:,} are more than '
            f"{MOST_SCORED:,}, so use sampled_softmax"
        )


def _tensors(preprocessor: FeaturePreprocessor, inputs: Sequence[Features]) -> list[Tensor]:
    return _arrays(preprocessor, preprocessor.prepare(inputs, "end"))


def _arrays(preprocessor: FeaturePreprocessor, prepared: Sequence[Any]) -> list[Tensor]:
    """One batch, in the order of the graph's inputs."""
    arrays = preprocessor.collate(prepared)
    return [torch.from_numpy(arrays[name]) for name in preprocessor.input_names]


def _encode(model: nn.Module, preprocessor: FeaturePreprocessor) -> Encode:
    return lambda inputs: run_torch(model, preprocessor, preprocessor.prepare(inputs, "end"))


def _metrics(own: Mapping[str, Figure], others: Mapping[str, Mapping[str, Figure]]) -> dict[str, Metric]:
    """Every figure beside the baselines', and its standard error."""
    figures = {
        name: Metric(value=figure.mean, baselines={other: rows[name].mean for other, rows in others.items()})
        for name, figure in own.items()
    }
    errors = {f"{name}, standard error": Metric(value=figure.standard_error) for name, figure in own.items()}
    return figures | errors
