"""What a smaller `text-multi` would be worth: its vocabulary cut to fewer pieces, its table to a lower rank.

    python -m bench.multilingual_sizes MODEL --data DATA [--models-dir DIRECTORY]

Nothing is trained again, so what is printed is a bound from below: hits of translations and nDCG@10 of
paragraphs on XQuAD's dev half, means over six languages. Pieces are kept by how many texts have them
(lexical.json). A table of rank k stands for one of k columns: the layers after it can be turned to fit.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.multilingual import Encoding, figures

PIECES = (64_000, 48_000, 32_000, 16_000)
FIRST = 2  # padding and the unknown piece are before all others
RANKS = (256, 192, 128)
BYTES_OF_SCALES = 4 + 4 + 4  # of a row: the table's, the window's, the token's weight


def cut(start: Any, lexical: Any, pieces: int, rank: int) -> tuple[Encoding, int]:
    """An encoder of fewer pieces and a lower rank, and the bytes of its tables and tokenizer."""
    from bundle.preprocess import KINDS
    from bundle.preprocess.text import Text
    from training.export import run_torch

    file, vocabulary = json.loads(start.tokenizer), pieces_of(start)
    single = {number for number, (piece, _) in enumerate(vocabulary) if number < FIRST or len(piece) == 1}
    rest = (one for one in np.argsort(-lexical, kind="stable").tolist() if one not in single)
    kept = sorted([*single, *islice(rest, max(0, pieces - len(single)))])
    file["model"]["vocab"] = [vocabulary[number] for number in kept]
    encoder = copy.deepcopy(start.encoder)
    with torch.no_grad():
        for table in encoder.tables():
            table.weight = torch.nn.Parameter(table.weight[kept])
            table.num_embeddings = len(kept)
        whole = encoder.table.weight
        _, axes = torch.linalg.eigh(whole.T @ whole)
        whole.copy_(whole @ axes[:, -rank:] @ axes[:, -rank:].T)
    content = json.dumps(file, ensure_ascii=False).encode()
    preprocessor = KINDS["text"].load(content, start.manifest.max_length)
    narrow = encoder.windows.table.embedding_dim if encoder.windows else 0
    size = len(kept) * (rank + narrow + BYTES_OF_SCALES) + len(content)

    def encode(texts: Any) -> Any:
        return run_torch(encoder, preprocessor, preprocessor.prepare([Text(one) for one in texts], "end"))

    return encode, size


def pieces_of(start: Any) -> list[Any]:
    """The pieces of its vocabulary with their scores."""
    vocabulary: list[Any] = json.loads(start.tokenizer)["model"]["vocab"]
    return vocabulary


def rows(start: Any, lexical: Any, data: Path) -> Iterator[dict[str, Any]]:
    """One row a size."""
    for pieces in PIECES:
        for rank in RANKS if pieces == PIECES[0] else RANKS[:1]:
            encode, size = cut(start, lexical, pieces, rank)
            found = list(figures({"cut": encode}, data, "dev"))
            yield {"pieces": pieces, "rank": rank, "megabytes": round(size / 1e6, 1)} | {
                what: round(float(np.mean([row["value"] for row in found if _counts(row, what)])), 4)
                for what in ("translation", "paragraph")
            }


def _counts(row: dict[str, Any], what: str) -> bool:
    return bool(row["what"] == what and row["encoder"] == "cut" and row["language"] != "en")


def main() -> None:
    """Parse the options, measure, print."""
    from bundle.lexical import LEXICAL, Lexical
    from bundle.store import Store
    from training.text.start import read_start

    parser = argparse.ArgumentParser(prog="python -m bench.multilingual_sizes", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--models-dir", type=Path, default=Path("models"), metavar="DIRECTORY")
    asked = parser.parse_args()
    store = Store(asked.models_dir)
    contents = store.read(asked.model, store.current(asked.model))
    start = read_start(asked.models_dir, asked.model)
    lexical = Lexical.from_bytes(contents.files[LEXICAL], len(pieces_of(start)))
    for row in rows(start, lexical.document_frequencies, asked.data):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
