"""Golden pixels: a bundle is refused where pictures are prepared otherwise than in training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from bundle import Draft, GoldenError, Store, publish
from bundle.golden import ARRAYS, Golden

DRAFT = tiny.image_draft()
GOLDEN = Golden.from_bytes(DRAFT.golden)


def changed(**changes: Any) -> Draft:
    return replace(DRAFT, golden=replace(GOLDEN, **changes).to_bytes())


def test_pixels_of_the_first_pictures_are_kept_and_read_back() -> None:
    assert len(GOLDEN.arrays) == ARRAYS
    for one in GOLDEN.arrays:
        assert (one["pixels"].dtype, one["pixels"].shape) == (np.uint8, (tiny.IMAGE_SIDE, tiny.IMAGE_SIDE, 3))
    assert GOLDEN.to_bytes() == DRAFT.golden


def test_pixels_that_are_a_little_off_are_taken(tmp_path: Path) -> None:
    off = [{"pixels": one["pixels"] // 2 * 2} for one in GOLDEN.arrays]
    publish(tmp_path, [changed(arrays=off)])

    assert Store(tmp_path).load("image").manifest.name == "image"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([{"pixels": one["pixels"][::-1]} for one in GOLDEN.arrays], "prepared otherwise than in training"),
        ([{"pixels": one["pixels"][:4]} for one in GOLDEN.arrays], "of another form"),
        ([{"samples": one["pixels"]} for one in GOLDEN.arrays], "of another form"),
        ([], "no arrays"),
    ],
)
def test_other_pixels_are_refused(tmp_path: Path, arrays: Any, message: str) -> None:
    with pytest.raises(GoldenError, match=message):
        publish(tmp_path, [changed(arrays=arrays)])


@pytest.mark.parametrize("damage", [{"data": "?"}, {"shape": [1]}, {"dtype": "object"}])
def test_a_damaged_array_is_a_damaged_file(damage: dict[str, Any]) -> None:
    content = json.loads(DRAFT.golden)
    content["arrays"][0]["pixels"] |= damage
    with pytest.raises(GoldenError, match=r"golden\.json"):
        Golden.from_bytes(json.dumps(content).encode())


def test_texts_have_none() -> None:
    assert "arrays" not in json.loads(tiny.text_draft().golden)
