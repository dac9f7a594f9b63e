"""Fits features.json: from declared features and the training records to vocabularies and scales.

Vocabularies are sorted by count descending, then by name, so that the same data gives the same file.
Only what is trained on is counted: users and items that are measured must meet a schema that has never
seen them, as in production.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from bundle.preprocess.features.schema import ENTRY_FIELDS, SCHEMA_VERSION, FeatureSchema, FeatureSpec
from bundle.preprocess.features.vocabulary import normal
from bundle.preprocess.features.words import distinct, distinct_bigrams, distinct_prefixes, words
from bundle.values import DAY_S
from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig
from training.recommender.data.records import Record, column_of
from training.recommender.settings import RecommenderRun

SMALLEST_STD = 1e-6  # a constant number has no scale; it stands at 0


def key_features(run: RecommenderRun) -> tuple[str, str]:
    """The names of the item's id feature and of the user's history. Raises ConfigError."""
    ids = [one for one in run.item if column_of(one) == run.data.item and one.kind != "text"]
    if len(ids) != 1 or ids[0].kind != "category":
        raise ConfigError(
            f"item: exactly one feature of kind category must have column {run.data.item!r}, the id; "
            "beside it only one of kind text may have it, the words of the id"
        )
    if ids[0].changed(("min_count", "max_size")):
        raise ConfigError(f"item: {ids[0].name!r} is the id; which ids are known is up to data.core")
    if ids[0].uppercase:
        raise ConfigError(f"item: {ids[0].name!r} is the id; write data.uppercase_items for its case")
    if any(feature.kind == "history" for feature in run.item):
        raise ConfigError("item: a history belongs to the user side; move it there")
    for feature in run.item:
        if feature.name in ENTRY_FIELDS and feature is not ids[0]:
            raise ConfigError(
                f"item: {feature.name!r} means something else in a history; give the feature another name, "
                f"with column = {column_of(feature)!r}"
            )
    histories = [feature.name for feature in run.user if feature.kind == "history"]
    if len(histories) != 1:
        raise ConfigError(
            f"user: exactly one feature of kind history is needed, {len(histories)} are declared"
        )
    return ids[0].name, histories[0]


def fit_schema(
    side: Literal["user", "item"],
    features: Sequence[FeatureConfig],
    records: Sequence[Record],
    *,
    items: Sequence[str],
    id_name: str | None = None,
    content: Sequence[FeatureSpec] = (),
    uppercase_items: bool = False,
    now: float,
) -> FeatureSchema:
    """Fit all that `FeaturePreprocessor` needs to know.

    Args:
        side: whose features they are.
        features: as declared.
        records: of the users or items that are trained on.
        items: known items in the order of the vocabulary; of the id feature and of histories alike.
        id_name: which feature is the item's id.
        content: what a history may tell of an item that is not known, as fitted for the item side.
        uppercase_items: the case of the items' ids means nothing.
        now: unix time that ages are counted back from.

    Raises:
        ConfigError: no training record has a value for a feature.
    """
    fitted = []
    known = {"vocabulary": list(items), "uppercase": uppercase_items}
    for feature in features:
        common = {"name": feature.name, "kind": feature.kind, "description": feature.description}
        if feature.kind == "history":
            fields = [spec.model_dump() for spec in content]
            fitted.append(common | known | {"max_length": feature.max_length, "content": fields})
        elif feature.name == id_name:
            fitted.append(common | known)
        else:
            fitted.append(common | _fit(feature, records, now))
    return FeatureSchema.model_validate({"schema_version": SCHEMA_VERSION, "side": side, "features": fitted})


def by_count(entries: Iterable[str], *, min_count: int = 1, max_size: int | None = None) -> list[str]:
    """Distinct entries, the most frequent first, ties by name."""
    counts = Counter(entries)
    kept = [entry for entry, count in counts.items() if count >= min_count]
    return sorted(kept, key=lambda entry: (-counts[entry], entry))[:max_size]


def _fit(feature: FeatureConfig, records: Sequence[Record], now: float) -> dict[str, Any]:
    values = [record[feature.name] for record in records if feature.name in record]
    if not values:
        raise ConfigError(f"feature {feature.name!r}: column {column_of(feature)!r} is always empty")
    if feature.kind in ("number", "time"):
        return _fit_scale(feature, values, now)
    vocabulary = by_count(_entries(feature, values), min_count=feature.min_count, max_size=feature.max_size)
    fitted: dict[str, Any] = {"vocabulary": vocabulary}
    if feature.kind == "text":
        fitted |= {"bigrams": feature.bigrams, "prefixes": feature.prefixes}
    else:
        fitted |= {"uppercase": feature.uppercase}
    return fitted | ({} if feature.kind == "category" else {"max_length": feature.max_length})


def _entries(feature: FeatureConfig, values: Sequence[Any]) -> Iterable[str]:
    """Entries of vocabularies in their normal form, each once a value."""
    if feature.kind == "text":
        return (entry for value in values for entry in _terms(value, feature))
    lists = ([value] for value in values) if feature.kind == "category" else values
    return (
        entry
        for listed in lists
        for entry in {normal(one, uppercase=feature.uppercase) for one in listed}
        if entry
    )


def _terms(text: str, feature: FeatureConfig) -> list[str]:
    """Words, pairs and beginnings, each once, as the preprocessor reads them."""
    read = words(text)
    found = distinct(read)[: feature.max_length]
    pairs = distinct_bigrams(read, found) if feature.bigrams else []
    return [*found, *pairs, *distinct_prefixes(found, feature.prefixes)]


def _fit_scale(feature: FeatureConfig, values: Sequence[float], now: float) -> dict[str, Any]:
    """Mean and standard deviation, after the logarithm if there is one."""
    if feature.kind == "time":
        scaled = [math.log1p(max(0.0, (now - value) / DAY_S)) for value in values]
    elif feature.log1p:
        scaled = [math.copysign(math.log1p(abs(value)), value) for value in values]
    else:
        scaled = list(values)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = float(np.mean(scaled)), float(np.std(scaled))
    if not (math.isfinite(mean) and math.isfinite(std)):
        raise ConfigError(
            f"feature {feature.name!r}: column {column_of(feature)!r} has numbers too large to be scaled, "
            f"up to {max(map(abs, values)):g}; set log1p = true, or leave it out"
        )
    fitted: dict[str, Any] = {
        "mean": mean,
        "std": std if std > SMALLEST_STD else 1.0,
        "clip": feature.clip,
    }
    return fitted | ({"log1p": feature.log1p} if feature.kind == "number" else {})
