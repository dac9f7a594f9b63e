"""`encodery schema infer FILE...`: a config drafted from a log, with the reason for every guess.

files -> training.recommender.data.columns (kinds, roles, sides) -> TOML, to be edited and trained
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from tabular import column_names
from training.data.files import refuse_absent
from training.data.tables import BadRows, as_config_error, good_rows, text_of_row
from training.errors import ConfigError
from training.recommender.data.columns import Guess, Roles, Table, guess_kind, guess_roles, guess_side

ROWS = 50_000  # read of each file


def infer(paths: Sequence[Path]) -> str:
    """Propose a config for a log and, if its items have a file of their own, that file; in either order.

    Raises:
        ConfigError: a file cannot be read, or none looks like a log.
    """
    tables = {path: read(path) for path in paths}
    found = {path: [guess_kind(name, values) for name, values in t.items()] for path, t in tables.items()}
    roles = {path: guess_roles(tables[path], found[path]) for path in paths}
    logs = [path for path in paths if roles[path].user and roles[path].item]
    if len(logs) != 1 or not roles[logs[0]].time:
        raise ConfigError(
            "exactly one of the files must be a log of who took what and when; its columns are known by "
            "names such as user_id, item_id and timestamp, so rename them, or write the config by hand"
        )
    (log,) = logs
    others = [path for path in paths if path != log and roles[log].item in tables[path]]
    if len(others) != len(paths) - 1 or len(others) > 1:
        raise ConfigError(
            f"beside the log there may be one file of items, with its column {roles[log].item!r}"
        )
    items = others[0] if others else None
    lines = list(_head(log, items, roles[log]))
    lines += _features(tables[log], found[log], roles[log], has_items_file=items is not None)
    if items is not None:
        for guess in found[items]:
            if guess.column != roles[log].item:
                lines += _feature("item", guess, f"of {items.name}; {guess.reason}")
    return "\n".join([*lines, *_tail(lines)]) + "\n"


def read(path: Path) -> Table:
    """Columns of a file's first rows, as text: CSV, TSV, JSONL or Parquet. Raises ConfigError."""
    refuse_absent(path)
    with as_config_error():
        header = column_names(path)
    columns: dict[str, list[str]] = {name: [] for name in header}
    for row in islice(good_rows(path, header, BadRows(), may_lack=True), ROWS):
        for name, value in text_of_row(row).items():
            columns[name].append(value)
    if not header or not columns[header[0]]:
        raise ConfigError(f"{path.name} has no rows")
    return columns


def _head(log: Path, items: Path | None, roles: Roles) -> Iterator[str]:
    yield "# A proposal: every guess has its reason. Check the kinds, and what [data] where should leave out."
    yield 'kind = "recommender"'
    yield 'name = "my-shop"'
    yield 'description = "What it is for, and what it was trained on."'
    yield ""
    yield "[data]"
    yield f"path = {_quoted(log.name)}"
    if items is not None:
        yield f"items = {_quoted(items.name)}"
    for role in ("user", "item", "time"):
        yield f"{role} = {_quoted(str(getattr(roles, role)))}"
    yield "where = []"


def _features(table: Table, guesses: Sequence[Guess], roles: Roles, *, has_items_file: bool) -> Iterator[str]:
    yield from ["", "[[user]]", 'name = "history"', 'kind = "history"', "max_length = 256"]
    yield from ["", "[[item]]", 'name = "id"', 'kind = "category"', f"column = {_quoted(str(roles.item))}"]
    yield "dropout = 0.1  # hides ids in training, which is what makes new items work"
    for guess in guesses:
        if guess.column in (roles.user, roles.item, roles.time):
            continue
        side, why = guess_side(table, guess.column, roles)
        if side is None or (side == "item" and has_items_file):
            yield from ["", f"# {guess.column}: left out, {why if side is None else 'the items have a file'}"]
        else:
            yield from _feature(side, guess, f"{guess.reason}; {why}")


def _feature(side: str, guess: Guess, reason: str) -> Iterator[str]:
    yield from ["", f"# {reason}", f"[[{side}]]", f"name = {_quoted(_name(guess.column))}"]
    yield f'kind = "{guess.kind}"'
    yield f"column = {_quoted(guess.column)}"
    if guess.kind == "bag":
        yield f"separator = {_quoted(guess.separator)}"
    if guess.kind == "text":
        yield "bigrams = true"
    if guess.kind in ("category", "bag", "text"):
        yield "min_count = 2"


_TAIL = """
# What [towers] leaves out is chosen on this log by users who are held out, and printed with every candidate's
# figure: output_dim, half_lives_days, and the settings of [towers.initialisation]. What is given is kept.
[towers.initialisation]

# Popularity of now: one component of an item's vector, which a backend refreshes (docs/recommender.md).
[towers.recent]
name = "{recent}"

[loss]
target_fraction = [0.1, 0.4]

[train]
epochs = 2
batch_size = 256
learning_rate = 3e-5
metric = "ndcg@100\""""


def _tail(lines: Iterable[str]) -> list[str]:
    """What is the same for every log; the number of recent users has a name that is not taken."""
    taken = set(lines)
    free = next(
        name for name in ("recent", "recent_users", "users_of_late") if f'name = "{name}"' not in taken
    )
    return _TAIL.format(recent=free).splitlines()


def _name(column: str) -> str:
    """A column's name as a feature's: lower case, words joined by _."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column)
    name = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    return (name if name[:1].isalpha() else f"f_{name}".rstrip("_"))[:48]


def _quoted(text: str) -> str:
    """A TOML string: JSON's escapes are valid in it."""
    return json.dumps(text, ensure_ascii=False)
