"""Measures what each idea of a text encoder is worth: one run and one row of a table for each.

    python -m bench.ablations bench/ablations.toml --data DATA --work DIRECTORY [NAME ...]

Trains every variant of a config (a few settings of it changed, named in the TOML file) for the same number of
steps, measures it on the dev splits of the text suite, and keeps its figures in DIRECTORY: what is there is
not trained again. Prints the table of all that are there. Test splits are never read.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FIGURES = {  # set of the suite -> column
    "stsb": "STS-B",
    "medquad-retrieval": "MedQuAD",
    "xquad-retrieval": "XQuAD",
    "banking77": "Banking77",
    "clinc150": "CLINC150",
    "stackoverflow20": "StackOverflow",
}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Replace leaves of `base` by those of `changes`; a leaf that is false takes the setting away."""
    result = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        elif value is False:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def measure(
    name: str, settings: Mapping[str, Any], *, data: Path, work: Path, trained: bool
) -> dict[str, Any]:
    """Train, publish into the work directory, and measure on dev."""
    from training.commands import make_task
    from training.config import parse_config
    from training.run import open_run
    from training.text.suite.find import find_tasks
    from training.trainer import Trainer

    run = parse_config(dict(settings))
    task = make_task(run, data)
    with open_run(work / "runs" / name, run) as directory:
        trainer = Trainer(task, run.train, seed=run.seed, directory=directory)
        state = trainer.fit() if trained else trainer.state
    [encode] = task.encoders().values()
    figures = {}
    for one in find_tasks(data / "text", "dev").tasks:
        vectors = Vectors(encode, one.texts())
        figures[one.about.name] = one.score(vectors)[one.about.headline].mean
    return {"figures": figures, "best": state.best, "step": state.step}


class Vectors:
    """The vectors of texts, each encoded once and L2-normalised; called with texts, it gives their rows."""

    def __init__(self, encode: Any, texts: Sequence[str]) -> None:
        import numpy as np

        from bundle.preprocess.text import Text

        unique = list(dict.fromkeys(texts))
        self._row = {text: row for row, text in enumerate(unique)}
        vectors = encode([Text(text) for text in unique])
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def __call__(self, texts: Sequence[str]) -> Any:
        return self._vectors[[self._row[text] for text in texts]]


def table(found: Mapping[str, Mapping[str, Any]], variants: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write a Markdown table: a row per variant that has figures."""
    lines = ["| variant | " + " | ".join(FIGURES.values()) + " |", "|---|" + "---|" * len(FIGURES)]
    for variant in variants:
        if variant["name"] in found:
            figures = found[variant["name"]]["figures"]
            cells = " | ".join(f"{figures[one]:.4f}"[1:] for one in FIGURES)
            lines.append(f"| {variant['says']} | {cells} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="JSON file to write all figures to")
    parser.add_argument("names", nargs="*")
    given = parser.parse_intermixed_args()
    described = tomllib.loads(given.config.read_text())
    base = tomllib.loads((given.config.parent / described["base"]).read_text())
    base = merged(base, described.get("all", {}))
    results = given.work / "results"
    results.mkdir(parents=True, exist_ok=True)
    by_name = {variant["name"]: variant for variant in described["variant"]}
    for name in given.names:
        kept = results / f"{name}.json"
        if not kept.exists():
            variant = by_name[name]
            if variant.get("gone"):
                raise SystemExit(f"{name} cannot be measured again: its code was taken out")
            settings, trained = merged(base, variant.get("set", {})), variant.get("trained", True)
            figures = measure(name, settings, data=given.data, work=given.work, trained=trained)
            kept.write_text(json.dumps(figures))
    found = {path.stem: json.loads(path.read_text()) for path in results.glob("*.json")}
    if given.keep:
        given.keep.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")
    print("\n".join(table(found, described["variant"])))


if __name__ == "__main__":
    main()
