"""From inputs to vectors for many callers at once; knows nothing of HTTP.

inputs -> prepare (threads) -> queue -> batch -> forward pass (threads) -> float32 [n, dim]
"""

from app.engine.batcher import Priority
from app.engine.cache import ResultCache
from app.engine.encoded import Encoded, Timings
from app.engine.engine import Engine
from app.engine.errors import (
    DeadlineExceeded,
    Draining,
    EncoderFailed,
    EngineError,
    NotReady,
    NumericalError,
    Overloaded,
    SpaceMismatch,
    UnknownModel,
    UnknownVersion,
)
from app.engine.registry import Loaded, Model, Refused, Registry, load_registry
from app.engine.shared_load import SharedLoad

__all__ = [
    "DeadlineExceeded",
    "Draining",
    "Encoded",
    "EncoderFailed",
    "Engine",
    "EngineError",
    "Loaded",
    "Model",
    "NotReady",
    "NumericalError",
    "Overloaded",
    "Priority",
    "Refused",
    "Registry",
    "ResultCache",
    "SharedLoad",
    "SpaceMismatch",
    "Timings",
    "UnknownModel",
    "UnknownVersion",
    "load_registry",
]
