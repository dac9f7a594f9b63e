"""Runs what the documentation shows, and writes or compares the answers.

    python3 dev.py docs            run every example against a real server and write the answers in
    python3 dev.py docs --check    run them and fail where an answer differs (the tests do this)

In README.md, docs/*.md and the client's README.md, a ```bash block is run by bash, a ```python block by
this Python; a ```json or ```text block straight after it is what it printed, abbreviated. Blocks of other
kinds are not run: ```console holds commands that set up or stay running, and a test sees to it that they
exist. Tables between `<!-- begin NAME -->` and `<!-- end NAME -->` are written from the code that they
describe.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import recommender_results
import text_results

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "clients" / "python"
SHOWN_URL = "http://127.0.0.1:8000"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"<!-- begin ([\w-]+) -->\n(.*?)<!-- end \1 -->", re.DOTALL)
FLAT = re.compile(r"([\[{])([^\[\]{}]{0,90})([\]}])")  # a list or an object without any inside, and not long
LISTED, SHORT, ELLIPSIS = 2, 60, "…"
ERROR = ", standard error"  # the name of a figure's standard error in a manifest
TOLERANCE = 2e-4  # vectors differ a little between processors, and are shown with four digits


@dataclass(frozen=True)
class Example:
    """A block that is run, and the block after it with what it printed."""

    language: str
    code: str
    answer_language: str
    answer: str
    answer_span: tuple[int, int]
    line: int


def pages() -> list[Path]:
    """Every page with examples."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), CLIENT / "README.md"]


def examples_of(text: str) -> Iterator[Example]:
    """The examples of a page, in order."""
    blocks = list(FENCE.finditer(text))
    for number, block in enumerate(blocks):
        if block[1] not in ("bash", "python"):
            continue
        following = blocks[number + 1] if number + 1 < len(blocks) else None
        if following and (
            following[1] not in ("json", "text") or text[block.end() : following.start()].strip()
        ):
            following = None
        yield Example(
            language=block[1],
            code=block[2],
            answer_language=following[1] if following else "",
            answer=following[2] if following else "",
            answer_span=following.span(2) if following else (0, 0),
            line=text.count("\n", 0, block.start()) + 1,
        )


def run(example: Example, url: str) -> str:
    """What the example prints. Raises RuntimeError with its complaint if it fails."""
    command = ["bash", "-euo", "pipefail", "-c"] if example.language == "bash" else [sys.executable, "-c"]
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [*command, example.code.replace(SHOWN_URL, url)],
            cwd=scratch,
            env=os.environ | _paths(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr.strip()[-800:]}")
    return done.stdout


def _paths() -> dict[str, str]:
    """This Python, and what lies in the repository, before whatever else the machine has."""
    own, modules = str(Path(sys.executable).parent), [str(ROOT), str(CLIENT)]
    path = os.pathsep.join([own, os.environ.get("PATH", "")])
    return {"PATH": path, "PYTHONPATH": os.pathsep.join(modules)}


def shown(example: Example, printed: str) -> str:
    """The abbreviated form of an answer that stands in the page."""
    if example.answer_language == "json":
        spread = json.dumps(abbreviated(json.loads(printed)), indent=2, ensure_ascii=False)
        return FLAT.sub(lambda flat: flat[1] + " ".join(flat[2].split()) + flat[3], spread) + "\n"
    return printed.rstrip() + "\n"


