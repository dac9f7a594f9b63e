"""What can go wrong between an input and its vector, apart from the input itself.

    EncoderyError
    ├── InputError (bundle)     one input cannot be encoded
    └── EngineError
        ├── UnknownModel        no such model is loaded
        ├── UnknownVersion      the model is loaded, that version is not
        ├── SpaceMismatch       no loaded version gives vectors of the space the caller expects
        ├── Loading             the server has just started, and the model is not loaded yet
        ├── NotReady            the model's current version could not be loaded
        ├── Unloaded            somebody had the model unloaded
        ├── Overloaded          too much work waits
        ├── Draining            the server is stopping
        ├── TooMuchWork         the request's own work does not fit the time allowed
        ├── DeadlineExceeded    no vector in the time allowed
        ├── NumericalError      the encoder gave a vector that is not finite
        ├── EncoderFailed       the encoder raised
        └── EncoderHangs        a forward pass did not end

Each carries a stable `code` for programs. `app.http.errors` gives them their HTTP status.
"""

from __future__ import annotations

from bundle import EncoderyError


class EngineError(EncoderyError):
    """Base of the errors of the engine.

    Attributes:
        code: a stable word for programs.
        param: the index in the request, where there is one.
        retry_after_s: when another try makes sense; None where it makes none.
    """

    code = "internal"
    param: str | None = None
    retry_after_s: float | None = None


class UnknownModel(EngineError):
    """No such model is loaded."""

    code, param = "unknown_model", "model"


class UnknownVersion(EngineError):
    """The model is loaded, that version is not."""

    code, param = "unknown_version", "version"


class SpaceMismatch(EngineError):
    """No loaded version gives vectors of the space the caller expects."""

    code, param = "space_mismatch", "space"


class Loading(EngineError):
    """The model is not loaded yet."""

    code, param, retry_after_s = "model_loading", "model", 1.0

    def __init__(self, name: str) -> None:
        super().__init__(f"the model {name} is still being loaded; try again in a moment")


class NotReady(EngineError):
    """The model's current version could not be loaded, and waiting alone does not help.

    Args:
        retry_after_s: for a server that is not ready, and will be by itself.
    """

    code, param = "model_not_ready", "model"

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unloaded(EngineError):
    """Somebody had the model unloaded."""

    code, param = "model_unloaded", "model"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the model {name} was unloaded; POST /v2/repository/models/{name}/load loads it again"
        )


class Overloaded(EngineError):
    """Too much work waits: by its count, or by the time it will take.

    Args:
        retry_after_s: when there will be room, at the measured rate.
    """

    code = "overloaded"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Draining(EngineError):
    """The server is stopping."""

    code, retry_after_s = "draining", 1.0

    def __init__(self) -> None:
        super().__init__("the server is stopping; send the request to another one, or again in a moment")


class TooMuchWork(EngineError):
    """The request's own work takes far longer than it may, so that it is not begun.

    Args:
        work_s: that it would take, at the measured rate.
        left_s: that there is for it.
        inputs: like these that fit.
    """

    code, param = "too_much_work", "inputs"

    def __init__(self, work_s: float, left_s: float, inputs: int) -> None:
        super().__init__(
            f"these inputs would take about {work_s:.0f} s, and {left_s:.1f} s are left for them; send about "
            f"{inputs} like these per request, or all of them as a stream (NDJSON to /encode)"
        )


class DeadlineExceeded(EngineError):
    """No vector in the time allowed; what was still waiting is not run any more."""

    code = "deadline_exceeded"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(
            f"not encoded within {timeout_s:g} s; send fewer inputs per request or try again later"
        )


class NumericalError(EngineError):
    """The encoder gave a vector that is not finite."""

    code = "numerical_error"

    def __init__(self, index: int) -> None:
        self.param = f"inputs[{index}]"
        super().__init__(
            f"{self.param}: the encoder gave a vector that is not finite; report this input's kind"
        )


class EncoderFailed(EngineError):
    """The encoder raised; the cause is for the log, never for the caller."""

    code = "encoder_failed"

    def __init__(self, index: int | None = None) -> None:
        self.param = None if index is None else f"inputs[{index}]"
        where = "" if index is None else f"{self.param}: "
        super().__init__(
            f"{where}the encoder failed; the server's log has the reason under this request's id"
        )


class EncoderHangs(EngineError):
    """A forward pass did not end; its thread is given up.

    Args:
        longest_s: that a pass may take.
    """

    code = "encoder_hangs"

    def __init__(self, longest_s: float) -> None:
        super().__init__(
            f"the encoder did not end within {longest_s:g} s, and was given up; the server is about to be "
            "replaced, and an input that did this before should not be sent again"
        )
