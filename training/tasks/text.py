"""Trains a text encoder on any mix of objectives, and exports it.

files -> vocabulary -> the bundle's own preprocessing -> objectives -> encoder -> one graph
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from bundle.inputs import Input, Text
from bundle.manifest import Metric
from bundle.preprocess import KINDS, Prepared
from bundle.publish import Draft
from training.config import ConfigError, TextRun
from training.data.text import (
    Graded,
    Labelled,
    Pairs,
    files_sha256,
    read_graded,
    read_labels,
    read_pairs,
    read_texts,
)
from training.data.tokenised import Tokenised, tokenise
from training.encoders.text import TextEncoder, principal_axes, token_counts, token_table
from training.export import Exportable, draft_of, run_torch
from training.metrics import cosines, spearman
from training.objectives import Classification, Contrast, Distillation, Objective
from training.task import Encode
from training.teacher import CachedTeacher, PretrainedTeacher, Teacher, find_directory
from training.vocabulary import pretrained_tokenizer, train_tokenizer


class TextLearner(nn.Module):
    """The encoder, and while training on labels their head."""

    def __init__(self, encoder: TextEncoder, head: nn.Linear | None) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head


class TextTask:
    """See `training.task.Task`.

    Args:
        run: the config.
        data: the directory that its paths are relative to.
        teacher: in place of the configured one; tests pass a small one.
    """

    def __init__(self, run: TextRun, data: Path, teacher: Teacher | None = None) -> None:
        check(run)
        self.run = run
        self.teacher = teacher or _configured_teacher(run)
        texts = [read_texts(data, source) for source in run.data.texts]
        pairs = read_pairs(data, run.data.pairs, run.data.pair_sources)
        labelled = read_labels(data, run.data.labels)
        self.graded = read_graded(data / run.data.graded) if run.data.graded else None
        self.data_sha256 = self._digest(data)
        corpus = [text for source in texts for text in source]
        self.tokenizer_json = self._vocabulary([*corpus, *pairs.first, *pairs.second, *labelled.texts])
        self.preprocessor = KINDS["text"].load(self.tokenizer_json, run.vocabulary.max_length)
        torch.manual_seed(run.seed)
        tokens = Tokenizer.from_str(self.tokenizer_json.decode()).get_vocab_size()
        head = nn.Linear(run.model.hidden.output_dim, len(labelled.names)) if labelled.names else None
        self.model = TextLearner(TextEncoder(tokens, run.model), head)
        self._objectives = list(self._make_objectives(texts, pairs, labelled, tokens))

    def _digest(self, data: Path) -> str:
        sources = [*self.run.data.texts, *self.run.data.pairs, *self.run.data.labels]
        files = files_sha256(data, [source.path for source in sources])
        teacher = self.teacher.digest if self.teacher else ""
        return hashlib.sha256(
            f"{files} {[source.limit for source in sources]} {teacher}".encode()
        ).hexdigest()

    def _vocabulary(self, corpus: Sequence[str]) -> bytes:
        config = self.run.vocabulary
        if config.source == "train":
            return train_tokenizer(corpus, config)
        assert self.run.teacher is not None  # `check` has seen to it
        return pretrained_tokenizer(find_directory(self.run.teacher.source))

    def _make_objectives(
        self, texts: Sequence[Sequence[str]], pairs: Pairs, labelled: Labelled, tokens: int
    ) -> Iterator[Objective]:
        run, batch_size, seed = self.run, self.run.train.batch_size, self.run.seed
        dimensions = [run.model.hidden.output_dim, *run.model.dimensions]
        corpus = tokenise(self.preprocessor, [text for source in texts for text in source])
        first, second = tokenise(self.preprocessor, pairs.first), tokenise(self.preprocessor, pairs.second)
        examples = tokenise(self.preprocessor, labelled.texts)
        seen = [*corpus.prepared, *first.prepared, *second.prepared, *examples.prepared]
        self.model.encoder.start_weights(token_counts([one.arrays["input_ids"] for one in seen], tokens))
        if texts and self.teacher is not None:
            targets = self._take_from_teacher(self.teacher, texts, corpus, tokens)
            if distils(run):
                yield Distillation(
                    corpus, targets, run.loss, dimensions=dimensions, batch_size=batch_size, seed=seed
                )
        if run.loss.infonce:
            yield Contrast(first, second, run.loss, dimensions=dimensions, batch_size=batch_size, seed=seed)
        if run.loss.cross_entropy:
            assert self.model.head is not None  # `check` has seen to it
            yield Classification(
                examples, labelled.labels, self.model.head, run.loss, batch_size=batch_size, seed=seed
            )

    def _take_from_teacher(
        self, teacher: Teacher, texts: Sequence[Sequence[str]], corpus: Tokenised, tokens: int
    ) -> npt.NDArray[np.float16]:
        """The targets (n, output_dim), turned to their principal axes; starts the table alike."""
        cached = CachedTeacher(teacher, cache_directory() / "teacher")
        paths = [Path(source.path).name for source in self.run.data.texts]
        parts = [cached.vectors(t, f"teacher {path}") for t, path in zip(texts, paths, strict=True)]
        vectors = np.concatenate(parts)[corpus.kept]
        axes = principal_axes(vectors)
        if self.run.model.init == "teacher":
            table = token_table(cached.token_vectors()[:tokens], axes, self.run.model.embedding_dim)
            self.model.encoder.start_from(table)
        axes = axes[:, : self.run.model.hidden.output_dim]
        blocks = np.array_split(vectors, max(1, len(vectors) // 65_536))  # float32 only block by block
        return np.concatenate([(block.astype(np.float32) @ axes).astype(np.float16) for block in blocks])

    @property
    def steps_per_epoch(self) -> int:
        """One pass over the first objective's examples: texts before pairs before labels."""
        return self._objectives[0].steps

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Tables of embeddings apart: they want a larger rate, and decay would pull at rare tokens only."""
        encoder, rates = self.model.encoder, self.run.rates
        tables = [(encoder.table, rates.table), (encoder.log_weights, rates.token_weights)]
        groups: list[dict[str, Any]] = []
        taken = set[int]()
        for table, rate in tables:
            if table is not None:
                parameters = list(table.parameters())
                groups.append({"params": parameters, "lr": rate or learning_rate, "weight_decay": 0.0})
                taken |= {id(parameter) for parameter in parameters}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in taken]
        return [{"params": rest, "lr": learning_rate}, *groups]

    def batches(self, epoch: int, start: int) -> Iterator[int]:
        """Steps counted from the start of training: each objective finds its own rows from that."""
        return iter(range(epoch * self.steps_per_epoch + start, (epoch + 1) * self.steps_per_epoch))

    def loss(self, batch: int) -> dict[str, Tensor]:
        parts: dict[str, Tensor] = {}
        for objective in self._objectives:
            parts |= objective.loss(batch, self._vectors)
        return {"loss": torch.stack(list(parts.values())).sum()} | parts

    def _vectors(self, prepared: Sequence[Prepared]) -> Tensor:
        arrays = self.preprocessor.collate(prepared)
        inputs = (torch.from_numpy(arrays[name]) for name in self.preprocessor.input_names)
        vectors: Tensor = self.model.encoder(*inputs)
        return vectors

    def evaluate(self) -> dict[str, float]:
        figures = {} if self.graded is None else {"spearman": graded_spearman(self._encode, self.graded)}
        for objective in self._objectives:
            figures |= objective.evaluate(
                lambda prepared: torch.from_numpy(run_torch(self.model.encoder, self.preprocessor, prepared))
            )
        return figures

    def _encode(self, inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
        return run_torch(self.model.encoder, self.preprocessor, self.preprocessor.prepare(inputs, "end"))

    def encoders(self) -> dict[str, Encode]:
        if self.run.export.table == "int8":
            self.model.encoder.quantize_table()
        return {self.run.name: self._encode}

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """Spearman on the graded pairs, whole and at each Matryoshka dimension, beside the teacher's."""
        if self.graded is None or self.run.data.graded is None:
            return {}
        encode, teacher = encoders[self.run.name], self.teacher
        name = f"spearman {Path(self.run.data.graded).name.removesuffix('.csv')}"
        baselines = {}
        if teacher is not None:
            baselines["teacher"] = graded_spearman(
                lambda inputs: teacher.encode([_text(item) for item in inputs]), self.graded
            )
        figures = {name: Metric(value=graded_spearman(encode, self.graded), baselines=baselines)}
        for m in self.run.model.dimensions:
            figures[f"{name} at {m} dimensions"] = Metric(value=graded_spearman(_cut(encode, m), self.graded))
        return figures

    def drafts(self, metrics: dict[str, Metric]) -> list[Draft]:
        model = self.run.model
        exportable = Exportable(
            name=self.run.name,
            description=self.run.description,
            kind="text",
            model=self.model.encoder,
            preprocessor=self.tokenizer_json,
            probes=[Text(text) for text in probes(self.run.vocabulary.max_length)],
            dimensions=sorted({model.hidden.output_dim, *model.dimensions}, reverse=True),
            normalized=model.normalize,
            metric="cosine" if model.normalize else "inner_product",
            max_length=self.run.vocabulary.max_length,
        )
        return [draft_of(exportable, self.run, self.data_sha256, metrics)]


