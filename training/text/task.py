"""Trains a text encoder on any mix of objectives, and exports it.

files -> vocabulary -> the bundle's own preprocessing -> objectives -> encoder -> one graph
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from bundle.inputs import Input
from bundle.lineage import STARTED
from bundle.manifest import Joined, Metric
from bundle.preprocess import KINDS, Prepared, Preprocessor
from bundle.preprocess.text import RULE, Text
from bundle.progress import phase
from bundle.publish import Draft
from training import ranks
from training.console import say
from training.data.tables import BadRows
from training.errors import ConfigError
from training.export import Exportable, draft_of, run_torch
from training.layers import halve_layers
from training.metrics import Validation
from training.provenance import Provenance, of_run
from training.task import Encode
from training.text.axes import centred, nearest_rotation, principal_axes, turned
from training.text.chunks import in_chunks
from training.text.data.examples import TextExamples, read_examples, tokenise_examples
from training.text.data.readers import files_sha256, read_scored_pairs
from training.text.data.tokenised import Tokenised, tokenise
from training.text.encoders.classic import TextEncoder, token_counts, token_table
from training.text.encoders.form import notes_of
from training.text.encoders.lora import merge_lora
from training.text.encoders.packed import packed
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.encoders.tuned import started, tuned
from training.text.graded import graded_metrics, graded_spearman
from training.text.learner import TextLearner, groups_of, special_ids
from training.text.lexical import lexical_of
from training.text.objectives import Objective, Plan, Sizes, Sources, objectives_of, validate
from training.text.parity import parity_texts
from training.text.pretrained.directory import Pretrained, read_pretrained
from training.text.pretrained.tokenizer import whole_tokenizer
from training.text.reduced import origins, reduced
from training.text.rules import (
    check,
    check_dimensions,
    check_shared,
    check_width,
    needs_teacher,
    unusual_rate,
)
from training.text.settings import RATES_OF_A_START, TextRun
from training.text.start import Start, read_start
from training.text.teacher import PublishedTeacher, Teacher, TorchTeacher, find_directory, teacher_of
from training.text.teacher_cache import CachedTeacher, cache_directory
from training.text.vocabulary import pooled_tokenizer, reading_plainly, train_tokenizer, with_symbols

ROTATION_TEXTS = 4096  # a start is turned by: ten times as many as there are dimensions


@dataclass(frozen=True)
class _Learning:
    """The model that is trained, and the objectives that it learns from."""

    model: TextLearner
    objectives: list[Objective[Any]]


class TextTask:
    """See `training.task.Task`.

    Settings are checked at once; files are read, and the teacher asked, when something is to be trained.
    So published encoders are scored without the texts they were trained on.

    Args:
        run: the config.
        data: the directory that its paths are relative to.
        teacher: in place of the configured one; tests pass a small one.
        models: directory of published models, of which one may be the start.

    Raises:
        ConfigError: settings contradict each other, or the graded pairs cannot be read.
        TeacherError: the configured teacher is not there.
    """

    def __init__(
        self, run: TextRun, data: Path, teacher: Teacher | None = None, *, models: Path = Path("models")
    ) -> None:
        check(run)
        self.run, self._data, self._models = run, data, models
        self.teacher = teacher or teacher_of(run.teacher, models)
        if self.teacher is not None:
            check_width(run, self.teacher.dim)
        self._bad = BadRows(run.data.bad_rows)
        self.graded = read_scored_pairs(data, [run.data.graded], self._bad) if run.data.graded else None

    @property
    def model(self) -> TextLearner:
        """The encoder, and the head of the labels."""
        return self._learning.model

    @cached_property
    def spec(self) -> Pretrained | None:
        """The pretrained encoder, if one is fine-tuned."""
        source = self.run.model.pretrained
        return None if source is None else read_pretrained(find_directory(source))

    @cached_property
    def start(self) -> Start | None:
        """The published encoder that the run goes on from, if it does."""
        source = self.run.model.start
        return None if source is None else read_start(self._models, source)

    @property
    def joins(self) -> Joined | None:
        """The published encoder whose space the run is to join, if it is."""
        if self.run.teacher is None or not self.run.teacher.share_space:
            return None
        assert isinstance(self.teacher, PublishedTeacher), "the config's own checks have seen to it"
        manifest = self.teacher.published.manifest
        return Joined(name=manifest.name, version=manifest.version, space=manifest.space)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        if self.start is not None:
            return self.start.manifest.dim
        return self.run.model.hidden.output_dim if self.spec is None else self.spec.dim

    @property
    def dimensions(self) -> list[int]:
        """Lengths that a vector may be cut to; a start keeps its own."""
        return self.run.model.dimensions if self.start is None else self.start.manifest.dimensions[1:]

    @property
    def _normalized(self) -> bool:
        """Whether vectors have unit length."""
        return self.run.model.normalize if self.start is None else self.start.manifest.normalized

    @property
    def languages(self) -> list[str]:
        """What the texts are in; of a start that says so, by default what it was trained for."""
        return self.run.data.languages or ([] if self.start is None else self.start.manifest.languages)

    @property
    def respell(self) -> Literal[0, 1]:
        """The rule for misspelt words; of a start, by default its own."""
        wanted = self.run.vocabulary.respell
        if wanted is None:
            return 0 if self.start is None else self.start.manifest.respell
        return RULE if wanted else 0

    @property
    def max_length(self) -> int:
        """Tokens the encoder reads."""
        wanted = self.run.vocabulary.max_length
        origin = self.spec if self.start is None else self.start.manifest
        return wanted if origin is None else min(wanted, origin.max_length)

    @cached_property
    def data_sha256(self) -> str:
        """Digest of files, how much of each is read, and the teacher."""
        learned = self.run.data.model_copy(update={"graded": None})
        files = [*learned.sources().values(), *learned.validation.sources().values()]
        sources = [source for some in files for source in some]
        content = files_sha256(self._data, [source.path for source in sources])
        how = [(source.limit, source.columns) for source in sources]
        teacher = self.teacher.digest if self.teacher else ""
        start = sorted(self.spec.weights().items()) if self.spec else ""
        start = self.start.manifest.digest if self.start else start
        whole = f"{content} {how} {learned.bad_rows} {teacher} {start}"
        return hashlib.sha256(whole.encode()).hexdigest()

    @cached_property
    def _examples(self) -> TextExamples:
        return read_examples(self._data, self.run.data, self._bad)

    @cached_property
    def tokenizer_json(self) -> bytes:
        """The vocabulary: the pretrained encoder's, the teacher's, or trained on all texts of the run."""
        config = self.run.vocabulary
        if self.start is not None:
            return self.start.tokenizer
        if self.spec is None and config.source == "train":
            return train_tokenizer(list(self._examples.all_texts()), config)
        if self.spec is not None:
            content = whole_tokenizer(self.spec)
        elif isinstance(self.teacher, PublishedTeacher):
            content = pooled_tokenizer(self.teacher.tokenizer_json)
        else:
            source = self.run.teacher.source if self.run.teacher else None
            assert source is not None  # `check` has seen to it
            content = pooled_tokenizer((find_directory(source) / "tokenizer.json").read_bytes())
        if config.size is not None:
            texts = self._examples.all_texts()
            with phase("cut the vocabulary"):
                return reduced(content, texts, config.size, lowercase=config.lowercase)
        return with_symbols(
            reading_plainly(content, config.plain), self._examples.all_texts(), config.symbols
        )

    @cached_property
    def preprocessor(self) -> Preprocessor:
        """The bundle's own, with this vocabulary."""
        return self._preprocessor(self.max_length)

    @property
    def _reader(self) -> Preprocessor:
        """The preprocessor of training, which may cut texts sooner."""
        wanted = self.run.train.max_tokens
        if not 0 < wanted < self.max_length:
            return self.preprocessor
        return self._preprocessor(wanted)

    def _preprocessor(self, max_length: int) -> Preprocessor:
        return KINDS["text"].preprocessor(
            self.tokenizer_json, max_length, self.languages, respell=self.respell
        )

    @cached_property
    def _learning(self) -> _Learning:
        run = self.run
        if self.start is not None:
            say(f"starts from {self.start.said}; what is trained is a new space: encode your documents again")
        if isinstance(self.teacher, PublishedTeacher) and self.joins is not None:
            check_shared(self.teacher.published.manifest, is_normalized=self._normalized)
            say(f"learns to be compared with {self.teacher.published.said}")
        if self.spec is not None or self.start is not None or self.joins is not None:
            check_dimensions(run, self.dim, self.teacher.dim if self.teacher else None)
        with phase("read the texts"):
            examples = self._examples
            self._check_graded()
        torch.manual_seed(run.seed)
        tokenizer = Tokenizer.from_str(self.tokenizer_json.decode())
        size = tokenizer.get_vocab_size()
        encoder = self._encoder(size)
        if isinstance(encoder, PretrainedEncoder) and (caution := unusual_rate(run)):
            say(caution)
        losses = run.loss.chosen()
        model = TextLearner(encoder, losses, Sizes(self.dim, size, len(examples.labelled.names)))
        with phase("split the texts into tokens"):
            tokens = tokenise_examples(self._reader, examples, run.data.typos, run.seed)
        if isinstance(encoder, TextEncoder) and self.start is None:
            encoder.initialise_weights(token_counts(tokens.ids(), size))
        sources = Sources(
            examples=examples,
            tokens=tokens,
            teacher=self._take_from_teacher(encoder, tokens.corpus, size) if needs_teacher(run) else None,
            specials=special_ids(tokenizer),
            heads=dict(model.heads.items()),
            plan=self._plan(),
        )
        return _Learning(model, objectives_of(losses, sources))

    def _encoder(self, tokens: int) -> TextEncoder | PretrainedEncoder:
        """The encoder before the first step, with that trainable which the config says."""
        config = self.run.model
        if self.start is not None:
            return started(self.start.encoder, config)
        return TextEncoder(tokens, config) if self.spec is None else tuned(self.spec, config)

    def _plan(self) -> Plan:
        run = self.run
        pairs = run.train.pairs_per_step or run.train.batch_size
        dimensions = [self.dim, *self.dimensions]
        typos = run.data.typos.share if run.data.typos else 0.0
        return Plan(
            dimensions, run.train.batch_size, run.seed, pairs, normalized=self._normalized, misspelt=typos
        )

    def _check_graded(self) -> None:
        """Every graded sentence must have a vector. Raises ConfigError."""
        sentences = [] if self.graded is None else [*self.graded.first, *self.graded.second]
        empty = set(range(len(sentences))) - set(tokenise(self.preprocessor, sentences).kept.tolist())
        if empty and self.run.data.graded:
            pair = min(empty) % (len(sentences) // 2) + 1
            raise ConfigError(
                f"{self.run.data.graded.path}, pair {pair}: a sentence has no token; leave it out"
            )

    def _take_from_teacher(
        self, encoder: TextEncoder | PretrainedEncoder, corpus: Tokenised, tokens: int
    ) -> npt.NDArray[np.float16]:
        """The targets (n, d), the axes that say most first; the encoder starts as near to them as it can."""
        assert self.teacher is not None  # `check` has seen to it
        cached, model = CachedTeacher(self.teacher, cache_directory() / "teacher"), self.run.model
        vectors = self._taught(cached)[corpus.kept]
        if self.run.teacher is not None and self.run.teacher.centred:
            vectors = centred(vectors)
        keeps_axes = self.joins is not None or (self.spec is not None and not model.dimensions)
        axes = np.eye(self.teacher.dim, dtype=np.float32) if keeps_axes else principal_axes(vectors)
        if self.start is not None:
            targets = turned(vectors, axes[:, : self.dim])  # of a wider teacher, what says most
            encoder.turn(nearest_rotation(*self._beside(encoder, corpus, targets)))
            return targets
        if isinstance(encoder, TextEncoder):
            if model.init == "teacher":
                table = token_table(cached.token_vectors(self._own_tokens(tokens)), axes, model.embedding_dim)
                encoder.initialise_from(table)
            return turned(vectors, axes[:, : model.hidden.output_dim])
        if model.dimensions:
            encoder.turn(axes)
        return turned(vectors, axes)

    def _own_tokens(self, tokens: int) -> list[int]:
        """The teacher's ids of the vocabulary's tokens, in their order."""
        if self.run.vocabulary.size is None or not isinstance(self.teacher, TorchTeacher):
            return list(range(tokens))
        return origins(self.tokenizer_json, self.teacher.tokenizer_json)

    def _taught(self, cached: CachedTeacher) -> npt.NDArray[np.float16]:
        """The teacher's vectors of all texts, file by file."""
        data = self.run.data
        names = [Path(source.path).name for source in data.texts]
        names += ["spans"] if data.spans else []
        names += [Path(source.path).name for source in data.validation.texts]
        names += ["first of pairs", "second of pairs"] if data.pair_texts else []
        each = list(zip(self._examples.texts, names, strict=True))
        if data.pair_texts != "translations":
            return np.concatenate([cached.vectors(some, f"teacher {name}") for some, name in each])
        firsts = self._examples.pairs.first
        numbers = {text: number for number, text in enumerate(dict.fromkeys(firsts))}
        asked = [*each[:-2], (list(numbers), "first of pairs")]
        *parts, last = [cached.vectors(some, f"teacher {name}") for some, name in asked]
        rows = [numbers[text] for text in firsts]  # a sentence is translated into several languages
        return np.concatenate([*parts, last[rows], last[rows]])

    def _beside(
        self, encoder: nn.Module, corpus: Tokenised, targets: npt.NDArray[np.float16]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Vectors of a start, and the targets, of a sample of the corpus: (m, d) each."""
        rows = np.linspace(0, len(corpus) - 1, min(ROTATION_TEXTS, len(corpus))).astype(np.int64)
        return run_torch(encoder, self.preprocessor, corpus.at(rows)), targets[rows].astype(np.float32)

    @property
    def steps_per_epoch(self) -> int:
        """One pass over the first objective's examples: texts first, then pairs, labels last."""
        return self._learning.objectives[0].steps

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Group what is trained, tables of embeddings apart."""
        times = {} if self.start is None else RATES_OF_A_START
        return groups_of(self.model, self.run.rates, learning_rate, times)

    def batches(self, epoch: int, start: int) -> Iterator[int]:
        """Steps counted from the start of training: each objective finds its own rows from that."""
        return iter(range(epoch * self.steps_per_epoch + start, (epoch + 1) * self.steps_per_epoch))

    def loss(self, batch: int) -> dict[str, Tensor]:
        parts: dict[str, Tensor] = {}
        for objective in self._learning.objectives:
            parts |= objective.loss(batch, self._vectors)
        return {"loss": torch.stack(list(parts.values())).sum()} | parts

    def _vectors(self, prepared: Sequence[Prepared]) -> Tensor:
        return ranks.spread(self._vectors_of_share, prepared)

    def _vectors_of_share(self, prepared: Sequence[Prepared]) -> Tensor:
        budget = self.run.train.chunk_tokens
        return in_chunks(self._vectors_at_once, prepared, budget, lambda one: one.cost)

    def _vectors_at_once(self, prepared: Sequence[Prepared]) -> Tensor:
        arrays = self.preprocessor.collate(prepared)
        inputs = (torch.from_numpy(arrays[name]) for name in self.preprocessor.input_names)
        vectors: Tensor = self.model.encoder(*inputs)
        return vectors

    @property
    def starts_learned(self) -> bool:
        # What it starts from is older than the run, unless it was turned to a teacher.
        return self.start is not None and needs_teacher(self.run)

    def evaluate(self) -> Validation:
        graded = {} if self.graded is None else {"spearman": graded_spearman(self._encode, self.graded)}
        return validate(
            self._learning.objectives,
            lambda prepared: torch.from_numpy(run_torch(self.model.encoder, self.preprocessor, prepared)),
            graded,
        )

    def _encode(self, inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
        return run_torch(self.model.encoder, self.preprocessor, self.preprocessor.prepare(inputs, "end"))

    def encoders(self) -> dict[str, Encode]:
        """The encoder under its name; from here on as it is exported: table rounded, adapters merged."""
        encoder, export, start = self.model.encoder, self.run.export, self.start
        if isinstance(encoder, PretrainedEncoder):
            merge_lora(encoder.backbone)
        stored = {"table": export.table, "layers": export.layers} if start is None else start.storage
        if stored["table"] == "int8":
            encoder.quantize_table()
        if stored["layers"] == "float16":
            halve_layers(encoder)
        return {self.run.name: self._encode}

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """Spearman on the graded pairs, whole and at each Matryoshka dimension, beside the teacher's."""
        if self.graded is None or self.run.data.graded is None:
            return {}
        name = Path(self.run.data.graded.path).name.split(".")[0]
        encode, dimensions = encoders[self.run.name], self.dimensions
        joins = f"{self.joins.name}/{self.joins.version}" if self.joins else None
        return graded_metrics(
            name, self.graded, encode, teacher=self.teacher, dimensions=dimensions, joins=joins
        )

    def drafts(self, metrics: dict[str, Metric]) -> list[Draft]:
        exportable = Exportable(
            name=self.run.name,
            description=self.run.description,
            kind="text",
            model=self.model.encoder,
            preprocessor=self.tokenizer_json,
            parity_inputs=[Text(text) for text in parity_texts(self.max_length)],
            dimensions=sorted({self.dim, *self.dimensions}, reverse=True),
            normalized=self._normalized,
            metric="cosine" if self._normalized else "inner_product",
            max_length=self.max_length,
            packed=packed(self.model.encoder),
            notes=notes_of(self.model.encoder),
            lexical=lexical_of(self.preprocessor, self._examples),
            languages=self.languages,
            respell=self.respell,
            not_for=self.run.not_for,
            joins=self.joins,
        )
        return [draft_of(exportable, self._provenance(), metrics)]

    def _provenance(self) -> Provenance:
        """Of the run, and of what it went on from."""
        provenance = of_run(self.run, self.data_sha256)
        if self.start is None:
            return provenance
        said = f"{STARTED} {self.start.said}; its vectors are of another space than these."
        return replace(provenance, details=[said, "", *provenance.details])
