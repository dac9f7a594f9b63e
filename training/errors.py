"""What can go wrong in training that is not a bug.

    EncoderyError (bundle.errors)
    └── TrainingError             one sentence for whoever started the run, with the way out
        ├── ConfigError           a setting, or the data it names, cannot be used
        ├── TeacherError          the pretrained encoder is not there, or not the expected one
        ├── VectorError           an encoder's vectors are not finite, or not as many as the texts
        ├── NothingLearnedError   no step was better than the start, whose weights nobody asked for
        ├── DivergedError         the loss, its gradient or the validation metric is not finite
        ├── InterruptedRunError   somebody stopped the run; the same command goes on from its checkpoint
        ├── RanksError            another process of a run by torchrun ended, or cannot be reached
        ├── ExportError           the exported graph does not give torch's vectors
        └── ServerError           a server that is to be evaluated does not answer with vectors

The command line prints these without a traceback. Publishing raises `bundle.errors.BundleError`.
"""

from __future__ import annotations

from bundle.errors import EncoderyError


class TrainingError(EncoderyError):
    """Base of every error that training raises on purpose."""


class ConfigError(TrainingError):
    """A setting, or the data it names, cannot be used; the message names it and the way out."""


class TeacherError(TrainingError):
    """The pretrained encoder is not there, or not the expected one."""


class VectorError(TrainingError):
    """An encoder's vectors are not finite, or not as many as the texts; nothing can be measured with them."""


class NothingLearnedError(TrainingError):
    """No step was better than the start; its weights are published only by force."""


class DivergedError(TrainingError):
    """The loss, its gradient or the validation metric is not finite."""


class InterruptedRunError(TrainingError):
    """Somebody stopped the run; its checkpoint is written, and the same command goes on from it."""


class RanksError(TrainingError):
    """Another process of a run by torchrun ended, or cannot be reached."""


class ExportError(TrainingError):
    """The exported graph does not give torch's vectors; nothing is published."""


class ServerError(TrainingError):
    """The server did not answer with vectors; the message is its own."""
