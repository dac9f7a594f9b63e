"""How popular an item is now, as a feature that is made from the log and not declared by a column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bundle.preprocess.features.schema import FeatureSchema, NumberSpec
from bundle.values import DAY_S
from training.errors import ConfigError
from training.recommender.config.towers import RecentConfig
from training.recommender.data.interactions import Interactions

CLIP = 50.0  # of a logarithm: more users than there are


def with_recent(schema: FeatureSchema, recent: RecentConfig | None) -> FeatureSchema:
    """The item's schema with that number as the last feature. Raises ConfigError: its name is taken."""
    if recent is None:
        return schema
    if any(spec.name == recent.name for spec in schema.features):
        raise ConfigError(
            f"towers.recent: an item feature is called {recent.name!r} already; give it another name"
        )
    spec = NumberSpec(
        name=recent.name,
        description="how many users took it in the last days",
        kind="number",
        log1p=True,
        mean=0.0,
        std=1.0,
        clip=CLIP,
    )
    return FeatureSchema(
        schema_version=schema.schema_version, side=schema.side, features=[*schema.features, spec]
    )


def described(schema: FeatureSchema, *, days: int, weight: float) -> FeatureSchema:
    """The item's schema that says of its last feature, the number, what it does."""
    *others, number = schema.features
    words = (
        f"how many users took it in the last {days} days; adds {weight:.9g} x log(1 + users) to the last "
        "component of the vector, and changes no other"
    )
    return schema.model_copy(update={"features": [*others, number.model_copy(update={"description": words})]})


def recent_users(
    log: Interactions, rows: npt.NDArray[np.int64], *, now: float, days: int
) -> npt.NDArray[np.float32]:
    """Count, for each item, the rows of the last days before `now`: float32 [items]."""
    recent = rows[log.time[rows] >= now - days * DAY_S]
    return np.bincount(log.item[recent], minlength=len(log.items)).astype(np.float32)
