"""The model card: README.md of a bundle, written from what the run or the import measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bundle.golden import Golden
from bundle.manifest import ERROR, TEST, Metric, reported
from bundle.preprocess import KINDS
from bundle.publish import Draft
from training.provenance import Provenance

MADE_BY = "## Made by\n\n"  # begins the part that tells how it was made
LONGEST_EXAMPLE = 400  # characters
RESPELLS = (
    "Words that it does not know are read as words that it knows if only neighbouring letters are swapped "
    '("recieve", "th ecat"), and the warning `respelt` says how many.'
)
WORDS = "## Words"  # the last section of a card


def model_card(draft: Draft, provenance: Provenance, example: Any) -> Draft:
    """The draft with its card."""
    return with_card(draft, made_by(draft, provenance), example)


def with_card(draft: Draft, made: str, example: Any) -> Draft:
    """The draft with a card that ends in this text of how it was made."""
    request = json.dumps({"model": draft.name, "inputs": [_shown(example)]}, ensure_ascii=False)
    lines = [
        f"# {draft.name}",
        "",
        draft.description,
        "",
        f"- Takes {KINDS[draft.kind].plural}, "
        f"gives vectors of {draft.dim} dimensions"
        + (f" (or cut to {', '.join(map(str, draft.dimensions[1:]))})" if len(draft.dimensions) > 1 else "")
        + ".",
        f"- Vectors are {'L2-normalised' if draft.normalized else 'not normalised'}; "
        f"compare them by {draft.metric.replace('_', ' ')}, and only within one space.",
        *([f"- Languages: {', '.join(draft.languages)}."] if draft.languages else []),
        *([f"- {RESPELLS}"] if draft.respell else []),
        *([f"- Not for {draft.not_for}"] if draft.not_for else []),
        *_joined(draft),
        f"- onnxruntime against {_reference(draft)} over {draft.parity.inputs} inputs: "
        f"at most {draft.parity.max_abs_diff:.1e} apart; "
        f"alone against in a batch: {draft.parity.batch_max_abs_diff:.1e}.",
        "",
        "## Quality",
        "",
        *_quality(draft.trained.metrics),
        "",
        "## Use",
        "",
        "    POST /encode",
        f"    {request}",
        "",
        f"{MADE_BY}{made}",
    ]
    return with_words(replace(draft, card="\n".join(lines)))


def _reference(draft: Draft) -> str:
    """What the graph was compared with."""
    if draft.adapts:
        return "the fit"
    is_int8 = Golden.from_bytes(draft.golden).precision == "int8"
    return "the same graph in float32" if is_int8 else "torch"


def _shown(example: Any) -> Any:
    """An input as a card shows it: of a long text, as of a file in base64, the beginning."""
    is_long = isinstance(example, str) and len(example) > LONGEST_EXAMPLE
    return f"{example[:LONGEST_EXAMPLE]}…" if is_long else example


def with_words(draft: Draft) -> Draft:
    """The draft with a card that says what its statistics of words were counted in, if it has them."""
    if (lexical := draft.lexical) is None:
        return draft
    lines = [
        WORDS,
        "",
        f"`lexical.json` has how many of {lexical.texts:,} texts each token is in; a text of "
        f"{lexical.mean_length:.0f} tokens counts as one of middling length.",
        'By it, `"output": "sparse"` gives vectors whose inner products are BM25 '
        f"(k1 {lexical.k1}, b {lexical.b}), and `mix` of `POST /score` counts words beside vectors.",
        "",
    ]
    return replace(draft, card="\n".join([draft.card.partition(WORDS)[0], *lines]))


def made_by(draft: Draft, provenance: Provenance) -> str:
    """What the card ends in."""
    trained = draft.trained
    libraries = ", ".join(f"{name} {version}" for name, version in trained.libraries.items())
    lines = [
        f"`{provenance.command}` on {trained.created}, {provenance.inputs}, "
        f"commit `{trained.git_commit or 'none'}`, with {libraries}.",
        "",
        *provenance.details,
        "",
    ]
    return "\n".join(lines)


def _quality(metrics: Mapping[str, Metric]) -> list[str]:
    """The figures of test splits first; those that training looked at apart from them, if there are both."""
    if not metrics:
        return ["Not measured yet: see `encodery evaluate`."]
    first = reported(metrics)
    seen = {name: metric for name, metric in metrics.items() if name not in first}
    if not any(not name.endswith(ERROR) for name in seen):
        return metrics_table(metrics)
    if not first:
        flattering = "Of validation data, which training looked at, so that these figures flatter:"
        return [flattering, "", *metrics_table(seen)]
    test = any(name.endswith(TEST) for name in first)
    said = [
        "Of test splits, read by `encodery evaluate`, which chose nothing:" if test else "Of the test data:",
        "",
        *metrics_table(first),
        "",
        "Of data that training was measured on and looked at, so that these figures flatter:",
        "",
        *metrics_table(seen),
    ]
    if "bm25" in {name for metric in first.values() for name in metric.baselines}:
        said += ["", "BM25 counts words: for retrieval, it is the one to beat."]
    return said


def _joined(draft: Draft) -> list[str]:
    if (joins := draft.joins) is None:
        return []
    return [
        f"- They may also be compared with those of `{joins.name}` version {joins.version}, space "
        f"`{joins.space}`, which this encoder was trained to be near to: queries by the one find documents "
        "of the other."
    ]


def metrics_table(metrics: Mapping[str, Metric]) -> list[str]:
    """Lines of a Markdown table: metric, value ± standard error, baselines."""
    errors = {name.removesuffix(ERROR): metrics[name].value for name in metrics if name.endswith(ERROR)}
    rows = [
        f"| {name} | {metric.value:.4f}"
        + (f" ± {errors[name]:.4f}" if name in errors else "")
        + " | "
        + (", ".join(f"{other} {value:.4f}" for other, value in metric.baselines.items()) or "none")
        + " |"
        for name, metric in metrics.items()
        if not name.endswith(ERROR)
    ]
    return ["| figure | this encoder | baselines |", "|---|---|---|", *rows]
