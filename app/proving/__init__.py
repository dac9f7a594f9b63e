"""From published versions to proven ones, before any is loaded by a process that serves.

    Store -> plan -> what is kept, or a child process -> a verdict for each version -> app.engine.loading

Knows nothing of HTTP or of the engine: the supervisor does this for its workers, a single server for itself.
"""

from app.proving.kept import Kept
from app.proving.plan import NO_WISHES, Plan, Planned, PlannedModel, Refused, Wishes, plan_of
from app.proving.prover import Prover
from app.proving.round import Round, as_served, kept_for, planned
from app.proving.verdicts import Verdict, VerdictFiles, Verdicts, VerdictsInMemory

__all__ = [
    "NO_WISHES",
    "Kept",
    "Plan",
    "Planned",
    "PlannedModel",
    "Prover",
    "Refused",
    "Round",
    "Verdict",
    "VerdictFiles",
    "Verdicts",
    "VerdictsInMemory",
    "Wishes",
    "as_served",
    "kept_for",
    "plan_of",
    "planned",
]
