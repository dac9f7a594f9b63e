"""A user's history: items, each known by its id or told by its content.

    entries -> known | new (never seen, with content) | unknown (never seen, nothing told: skipped)
            -> newest first (`ages`) -> one of each item -> the newest of them, up to the limit

Of a known item what training knew is used, so that its id alone and its whole record are the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.preprocess.base import Arrays, pad
from bundle.preprocess.facts import Truncation
from bundle.preprocess.features.ages import ages_of
from bundle.preprocess.features.fields import (
    ANY_CASE,
    AS_TEXT,
    FIELDS,
    ID_TYPES,
    FeatureField,
    Findings,
    described,
    time_schema,
)
from bundle.preprocess.features.schema import ENTRY_FIELDS, PAD, UNKNOWN, HistorySpec
from bundle.preprocess.features.vocabulary import Vocabulary
from bundle.values import BadValueError, id_of, json_type, nearest, unix_time

WHEN = "when it happened; more than a day after `now`, it is taken for as old as the newest of the others"


class _Read:
    """A history's entries as they were given: lists, since a history may have hundreds.

    Attributes:
        items: index of each, UNKNOWN for those never seen.
        times: unix seconds.
        content: by place, what is told of items never seen, without what is null.
        names: by place, the ids of these, where they have one.
    """

    def __init__(self) -> None:
        self.items: list[int] = []
        self.times: list[float | None] = []
        self.content: dict[int, Mapping[str, Any]] = {}
        self.names: dict[int, str] = {}

    def usable(self, places: Sequence[int]) -> Sequence[int]:
        """Those of the places whose item is known, or told by its content."""
        if UNKNOWN not in self.items:  # nearly always
            return places
        return [place for place in places if self.items[place] != UNKNOWN or place in self.content]

    def distinct(self, places: Sequence[int]) -> Sequence[int]:
        """Those of the places, newest first, that no later one shares its item with.

        So an item is as old as its oldest entry, which is how training reads a log. A new item without an
        id is like no other.
        """
        if len(set(self.items)) == len(self.items):
            return places
        last = {self._identity(place): place for place in places}
        return [place for place in places if last[self._identity(place)] == place]

    def _identity(self, place: int) -> Hashable:
        item = self.items[place]
        return item if item != UNKNOWN else self.names.get(place, -1 - place)


class History:
    """`{name}` int64 [h], UNKNOWN for a new item, and `{name}_age` float32 [h], days since the newest entry.

    Where the schema declares content, too: `{name}_new` int64 [m], the places from 1 of the new items among
    the entries, and `{name}_new_{feature}` [m, ...] for each feature of theirs; one row of PAD if there are
    none. Unknown items are skipped and reported.

    Args:
        spec: as declared.
        version: of the schema. Before 2 an item counts as often as it comes, unknown ones too.
    """

    def __init__(self, spec: HistorySpec, version: int) -> None:
        self.name = spec.name
        self._spec, self._counts_once = spec, version > 1
        self._vocabulary = Vocabulary(spec.vocabulary, uppercase=spec.uppercase, is_exact=version == 1)
        self._content = {one.name: FIELDS[one.kind](one, version) for one in spec.content}
        self._fields = dict.fromkeys((*ENTRY_FIELDS, *self._content))  # a dict, to keep their order
        self._no_content = {
            name: field.arrays(None, Findings(None))[name][np.newaxis]
            for name, field in self._content.items()
        }

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        read = self._entries(value)
        ages = ages_of(read.times, findings.now)
        findings.undated_entries, findings.future_entries = ages.undated, ages.future
        kept = self._kept(read, ages.order, findings)
        findings.new_entries = sorted(set(read.content).intersection(kept)) if read.content else []
        findings.empty_history = not kept
        ids = [read.items[place] for place in kept] or [PAD]
        days = [ages.days[place] for place in kept] or [0.0]
        arrays: Arrays = {
            self.name: np.array(ids, dtype=np.int64),
            f"{self.name}_age": np.array(days, dtype=np.float32),
        }
        return arrays | self._new(read, kept, findings) if self._content else arrays

    def _kept(self, read: _Read, order: Sequence[int], findings: Findings) -> Sequence[int]:
        """Places of the entries that are encoded, the newest first; tells of the others."""
        if not self._counts_once:
            order = self._cut(order, findings)
        kept = read.usable(order)
        if len(kept) < len(order):
            findings.unknown[self.name] = None
            findings.unknown_entries = sorted(set(order).difference(kept))
        if not self._counts_once:
            return kept
        distinct = read.distinct(kept)
        findings.repeated_entries = len(kept) - len(distinct)
        return self._cut(distinct, findings)

    def _cut(self, places: Sequence[int], findings: Findings) -> Sequence[int]:
        limit = self._spec.max_length
        if len(places) > limit:
            unit = "items" if self._counts_once else "entries"
            findings.truncated.append(Truncation(self.name, len(places), limit, unit))
        return places[:limit]

    def _entries(self, value: Any) -> _Read:
        """Read every entry: which ones are the newest is known only then."""
        if value is not None and not isinstance(value, (list, tuple)):
            raise BadValueError(f"expected a list of item ids, newest first, got {json_type(value)}")
        read, place = _Read(), 0
        known, items, times = self._vocabulary.index, read.items, read.times
        try:
            for place, entry in enumerate(value or ()):
                is_id = type(entry) is str or type(entry) is int
                name = entry if is_id else self._name(entry)
                item = known.get(name) if type(name) is str else None
                if item is None:
                    item = self._item(name, None if is_id else entry, place, read)
                time = None if is_id else entry.get("time")
                items.append(item)
                times.append(None if time is None else unix_time(time, ".time"))
        except BadValueError as bad:
            raise BadValueError(bad.message, f"[{place}]{bad.path}", bad.code) from None
        return read

    def _name(self, entry: Any) -> Any:
        """The id in a record, "" for none; not checked yet."""
        if not isinstance(entry, (dict, Mapping)):  # the first is ten times as fast to tell
            raise BadValueError(
                f'expected an item id or an object with "id" and "time", got {json_type(entry)}'
            )
        for key in entry:
            if key not in self._fields:
                hint, has = nearest(key, self._fields), " and ".join(f'"{name}"' for name in self._fields)
                message = f"an unknown field; {hint}a history entry has {has} and nothing else"
                raise BadValueError(message, code="unknown_field")
        return entry.get("id", "")

    def _item(self, name: Any, entry: Mapping[str, Any] | None, place: int, read: _Read) -> int:
        """The index of an item of an unusual id, or of one never seen; notes what is told of the latter."""
        name = id_of(name, "" if entry is None else ".id")
        item = max(self._vocabulary.find(name), UNKNOWN)  # an empty id is none
        if item == UNKNOWN and entry is not None:
            self._tell(entry, name, place, read)
        return item

    def _tell(self, entry: Mapping[str, Any], name: str, place: int, read: _Read) -> None:
        """Note what an entry tells of an item never seen."""
        told = {field: entry[field] for field in self._content if not self._is_missing(entry.get(field))}
        if told:
            read.content[place] = told
            if name := self._vocabulary.normal(name):
                read.names[place] = name
        elif "id" not in entry:
            raise BadValueError('"id" is missing', code="missing_field")

    def _is_missing(self, value: Any) -> bool:
        return value is None or (self._counts_once and isinstance(value, str) and not value.strip())

    def _new(self, read: _Read, kept: Sequence[int], findings: Findings) -> Arrays:
        """Places of the new items among the entries that are kept, and their features."""
        content = [(place, read.content[place]) for place in findings.new_entries]
        place_of = {place: position for position, place in enumerate(kept, start=1)} if content else {}
        places = np.array([place_of[place] for place, _ in content] or [PAD], dtype=np.int64)
        arrays: Arrays = {f"{self.name}_new": places}
        for name, field in self._content.items():
            rows = [self._told(field, told.get(name), place, findings) for place, told in content]
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
        limit, counted = self._spec.max_length, "items" if self._counts_once else "entries"
        known = (
            f"newest first, or in any order if entries have times; {len(self._vocabulary)} items are known; "
            f"the newest {limit} {counted} are read"
        )
        if self._counts_once:
            known += "; an item counts once, as old as its oldest entry"
        case = ANY_CASE if self._spec.uppercase else ""
        entry: dict[str, Any] = {
            "type": "object",
            "properties": {"id": {"type": list(ID_TYPES)}, "time": time_schema(WHEN)},
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
            "description": described(self._spec.description, known, AS_TEXT, case),
        }
