"""Raw features of users and items to the tensors of a tower.

What one value becomes is in `fields` and `history`. An unknown field or a value of the
wrong type is the caller's mistake and is refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from bundle.errors import InputError
from bundle.inputs import Input
from bundle.preprocess.base import Arrays, Layout, Pieces, Prepared, Truncate, pad
from bundle.preprocess.features.fields import FIELDS, FeatureField, Findings
from bundle.preprocess.features.history import History
from bundle.preprocess.features.input import FeatureFacts, Features
from bundle.preprocess.features.pieces import pieces_of
from bundle.preprocess.features.schema import FeatureSchema, input_names, last_values
from bundle.values import BadValueError, nearest

VALUES = (
    64  # of a row, for which a row without lists is as much work: a long history is not one row in a batch
)


class FeaturePreprocessor:
    """Reads the features that a `FeatureSchema` declares.

    Args:
        schema: the declared features.
    """

    def __init__(self, schema: FeatureSchema) -> None:
        self.side, version = schema.side, schema.schema_version
        self._features: list[FeatureField] = [
            History(spec, version) if spec.kind == "history" else FIELDS[spec.kind](spec, version)
            for spec in schema.features
        ]
        self._uses_now = any(spec.kind in ("time", "history") for spec in schema.features)
        self._names = {feature.name for feature in self._features}
        self._is_known_by_id = schema.side == "item" and any(
            spec.name == "id" and spec.kind == "category" for spec in schema.features
        )
        self._last = last_values(schema.features)
        self.input_names = tuple(name for spec in schema.features for name in input_names(spec))

    @property
    def layouts(self) -> tuple[Layout, ...]:  # kept, they would refer to what keeps them, and outlive it
        return (Layout(self.input_names, self.collate),)

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        return [self._prepare_one(index, item) for index, item in enumerate(inputs)]

    def _prepare_one(self, index: int, item: Input) -> Prepared:
        if not isinstance(item, Features):
            raise InputError(index, "wrong_kind", "this model takes objects of features; send one")
        for field in item.values:
            if field not in self._names:
                raise InputError(index, "unknown_field", self._unknown_field(field))
        findings, arrays = Findings(item.now), Arrays()
        for feature in self._features:
            try:
                arrays |= feature.arrays(item.values.get(feature.name), findings)
            except BadValueError as bad:
                raise InputError(index, bad.code, bad.message, f".{feature.name}{bad.path}") from None
        facts = FeatureFacts(
            truncated=tuple(findings.truncated),
            unknown=tuple(findings.unknown),
            new_entries=tuple(findings.new_entries),
            unknown_entries=tuple(findings.unknown_entries),
            repeated_entries=findings.repeated_entries,
            undated_entries=tuple(findings.undated_entries),
            future_entries=tuple(findings.future_entries),
            empty_history=findings.empty_history,
            empty_item=self.side == "item" and not findings.is_known,
        )
        return Prepared(arrays, cost=1 + sum([one.size for one in arrays.values()]) // VALUES, facts=facts)

    def _unknown_field(self, field: Any) -> str:
        takes = ", ".join(sorted(self._names))
        return f"a field is not one of this model's; {nearest(field, self._names)}it takes: {takes}"

    def collate(self, batch: Sequence[Prepared]) -> Arrays:
        return {name: pad([prepared.arrays[name] for prepared in batch]) for name in self.input_names}

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {feature.name: feature.schema() for feature in self._features},
            "additionalProperties": False,
        }

    def from_json(self, value: Any, now: float | None = None) -> Input:
        return Features(value, now)

    def pieces(self, item: Input, most: int, truncate: Truncate = "none") -> Pieces:
        """Entries of lists, and all other fields. Raises InputError."""
        if not isinstance(item, Features):
            raise InputError(0, "wrong_kind", "this model takes objects of features; send one")
        return pieces_of(item, most)

    def record_of(self, value: Any) -> Any:
        """The record of an item that is named by its id alone; anything else as it is."""
        is_id = self._is_known_by_id and type(value) in (str, int)
        return {"id": value} if is_id else value

    def key(self, item: Input) -> Hashable:
        if self._uses_now or not isinstance(item, Features):
            return item.key
        return Features(item.values).key

    def extremes(self) -> Sequence[Prepared]:
        return self.prepare([Features(self._last, 0.0)])