def distils(run: TextRun) -> bool:
    """Whether a teacher's vectors are learned from."""
    loss = run.loss
    return any((loss.cosine, loss.mse, loss.teacher_infonce, loss.similarity_kl))


def check(run: TextRun) -> None:
    """Refuse settings that contradict each other, before anything costly. Raises ConfigError."""
    loss, data, model, taught = run.loss, run.data, run.model, distils(run)
    from_teacher = taught or model.init == "teacher"
    needs = [
        (from_teacher, data.texts, "learning from a teacher needs data.texts"),
        (from_teacher, run.teacher, "learning from a teacher needs a [teacher] table"),
        (
            run.vocabulary.source == "teacher",
            run.teacher,
            'vocabulary.source = "teacher" needs a [teacher] table',
        ),
        (loss.infonce, data.pairs, "loss.infonce needs data.pairs"),
        (loss.cross_entropy, data.labels, "loss.cross_entropy needs data.labels"),
        (
            True,
            taught or loss.infonce or loss.cross_entropy,
            "every weight in [loss] is 0: there is nothing to learn from",
        ),
        (
            model.init == "teacher",
            run.vocabulary.source == "teacher",
            'model.init = "teacher" needs vocabulary.source = "teacher", whose tokens they are',
        ),
        (
            model.dimensions,
            all(m < model.hidden.output_dim for m in model.dimensions),
            f"model.dimensions must be smaller than output_dim ({model.hidden.output_dim}), always there",
        ),
    ]
    for wanted, given, message in needs:
        if wanted and not given:
            raise ConfigError(message)


