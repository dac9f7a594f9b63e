"""An object of features taken apart: entries of lists, as the events of a history, and all other fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from bundle.errors import InputError
from bundle.preprocess.base import Pieces, runs
from bundle.preprocess.features.input import Features

UNIT, NOTHING = "fields and entries", "no field of the object has a value; there is nothing to take apart"
_Part: TypeAlias = tuple[str, int | None]  # a field, and a place in its list


class _Field(NamedTuple):
    """A field with a value.

    Attributes:
        name: of the field.
        parts: its entries, or the field alone.
    """

    name: str
    parts: Sequence[_Part]


def pieces_of(features: Features, most: int) -> Pieces:
    """At most so many pieces: entries, or runs of entries where a list is long; or runs of fields.

    Raises InputError for an object without a value.
    """
    fields = [_Field(name, _parts(name, value)) for name, value in features.values.items()]
    fields = [field for field in fields if field.parts]
    if not fields:
        raise InputError(0, "empty_input", NOTHING)
    if len(fields) > most:
        groups = [[part for at in run for part in fields[at].parts] for run in runs(len(fields), most)]
    else:
        longest = _longest_list([len(field.parts) for field in fields], most)
        groups = [
            [field.parts[at] for at in run] for field in fields for run in runs(len(field.parts), longest)
        ]
    count = sum(len(field.parts) for field in fields)
    places = [_place(group) for group in groups]
    return Pieces(UNIT, places, partial(_keep, features, groups), count if count > len(groups) else 0)


def _parts(name: str, value: Any) -> list[_Part]:
    if isinstance(value, list | tuple):
        return [(name, at) for at in range(len(value))]
    return [] if value is None else [(name, None)]


def _longest_list(sizes: Sequence[int], most: int) -> int:
    """The most runs of each list with which all together are at most so many; len(sizes) <= most."""
    return max(bound for bound in range(1, most + 1) if sum(min(size, bound) for size in sizes) <= most)


def _place(group: Sequence[_Part]) -> Mapping[str, Any]:
    names = list(dict.fromkeys(name for name, _ in group))
    if len(names) > 1:
        return {"fields": names}
    entries = [at for _, at in group if at is not None]
    return {"field": names[0], "entries": entries} if entries else {"field": names[0]}


def _keep(features: Features, groups: Sequence[Sequence[_Part]], kept: npt.NDArray[np.bool_]) -> Features:
    """The object without what is not kept; never None: an encoder has a vector of an empty object."""
    gone = {part for group, is_kept in zip(groups, kept, strict=True) if not is_kept for part in group}
    left = {}
    for name, value in features.values.items():
        if (name, None) in gone:
            continue
        is_list = isinstance(value, list | tuple)
        left[name] = [entry for at, entry in enumerate(value) if (name, at) not in gone] if is_list else value
    return Features(left, features.now)
