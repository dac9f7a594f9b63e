"""Raw features of a user or an item, as the caller knows them; and what can be told of them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bundle.errors import InputError
from bundle.preprocess.facts import Facts, warning_field
from bundle.values import json_type

_BYTES = 3  # of JSON take as long to prepare as a character of a text


@dataclass(frozen=True, slots=True)
class Features:
    """Raw features of a user or an item.

    Attributes:
        values: feature name to JSON value; what is allowed is declared by the bundle's features.json.
        now: unix time in seconds that `time` features are relative to; None if there is none.

    Raises:
        InputError: it is no object.
    """

    values: Mapping[str, Any]
    now: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.values, (dict, Mapping)):  # the first is ten times as fast to tell
            raise InputError(
                0,
                "wrong_kind",
                f"this model takes objects of features, this is {json_type(self.values)}; send an object",
            )

    @property
    def size(self) -> int:
        """What preparing it costs, in characters of a text that takes as long."""
        return len(orjson.dumps(self.values, default=repr)) // _BYTES

    @property
    def key(self) -> Hashable:
        """Equal for equal inputs, in whichever order their fields stand."""
        return json.dumps(self.values, sort_keys=True, default=repr), self.now

    def prompted(self, prompt: str) -> Features:
        """Return the same: features have no prompts."""
        return self

    def to_json(self) -> Any:
        """An object."""
        return dict(self.values)


@dataclass(frozen=True, slots=True)
class FeatureFacts(Facts):
    """What the caller is told about one object of features."""

    new_entries: tuple[int, ...] = warning_field(
        "places in the history of items never seen, encoded from their content"
    )
    unknown_entries: tuple[int, ...] = warning_field(
        "places in the history of items never seen of which nothing is told; they were skipped"
    )
    repeated_entries: int = warning_field(
        "how many entries of the history are of an item that an older entry has; an item counts once", 0
    )
    undated_entries: tuple[int, ...] = warning_field(
        "places in the history of entries without a time among others that have one; each was taken for as "
        "old as the one before it"
    )
    future_entries: tuple[int, ...] = warning_field(
        "places in the history of entries that happened more than a day after `now`; each was taken for as "
        "old as the newest of the others"
    )
    empty_history: bool = warning_field("a history held nothing that the encoder knows", False)
    empty_item: bool = warning_field("of the item nothing is known: neither its id nor any content", False)
