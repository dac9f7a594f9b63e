"""From inputs to vectors for many callers at once; knows nothing of HTTP.

inputs -> prepare (threads) -> queue -> batch -> forward pass (threads) -> float32 [n, dim]
"""

from app.engine.cache import ResultCache
from app.engine.encoded import Encoded, Timings
from app.engine.engine import ARRIVAL, FEW, Engine
from app.engine.errors import (
    DeadlineExceeded,
    Draining,
    EncoderFailed,
    EncoderHangs,
    EngineError,
    Loading,
    NotReady,
    NumericalError,
    Overloaded,
    SpaceMismatch,
    TooMuchWork,
    UnknownModel,
    UnknownVersion,
    Unloaded,
)
from app.engine.loading import Loader, load_registry
from app.engine.pace import Pace, Priority
from app.engine.preparation import Distinct
from app.engine.registry import Loaded, Model, Registry
from app.engine.shared_load import SharedLoad
from app.engine.tuning import BatchProfile
from app.proving import Refused

__all__ = [
    "ARRIVAL",
    "FEW",
    "BatchProfile",
    "DeadlineExceeded",
    "Distinct",
    "Draining",
    "Encoded",
    "EncoderFailed",
    "EncoderHangs",
    "Engine",
    "EngineError",
    "Loaded",
    "Loader",
    "Loading",
    "Model",
    "NotReady",
    "NumericalError",
    "Overloaded",
    "Pace",
    "Priority",
    "Refused",
    "Registry",
    "ResultCache",
    "SharedLoad",
    "SpaceMismatch",
    "Timings",
    "TooMuchWork",
    "UnknownModel",
    "UnknownVersion",
    "Unloaded",
    "load_registry",
]
