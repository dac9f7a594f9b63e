"""Who may ask for what, and how much of it. Knows neither HTTP nor encoders."""

from app.access.gate import CALLER, NOBODY, Caller, Gate
from app.access.keys import ANYBODY, Key, KeyRing, KeysError, Scope, new_secret, read_keys
from app.access.rates import Bucket, KeyRates, RateLimited, RateLimits

__all__ = [
    "ANYBODY",
    "CALLER",
    "NOBODY",
    "Bucket",
    "Caller",
    "Gate",
    "Key",
    "KeyRates",
    "KeyRing",
    "KeysError",
    "RateLimited",
    "RateLimits",
    "Scope",
    "new_secret",
    "read_keys",
]
