"""What the suite found over all folds: figures with errors, settings, wall times; as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.metrics import MetricValue
from training.recommender.compare import Difference, difference, joined
from training.recommender.rivals.search import Choice
from training.recommender.suite.breakdown import LENGTHS, POPULARITY, length_bucket
from training.recommender.suite.part import OWN, Part

SCHEMA_VERSION = 2
FIGURES = ("ndcg@100", "recall@20", "capped recall@20", "recall@10", "ndcg@10")  # in the terminal's table


@dataclass(frozen=True)
class ComparisonRow:
    """One metric of one method under one protocol, and how far the encoder is above it."""

    protocol: str
    figure: str
    method: str
    users: int
    value: MetricValue
    encoder_above: Difference | None


@dataclass(frozen=True)
class ProtocolResults:
    """One protocol, over its folds.

    Attributes:
        rows: every metric of every method.
        chosen: the baselines' settings.
        seconds: wall time by method, summed over folds.
        left_out: users without a target.
        later: pairs after the moment of a split in time.
        coverage: per method, the share of the candidates among anybody's first 20, mean over folds.
        by_length: per method and length of history, recall@20 and NDCG@100.
        by_popularity: per method and bucket of the targets, the share found among the first 20.
        examples: some users, and what the encoder recommends.
    """

    name: str
    folds: list[int]
    rows: list[ComparisonRow]
    chosen: dict[str, Choice]
    seconds: dict[str, float]
    left_out: int
    later: dict[str, float] | None
    coverage: dict[str, float]
    by_length: dict[str, dict[str, Any]]
    by_popularity: dict[str, dict[str, float]]
    examples: list[Any]

    @classmethod
    def of(cls, parts: Sequence[Part]) -> ProtocolResults:
        """Put folds together; their users are disjoint."""
        first, methods = parts[0], list(parts[0].values)
        return cls(
            name=first.protocol,
            folds=[part.fold for part in parts],
            rows=rows_of(parts),
            chosen=first.chosen,
            seconds={name: sum(part.seconds[name] for part in parts) for name in first.seconds},
            left_out=sum(part.left_out for part in parts),
            later=first.later,
            coverage={
                method: float(np.mean([part.breakdowns[method].coverage for part in parts]))
                for method in methods
            },
            by_length={method: _by_length(parts, method) for method in methods},
            by_popularity={method: _by_popularity(parts, method) for method in methods},
            examples=[asdict(example) for example in first.examples],
        )


def rows_of(parts: Sequence[Part]) -> list[ComparisonRow]:
    """Means over all folds' users, and the encoder against each baseline."""
    values = {method: joined([part.values[method] for part in parts]) for method in parts[0].values}
    return [
        ComparisonRow(
            protocol=parts[0].protocol,
            figure=name,
            method=method,
            users=len(found),
            value=MetricValue.of(found),
            encoder_above=None if method == OWN else difference(values[OWN][name], found),
        )
        for name in values[OWN]
        for method, found in ((method, rows[name]) for method, rows in values.items())
    ]


def _by_length(parts: Sequence[Part], method: str) -> dict[str, Any]:
    """Recall@20 and NDCG@100 of users by the length of their history."""
    values = joined([part.values[method] for part in parts])
    buckets = np.array([length_bucket(length) for part in parts for length in part.lengths])
    return {
        name: {
            "users": int((buckets == name).sum()),
            **{figure: float(values[figure][buckets == name].mean()) for figure in ("recall@20", "ndcg@100")},
        }
        for name in LENGTHS
        if (buckets == name).any()
    }


def _by_popularity(parts: Sequence[Part], method: str) -> dict[str, float]:
    """The share of the targets that are among the first 20, by how popular they were in training."""
    pairs = {
        name: np.sum([part.breakdowns[method].popularity[name] for part in parts], axis=0)
        for name in POPULARITY
    }
    return {name: float(hit / there) for name, (hit, there) in pairs.items() if there}


def write(protocols: Sequence[ProtocolResults], out: Path, about: Mapping[str, Any]) -> Path:
    """Write results.json."""
    content = {
        "schema_version": SCHEMA_VERSION,
        **about,
        "protocols": {
            one.name: {key: value for key, value in asdict(one).items() if key not in ("name", "rows")}
            for one in protocols
        },
        "rows": [asdict(row) for one in protocols for row in one.rows],
    }
    path = out / "results.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def table_of(rows: Sequence[ComparisonRow], figures: Sequence[str]) -> list[list[str]]:
    """Head and rows of a table: each method's value, and how far the encoder is above it."""
    found = [["protocol", "figure", "method", "value", "encoder above it (95 %)", "sure"]]
    for row in rows:
        if row.figure not in figures:
            continue
        above, sure = "", ""
        if row.encoder_above is not None:
            gap = row.encoder_above
            above, sure = f"{gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})", f"{100 * gap.better:.1f} %"
        value = f"{row.value.mean:.4f} ± {row.value.standard_error:.4f}"
        found.append([row.protocol, row.figure, row.method, value, above, sure])
    return found


def report(protocols: Sequence[ProtocolResults]) -> str:
    """Write the table that the terminal shows, and below it what is still open."""
    head, *rows = table_of([row for one in protocols for row in one.rows], FIGURES)
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += [
        f"{one.name}: {name} is best at the edge of {', '.join(choice.at_edge)}: it may be better yet"
        for one in protocols
        for name, choice in one.chosen.items()
        if choice.at_edge
    ]
    lines += [f"{one.name}: {later_pairs(one.later)}" for one in protocols if one.later]
    return "\n".join(lines)


def later_pairs(later: Mapping[str, float]) -> str:
    """Say which pairs after the moment of a split in time are asked for."""
    known, users, items = later["known"], later["of_new_users"], later["of_new_items"]
    return (
        f"of the pairs after the moment {known:,.0f} are asked for, {users:,.0f} are of new users and "
        f"{items:,.0f} of new items"
    )
