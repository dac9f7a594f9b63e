"""Files of labelled, scored and relevance-marked texts, as people have them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_retrieval(directory: Path, documents: Sequence[tuple[str, str]]) -> None:
    """The query of a document is its words in another order."""
    queries = [(f"q{i}", " ".join(sorted(text.split()))) for i, (_, text) in enumerate(documents)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        lines = (json.dumps({"_id": key, "title": "", "text": text}) for key, text in rows)
        (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    pairs = (f"q{i}\t{key}\t1" for i, (key, _) in enumerate(documents))
    (directory / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *pairs]) + "\n")


def write_beir(
    directory: Path, corpus: Sequence[tuple[str, str]], queries: Sequence[str], qrels: Sequence[str]
) -> None:
    """Judgements of a test split; the text of a query is made of its id."""
    lines = {"corpus": corpus, "queries": [(key, f"text of {key}") for key in queries]}
    for name, rows in lines.items():
        (directory / f"{name}.jsonl").write_text(
            "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in rows)
        )
    (directory / "qrels").mkdir()
    (directory / "qrels" / "test.tsv").write_text("".join(f"{row}\n" for row in qrels))
