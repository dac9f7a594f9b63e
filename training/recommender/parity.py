"""Inputs that an exported pair of towers is compared on: ordinary ones, and odd ones a caller may send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from bundle.inputs import Input
from bundle.preprocess.features import Features
from bundle.values import DAY_S
from training.recommender.data.examples import RecommenderExamples

ORDINARY = 40
ORDINARY_LENGTHS = range(3, 3 + ORDINARY)  # of made-up histories
NEW_ENTRIES = 2  # of each of them
ODD_TEXTS = (
    "",
    "!?",
    "Größe, naïveté und 東京 🙂",
    "\uff26\uff35\uff2c\uff2c \uff57\uff49\uff44\uff54\uff48",
    "x" * 400,
    "word " * 200,
)
ODD_NUMBERS = (0, -5, 1e-9, 1e12, -1e12, None)


def user_parity_inputs(examples: RecommenderExamples) -> list[Input]:
    """Empty, short, long and unknown histories, with and without times, new items among them; odd values.

    All are made up: golden.json is published, and what real people bought is not.
    """
    name = examples.history_name
    ids = [examples.log.items[number] for number in examples.known]
    timed = [{"id": item, "time": examples.now - DAY_S * day} for day, item in enumerate(ids[:90])]
    histories: list[Any] = [
        [],
        None,
        ids[:1],
        ids[:5],
        ["never seen"],
        ["never seen", *ids[:3]],
        timed,
        timed[::-1],
        [{"id": ids[0], "time": 0}, {"id": ids[-1], "time": examples.now}],
        [{"id": ids[0], "time": "2011-06-01T12:00:00Z"}, ids[1], ids[1]],
        (ids * 30)[:2000],
        [f" {ids[0].lower()} ", ids[1]],
        *(
            [one, *ids[:2]]
            for one in _with_content(examples, _odd_values(examples.content_specs, examples.id_name))
        ),
    ]
    odd = [Features({name: history}, examples.now) for history in histories]
    values = [{name: ids[:2]} | one for one in _odd_values(examples.user_schema.features, name)]
    ordinary = [_made_up(examples, ids, length) for length in ORDINARY_LENGTHS]
    return _mixed([*odd, Features({}, examples.now), *(Features(v, examples.now) for v in values)], ordinary)


def _with_content(examples: RecommenderExamples, records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items never seen, as a history tells of them; nothing where items have no content."""
    has_content = len(examples.content_specs) > 1
    return [{"id": "never seen"} | record for record in records] if has_content else []


def _made_up(examples: RecommenderExamples, ids: list[str], length: int) -> Features:
    """A user with random items, two of them never seen, some days ago, and a random known category each."""
    generator = np.random.default_rng(length)
    ages = np.cumsum(generator.integers(1, 20, length)) * DAY_S
    history = [
        {"id": str(item), "time": examples.now - float(age)}
        for item, age in zip(generator.choice(ids, length), ages, strict=True)
    ]
    records = [examples.item_input(int(n)).values for n in generator.choice(examples.known, NEW_ENTRIES)]
    names = {spec.name for spec in examples.content_specs} - {examples.id_name}
    content = ({k: v for k, v in record.items() if k in names} for record in records)
    for place, record in zip(generator.permutation(length), _with_content(examples, content), strict=False):
        history[place] |= record
    known = {
        spec.name: str(generator.choice(spec.vocabulary))
        for spec in examples.user_schema.features
        if spec.kind == "category"
    }
    return Features({examples.history_name: history} | known, examples.now)


def item_parity_inputs(examples: RecommenderExamples) -> list[Input]:
    """Known items, whole or by id alone; new ones with content; empty ones; odd values."""
    name = examples.id_name
    some = [
        examples.item_input(int(number))
        for number in np.linspace(0, len(examples.log.items) - 1, ORDINARY).astype(int)
    ]
    known = examples.item_input(int(examples.known[0])).values
    content = {key: value for key, value in known.items() if key != name}
    odd: list[dict[str, Any]] = [
        {},
        {name: known[name]},
        {name: "never seen"},
        content,
        {name: "never seen"} | content,
        {name: None},
        *_odd_values(examples.item_schema.features, name),
    ]
    return _mixed([Features(values, examples.now) for values in odd], some)


def _odd_values(specs: Iterable[Any], but: str) -> Iterator[dict[str, Any]]:
    """One record per odd value of every feature."""
    odd: dict[str, tuple[Any, ...]] = {
        "category": ("never seen", "", "日本", None),
        "bag": ([], ["never seen"], ["a"] * 300, None),
        "text": (*ODD_TEXTS, None),
        "number": ODD_NUMBERS,
        "time": (0, 4_000_000_000, None),
    }
    for spec in specs:
        if spec.name != but:
            yield from ({spec.name: value} for value in odd[spec.kind])


def _mixed(odd: list[Features], some: list[Features]) -> list[Input]:
    """An ordinary one first, for the card; then by turns, so that golden.json holds both."""
    turns = [one for pair in zip(some, odd, strict=False) for one in pair]
    shorter = min(len(odd), len(some))
    return [*turns, *odd[shorter:], *some[shorter:]]
