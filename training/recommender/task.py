"""Trains a user and an item tower on an interaction log, and exports them as a pair.

    log -> examples -> part of each history -> user vector -> scores of items -> loss of the hidden part

How items are scored is up to the loss (`training.recommender.objectives`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bundle.inputs import Input
from bundle.manifest import Metric
from bundle.preprocess.features import FeaturePreprocessor
from bundle.preprocess.features.schema import FeatureSchema, FeatureSpec, input_names
from bundle.progress import phase
from bundle.publish import Draft
from training.console import say
from training.export import Exportable, draft_of, run_torch
from training.metrics import Validation
from training.provenance import of_run
from training.recommender.arrays import collated, tensors
from training.recommender.choice.resolve import resolve
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.recent import described
from training.recommender.effects import ValidationUsers, as_metrics, effects, sentences
from training.recommender.encoders.export_modules import ExportedItems, ExportedUsers, Recent
from training.recommender.encoders.towers import TwoTowers
from training.recommender.evaluation import Evaluation
from training.recommender.objectives import Step, choose_targets, positive_shares
from training.recommender.parity import item_parity_inputs, user_parity_inputs
from training.recommender.rules import check, check_size, check_users
from training.recommender.settings import RecommenderRun
from training.recommender.start import initialise
from training.task import Encode
from training.threads import fastest_algebra

# Times the learning rate: it is one number, and its logarithm has to move by 1, not 0.01.
HALF_LIFE_RATE = 30.0


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
        check(run)
        with phase(f"read {run.data.path}"):
            self.examples = RecommenderExamples(run, data)
        check_size(run, len(self.examples.log.items))
        self.data_sha256 = self.examples.log.sha256
        self._chosen: list[str] = []  # what the start was chosen among, for the terminal and the card
        if run.towers.initialisation is not None:
            with phase("choose the start"), fastest_algebra(len(self.examples.known)):
                choice = resolve(run, self.examples)
            self.run = run = choice.run
            self._tell(choice.lines())
        known = [self.examples.item_input(int(number)) for number in self.examples.known]
        self._known = tensors(self.examples.items, known)[: len(self.examples.content_specs)]
        taken = self.examples.training_items()
        self._learned = np.flatnonzero([len(items) > 0 for items in taken])  # all others have no target
        check_users(run, len(self._learned), len(taken))
        counts = np.bincount(np.concatenate(taken), minlength=len(self.examples.known))
        self._shares = self._positive_shares(taken)
        self._evaluation = Evaluation(run, self.examples, counts)
        self._history = self.examples.users.input_names.index(self.examples.history_name)
        torch.manual_seed(run.seed)
        self.model = TwoTowers(
            self.examples.user_schema,
            _only(self.examples.item_schema, self.examples.content_specs),
            run.user,
            run.item,
            config=run.towers,
            id_name=self.examples.id_name,
        )
        if run.towers.initialisation is not None:
            with phase("compute the start"), fastest_algebra(len(self.examples.known)):
                self.run = initialise(self.model, self._known, run, self.examples, self._tell)

    def _positive_shares(self, taken: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.float64]:
        """How likely each known item is a step's positive: of the newest entries, which are what is read."""
        config = self.run.loss
        (most,) = (feature.max_length for feature in self.run.user if feature.kind == "history")
        newest = [items[::-1][:most] for items in taken]
        low, high = config.target_fraction
        return positive_shares(newest, len(self.examples.known), config.targets, (low, high))

    def _tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            say(line)
            self._chosen.append(line)

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self._learned) // self.run.train.batch_size)

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
        order = np.random.default_rng((self.run.seed, epoch)).permutation(self._learned)
        batches = np.array_split(order, self.steps_per_epoch)  # alike in size, so that none is left with one
        for step in range(start, self.steps_per_epoch):
            yield Batch(batches[step], (self.run.seed, epoch, step))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        arrays = collated(self.examples.users, self.examples.training(batch.users))
        config, generator = self.run.loss, np.random.default_rng(batch.seed)
        low, high = config.target_fraction
        targets = choose_targets(arrays[self._history], config.targets, (low, high), generator)
        if self.examples.log.user_records.follow_rows:  # the hidden entries' rows must not tell of the user
            records = self.examples.training_records(batch.users, targets.numpy())
            arrays = self._with_features(arrays, collated(self.examples.users, records))
        step = Step(
            towers=self.model,
            known=self._known,
            arrays=arrays,
            history=self._history,
            targets=targets,
            shares=self._shares,
            users=len(self._learned),
            generator=generator,
        )
        return {"loss": config.chosen.value(step)}

    def _with_features(self, histories: list[Tensor], features: list[Tensor]) -> list[Tensor]:
        """Take histories from the one, and what else is known of users from the other."""
        specs = self.examples.user_schema.features
        of_history = [spec.kind == "history" for spec in specs for _ in input_names(spec)]
        return [
            a if is_history else b for a, b, is_history in zip(histories, features, of_history, strict=True)
        ]

    @property
    def starts_learned(self) -> bool:
        return self.run.towers.initialisation is not None

    def evaluate(self) -> Validation:
        return Validation(self._evaluation.validate(self.encoders()))

    def encoders(self) -> dict[str, Encode]:
        users, items = self._exported()
        return {
            self.run.user_name: _encode(users, self.examples.users),
            self.run.item_name: _encode(items, self.examples.items),
        }

    def _exported(self) -> tuple[nn.Module, nn.Module]:
        """Both towers as they are exported."""
        self.model.eval()
        return ExportedUsers(self.model, self._known), ExportedItems(self.model, self._known, self._recent())

    def _item_schema(self) -> FeatureSchema:
        """As it is published."""
        recent, of_now = self.run.towers.recent, self._recent()
        if recent is None or of_now is None or recent.days is None:
            return self.examples.item_schema
        return described(self.examples.item_schema, days=recent.days, weight=of_now.weight)

    def _recent(self) -> Recent | None:
        """What makes the item vectors' last component one of now."""
        recent, initialisation = self.run.towers.recent, self.run.towers.initialisation
        if recent is None or initialisation is None:
            return None
        assert recent.weight is not None
        assert recent.days is not None
        assert initialisation.scale is not None
        known = torch.from_numpy(np.log1p(self.examples.recent_users(recent.days)))
        return Recent(recent.weight * initialisation.scale, known)

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """Recall and NDCG on test users, with standard errors and the baselines of the same data."""
        metrics = self._evaluation.score(encoders)
        with phase("hide each feature in turn"):
            return metrics | self._effects(encoders)

    def _effects(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """What each declared feature changes for validation users; those without effect are named."""
        examples, metric = self.examples, self.run.train.metric
        held_out = examples.validation()
        items = examples.candidates(held_out)
        own = {examples.history_name, examples.id_name}
        found = effects(
            ValidationUsers(held_out.users, items, held_out.history, held_out.targets),
            (encoders[self.run.user_name], encoders[self.run.item_name]),
            (
                [one.name for one in self.run.user if one.name not in own],
                [one.name for one in self.run.item if one.name not in own],
            ),
            history_name=examples.history_name,
            id_name=examples.id_name,
            metric=metric,
        )
        for line in sentences(found, metric):
            say(line)
        return as_metrics(found, metric)

    def drafts(self, metrics: dict[str, Metric]) -> list[Draft]:
        users, items = self._exported()
        examples = self.examples
        return [
            self._draft(
                self.run.user_name, users, examples.user_schema, user_parity_inputs(examples), metrics
            ),
            self._draft(
                self.run.item_name, items, self._item_schema(), item_parity_inputs(examples), metrics
            ),
        ]

    def _draft(
        self,
        name: str,
        model: nn.Module,
        schema: FeatureSchema,
        parity_inputs: Sequence[Input],
        metrics: Mapping[str, Metric],
    ) -> Draft:
        exportable = Exportable(
            name=name,
            description=f"{self.run.description} This is the {schema.side} side.",
            kind="features",
            model=model,
            preprocessor=schema.to_bytes(),
            parity_inputs=parity_inputs,
            dimensions=[],
            normalized=False,
            metric="inner_product",
            max_length=1,
            now=self.examples.now,
        )
        provenance = of_run(self.run, self.data_sha256)
        if self._chosen:
            told = ["", "What the start was chosen among:", "", *("    " + line for line in self._chosen)]
            provenance = replace(provenance, details=[*provenance.details, *told])
        return draft_of(exportable, provenance, metrics)


def _only(schema: FeatureSchema, features: list[FeatureSpec]) -> FeatureSchema:
    return schema.model_copy(update={"features": features})


def _encode(model: nn.Module, preprocessor: FeaturePreprocessor) -> Encode:
    return lambda inputs: run_torch(model, preprocessor, preprocessor.prepare(inputs, "end"))