def probes(max_length: int) -> list[str]:
    """Texts of very different lengths and scripts for the parity check; too long ones among them."""
    longest = "many words in one text, " * max_length
    return [
        "Where is my parcel?",
        "a",
        "The quick brown fox jumps over the lazy dog.",
        longest,
        "Größe, naïveté and 東京 in one line 🙂",
        "MiXeD CaSe 1,234.50 EUR (incl. VAT)!",
        "\tspaces \n and   lines\r\n",
        "x" * 300,
        *(longest[: 7 * k] for k in range(1, 41)),
    ]


def graded_spearman(encode: Encode, graded: Graded) -> float:
    """Spearman's correlation of cosines with the given scores."""
    vectors = encode([Text(text) for text in (*graded.first, *graded.second)])
    half = len(graded.first)
    return spearman(cosines(vectors[:half], vectors[half:]), graded.scores)


def cache_directory() -> Path:
    """Where costly results are kept between runs: ENCODERY_CACHE, or the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("ENCODERY_CACHE") or f"{base}/encodery").expanduser()


def _configured_teacher(run: TextRun) -> Teacher | None:
    if run.teacher is None:
        return None
    config = run.teacher
    return PretrainedTeacher(find_directory(config.source), config.sha256, config.max_tokens)


def _cut(encode: Encode, dim: int) -> Encode:
    return lambda inputs: encode(inputs)[:, :dim]


def _text(item: Input) -> str:
    assert isinstance(item, Text), type(item)
    return item.text
