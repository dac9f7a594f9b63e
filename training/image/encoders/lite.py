"""EfficientNet-Lite0 as a backbone: 1,280 features of a picture.

The graph is that of Tan and Le (https://arxiv.org/abs/1905.11946), in the form for small devices: ReLU6, no
squeeze-and-excitation. Weights come with their batch norms folded into the convolutions, so that a run that
fine-tunes them needs no statistics of its own batches, which are small here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 1280
NORM_EPSILON = 1e-3  # of the batch norms, as trained
STEM = 32


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks one after another; the first one has the stride and changes the width."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
BLOCKS = sum(stage.repeats for stage in STAGES)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: an odd pixel more at the right and at the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        total = kernel - stride
        self.around = (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, self.around) if any(self.around) else x
        return super().forward(padded)


class Block(nn.Module):
    """An inverted residual: widened, filtered by channel, narrowed. [n, c, h, w] to [n, width, ...]."""

    def __init__(self, inputs: int, kernel: int, stride: int, expand: int, width: int) -> None:
        super().__init__()
        inner = inputs * expand
        self.expand = SameConv(inputs, inner, 1) if expand > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv(inner, width, 1)
        self.is_residual = stride == 1 and inputs == width

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else functional.relu6(self.expand(x))
        y: Tensor = self.project(functional.relu6(self.depthwise(wide)))
        return x + y if self.is_residual else y


class Lite0(nn.Module):
    """Colours, float32 [n, 3, side, side], to features [n, 1280]; 32 divides the side.

    Args:
        tune: how many blocks are trained, from the last one back. With 0 the head is not either.
    """

    width = FEATURES

    def __init__(self, tune: int = 0) -> None:
        super().__init__()
        self.tune = tune
        self.stem = SameConv(3, STEM, 3, 2)
        blocks, inputs = list[Block](), STEM
        for stage in STAGES:
            for number in range(stage.repeats):
                stride = stage.stride if number == 0 else 1
                blocks.append(Block(inputs, stage.kernel, stride, stage.expand, stage.width))
                inputs = stage.width
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv(inputs, FEATURES, 1)

    def lower(self, colours: Tensor) -> Tensor:
        """What is not trained: up to the first block that is; with `tune` 0 all of it."""
        if self.tune == BLOCKS:
            return colours
        x = functional.relu6(self.stem(colours))
        for block in self.blocks[: BLOCKS - self.tune]:
            x = block(x)
        return x if self.tune else self._features(x)

    def upper(self, x: Tensor) -> Tensor:
        """The rest, to features [n, 1280]."""
        if self.tune == BLOCKS:
            x = functional.relu6(self.stem(x))
        for block in self.blocks[BLOCKS - self.tune :]:
            x = block(x)
        return self._features(x) if self.tune else x

    def _features(self, x: Tensor) -> Tensor:
        return functional.relu6(self.head(x)).mean((2, 3))

    def tuned(self) -> list[nn.Parameter]:
        """The parameters that are trained."""
        if self.tune == BLOCKS:
            return list(self.parameters())
        parts = [*self.blocks[BLOCKS - self.tune :], self.head] if self.tune else []
        return [one for part in parts for one in part.parameters()]

    def forward(self, colours: Tensor) -> Tensor:
        return self.upper(self.lower(colours))


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of `Lite0` from that of the `efficientnet-lite-pytorch` package. Raises KeyError."""
    state = dict[str, Tensor]()
    for name, conv, norm in names_in_package():
        scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + NORM_EPSILON)
        state[f"{name}.weight"] = weights[f"{conv}.weight"] * scale[:, None, None, None]
        state[f"{name}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return state


def names_in_package() -> list[tuple[str, str, str]]:
    """Our name of each convolution, and its and its norm's names in the package."""
    names = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    for index in range(BLOCKS):
        ours, theirs = f"blocks.{index}", f"_blocks.{index}"
        if index:  # the first block widens nothing
            names.append((f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"))
        names.append((f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"))
        names.append((f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"))
    return names
