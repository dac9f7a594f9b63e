"""Writes the tables about text encoders, from results that were kept as the programs wrote them.

docs/results/text-test.json        by encodery evaluate text text --split test
docs/results/text-test-before.json the headlines of the last published versions
bench/results/ablations.json       by bench.ablations
bench/results/fine-tuning.json     by bench.fine_tuning, the story of a new user
bench/results/encoders.json        by bench.encoders
bench/results/languages.json       by bench.languages
bench/results/multilingual.json    by bench.multilingual
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.ablations import table

DOCS = Path(__file__).resolve().parent
BENCH = DOCS.parent / "bench"
TEI_READS = (  # by the names that transformers has for them
    *("bert", "camembert", "distilbert", "gemma3_text", "gte", "mistral", "modernbert", "mpnet"),
    *("nomic_bert", "qwen2", "qwen3", "roberta", "xlm-roberta"),
)


def ablations() -> str:
    """List the variants, a row each."""
    variants = tomllib.loads((BENCH / "ablations.toml").read_text())["variant"]
    return "\n".join(table(_read(BENCH, "ablations"), variants)) + "\n"


def quality() -> str:
    """Lay out the headline of every set at full length, and its share of the teacher's."""
    return "\n".join(_quality(_read(DOCS, "text-test"))) + "\n"


def restated() -> str:
    """Set the last versions' figures beside these, at full length."""
    results, before = _read(DOCS, "text-test"), _before()
    changed = {encoder for _, encoder, _ in before}
    encoders = [(one["name"], one["dimensions"][0]) for one in results["encoders"] if one["name"] in changed]
    lines = _head("set", "figure", *(f"`{name}`" for name, _ in encoders))
    for task, figure, values in _headlines(results):
        lines.append(_row(task, figure, *(_change(before, task, one, values) for one in encoders)))
    return "\n".join(lines) + "\n"


def probes() -> str:
    """Lay out the probes at every length: accuracy, and the l2 that was chosen."""
    rows = [row for row in _read(DOCS, "text-test")["figures"] if row["figure"] == "accuracy"]
    lengths = sorted({row["dimension"] for row in rows}, reverse=True)
    lines = _head("set", "encoder", *map(str, lengths))
    for task, encoder in dict.fromkeys((row["task"], row["encoder"]) for row in rows):
        found = {row["dimension"]: row for row in rows if (row["task"], row["encoder"]) == (task, encoder)}
        cells = (_probe(found[dim]) if dim in found else "" for dim in lengths)
        lines.append(_row(task, f"`{encoder}`", *cells))
    return "\n".join(lines) + "\n"


def fine_tuning() -> str:
    """Lay out what 1,000 pairs are worth: a row for each set and way of training."""
    lines = _head("set", "trained", "nDCG@10 before", "after", "gain", "STS-B dev before", "after", "seconds")
    for row in _read(BENCH, "fine-tuning"):
        gain = f"{row['gain']:+.3f} ± {row['standard_error']:.3f}"
        cells = (f"{row[key]:.3f}" for key in ("stsb_before", "stsb_after"))
        seconds = f"{row['processor_seconds']:.0f}"
        lines.append(
            _row(row["set"], row["way"], f"{row['before']:.3f}", f"{row['after']:.3f}", gain, *cells, seconds)
        )
    return "\n".join(lines) + "\n"


def dimensions() -> str:
    """Lay out the headlines of the bundled encoders at every length."""
    results = _read(DOCS, "text-test")
    bundled = [one for one in results["encoders"] if one["source"] == "bundle"]
    columns = [(one["name"], dim) for one in bundled for dim in one["dimensions"]]
    lines = _head("set", "figure", *(f"`{name}` {dim}" for name, dim in columns))
    for task, figure, values in _headlines(results):
        lines.append(_row(task, figure, *(_cell(values.get(one)) for one in columns)))
    return "\n".join(lines) + "\n"


def speed() -> str:
    """Lay out texts per second, and where the time of a text goes; compared with the last encoder."""
    found: dict[str, dict[str, float]] = _read(BENCH, "encoders")
    *_, teacher = found
    lines = _head("encoder", "texts/s", "of the teacher's", "tokenising", "all of prepare", "forward pass")
    for name, row in found.items():
        times = row["per_s"] / found[teacher]["per_s"]
        parts = (f"{row[key]:.0f} µs" for key in ("tokenise_us", "prepare_us", "run_us"))
        lines.append(_row(f"`{name}`", f"{row['per_s']:,.0f}", f"{times:.1f} times", *parts))
    return "\n".join(lines) + "\n"


def languages() -> str:
    """Lay out which share of texts is taken for one in another language, by set."""
    found: dict[str, dict[str, float]] = _read(BENCH, "languages")
    lines = _head("texts", "told")
    for rows in found.values():
        lines += [_row(name, f"{100 * share:.1f} %") for name, share in rows.items()]
    return "\n".join(lines) + "\n"


