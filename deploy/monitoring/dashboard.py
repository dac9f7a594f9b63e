"""Write the dashboard of Grafana from the table of its panels; run it after a change.

A test holds the file equal to the table, and each query to the metrics that a server has.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("grafana") / "dashboards" / "encodery.json"
SOURCE = {"type": "prometheus", "uid": "${source}"}
OF_INSTANCE = 'instance=~"$instance"'
OF_MODEL = f'{OF_INSTANCE},model=~"$model"'
WIDTH, HEIGHT, COLUMNS = 8, 8, 24  # of a panel and of the page, in Grafana's units


@dataclass(frozen=True)
class Panel:
    """A picture over time.

    Attributes:
        queries: what is drawn, by its legend.
        unit: Grafana's name of it.
    """

    title: str
    queries: dict[str, str]
    unit: str = "short"
    description: str = ""


def rate(metric: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantile(share: float, metric: str, labels: str, by: str) -> str:
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', labels, f'le, {by}')})"


def ratio(part: str, whole: str, labels: str, by: str) -> str:
    return f"{rate(part, labels, by)} / {rate(whole, labels, by)}"


ROWS: dict[str, tuple[Panel, ...]] = {
    "Requests": (
        Panel("Requests", {"{{status}}": rate("encodery_requests_total", OF_INSTANCE, "status")}, "reqps"),
        Panel(
            "Latency of answers (200)",
            {
                f"p{100 * share:g} {{{{route}}}}": quantile(
                    share, "encodery_request_seconds", f'{OF_INSTANCE},status="200"', "route"
                )
                for share in (0.5, 0.99)
            },
            "s",
            "Refusals are answered in no time, and left out.",
        ),
        Panel(
            "Refused and failed",
            {
                "{{route}} {{status}}": rate(
                    "encodery_requests_total", f'{OF_INSTANCE},status!~"2.."', "route, status"
                )
            },
            "reqps",
        ),
    ),
    "Models": (
        Panel(
            "Inputs",
            {"{{model}} {{version}}": rate("encodery_items_total", OF_MODEL, "model, version")},
            "cps",
        ),
        Panel(
            "Wait for a turn, p99",
            {"{{model}}": quantile(0.99, "encodery_queue_wait_seconds", OF_MODEL, "model")},
            "s",
        ),
        Panel(
            "A forward pass, p99",
            {"{{model}}": quantile(0.99, "encodery_run_seconds", OF_MODEL, "model")},
            "s",
        ),
        Panel(
            "Rows of a forward pass",
            {"{{model}}": ratio("encodery_batch_rows_sum", "encodery_batch_rows_count", OF_MODEL, "model")},
        ),
        Panel("Inputs that wait", {"{{model}}": f"sum by (model) (encodery_queue_items{{{OF_MODEL}}})"}),
        Panel(
            "Cached",
            {"{{model}}": ratio("encodery_cached_items_total", "encodery_items_total", OF_MODEL, "model")},
            "percentunit",
        ),
    ),
    "What was told": (
        Panel(
            "Answered with a warning",
            {"{{model}} {{warning}}": rate("encodery_warned_items_total", OF_MODEL, "model, warning")},
            "cps",
            "A rise tells of callers that have changed.",
        ),
        Panel(
            "Cut, and unknown to training",
            {
                f"{word} {{{{model}}}}": ratio(
                    f"encodery_{word}_items_total", "encodery_items_total", OF_MODEL, "model"
                )
                for word in ("truncated", "unknown")
            },
            "percentunit",
        ),
        Panel(
            "Versions that are loaded, and refused",
            {
                "{{model}} {{version}} {{space}}": (
                    f"count by (model, version, space) (encodery_model_loaded{{{OF_MODEL}}} == 1)"
                ),
                "refused: {{model}} {{version}}": (
                    f"count by (model, version) (encodery_model_refused{{{OF_MODEL}}} == 1)"
                ),
            },
            description="By how many replicas.",
        ),
    ),
    "Machine": (
        Panel(
            "Cores",
            {"{{instance}}": rate("process_cpu_seconds_total", OF_INSTANCE, "instance")},
        ),
        Panel("Memory", {"{{instance}}": f"process_resident_memory_bytes{{{OF_INSTANCE}}}"}, "bytes"),
        Panel(
            "How late the event loop is, p99",
            {"{{instance}}": quantile(0.99, "encodery_event_loop_lag_seconds", OF_INSTANCE, "instance")},
            "s",
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}})
        per_line = COLUMNS // WIDTH
        for number, panel in enumerate(row):
            x, line = WIDTH * (number % per_line), number // per_line
            panels.append(
                _drawn(panel) | {"gridPos": {"x": x, "y": y + 1 + HEIGHT * line, "w": WIDTH, "h": HEIGHT}}
            )
        y += 1 + HEIGHT * -(-len(row) // per_line)
    return {
        "uid": "encodery",
        "title": "Encodery",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "10s",
        "templating": {
            "list": [
                {"type": "datasource", "name": "source", "label": "Prometheus", "query": "prometheus"},
                _choice("instance", "label_values(encodery_build_info, instance)"),
                _choice("model", "label_values(encodery_model_loaded, model)"),
            ]
        },
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


def _drawn(panel: Panel) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _choice(name: str, query: str) -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }


def written() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
    sys.stdout.write(f"wrote {FILE}\n")
