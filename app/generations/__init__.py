"""Which versions a server serves, one generation after another, decided once for all its processes.

    a change -> Controller: plan, prove -> records, switch -> each process: app.live_models -> requests

The controller lives in the process that serves alone, or in the supervisor of several. Knows nothing of HTTP
or of the engine.
"""

from app.generations.changes import AnyChange, Load, Outcome, Reload, SetAlias, Unload
from app.generations.controller import Controller, Generations, alone
from app.generations.records import RecordFiles, Records, RecordsInMemory

__all__ = [
    "AnyChange",
    "Controller",
    "Generations",
    "Load",
    "Outcome",
    "RecordFiles",
    "Records",
    "RecordsInMemory",
    "Reload",
    "SetAlias",
    "Unload",
    "alone",
]
