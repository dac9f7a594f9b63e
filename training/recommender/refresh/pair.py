"""From a published pair and items that it does not know to the same pair with rows for them.

An item with a row is what its content says of it, as if it were sent with all of that: by its id alone from
now on, and in histories as well. Rows of users' tables are rounded to 8 bits, as all others are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.directory import CARD, GOLDEN, GRAPH, Contents
from bundle.golden import Golden
from bundle.manifest import Joined
from bundle.preprocess.features import FeaturePreprocessor, Features
from bundle.preprocess.features.schema import UNKNOWN, CategorySpec, FeatureSchema, HistorySpec
from bundle.publish import Draft
from bundle.sessions import open_session
from training.card import MADE_BY, with_card
from training.errors import ConfigError
from training.recommender.refresh.tables import Array, EightBits, Graph, in_eight_bits, repeated

FILE = "features.json"


@dataclass(frozen=True)
class AddedItems:
    """Items that a published pair does not know.

    Attributes:
        ids: as the vocabulary writes them.
        records: what is said of each, by the names of features, without the id.
        now: unix seconds.
    """

    ids: Sequence[str]
    records: Sequence[Mapping[str, Any]]
    now: float


def refreshed_item(contents: Contents, id_name: str, new: AddedItems) -> Draft:
    """The item tower with rows for new items. Raises ExportError, ConfigError.

    Their id says what an unknown one says, and how popular they are now is the mean, as it was before.
    """
    schema = FeatureSchema.from_bytes(contents.files[FILE])
    spec = id_of(schema, id_name)
    graph, preprocessor = Graph(contents.files[GRAPH], len(spec.vocabulary)), FeaturePreprocessor(schema)
    _check_sizes(schema.features, spec)
    inputs = [
        Features({spec.name: name, **record}, new.now)
        for name, record in zip(new.ids, new.records, strict=True)
    ]
    arrays = preprocessor.collate(preprocessor.prepare(inputs, "end"))
    unknown = {name: repeated(graph.value(name)[UNKNOWN], len(new.ids)) for name in graph.tables}
    told = {
        name: arrays[place]
        for name in graph.tables
        if graph.value(name).ndim > 1 and (place := graph.stands_in_for(name)) is not None
    }
    return _draft(contents, graph.extended(unknown | told), _with_items(schema, spec, new.ids), len(new.ids))


def refreshed_user(contents: Contents, new: AddedItems) -> Draft:
    """The user tower with rows for new items in histories. Raises ExportError, ConfigError."""
    schema = FeatureSchema.from_bytes(contents.files[FILE])
    [spec] = [one for one in schema.features if one.kind == "history"]
    graph = Graph(contents.files[GRAPH], len(spec.vocabulary))
    _check_sizes([*schema.features, *spec.content], spec)
    tables = graph.eight_bits()
    read = [repeated(_row(graph, one, UNKNOWN), len(new.ids)) for one in tables]  # (new, c) each
    if spec.content:
        _add_content(read, graph, [graph.added_to(one) for one in tables], schema, new)
    rows: dict[str, Array] = {}
    for table, values in zip(tables, read, strict=True):
        rows[table.rows], rows[table.scales] = in_eight_bits(values)
    return _draft(contents, graph.extended(rows), _with_items(schema, spec, new.ids), len(new.ids))


def id_of(schema: FeatureSchema, name: str) -> CategorySpec:
    """The id among an item's features. Raises ConfigError."""
    for spec in schema.features:
        if spec.kind == "category" and spec.name == name:
            return spec
    raise ConfigError(f"the published item tower has no id {name!r}; is it of this config?")


def _row(graph: Graph, table: EightBits, number: int) -> npt.NDArray[np.float32]:
    return np.asarray(graph.value(table.rows)[number] * graph.value(table.scales)[number], np.float32)


def _add_content(
    rows: Sequence[npt.NDArray[np.float32]],
    graph: Graph,
    names: Sequence[str],
    schema: FeatureSchema,
    new: AddedItems,
) -> None:
    """Add to each table's rows (new, c) what the items' content says where a history is read."""
    [spec] = [one for one in schema.features if one.kind == "history"]
    own, preprocessor = {one.name for one in spec.content}, FeaturePreprocessor(schema)
    session = open_session(graph.with_outputs(names))
    takes = [one.name for one in session.get_inputs()]
    for row, (name, record) in enumerate(zip(new.ids, new.records, strict=True)):
        content = {key: value for key, value in record.items() if key in own}
        if content:  # of one that nothing is said of, nothing is read
            entry = Features({spec.name: [{"id": name, **content}]}, new.now)
            for values, told in zip(
                rows, session.run(names, _feed(preprocessor, takes, [entry])), strict=True
            ):
                values[row] += told[0, 0]


def _feed(preprocessor: FeaturePreprocessor, takes: Sequence[str], inputs: Sequence[Features]) -> Any:
    arrays = preprocessor.collate(preprocessor.prepare(inputs, "end"))
    return {name: arrays[name] for name in takes}


def _check_sizes(specs: Sequence[Any], items: CategorySpec | HistorySpec) -> None:
    """Tables are told by their number of rows, so no other vocabulary may be as long. Raises ConfigError."""
    for spec in specs:
        if spec is not items and len(getattr(spec, "vocabulary", ())) == len(items.vocabulary):
            raise ConfigError(
                f"{spec.name!r} has as many entries as there are items, and their tables cannot be told "
                "apart; train the pair anew"
            )


def _with_items(schema: FeatureSchema, spec: CategorySpec | HistorySpec, ids: Sequence[str]) -> FeatureSchema:
    longer = spec.model_copy(update={"vocabulary": [*spec.vocabulary, *ids]})
    features = [longer if one is spec else one for one in schema.features]
    return schema.model_copy(update={"features": features})


def _draft(contents: Contents, graph: bytes, schema: FeatureSchema, count: int) -> Draft:
    """The tower again, which joins the space it comes from, or the one that this joined itself."""
    manifest = contents.manifest
    joins = manifest.joins or Joined(name=manifest.name, version=manifest.version, space=manifest.space)
    draft = replace(Draft.of(contents), graph=graph, preprocessor=schema.to_bytes(), joins=joins)
    _, _, made = contents.files[CARD].decode().partition(MADE_BY)
    note = f"Version {manifest.version} with {count:,} new items, by their content; nothing was trained.\n\n"
    return with_card(draft, note + made, Golden.from_bytes(contents.files[GOLDEN]).inputs[0])
