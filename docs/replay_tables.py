"""What `dev.py replay FILE URL --keep` kept of each recorded server: the tables `replay-tei` and its like."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial

from docs.examples import ROOT

_KEPT = ROOT / "docs" / "results" / "replay.json"


def _table(server: str) -> str:
    from replay.report import table

    return str(table(json.loads(_KEPT.read_text())[server]))


TABLES: Mapping[str, Callable[[], str]] = {
    f"replay-{server.partition('-')[0]}": partial(_table, server)
    for server in (json.loads(_KEPT.read_text()) if _KEPT.exists() else ())
}