ACROSS = {"translation": ("text-multi", "teacher", "text"), "tatoeba": ("text-multi", "teacher", "text")}
WITHIN = ("text-multi", "teacher", "text", "bm25", "bm25 of pairs")


def translations() -> str:
    """Lay out hit@1 of translations: a row a language, XQuAD and Tatoeba."""
    found = _multilingual()
    heads = [f"{what}, `{one}`" for what, encoders in ACROSS.items() for one in encoders]
    lines = _head("language", *heads)
    for language in dict.fromkeys(language for what, language, _ in found if what == "tatoeba"):
        cells = (_cell(found.get((what, language, one))) for what, some in ACROSS.items() for one in some)
        lines.append(_row(language, *cells))
    return "\n".join(lines) + "\n"


def paragraphs() -> str:
    """Lay out nDCG@10 of questions and paragraphs of one language, and the means of all but English."""
    found = {key[1:]: value for key, value in _multilingual().items() if key[0] == "paragraph"}
    languages = [one for one in dict.fromkeys(language for language, _ in found) if one != "en"]
    lines = _head(
        "language", *(f"`{one}`" if "bm25" not in one else one.upper()[:4] + one[4:] for one in WITHIN)
    )
    for language in ("en", *languages):
        lines.append(_row(language, *(_cell(found.get((language, one))) for one in WITHIN)))
    each = {
        one: [found[language, one] for language in languages if (language, one) in found] for one in WITHIN
    }
    means = (_cell(sum(some) / len(some)) if len(some) == len(languages) else "" for some in each.values())
    return "\n".join([*lines, _row("mean without en", *means)]) + "\n"


def _multilingual() -> dict[tuple[str, str, str], float]:
    rows = _read(BENCH, "multilingual")
    return {(row["what"], row["language"], row["encoder"]): row["value"] for row in rows}


def _quality(results: Mapping[str, Any]) -> Iterator[str]:
    encoders = [(one["name"], one["dimensions"][0]) for one in results["encoders"]]
    *own, teacher = encoders
    shares = [f"`{name}` of `{teacher[0]}`" for name, _ in own]
    yield from _head("set", "figure", *(f"`{name}`" for name, _ in encoders), "BM25", *shares)
    for task, figure, values in _headlines(results):
        cells = [_cell(values.get(one)) for one in [*encoders, ("bm25", None)]]
        of_teacher = (
            f"{100 * values[one] / values[teacher]:.1f} %" if {one, teacher} <= values.keys() else ""
            for one in own
        )
        yield _row(task, figure, *cells, *of_teacher)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _before() -> dict[tuple[str, str, int | None], float]:
    rows = _read(DOCS, "text-test-before")["figures"]
    return {(row["task"], row["encoder"], row["dimension"]): row["value"] for row in rows}


def _change(
    before: Mapping[tuple[str, str, int | None], float],
    task: str,
    encoder: tuple[str, int | None],
    values: Mapping[tuple[str, int | None], float],
) -> str:
    return f"{before[(task, *encoder)]:.4f} → {values[encoder]:.4f}" if encoder in values else ""


def _probe(row: Mapping[str, Any]) -> str:
    return f"{row['value']:.4f} (l2 {row['chosen']['l2']:g})"


def _headlines(results: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[tuple[str, int | None], float]]]:
    for task in results["tasks"]:
        rows = [
            row
            for row in results["figures"]
            if (row["task"], row["kind"], row["figure"]) == (task["name"], task["kind"], task["headline"])
        ]
        yield (
            task["name"],
            task["headline"],
            {(row["encoder"], row["dimension"]): row["value"] for row in rows},
        )


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "|" + "---|" * len(cells)]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def families() -> str:
    """List the families of networks that can be imported, beside those in the README of TEI 1.8."""
    from training.text.pretrained.families import FAMILIES

    lines = _head("family", "`model_type`", "reads", "padding", "TEI")
    for name, family in FAMILIES.items():
        reads = "to the left, or as its configuration says" if family.is_decoder else "both ways"
        padding = "none" if family.packs else "in batches"
        lines.append(_row(family.title, f"`{name}`", reads, padding, "yes" if name in TEI_READS else ""))
    return "\n".join(lines) + "\n"


def _read(room: Path, name: str) -> Any:
    return json.loads((room / "results" / f"{name}.json").read_text())


TABLES: Mapping[str, Callable[[], str]] = {
    "text-ablations": ablations,
    "text-quality": quality,
    "text-restated": restated,
    "text-probes": probes,
    "text-dimensions": dimensions,
    "text-speed": speed,
    "text-fine-tuning": fine_tuning,
    "text-languages": languages,
    "text-translations": translations,
    "text-paragraphs": paragraphs,
    "families": families,
}
