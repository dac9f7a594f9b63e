"""The preprocessor's arrays as tensors, in the order of the graph's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bundle.preprocess.features import FeaturePreprocessor, Features


def tensors(preprocessor: FeaturePreprocessor, inputs: Sequence[Features]) -> list[Tensor]:
    """Of inputs that are still to be prepared; what is too long keeps its beginning."""
    return collated(preprocessor, preprocessor.prepare(inputs, "end"))


def collated(preprocessor: FeaturePreprocessor, prepared: Sequence[Any]) -> list[Tensor]:
    """Of one batch."""
    arrays = preprocessor.collate(prepared)
    return [torch.from_numpy(arrays[name]) for name in preprocessor.input_names]
