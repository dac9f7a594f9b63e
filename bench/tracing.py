"""Measures what spans cost: one server that makes none beside servers that trace a tenth and all, in rounds.

    python3 dev.py bench --tracing [--rounds 5] [--seconds 3]

One text from each of 32 callers, the cheapest request there is, so the dearest share. A receiver of this
program takes the spans and does nothing with them; its CPU time is not the server's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench import texts
from bench.load import Load
from bench.machine import described
from bench.measure import measured
from bench.servers import ROOT, Running, ours, running

MODEL, COUNT, CALLERS = "text", 512, 32
SAMPLED = {"off": None, "a tenth": "0.1", "all": "1"}  # share of the requests


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    results: dict[str, Any] = {"machine": described(), "runs": []}
    bodies = texts.bodies(texts.texts(COUNT), 1, model=MODEL, encoding="base64")
    with ExitStack() as stack:
        endpoint = stack.enter_context(_receiver())
        servers = {name: stack.enter_context(_server(name, endpoint)) for name in SAMPLED}
        for number in range(options.rounds):
            for name, server in servers.items():
                load = Load("127.0.0.1", server.port, "/encode", bodies, CALLERS, seconds=options.seconds)
                results["runs"].append({"round": number, "sampled": name} | measured(load, server))
                print(number, name, round(results["runs"][-1]["per_cpu_s"]), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tracing.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "tracing.md").write_text(page(results))
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --tracing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


@contextmanager
def _server(name: str, endpoint: str) -> Iterator[Running]:
    """A server that traces so many requests."""
    server, share = ours(ROOT / "models"), SAMPLED[name]
    variables: dict[str, str] = {}
    if share is not None:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": share,
        }
    log = Path(tempfile.gettempdir()) / f"encodery-tracing-{name.replace(' ', '-')}.log"
    with running(replace(server, variables={**server.variables, **variables}), log) as found:
        yield found


@contextmanager
def _receiver() -> Iterator[str]:
    """The endpoint of a collector that forgets."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{receiver.server_port}"
        finally:
            receiver.shutdown()


def page(results: Mapping[str, Any]) -> str:
    """Write the table."""
    machine, runs = results["machine"], results["runs"]
    rounds = 1 + max(one["round"] for one in runs)
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}`, {machine['date']}; "
        f"`{MODEL}`, one text, {CALLERS} callers; medians of {rounds} interleaved rounds.",
        "",
        "| traced | requests per CPU-second | of those of off | µs a request more | p99 ms |",
        "|---|---|---|---|---|",
    ]
    off = [one["per_cpu_s"] for one in runs if one["sampled"] == "off"]
    for name in SAMPLED:
        mine = [one for one in runs if one["sampled"] == name]
        rates = [one["per_cpu_s"] for one in mine]
        shares = [a / b for a, b in zip(rates, off, strict=True)]
        more_us = [1e6 / a - 1e6 / b for a, b in zip(rates, off, strict=True)]
        p99 = statistics.median(one["latency_ms"]["p99"] for one in mine)
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} | {statistics.median(shares):.2f} "
            f"| {statistics.median(more_us):.0f} | {p99:.0f} |"
        )
    return "\n".join(lines) + "\n"