def abbreviated(value: Any) -> Any:
    """Long lists of numbers and long strings cut, numbers to four digits."""
    if isinstance(value, dict):
        return {key: abbreviated(inner) for key, inner in value.items()}
    if isinstance(value, list):
        numbers = len(value) > 2 * LISTED and all(isinstance(inner, float) for inner in value)
        return (
            [abbreviated(inner) for inner in value[:LISTED]] + [ELLIPSIS]
            if numbers
            else [abbreviated(inner) for inner in value]
        )
    if isinstance(value, str) and len(value) > SHORT and " " not in value:
        return value[: SHORT // 3] + ELLIPSIS
    return round(value, 4) if isinstance(value, float) else value


def same(written: Any, found: Any) -> bool:
    """Whether two abbreviated answers agree, numbers within the tolerance, base64 not looked into."""
    if isinstance(written, dict) and isinstance(found, dict):
        return written.keys() == found.keys() and all(same(written[key], found[key]) for key in written)
    if isinstance(written, list) and isinstance(found, list):
        return len(written) == len(found) and all(map(same, written, found))
    if isinstance(written, float) and isinstance(found, (int, float)):
        return abs(written - found) <= TOLERANCE
    if isinstance(written, str) and isinstance(found, str) and written.endswith(ELLIPSIS):
        return found.endswith(ELLIPSIS)
    return bool(written == found)


def agrees(example: Example, printed: str) -> bool:
    """Whether the page shows what was printed."""
    if not example.answer_language:
        return True
    if example.answer_language == "json":
        try:
            return same(json.loads(example.answer), abbreviated(json.loads(printed)))
        except json.JSONDecodeError:
            return False
    return example.answer.split() == printed.split()


def bench_table(name: str = "table") -> str:
    """What `dev.py bench` printed when it was last run for the page."""
    return (ROOT / "bench" / "results" / f"{name}.md").read_text()


def settings_table() -> str:
    """Every setting of the server, from its declaration."""
    from app.settings import settings_table as table

    return str(table())


def models_table() -> str:
    """The bundled models, and the figures of their manifests once for all encoders of a space."""
    from bundle import Store

    store = Store(ROOT / "models")
    manifests = [store.manifest(name, store.current(name)) for name in store.names()]
    lines = ["| model | takes | gives | size |", "|---|---|---|---|"]
    for manifest in manifests:
        size = sum(entry.size for entry in manifest.files.values()) / 1e6
        gives = f"{manifest.dim} dimensions, compared by {manifest.metric.replace('_', ' ')}"
        takes = "texts" if manifest.kind == "text" else "raw features"
        lines.append(f"| `{manifest.name}` | {takes} | {gives} | {size:.1f} MB |")
    lines += ["", "| model | figure | value | baselines in the same run |", "|---|---|---|---|"]
    for manifest in {manifest.space: manifest for manifest in manifests}.values():
        names = ", ".join(f"`{m.name}`" for m in manifests if m.space == manifest.space)
        metrics = manifest.trained.metrics
        for figure, metric in metrics.items():
            if not figure.endswith(ERROR):
                error = metrics.get(figure + ERROR)
                value = f"{metric.value:.3f}" + (f" ± {error.value:.3f}" if error else "")
                others = ", ".join(f"{name} {found:.3f}" for name, found in metric.baselines.items())
                lines.append(f"| {names} | {figure} | {value} | {others} |")
    return "\n".join(lines) + "\n"


def protocols_table() -> str:
    """Every route that takes a body, and those of other people's protocols, from what registers them."""
    from app.api.protocols import PROTOCOLS
    from app.api.requests import EncodeBody
    from app.api.score import ScoreRequest

    lines = ["| protocol | route | reads | takes and ignores |", "|---|---|---|---|"]
    for path, fields in {"/encode": EncodeBody.model_fields, "/score": ScoreRequest.model_fields}.items():
        lines.append(f"| Encodery | `POST {path}` | {_named(fields)} | |")
    for protocol in PROTOCOLS:
        for row in protocol.routes:
            reads = _named(row.request.fields()) if row.request else ""
            ignored = _named(row.request.ignored) if row.request else ""
            lines.append(f"| {protocol.name} | `{row.method} {row.path}` | {reads} | {ignored} |")
    return "\n".join(lines) + "\n"


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def clients_table() -> str:
    """What the last `dev.py clients` saw."""
    lines = ["| client | versions | what it sends |", "|---|---|---|"]
    for row in json.loads((ROOT / "docs" / "clients.json").read_text()):
        versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        lines.append(f"| {row['client']} | {versions} | `` {row['sent'].replace('|', chr(92) + '|')} `` |")
    return "\n".join(lines) + "\n"


TABLES: Mapping[str, Callable[[], str]] = {
    "bench": bench_table,
    "workers": partial(bench_table, "workers"),
    "soak": partial(bench_table, "soak"),
    "curves": partial(bench_table, "curves"),
    "settings": settings_table,
    "models": models_table,
    "protocols": protocols_table,
    "clients": clients_table,
    **recommender_results.TABLES,
    **text_results.TABLES,
}


def with_tables(text: str) -> str:
    """The page with its generated tables written anew."""
    return TABLE.sub(
        lambda match: f"<!-- begin {match[1]} -->\n{TABLES[match[1]]().strip()}\n<!-- end {match[1]} -->",
        text,
    )


def answered(text: str, url: str) -> str:
    """The page with every answer written anew."""
    pieces, end = [], 0
    for example in examples_of(text):
        printed = run(example, url)
        if example.answer_language and not agrees(example, printed):
            start, stop = example.answer_span
            pieces += [text[end:start], shown(example, printed)]
            end = stop
    return "".join(pieces) + text[end:]


@contextmanager
def server(models: Path = ROOT / "models", *, default_model: str = "text") -> Iterator[str]:
    """The base URL of a real server of these models, on a free port."""
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed below, after the process that writes it
    command = [sys.executable, "-m", "encodery", "serve", "--port", "0", "--models-dir", str(models)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ENCODERY_")}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment | {"ENCODERY_LOG_FORMAT": "json", "ENCODERY_DEFAULT_MODEL": default_model},
        stdout=log,
        stderr=log,
    )
    try:
        yield _wait_until_ready(process, log)
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Any) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        log.seek(0)
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read())
        if found:
            try:
                urllib.request.urlopen(f"{found[0]}/health/ready", timeout=2).close()
                return found[0]
            except (urllib.error.URLError, TimeoutError):
                pass
        time.sleep(0.1)
    log.seek(0)
    raise RuntimeError(f"the server did not become ready: {log.read()[-2000:]}")


def main(arguments: list[str]) -> int:
    """Write or check every page."""
    check = arguments == ["--check"]
    sys.path.insert(0, str(ROOT))
    stale = []
    with server() as url:
        for page in pages():
            before = page.read_text()
            after = answered(with_tables(before), url)
            if after != before:
                stale.append(page.name)
                if not check:
                    page.write_text(after)
    print(("differ: " if check else "written: ") + (", ".join(stale) or "none"))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
