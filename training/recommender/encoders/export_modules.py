"""Both towers as they are exported: what is linear is folded into tables, which are kept in 8 bits a number.

    item: what is missing of a known item is what training knew of it
    user: a history is one gather from a table of all known items; new items are known by their content

n rows, h entries of a history, m of them new, d dimensions.
Index layout: `bundle.preprocess.features.schema`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bundle.preprocess.features.schema import FIRST, MISSING, UNKNOWN
from training.layers import Int8Table
from training.recommender.encoders.sequence import window
from training.recommender.encoders.towers import TwoTowers


@dataclass(frozen=True)
class Recent:
    """How popular items are now.

    Attributes:
        weight: of log(1 + users) in the last component.
        known: log(1 + users) of the known items as training ended, float32 (k,), in vocabulary order.
    """

    weight: float
    known: Tensor


class ExportedItems(nn.Module):
    """The item tower as it is exported: what is missing of a known item is what training knew of it.

    So a known item's id alone gives the vector of its whole record. Whatever is linear between a feature's
    table and the first hidden layer is folded into the table, which is then kept in 8 bits a number.

    Args:
        towers: trained.
        items: the known items' arrays, in the order of the vocabulary.
        recent: what makes the last component one of now; its number is the last array then.
    """

    def __init__(self, towers: TwoTowers, items: Sequence[Tensor], recent: Recent | None = None) -> None:
        super().__init__()
        inputs, self.hidden = towers.item_inputs, towers.item_tower
        self.recent = None if recent is None else ExportedRecent(recent)
        self.id_position = inputs.id_position
        first = self.hidden.first()
        self.parts = nn.ModuleList(
            inputs.part(position).folded(inputs.projected(position, first)) for position in range(len(items))
        )
        for position, array in enumerate(items):
            missing = torch.zeros(FIRST, array.shape[1], dtype=array.dtype)
            missing[:, _missing_at(array)] = MISSING
            self.register_buffer(f"known_{position}", torch.cat([missing, array]))

    def forward(self, *arrays: Tensor) -> Tensor:
        """The item preprocessor's arrays -> (n, output_dim)."""
        ids = arrays[self.id_position][:, 0]  # (n,)
        content = arrays if self.recent is None else arrays[:-1]
        embedded = [self._embedded(position, array, ids) for position, array in enumerate(content)]
        vectors = self.hidden.rest(torch.stack(embedded).sum(0))
        return vectors if self.recent is None else self.recent(vectors, ids, arrays[-1])

    def _embedded(self, position: int, array: Tensor, ids: Tensor) -> Tensor:
        part = self.parts[position]
        given: Tensor = part(array)
        if position == self.id_position:
            return given
        place = _missing_at(array)
        missing = array[:, place : place + 1] == MISSING  # (n, 1)
        known = self.get_buffer(f"known_{position}")[ids]
        return torch.where(missing, part(known), given)


class ExportedRecent(nn.Module):
    """Adds how popular items are now to the last component of their vectors, and to no other.

    Of an item that training never saw, and of which nothing is said, it is the mean of the known ones: nobody
    could have taken it yet, which says nothing of what it is worth.

    Args:
        recent: weight, and what training knew.
    """

    def __init__(self, recent: Recent) -> None:
        super().__init__()
        self.weight = recent.weight
        unknown = recent.known.mean().expand(FIRST) if len(recent.known) else recent.known.new_zeros(FIRST)
        self.register_buffer("known", torch.cat([unknown, recent.known]))

    def forward(self, vectors: Tensor, ids: Tensor, number: Tensor) -> Tensor:
        """Vectors (n, d), ids (n,), [log(1 + users), missing] (n, 2) -> (n, d)."""
        is_missing = number[:, 1] == MISSING  # (n,)
        logs = torch.where(is_missing, self.get_buffer("known")[ids], number[:, 0])
        last = vectors[:, -1:] + self.weight * logs.unsqueeze(1)
        return torch.cat([vectors[:, :-1], last], dim=1)


