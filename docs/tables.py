"""The tables that pages have between `<!-- begin NAME -->` and `<!-- end NAME -->`.

Each is written from the code that it describes, or from results that a program kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from docs import recommender_tables, replay_tables, scale_tables, text_tables, types_table
from docs.examples import ROOT

TABLE = re.compile(r"<!-- begin ([\w-]+) -->\n(.*?)<!-- end \1 -->", re.DOTALL)


def bench_table(name: str = "table") -> str:
    """Read what `dev.py bench` printed when it was last run for the page."""
    return (ROOT / "bench" / "results" / f"{name}.md").read_text()


def settings_table() -> str:
    """List every setting of the server, from its declaration."""
    from app.settings import settings_table as table

    return str(table())


def models_table() -> str:
    """List the bundled models, and the figures of their manifests once for all encoders of a space.

    Those of data that was looked at, and what each feature of a recommender is worth, are left to the cards.
    """
    from bundle import KINDS, Store
    from bundle.manifest import ERROR, reported

    store = Store(ROOT / "models")
    manifests = [store.manifest(name, store.current(name)) for name in store.names()]
    lines = ["| model | takes | languages | gives | size |", "|---|---|---|---|---|"]
    for manifest in manifests:
        size = sum(entry.size for entry in manifest.files.values()) / 1e6
        gives = f"{manifest.dim} dimensions, compared by {manifest.metric.replace('_', ' ')}"
        takes, languages = KINDS[manifest.kind].plural, ", ".join(manifest.languages)
        lines.append(f"| `{manifest.name}` | {takes} | {languages} | {gives} | {size:.1f} MB |")
    lines += ["", "| model | figure | value | baselines in the same run |", "|---|---|---|---|"]
    for manifest in {manifest.space: manifest for manifest in manifests}.values():
        names = ", ".join(f"`{m.name}`" for m in manifests if m.space == manifest.space)
        metrics = reported(manifest.trained.metrics)
        for figure, metric in metrics.items():
            if "hidden:" not in figure and not figure.endswith(ERROR):
                error = metrics.get(figure + ERROR)
                value = f"{metric.value:.3f}" + (f" ± {error.value:.3f}" if error else "")
                others = ", ".join(f"{name} {found:.3f}" for name, found in metric.baselines.items())
                lines.append(f"| {names} | {figure} | {value} | {others} |")
    return "\n".join(lines) + "\n"


def protocols_table() -> str:
    """List every route that takes a body, and those of other people's protocols, from what registers them."""
    from pydantic import BaseModel

    from app.api.explain_form import ExplainRequest
    from app.api.protocols import PROTOCOLS
    from app.api.requests import EncodeBody
    from app.api.score_form import ScoreRequest

    lines = ["| protocol | route | reads | takes and ignores | refuses |", "|---|---|---|---|---|"]
    bodies: Mapping[str, type[BaseModel]] = {
        "/encode": EncodeBody,
        "/score": ScoreRequest,
        "/explain": ExplainRequest,
    }
    for path, body in bodies.items():
        lines.append(f"| Encodery | `POST {path}` | {_named(body.model_fields)} | | |")
    for protocol in PROTOCOLS:
        for row in protocol.routes:
            reads = _named(row.request.fields()) if row.request else ""
            ignored = _named(row.request.others("ignored")) if row.request else ""
            refused = _named(row.request.others("refused")) if row.request else ""
            lines.append(f"| {protocol.name} | `{row.method} {row.path}` | {reads} | {ignored} | {refused} |")
    return "\n".join(lines) + "\n"


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def clients_table() -> str:
    """List what the last `dev.py clients` saw."""
    lines = ["| client | versions | what it sends |", "|---|---|---|"]
    for row in json.loads((ROOT / "docs" / "results" / "clients.json").read_text()):
        versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        lines.append(f"| {row['client']} | {versions} | `` {row['sent'].replace('|', chr(92) + '|')} `` |")
    return "\n".join(lines) + "\n"


def faults_table() -> str:
    """Print the rows of the fault harness, and what they gave when they were last run."""
    from faults.results import page_table

    return page_table()


TABLES: Mapping[str, Callable[[], str]] = {
    "bench": bench_table,
    "workers": partial(bench_table, "workers"),
    "soak": partial(bench_table, "soak"),
    "versions": partial(bench_table, "versions"),
    "curves": partial(bench_table, "curves"),
    "adapters": partial(bench_table, "adapters"),
    "cluster": partial(bench_table, "cluster"),
    "replicas": partial(bench_table, "replicas"),
    "start": partial(bench_table, "start"),
    "tracing": partial(bench_table, "tracing"),
    "media": partial(bench_table, "media"),
    "forward": partial(bench_table, "forward"),
    "faithfulness": partial(bench_table, "faithfulness"),
    "faults": faults_table,
    "settings": settings_table,
    "models": models_table,
    "protocols": protocols_table,
    "clients": clients_table,
    "types": types_table.types_table,
    **recommender_tables.TABLES,
    **replay_tables.TABLES,
    **scale_tables.TABLES,
    **text_tables.TABLES,
}


def with_tables(text: str) -> str:
    """Write the generated tables of the page anew."""
    return TABLE.sub(
        lambda match: f"<!-- begin {match[1]} -->\n{TABLES[match[1]]().strip()}\n<!-- end {match[1]} -->",
        text,
    )
