"""The config of a run that trains an encoder of pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bundle.manifest import Digest
from bundle.preprocess.image.pixels import Fit
from tabular import BadRowsPolicy
from training.config.sections import Activation, Fraction, NotNegative, Positive, Run, Section

Temperature = Annotated[float, Field(gt=0, le=1)]


class ImageData(Section):
    """Which pictures are learned from: folders of folders, or tables; see `training.data.media`.

    Attributes:
        train: paths of folders and tables.
        validation: the same of what nothing is learned from; each is measured by itself.
        bad_rows: what is done with rows of a table that cannot be used.
    """

    train: Annotated[list[str], Field(min_length=1)]
    validation: Annotated[list[str], Field(min_length=1)]
    bad_rows: BadRowsPolicy = "stop"


class BackboneConfig(Section):
    """An EfficientNet-Lite0 that was trained elsewhere.

    Attributes:
        source: the file of its weights, or `package:NAME` for the first .pth of an installed package.
        sha256: of that file, which must be as it was looked at.
        tune: how many of its sixteen blocks are trained, from the last one back; 0 keeps all of it as it is.
            What comes before them is run once for each view of a picture.
        rate: times the learning rate, for what is tuned.
    """

    source: str
    sha256: Digest
    tune: Annotated[int, Field(ge=0, le=16)] = 0
    rate: NotNegative = 0.3


class NetworkConfig(Section):
    """A small convolutional network of our own, trained from nothing.

    Attributes:
        widths: channels after each stage; a stage halves the picture.
        blocks: residual blocks of each stage.
        kernel: of the convolutions by channel, in pixels.
        activation: after each convolution that widens.
        pooling: over what is left of the picture.
    """

    widths: Annotated[list[Positive], Field(min_length=1, max_length=6)] = [32, 64, 128, 256]
    blocks: Positive = 1
    kernel: Literal[3, 5, 7] = 3
    activation: Activation = "relu"
    pooling: Literal["mean", "max"] = "mean"


class ImageModel(Section):
    """The encoder: a backbone or a network, and a linear output.

    Attributes:
        side: of the square that it reads, in pixels.
        fit: `crop` takes the middle of a picture, `pad` all of it with white beside.
        output_dim: length of the vector; that of the anchor where a space is joined.
        normalize: vectors have unit length.
    """

    side: Annotated[int, Field(ge=32, le=256, multiple_of=32)] = 128
    fit: Fit = "crop"
    backbone: BackboneConfig | None = None
    network: NetworkConfig | None = None
    output_dim: Positive = 256
    normalize: bool = True

    @model_validator(mode="after")
    def _one_of_two(self) -> ImageModel:
        if (self.backbone is None) == (self.network is None):
            raise ValueError("model needs a backbone or a network, one of the two")
        return self


class AugmentConfig(Section):
    """Views of a picture, drawn by chance in training.

    Attributes:
        views: how many are drawn for all of the run where part of a backbone is kept as it is; the first is
            the picture itself. Elsewhere every pass draws anew.
        smallest: share of the picture's area that a view has at least; 1 for all of it.
        flip: how often it is mirrored.
        colour: how far brightness and contrast go from 1.
    """

    views: Positive = 2
    smallest: Annotated[float, Field(gt=0, le=1)] = 0.5
    flip: Fraction = 0.5
    colour: Fraction = 0.25


class AnchorConfig(Section):
    """A published text encoder that stays as it is: captions are its vectors, and its space is joined.

    Attributes:
        model: NAME or NAME@VERSION.
    """

    model: str


class CaptionLoss(Section):
    """Contrast of a picture with all captions of the run, by the anchor's vectors.

    Attributes:
        temperature: of the softmax.
        smoothing: of the labels.
        first: how often the first caption of a picture is the one to be found; others share the rest.
    """

    weight: NotNegative = 1.0
    temperature: Temperature = 0.05
    smoothing: Fraction = 0.05
    first: Fraction = 0.5


class LabelLoss(Section):
    """Cross-entropy of a linear layer over the vector; it is not exported."""

    weight: NotNegative = 1.0
    smoothing: Fraction = 0.1


class SupervisedLoss(Section):
    """Supervised contrast of pictures with the same label in a batch."""

    weight: NotNegative = 1.0
    temperature: Temperature = 0.1


class DistillLoss(Section):
    """Cosine distance to the features of an EfficientNet-Lite0, by a linear layer that is not exported."""

    weight: NotNegative = 1.0
    source: str
    sha256: Digest


class ReconstructionLoss(Section):
    """An auto-encoder: a decoder, not exported, makes a small picture of the vector again.

    Attributes:
        side: of the picture that is made, in pixels.
        width: channels of the decoder's first layer, halved at each of the next.
        noise: standard deviation of what is added to the pixels that the encoder reads, of 1; the decoder is
            to make them without it.
    """

    weight: NotNegative = 1.0
    side: Literal[16, 32, 64] = 32
    width: Positive = 128
    noise: Fraction = 0.1


class ImageLosses(Section):
    """What is learned; at least one."""

    caption: CaptionLoss | None = None
    label: LabelLoss | None = None
    supervised: SupervisedLoss | None = None
    distill: DistillLoss | None = None
    reconstruction: ReconstructionLoss | None = None


class ImageRun(Run):
    """A run that trains an encoder of pictures."""

    kind: Literal["image"]
    data: ImageData
    model: ImageModel
    augment: AugmentConfig = AugmentConfig()
    anchor: AnchorConfig | None = None
    loss: ImageLosses
    not_for: str = ""

    @model_validator(mode="after")
    def _hang_together(self) -> ImageRun:
        losses = self.loss
        if not any(getattr(losses, name) for name in type(losses).model_fields):
            raise ValueError(f"loss needs one of {', '.join(type(losses).model_fields)}")
        if (losses.caption is None) != (self.anchor is None):
            raise ValueError("loss.caption and anchor belong together: captions are the anchor's vectors")
        if self.anchor is not None and not self.model.normalize:
            raise ValueError("model.normalize must be true to join the space of an anchor")
        backbone = self.model.backbone
        if losses.reconstruction and backbone is not None and backbone.tune < 16:
            raise ValueError(
                "loss.reconstruction adds noise to pixels, which a backbone that is kept as it is has read "
                "before; set model.backbone.tune to 16, or train a network"
            )
        return self