class ExportedEntries(nn.Module):
    """The items of histories, as a matrix reads their input vectors: all that is linear before it is folded.

    Known items are rows of one table in 8 bits a number, new ones the sum of what their features say.

    Args:
        towers: trained.
        items: the known items' arrays, in the order of the vocabulary.
        weights: (item_dim, c).
    """

    def __init__(self, towers: TwoTowers, items: Sequence[Tensor], weights: Tensor) -> None:
        super().__init__()
        inputs, positions = towers.item_inputs, range(len(items))
        with torch.no_grad():
            table = towers.eval().history_table(*items)
            table[UNKNOWN] = inputs.embedded(inputs.id_position, torch.tensor([[UNKNOWN]]))[0]
            self.table = Int8Table(table @ weights)  # (FIRST + items, c)
        self.content = nn.ModuleList(
            inputs.part(position).folded(inputs.projected(position, weights))
            for position in positions
            if position != inputs.id_position
        )

    def pooled(self, weights: Tensor, entries: Tensor, *new: Tensor) -> Tensor:
        """Weighted sums: (n, c).

        Args:
            weights: (n, h).
            entries: int64 (n, h), padded with 0; UNKNOWN for new ones.
            new: places from 1 of the new ones, int64 (n, m), and their features' arrays, (n, m, ...) each.
        """
        total = torch.matmul(weights.unsqueeze(1), self.table(entries))  # (n, 1, h) @ (n, h, c)
        if new:
            of_new = torch.matmul(weights.unsqueeze(1), _at(entries, new[0]))  # (n, 1, h) @ (n, h, m)
            total = total + torch.matmul(of_new, self._embedded(new[1:]))  # (n, 1, m) @ (n, m, c)
        return total.squeeze(1)

    def each(self, entries: Tensor, *new: Tensor) -> Tensor:
        """Every entry: (n, h, c). The arguments are those of `pooled`."""
        vectors: Tensor = self.table(entries)
        if new:
            vectors = vectors + _at(entries, new[0]) @ self._embedded(new[1:])  # (n, h, m) @ (n, m, c)
        return vectors

    def _embedded(self, content: Sequence[Tensor]) -> Tensor:
        """(n, m, ...) each -> (n, m, c)."""
        flat = [array.flatten(0, 1) for array in content]  # (n * m, ...)
        embedded = torch.stack([part(array) for part, array in zip(self.content, flat, strict=True)]).sum(0)
        return embedded.reshape(*content[0].shape[:2], -1)  # (n, m, c)


def _at(entries: Tensor, places: Tensor) -> Tensor:
    """Mark the entry of each new item: (n, h, m) of 0 and 1. entries (n, h), places from 1 (n, m)."""
    return (places.unsqueeze(1) == torch.arange(1, entries.shape[1] + 1).unsqueeze(1)).float()


class ExportedUsers(nn.Module):
    """The user tower as it is exported.

    The first matrix of the hidden layers is folded into the items' vectors, so that a history is gathered
    at the width it is read at.

    Args:
        towers: trained.
        items: the known items' arrays, in the order of the vocabulary.
    """

    def __init__(self, towers: TwoTowers, items: Sequence[Tensor]) -> None:
        super().__init__()
        self.tower = towers.user_tower
        first, dim = self.tower.hidden.first(), towers.item_dim
        of_history = torch.split(first[: self.tower.pool.readings * dim], dim)
        self.readings = nn.ModuleList(ExportedEntries(towers, items, one) for one in of_history)
        self.in_order: ExportedEntries | None = None
        if self.tower.sequence is not None:
            self.in_order = ExportedEntries(towers, items, self.tower.sequence.read.weight.detach().T)
        self.register_buffer(
            "beside", first[self.tower.pool.readings * dim :]
        )  # of the history's facts and the other features

    def forward(self, *arrays: Tensor) -> Tensor:
        """The user preprocessor's arrays -> (n, output_dim)."""
        tower = self.tower
        entries, ages_days, *new = tower.history(arrays)
        weights, facts = tower.pool.weights(entries, ages_days)
        history = [
            cast(ExportedEntries, one).pooled(weights[:, place], entries, *new)  # (n, c)
            for place, one in enumerate(self.readings)
        ]
        read = torch.stack(history).sum(0) + torch.cat(
            [facts, *tower.embedded(arrays)], dim=1
        ) @ self.get_buffer("beside")
        vector = tower.hidden.rest(read)
        if tower.sequence is not None and self.in_order is not None:
            shown = window(entries, tower.sequence.length)
            vector = vector + tower.sequence.of_vectors(self.in_order.each(shown, *new), shown)
        return tower.finished(vector)


def _missing_at(array: Tensor) -> int:
    """The column that holds MISSING for a missing value: the flag of a number, the first entry otherwise."""
    return 1 if array.is_floating_point() else 0
