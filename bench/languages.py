"""How surely texts in other languages are told: counts the common words of languages, and measures.

    python -m bench.languages table --data DATA     writes bundle/preprocess/text/frequencies.tsv
    python -m bench.languages measure --data DATA   writes bench/results/languages.json

The words are counted on every other line of the corpora, the limits were chosen on the rest, and what is
measured are other sets: questions, queries and short sentences (some of which, of Tatoeba, were counted).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from bundle.preprocess.text import languages

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "bundle" / "preprocess" / "text" / "frequencies.tsv"
RESULTS = ROOT / "bench" / "results" / "languages.json"
WORDS = {"en": 3000, "pl": 1500, "tr": 1500}  # that inflect most need most; of the others
OTHERS, LINES, FEWEST = 600, 26_000, 5  # words, lines of each file, occurrences in a million
LATIN = ["de", "es", "fr", "it", "nl", "pl", "pt", "tr"]
SAMPLE = 3000


def count(text: Path) -> dict[str, Counter[str]]:
    """Count the words of each language."""
    found = {one: _counted([text / "corpus-multi" / f"{one}.txt.gz"]) for one in LATIN}
    return found | {"en": _counted(sorted((text / "corpus-en").glob("*.gz")))}


def _counted(paths: list[Path]) -> Counter[str]:
    found = Counter[str]()
    for path in paths:
        for line in islice(_lines(path), 0, 2 * LINES, 2):
            found.update(word for word in languages.words(line) if len(word) > 1)
    return found


def table(counts: Mapping[str, Counter[str]]) -> str:
    """Write the commonest words of each language with their occurrences in a million words of all."""
    sums = {one: counts[one].total() for one in counts}
    listed = {word for one in counts for word, _ in counts[one].most_common(WORDS.get(one, OTHERS))}
    lines = []
    for word in sorted(listed):
        per_million = {one: round(1e6 * counts[one][word] / sums[one]) for one in sorted(counts)}
        row = " ".join(f"{one}{many}" for one, many in per_million.items() if many >= FEWEST)
        lines.append(f"{word}\t{row}\n")
    return "".join(lines)


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from (line.rstrip("\n") for line in file)


def _questions(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def swapped(text: str, random: random.Random) -> str:
    """The text with a tenth of its neighbouring letters swapped."""
    letters = list(text)
    for at in range(len(letters) - 1):
        if letters[at].isalpha() and letters[at + 1].isalpha() and random.random() < 0.1:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def english(text: Path) -> dict[str, list[str]]:
    """Short and long English texts, none of which was counted or looked at for the limits."""
    with (text / "banking77" / "test.csv").open(encoding="utf-8") as file:
        banking = [row[0] for row in csv.reader(file)][1:]
    with (text / "stsb" / "stsb-en-test.csv").open(encoding="utf-8") as file:
        sentences = [one for row in csv.reader(file) for one in row[:2]]
    clinc = json.loads((text / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    found = {
        "banking77": banking,
        "clinc150": [one for one, _ in clinc["test"]],
        "stsb": sentences,
        "xquad": _questions(text / "xquad-multi" / "en" / "queries.jsonl"),
    }
    changed = random.Random(0)
    found["stsb, a tenth of letters swapped"] = [swapped(one, changed) for one in sentences]
    found["stsb in capitals"] = [one.upper() for one in sentences]
    return found


def others(text: Path) -> dict[str, list[str]]:
    """Questions and short sentences in other languages, of other sources than were counted."""
    places = sorted((text / "xquad-multi").glob("*/queries.jsonl"))
    found = {f"xquad {path.parent.name}": _questions(path) for path in places if path.parent.name != "en"}
    for path in sorted((text / "pairs-multi" / "tatoeba").glob("*.tsv*")):
        lines = _lines(path) if path.suffix == ".gz" else path.read_text(encoding="utf-8").splitlines()
        found[f"tatoeba {path.name.partition('.')[0][-2:]}"] = [line.split("\t")[-1] for line in lines]
    return found


def share(texts: list[str], model: str = "text") -> float:
    """The share of texts that the bundled encoder takes for another language than English."""
    from tokenizers import Tokenizer

    from bundle import Store

    store = Store(ROOT / "models")
    content = store.root / model / store.current(model) / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(content))
    known = languages.Languages(["en"], tokenizer)
    encodings = tokenizer.encode_batch_fast(texts)
    return sum(known.is_other(one, found.ids) for one, found in zip(texts, encodings, strict=True)) / len(
        texts
    )


def measure(text: Path) -> dict[str, dict[str, float]]:
    """The share that is told, by set."""
    sets = {"english": english(text), "other": others(text)}
    return {
        kind: {name: share(texts[:SAMPLE]) for name, texts in found.items()} for kind, found in sets.items()
    }


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["table", "measure"])
    parser.add_argument("--data", type=Path, default=os.environ.get("ENCODERY_DATA"), required=False)
    asked = parser.parse_args()
    text = Path(asked.data) / "text"
    if asked.what == "table":
        TABLE.write_text(table(count(text)), encoding="utf-8")
    else:
        RESULTS.write_text(json.dumps(measure(text), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
