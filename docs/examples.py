"""The examples of the pages: found, run, and compared with the answers that the pages show.

A ```bash block is run by bash, a ```python block by this Python; a ```json or ```text block straight after it
is what it printed, abbreviated. Blocks of other kinds are not run: ```console holds commands that set up or
stay running, and a test sees to it that they exist.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "clients" / "python"
MODELS = "models"
SHOWN_URL = "http://127.0.0.1:8000"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAT = re.compile(r"([\[{])([^\[\]{}]{0,90})([\]}])")  # a list or an object without any inside, and not long
LISTED, SHORT, ELLIPSIS = 2, 60, "…"
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
    """List every page with examples."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), CLIENT / "README.md"]


def examples_of(text: str) -> Iterator[Example]:
    """Find the examples of a page, in order."""
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
    """Run the example; return what it prints. Raises RuntimeError with its complaint if it fails."""
    command = ["bash", "-euo", "pipefail", "-c"] if example.language == "bash" else [sys.executable, "-c"]
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, MODELS).symlink_to(ROOT / MODELS)  # as in a checkout, where readers are
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
    """Put this Python, and what lies in the repository, before whatever else the machine has."""
    own, modules = str(Path(sys.executable).parent), [str(ROOT), str(CLIENT)]
    path = os.pathsep.join([own, os.environ.get("PATH", "")])
    return {"PATH": path, "PYTHONPATH": os.pathsep.join(modules)}


def shown(example: Example, printed: str) -> str:
    """Write an answer as it stands in the page, abbreviated."""
    if example.answer_language == "json":
        spread = json.dumps(abbreviated(json.loads(printed)), indent=2, ensure_ascii=False)
        return FLAT.sub(lambda flat: flat[1] + " ".join(flat[2].split()) + flat[3], spread) + "\n"
    return printed.rstrip() + "\n"


def abbreviated(value: Any) -> Any:
    """Cut long lists of numbers and long strings; round numbers to four digits."""
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
    """Compare two abbreviated answers: numbers within the tolerance, base64 not at all."""
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
    """Compare what the page shows with what was printed."""
    if not example.answer_language:
        return True
    if example.answer_language == "json":
        try:
            return same(json.loads(example.answer), abbreviated(json.loads(printed)))
        except json.JSONDecodeError:
            return False
    return example.answer.split() == printed.split()


def copied(directory: Path) -> Path:
    """The bundled models once more, so that examples which change aliases do not change a checkout's."""
    return Path(
        shutil.copytree(
            ROOT / "models",
            directory / "models",
            ignore=shutil.ignore_patterns("history.jsonl", ".aliases", ".lock"),
        )
    )


def answered(text: str, url: str) -> str:
    """Write every answer of the page anew."""
    pieces, end = [], 0
    for example in examples_of(text):
        printed = run(example, url)
        if example.answer_language and not agrees(example, printed):
            start, stop = example.answer_span
            pieces += [text[end:start], shown(example, printed)]
            end = stop
    return "".join(pieces) + text[end:]
