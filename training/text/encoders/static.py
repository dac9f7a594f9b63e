"""A static encoder of somebody else: the mean of token vectors, then what its directory says comes after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from torch import Tensor, nn

from training.text.encoders.form import FORM
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.pretrained.directory import Pretrained


class StaticTable(nn.Module):
    """Token vectors in the type that they were saved in, expanded after the gather.

    Args:
        rows: float32, float16 or int8 (tokens, d).
        unknown: a token that is left out of the mean; None for none.
    """

    rows: Tensor

    def __init__(self, rows: Tensor, unknown: int | None) -> None:
        super().__init__()
        self.register_buffer("rows", rows)
        self.unknown = unknown

    def forward(self, input_ids: Tensor) -> Tensor:
        """(n, t) -> (n, t, d)."""
        return self.rows[input_ids].float()


class StaticEncoder(PretrainedEncoder):
    """Token ids to vectors; a text of nothing but unknown tokens has the vector 0."""

    def __init__(self, spec: Pretrained, table: StaticTable) -> None:
        super().__init__(spec, table)
        self.table = table

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids and attention_mask int64 (n, t) -> float32 (n, dim)."""
        mask = attention_mask
        if self.table.unknown is not None:
            mask = mask * (input_ids != self.table.unknown)
        return self.pooled(self.table(input_ids), mask.float())


def static_notes() -> Callable[[onnx.GraphProto], dict[str, Any]]:
    """Say in a graph that no run can start from it."""
    return lambda graph: {FORM: {"form": "static", "storage": {}}}
