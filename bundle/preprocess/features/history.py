"""A user's history: items, newest first, each known by its id or told by its content.

    entries -> known | new (never seen, with content) | unknown (never seen, nothing told: skipped)

Of a known item what training knew is used, so that its id alone and its whole record are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.preprocess.base import Arrays, pad
from bundle.preprocess.facts import Truncation
from bundle.preprocess.features.fields import (
    AS_TEXT,
    FIELDS,
    ID_TYPES,
    FeatureField,
    Findings,
    described,
    index_of,
    time_schema,
)
from bundle.preprocess.features.schema import ENTRY_FIELDS, PAD, UNKNOWN, HistorySpec
from bundle.values import DAY_S, BadValueError, id_of, json_type, nearest, unix_time


class _Read:
    """A history's entries, as far as they are read: lists, since a history may have hundreds.

    Attributes:
        items: index of each, UNKNOWN for those never seen.
        times: unix seconds.
        content: by place, what is told of items never seen, without what is null.
    """

    def __init__(self) -> None:
        self.items: list[int] = []
        self.times: list[float | None] = []
        self.content: dict[int, Mapping[str, Any]] = {}


class History:
    """`{name}` int64 [h], UNKNOWN for a new item, and `{name}_age` float32 [h], days since the newest entry.

    Where the schema declares content, too: `{name}_new` int64 [m], the places from 1 of the new items among
    the entries, and `{name}_new_{feature}` [m, ...] for each feature of theirs; one row of PAD if there are
    none. Unknown items are skipped and reported. An entry without a time is as old as the one before it.
    """

    def __init__(self, spec: HistorySpec) -> None:
        self.name = spec.name
        self._spec, self._index = spec, index_of(spec.vocabulary)
        self._content: dict[str, FeatureField] = {one.name: FIELDS[one.kind](one) for one in spec.content}
        self._fields = dict.fromkeys((*ENTRY_FIELDS, *self._content))  # a dict, to keep their order
        self._no_content = {
            name: field.arrays(None, Findings(None))[name][np.newaxis]
            for name, field in self._content.items()
        }

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        read = _Read()
        for place, entry in enumerate(self._cut(value, findings)):
            try:
                self._read(entry, read)
            except BadValueError as bad:
                raise BadValueError(bad.message, f"[{place}]{bad.path}", bad.code) from None
        kept = [place for place, item in enumerate(read.items) if item != UNKNOWN or place in read.content]
        if len(kept) < len(read.items):
            findings.unknown[self.name] = None
            findings.unknown_entries = sorted(set(range(len(read.items))) - set(kept))
        findings.new_entries = list(read.content)
        findings.empty_history = not kept
        ids = np.array([read.items[place] for place in kept] or [PAD], dtype=np.int64)
        ages = _ages_days(read.times)[kept] if kept else np.zeros(1, dtype=np.float32)
        arrays: Arrays = {self.name: ids, f"{self.name}_age": ages}
        return arrays | self._new(read, kept, findings) if self._content else arrays

    def _cut(self, value: Any, findings: Findings) -> Sequence[Any]:
        """The newest entries."""
        if value is not None and not isinstance(value, (list, tuple)):
            raise BadValueError(f"expected a list of item ids, newest first, got {json_type(value)}")
        entries, limit = value or (), self._spec.max_length
        if len(entries) > limit:
            findings.truncated.append(Truncation(self.name, len(entries), limit, "entries"))
        return entries[:limit]

    def _read(self, entry: Any, read: _Read) -> None:
        """Append one entry."""
        if type(entry) is str or type(entry) is int:
            read.items.append(self._index.get(id_of(entry), UNKNOWN))
            read.times.append(None)
            return
        if not isinstance(entry, (dict, Mapping)):  # the first is ten times as fast to tell
            raise BadValueError(
                f'expected an item id or an object with "id" and "time", got {json_type(entry)}'
            )
        for key in entry:
            if key not in self._fields:
                hint, has = nearest(key, self._fields), " and ".join(f'"{name}"' for name in self._fields)
                message = f"an unknown field; {hint}a history entry has {has} and nothing else"
                raise BadValueError(message, code="unknown_field")
        item = self._index.get(id_of(entry["id"], ".id"), UNKNOWN) if "id" in entry else UNKNOWN
        if item == UNKNOWN:
            told = {name: entry[name] for name in self._content if entry.get(name) is not None}
            if told:
                read.content[len(read.items)] = told
            elif "id" not in entry:
                raise BadValueError('"id" is missing', code="missing_field")
        time = entry.get("time")
        read.items.append(item)
        read.times.append(None if time is None else unix_time(time, ".time"))

    def _new(self, read: _Read, kept: Sequence[int], findings: Findings) -> Arrays:
        """Places of the new items among the entries that are kept, and their features."""
        place_of = {place: position for position, place in enumerate(kept, start=1)} if read.content else {}
        places = np.array([place_of[place] for place in read.content] or [PAD], dtype=np.int64)
        arrays: Arrays = {f"{self.name}_new": places}
        for name, field in self._content.items():
            rows = [
                self._told(field, told.get(name), place, findings) for place, told in read.content.items()
            ]
            arrays[f"{self.name}_new_{name}"] = pad(rows) if rows else self._no_content[name]
        return arrays

    def _told(self, field: FeatureField, value: Any, place: int, findings: Findings) -> npt.NDArray[Any]:
        """One feature of one new item; what is to be findings of it names both."""
        own = Findings(findings.now)
        try:
            array = field.arrays(value, own)[field.name]
        except BadValueError as bad:
            raise BadValueError(bad.message, f"[{place}].{field.name}{bad.path}", bad.code) from None
        if own.unknown:
            findings.unknown[f"{self.name}.{field.name}"] = None
        where = f"{self.name}[{place}].{field.name}"
        findings.truncated += [Truncation(where, cut.length, cut.limit, cut.unit) for cut in own.truncated]
        return array

    def schema(self) -> dict[str, Any]:
        limit = self._spec.max_length
        known = f"newest first; {len(self._index)} items are known; the first {limit} entries are read"
        entry: dict[str, Any] = {
            "type": "object",
            "properties": {"id": {"type": list(ID_TYPES)}, "time": time_schema("when it happened")},
            "additionalProperties": False,
        }
        if self._content:
            known += "; an item that is not known comes with its content, which is read of such items only"
            entry["properties"] |= {name: field.schema() for name, field in self._content.items()}
        else:
            entry["required"] = ["id"]
        return {
            "type": ["array", "null"],
            "items": {"anyOf": [{"type": list(ID_TYPES)}, entry]},
            "description": described(self._spec.description, known, AS_TEXT),
        }


def _ages_days(times: Sequence[float | None]) -> npt.NDArray[np.float32]:
    """Days before the newest time given; an entry without a time takes its newer neighbour's age."""
    newest = max((time for time in times if time is not None), default=0.0)
    ages, age = [], 0.0
    for time in times:
        age = age if time is None else (newest - time) / DAY_S
        ages.append(age)
    return np.array(ages, dtype=np.float32)
