"""How many answers were equal, by route; what differs; and the table of what is better kept, for the docs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from replay.verdicts import Judged, Verdict

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_SHOWN = 100  # characters of a body


def summary(judged: Sequence[Judged]) -> str:
    """The number of each verdict, by route and together."""
    routes: dict[str, Counter[str]] = {}
    for one in judged:
        routes.setdefault(one.recorded.route, Counter())[one.verdict] += 1
    width = max(map(len, routes), default=0)
    head = f"{'route':{width}}" + "".join(f"{verdict:>7}" for verdict in VERDICTS)
    lines = [
        f"{route:{width}}" + "".join(f"{counts[verdict]:7}" for verdict in VERDICTS)
        for route, counts in sorted(routes.items())
    ]
    total = counted(judged)
    lines.append(f"{'all':{width}}" + "".join(f"{total[verdict]:7}" for verdict in VERDICTS))
    return "\n".join([head, *lines])


def counted(judged: Sequence[Judged]) -> dict[str, int]:
    """How many there are of each verdict."""
    counts = Counter(one.verdict for one in judged)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def details(judged: Sequence[Judged], verdicts: Sequence[str]) -> Iterator[str]:
    """Every answer with one of these verdicts, with both answers and what differs."""
    for one in judged:
        if one.verdict in verdicts:
            recorded, answer = one.recorded, one.recorded.answer
            yield f"\n{one.verdict}: {recorded.group}: {recorded.name}"
            yield f"  {recorded.method} {recorded.path} {_short(recorded.text)}"
            yield f"  theirs  {answer.status} {_short(json.dumps(answer.body, ensure_ascii=False))}"
            yield f"  ours    {one.ours.status} {_short(json.dumps(one.ours.body, ensure_ascii=False))}"
            yield from (f"  {found.kind}: {found.what}" for found in one.differences)
            if one.row is not None:
                yield f"  why: {one.row.why}"


def kept(judged: Sequence[Judged]) -> dict[str, Any]:
    """What the docs keep of a run: the counts, and each row of the table that was met."""
    rows: dict[str, dict[str, Any]] = {}
    for one in judged:
        if one.row is not None:
            row = rows.setdefault(
                one.row.request,
                {"theirs": set(), "ours": set(), "why": one.row.why, "answers": 0},
            )
            row["theirs"].add(one.recorded.answer.status)
            row["ours"].add(one.ours.status)
            row["answers"] += 1
    told = {
        request: {**row, "theirs": sorted(row["theirs"]), "ours": sorted(row["ours"])}
        for request, row in rows.items()
    }
    return {"answers": counted(judged), "kept": dict(sorted(told.items()))}


def table(found: Mapping[str, Any]) -> str:
    """The table of one server for the docs, from what was kept."""
    counts = found["answers"]
    lines = [
        f"Of {sum(counts.values())} recorded answers {counts['equal']} are equal, {counts['words']} equal "
        f"but for words, {counts['kept']} better kept as they are here, {counts['wrong']} wrong.",
        "",
        "| request | theirs | ours | why | answers |",
        "|---|---|---|---|---|",
    ]
    for request, row in found["kept"].items():
        theirs, ours = (", ".join(map(str, row[side])) for side in ("theirs", "ours"))
        lines.append(f"| {request} | {theirs} | {ours} | {row['why']} | {row['answers']} |")
    return "\n".join(lines) + "\n"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
