"""Something small to train on: sentences about topics, a teacher of two random layers, a toy task.

A sentence mixes words of one topic with words of none, so what belongs together is known.
"""

from __future__ import annotations

import csv
import gzip
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn

from bundle.manifest import Metric
from bundle.publish import Draft
from training.config import TrainConfig, parse_config
from training.data.stream import Stream
from training.metrics import MetricValue, Validation
from training.task import Encode
from training.text.settings import TextRun
from training.trainer import State, Trainer

TOPICS: Mapping[str, Sequence[str]] = {
    "sea": ["ship", "wave", "harbour", "sailor", "anchor", "tide"],
    "food": ["bread", "soup", "kitchen", "spoon", "pepper", "oven"],
    "music": ["violin", "melody", "drum", "singer", "chorus", "tune"],
    "garden": ["rose", "hedge", "spade", "seed", "lawn", "beetle"],
    "money": ["bank", "coin", "loan", "debt", "interest", "account"],
}
FILLERS = ["the", "a", "of", "with", "near", "and", "some", "big", "old", "new"]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
HIDDEN = 32
SENTENCES = 600


def sentence(random: np.random.Generator, topic: str, words: int) -> str:
    """Two thirds of the words are of the topic."""
    return " ".join(
        random.choice(TOPICS[topic] if random.random() < 2 / 3 else FILLERS) for _ in range(words)
    )


def write_data(directory: Path) -> Path:
    """texts.txt, pairs.tsv.gz, labels.csv and graded.csv (1 for the same topic, 0 for others)."""
    random = np.random.default_rng(0)
    names = list(TOPICS)
    topics = [names[i % len(names)] for i in range(SENTENCES)]

    def about(topic: str) -> str:
        return sentence(random, topic, int(random.integers(4, 12)))

    (directory / "texts.txt").write_text("".join(about(topic) + "\n" for topic in topics))
    with gzip.open(directory / "pairs.tsv.gz", "wt") as file:
        file.writelines(f"made\t{about(topic)}\t{about(topic)}\n" for topic in topics)
        file.writelines(f"noise\t{about(topic)}\t{about('sea')}\n" for topic in topics[:50])
    with (directory / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "category"), *((about(topic), topic) for topic in topics)])
    with (directory / "graded.csv").open("w", newline="") as file:
        others = [topic if i % 2 else names[(i + 1) % len(names)] for i, topic in enumerate(topics[:100])]
        rows = [(about(a), about(b), float(a == b)) for a, b in zip(topics, others, strict=False)]
        csv.writer(file).writerows(rows)
    return directory


def wordpiece(vocabulary: Sequence[str]) -> Tokenizer:
    """BERT's tokenizer; the vocabulary begins with SPECIALS."""
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def write_teacher(directory: Path) -> Path:
    """A BERT directory as transformers writes it: config.json, model.safetensors, tokenizer.json."""
    from transformers import BertConfig, BertModel

    vocabulary = [*SPECIALS, *(word for words in TOPICS.values() for word in words), *FILLERS]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        initializer_range=0.3,  # far from all vectors being alike
    )
    BertModel(config).save_pretrained(directory)
    tokenizer = wordpiece(vocabulary)
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(128)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def text_run(**changes: Any) -> TextRun:
    """A run on pairs in a few seconds; `changes` replace whole tables."""
    raw: dict[str, Any] = {
        "kind": "text",
        "name": "tiny",
        "description": "a tiny encoder for tests",
        "data": {
            "pairs": [{"path": "pairs.tsv.gz"}],
            "pair_sources": ["made"],
            "graded": "graded.csv",
        },
        "vocabulary": {"size": 200, "max_length": 32},
        "model": {
            "embedding_dim": 16,
            "poolings": ["weighted"],
            "hidden": {"widths": [24], "output_dim": 16},
        },
        "loss": {"infonce": {}},
        "train": {"epochs": 6, "batch_size": 64, "learning_rate": 5e-3, "metric": "spearman"},
    }
    run = parse_config(raw | changes)
    assert isinstance(run, TextRun)
    return run


class Toy:
    """Regression on 60 rows with a dropout layer: random in its order and in its noise.

    Args:
        dropout: of the hidden layer.
        broken_at: the step whose loss is not a number.
        seconds: how long a step takes at least.
        scores: validation figures to give one after the other, in place of the true one.
        losses: held-out losses to give with them; none if it is empty.
    """

    data_sha256 = "0" * 64

    def __init__(
        self,
        *,
        dropout: float = 0.5,
        broken_at: int | None = None,
        seconds: float = 0.0,
        scores: Sequence[float] = (),
        losses: Sequence[float] = (),
    ) -> None:
        random = np.random.default_rng(0)
        inputs = random.normal(size=(60, 4)).astype(np.float32)
        self.inputs = torch.from_numpy(inputs)
        self.targets = torch.from_numpy(np.tanh(inputs.sum(1, keepdims=True)))
        torch.manual_seed(0)
        self.model: nn.Module = nn.Sequential(
            nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1)
        )
        self.stream = Stream(np.ones(60, dtype=np.int64), 6, seed=0)
        self.broken_at, self.seconds, self.scores = broken_at, seconds, list(scores)
        self.losses = list(losses)
        self.seen: list[int] = []

    @property
    def steps_per_epoch(self) -> int:
        return self.stream.steps

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": learning_rate}]

    def batches(self, epoch: int, start: int) -> Iterator[int]:
        return iter(range(epoch * self.steps_per_epoch + start, (epoch + 1) * self.steps_per_epoch))

    def loss(self, batch: int) -> dict[str, Tensor]:
        time.sleep(self.seconds)
        self.seen.append(batch)
        rows = torch.from_numpy(self.stream.rows(batch))
        error = (self.model(self.inputs[rows]) - self.targets[rows]).square().mean()
        return {"loss": error * (math.nan if batch == self.broken_at else 1.0)}

    starts_learned = False

    def evaluate(self) -> Validation:
        if self.scores:
            score = MetricValue(self.scores.pop(0), 0.0)
            return Validation({"score": score}, self.losses.pop(0) if self.losses else None)
        errors = (self.model(self.inputs) - self.targets).square().double().flatten()
        errors = errors.detach()
        return Validation({"score": MetricValue.of(-errors.numpy())}, float(errors.mean()))

    def encoders(self) -> dict[str, Encode]:
        return {}

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        return {}

    def drafts(self, metrics: dict[str, Metric]) -> list[Draft]:
        return []


TOY_TRAINING = {
    "epochs": 6,
    "batch_size": 6,
    "learning_rate": 0.01,
    "metric": "score",
    "evaluate_every": 7,
    "threads": 1,
}


def toy_trainer(directory: Path, task: Toy, *, seed: int = 0, stop_at: int = -1, **changes: Any) -> Trainer:
    """60 steps, evaluated every 7; stops after step `stop_at`."""
    directory.mkdir(exist_ok=True)
    config = TrainConfig.model_validate(TOY_TRAINING | changes)

    def stop(state: State) -> bool:
        return state.step == stop_at

    return Trainer(task, config, seed=seed, directory=directory, stop=stop)
