"""Where the texts of a run are: files, their columns, and what their rows hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from bundle.manifest import Language
from training.config.sections import (
    Positive,
    Section,
)

RowKind: TypeAlias = Literal["texts", "pairs", "triplets", "labels", "graded"]
# What is read of each kind of row.
COLUMNS: Mapping[RowKind, tuple[str, ...]] = {
    "texts": ("text",),
    "pairs": ("first", "second"),
    "triplets": ("first", "second", "negative"),
    "labels": ("text", "label"),
    "graded": ("first", "second", "score"),
}

# Key of [data] -> what its rows are.
ROWS_OF: Mapping[str, RowKind] = {
    "texts": "texts",
    "pairs": "pairs",
    "triplets": "triplets",
    "graded_pairs": "graded",
    "labels": "labels",
    "graded": "graded",
}
NAMED = (".jsonl", ".jsonl.gz", ".parquet")  # formats whose columns always have names


class SourceConfig(Section):
    """A file, or its first `limit` rows; a plain string is its path.

    Attributes:
        path: of the file.
        columns: what is read -> the column that has it, as in { first = "question", second = "answer" }.
            What is not named here is in the column of its own name. With it, .csv and .tsv begin with a
            line of names; .jsonl and .parquet always have them. Without it, the list's plain format is read.
        limit: rows to read, bad ones included.
    """

    path: str
    columns: dict[str, str] = {}
    limit: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    @property
    def named(self) -> bool:
        """Whether the columns have names."""
        return bool(self.columns) or self.path.endswith(NAMED)


class TextFilesConfig(Section):
    """Files of texts. Each has columns, which may be named otherwise.

    Attributes:
        texts: unlabelled text, for distillation and for the vocabulary's counts: (text), one a line.
        pairs: that belong together, for the contrastive loss: (first, second), and (source) if
            `pair_sources` is given; plain: tab-separated source, first, second.
        triplets: pairs with a hard negative each: (first, second, negative); plain: tab-separated.
        graded_pairs: to learn from: (first, second, score), on any scale; plain: CSV without a header.
        labels: for the classification loss: (text, label); plain: CSV with the columns text and category.
    """

    texts: list[SourceConfig] = []
    pairs: list[SourceConfig] = []
    triplets: list[SourceConfig] = []
    graded_pairs: list[SourceConfig] = []
    labels: list[SourceConfig] = []

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        for key, sources in self.sources().items():
            known = (*COLUMNS[ROWS_OF[key]], *(["source"] if key == "pairs" else []))
            unknown = {name for source in sources for name in source.columns} - set(known)
            if unknown:
                raise ValueError(f"{key} has no column {min(unknown)}; it has {', '.join(known)}")
        return self

    def sources(self) -> dict[str, list[SourceConfig]]:
        """The files by key."""
        return {key: getattr(self, key) for key in ROWS_OF if key != "graded"}


class TyposConfig(Section):
    """Misspelt copies of the texts, others at every pass, to be encoded as what was meant.

    Attributes:
        share: of the texts of a step that are read misspelt; a teacher's vectors are those of the clean ones.
        rate: chance of a character to begin a slip: swapped with the next, left out, doubled, or another.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.3
    rate: Annotated[float, Field(gt=0, lt=1)] = 0.1


class TextDataConfig(TextFilesConfig):
    """The texts that an encoder is trained and measured on.

    Attributes:
        pair_sources: keep only these sources of `pairs`; [] for all.
        graded: (first, second, score) whose Spearman correlation is the validation metric `spearman`; plain:
            CSV without a header.
        validation: files to measure by, used whole, in place of a part of the training files.
        pair_limits: at most so many pairs of a source, the first ones: { foldoc = 500 }.
        pair_texts: learn from the teacher on the texts of `pairs` as well; `"translations"` learns for both
            texts of a pair the teacher's vector of the first, so that the second need not be in a language
            that the teacher reads well.
        spans: learn from the teacher on so many spans of 2 to 10 words, cut at random out of `texts`, as
            well: short queries look more like these than like sentences.
        languages: of the texts, by ISO 639-1, as ["en"]. The bundle says so, and whoever sends a text in
            another one is told. [] where that is not known: then nobody is told, or, of what started from a
            published encoder, as by that one.
        typos: read a part of the texts misspelt while learning from the teacher.
        bad_rows: `stop` at a row that lacks something, naming it; or `skip` it and list it at the end.
    """

    pair_sources: list[str] = []
    pair_limits: dict[str, Positive] = {}
    graded: SourceConfig | None = None
    validation: TextFilesConfig = TextFilesConfig()
    pair_texts: bool | Literal["translations"] = False
    spans: int = Field(0, ge=0)
    languages: list[Language] = []
    typos: TyposConfig | None = None
    bad_rows: Literal["stop", "skip"] = "stop"

    def sources(self) -> dict[str, list[SourceConfig]]:
        """The files by key."""
        return super().sources() | {"graded": [] if self.graded is None else [self.graded]}
