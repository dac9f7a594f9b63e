"""Who may ask for what, and how much of it. Knows neither HTTP nor encoders."""

from app.access.gate import CALLER, NOBODY, Caller, Gate
from app.access.keys import ANYBODY, Key, KeyRing, KeysError, Scope, new_secret, read_keys
from app.access.rates import Bucket, Exceeded, KeyRates, RateLimits

__all__ = [
    "ANYBODY",
    "CALLER",
    "NOBODY",
    "Bucket",
    "Caller",
    "Exceeded",
    "Gate",
    "Key",
    "KeyRates",
    "KeyRing",
    "KeysError",
    "RateLimits",
    "Scope",
    "new_secret",
    "read_keys",
]
