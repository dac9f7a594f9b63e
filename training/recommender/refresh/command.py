"""`encodery train CONFIG --refresh VERSION`: the pair of that version with the items that came since."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle.directory import GRAPH, Contents
from bundle.encoder import Runner
from bundle.inputs import Input
from bundle.manifest import Manifest
from bundle.preprocess.features import FeaturePreprocessor, Features
from bundle.preprocess.features.schema import FeatureSchema
from bundle.progress import phase
from bundle.publish import Draft, publish
from bundle.store import Store
from training.config import load_config_as
from training.console import say
from training.data.files import data_directory
from training.errors import ConfigError, ExportError
from training.recommender.data.examples import RecommenderExamples
from training.recommender.refresh.pair import FILE, AddedItems, id_of, refreshed_item, refreshed_user
from training.recommender.settings import RecommenderRun

MOST_USERS = 1000  # that are asked before and after
BATCH = 256


def refresh(config: Path, version: str, *, data: Path | None = None, models: Path) -> list[Manifest]:
    """Publish a pair again with rows for the items of the log that it does not know.

    Args:
        config: the TOML file that the pair was trained by; its log has the new items.
        version: of the pair.
        data: directory that the config's paths are relative to; by default ENCODERY_DATA, or `data`.
        models: where the pair is published, and will be.

    Raises:
        TrainingError: the config, the data or the pair cannot be used; or there is nothing new.
        BundleError: the version is not published, or not sound.
    """
    run, store = load_config_as(config, RecommenderRun), Store(models)
    user, item = (store.read(name, version) for name in (run.user_name, run.item_name))
    with phase(f"read {run.data.path}"):
        examples = RecommenderExamples(_whole(run), data_directory(data))
    schema = FeatureSchema.from_bytes(item.files[FILE])
    new = new_items(run, examples, schema)
    with phase(f"add {len(new.ids):,} items"):
        drafts = [refreshed_user(user, new), refreshed_item(item, examples.id_name, new)]
        check_bits(user, drafts[0], user_inputs(examples, schema))
        check_bits(item, drafts[1], known_items(examples, schema))
    manifests = publish(models, drafts)
    for one in manifests:
        say(f"published {one.name}/{one.version}, space {one.space}, joins {one.spaces_of(one.dim)[-1]}")
    return manifests


def _whole(run: RecommenderRun) -> RecommenderRun:
    """The run with all items of the log: what is new has been taken by few, and none is kept away."""
    return run.model_copy(update={"data": run.data.model_copy(update={"core": 1, "cold_items": 0.0})})


def new_items(run: RecommenderRun, examples: RecommenderExamples, schema: FeatureSchema) -> AddedItems:
    """The log's items that the item tower does not know, but for those without content.

    Raises:
        ConfigError: there are none.
    """
    known, items = set(id_of(schema, examples.id_name).vocabulary), examples.log.items
    numbers = [n for n, name in enumerate(items) if name not in known]
    if not numbers:
        raise ConfigError(f"{run.data.path} has no item that {run.item_name} does not know")
    names = {one.name for one in schema.features}
    told = {n: {k: v for k, v in examples.item_records[n].items() if k in names} for n in numbers}
    found = [n for n in numbers if told[n]]
    if len(found) < len(numbers):
        say(f"{len(numbers) - len(found):,} new items are left out: nothing is said of them but their ids")
    if not found:
        raise ConfigError(f"nothing is said of what {run.item_name} does not know; new items need content")
    return AddedItems([items[n] for n in found], [told[n] for n in found], examples.now)


def user_inputs(examples: RecommenderExamples, schema: FeatureSchema) -> list[Input]:
    """Users whose histories have known items alone, as they would be sent."""
    known = set(id_of(schema, examples.id_name).vocabulary)
    is_known = np.array([name in known for name in examples.log.items])
    rows = enumerate(examples.histories[:MOST_USERS])
    return [examples.user_input(user, one[is_known[examples.log.item[one]]]) for user, one in rows]


def known_items(examples: RecommenderExamples, schema: FeatureSchema) -> list[Input]:
    """Every item that the pair knows, by its id alone."""
    ids = id_of(schema, examples.id_name).vocabulary
    return [Features({examples.id_name: one}, examples.now) for one in ids]


def check_bits(before: Contents, after: Draft, inputs: Sequence[Input]) -> None:
    """Refuse a tower that moves what the one before knew, if by a bit. Raises ExportError."""
    old = _vectors(before.files[FILE], before.files[GRAPH], inputs)
    new = _vectors(after.preprocessor, after.graph, inputs)
    if not np.array_equal(old, new):
        off = float(np.abs(old - new).max())
        raise ExportError(f"{after.name}: known vectors would move by up to {off:.1e}; nothing was published")


def _vectors(schema: bytes, graph: bytes, inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
    preprocessor = FeaturePreprocessor(FeatureSchema.from_bytes(schema))
    runner, prepared = Runner(preprocessor, graph), preprocessor.prepare(inputs, "end")
    blocks = [runner.run(prepared[start : start + BATCH]) for start in range(0, len(prepared), BATCH)]
    return np.concatenate(blocks)
