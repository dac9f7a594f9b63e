"""Writes the tables of docs/recommender.md, from results of the recommender suite on test splits.

docs/results/recommender-retail.json   of training/configs/retail.toml
docs/results/recommender-films.json    of training/configs/films.toml
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
FIGURES = ("ndcg@100", "capped recall@20")  # the second in brackets
OWN = "encoder"
METHODS: Mapping[str, str] = {
    "popularity": "popularity",
    "itemcf": "ItemCF",
    "ials": "iALS, 128 factors",
    "ease": "EASE",
    "ease, recency": "EASE, history weighted by recency",
    "tfidf": "TF-IDF",
    OWN: "**the encoders**",
}
BELOW = ("ease", "ease, recency", "tfidf")  # how far the encoders are above them
PROTOCOLS: Mapping[str, str] = {"S": "S, new users", "T": "T, later in time", "C": "C, items never seen"}


def suite(name: str) -> str:
    """Lay out every method under every protocol, and how far the encoders are above three of them (95 %)."""
    content = json.loads((RESULTS / f"recommender-{name}.json").read_text())
    assert content["split"] == "test", "the table says what was judged on test users"
    rows = {(row["protocol"], row["method"], _figure(content, row)): row for row in content["rows"]}
    users = {protocol: rows[protocol, OWN, FIGURES[0]]["users"] for protocol in PROTOCOLS}
    heads = [f"{PROTOCOLS[protocol]}: {users[protocol]:,} judged" for protocol in PROTOCOLS]
    lines = ["| NDCG@100 (capped Recall@20) | " + " | ".join(heads) + " |", "|---|---|---|---|"]
    for method, title in METHODS.items():
        lines.append(_line(title, [_both(rows, protocol, method, _value) for protocol in PROTOCOLS]))
    for method in BELOW:
        cells = [_both(rows, protocol, method, _above) for protocol in PROTOCOLS]
        lines.append(_line(f"above {METHODS[method]}", cells))
    return "\n".join(lines) + "\n"


def _figure(content: Any, row: Any) -> str:
    """The name of a row's figure; version 1 called by `recall@20` what is capped."""
    figure = str(row["figure"])
    return f"capped {figure}" if content["schema_version"] == 1 and figure.startswith("recall") else figure


def _line(title: str, cells: list[str]) -> str:
    return "| " + " | ".join([title, *cells]) + " |"


def _both(rows: Mapping[Any, Any], protocol: str, method: str, shown: Callable[[Any], str]) -> str:
    """Write both figures; nothing for a method that the protocol does not have."""
    found = [rows.get((protocol, method, figure)) for figure in FIGURES]
    return "{} ({})".format(*map(shown, found)) if all(found) else ""


def _value(row: Any) -> str:
    mean = f"{row['value']['mean']:.3f}"
    return f"{mean} ± {row['value']['standard_error']:.3f}" if row["method"] == OWN else mean


def _above(row: Any) -> str:
    gap = row["encoder_above"]
    return f"{gap['low']:+.3f} to {gap['high']:+.3f}"


TABLES: Mapping[str, Callable[[], str]] = {
    "recommender-retail": partial(suite, "retail"),
    "recommender-films": partial(suite, "films"),
}
