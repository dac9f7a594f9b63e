"""`encodery schema infer FILE...`: a config drafted from a log, with the reason for every guess.

files -> training.recommender.data (sample, columns, roles, conditions) -> TOML -> read as training would
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.preprocess.features.schema import ENTRY_FIELDS
from training.config import parse_config
from training.errors import ConfigError
from training.recommender.data.columns import Guess, case_twins, folds_case
from training.recommender.data.conditions import Condition, propose
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.roles import Choice, Roles, Side, find_roles, guess_side
from training.recommender.data.sample import File, read
from training.recommender.settings import RecommenderRun

UNIQUE = 0.9  # distinct values a row, for a column to be the key of a file
COMMON = 0.3  # share of the log's items that their file knows, at least
CORES = (5, 3, 2, 1)  # of `data.core`, until something is left


@dataclass(frozen=True)
class Drafted:
    """What a draft is written from."""

    log: File
    roles: Roles
    directory: Path
    beside: Mapping[Side, File]
    conditions: Sequence[Condition]


def infer(paths: Sequence[Path], given: Mapping[str, str] | None = None) -> str:
    """Propose a config for a log and, if they have files of their own, its items and its users; in any order.

    Args:
        paths: of the files.
        given: columns of the log whose role a person has named.

    Raises:
        ConfigError: a file cannot be read, or none is a log; says which column is missing, and why.
    """
    files = [read(path) for path in paths]
    log, roles = _find_log(files, given or {})
    beside = dict(_beside(file, log, roles) for file in files if file is not log)
    if len(beside) < len(files) - 1:
        raise ConfigError("two files tell of the same side; join them, or give one")
    directory = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    drafted = Drafted(log, roles, directory, beside, list(propose(log.table, roles)))
    return _tried(drafted)


def _tried(drafted: Drafted) -> str:
    """The draft with the largest core that training can read, or with what it cannot read above it."""
    problem = ""
    for core in CORES:
        draft = "\n".join(_lines(drafted, core)) + "\n"
        try:
            run = parse_config(tomllib.loads(draft))
            assert isinstance(run, RecommenderRun)
            RecommenderExamples(run, drafted.directory)
        except ConfigError as error:
            problem = problem or str(error)
            if "data.core" not in str(error) and "too few" not in str(error):
                break
        else:
            return draft
    return (
        f"# Training does not take it as it stands: {problem}\n" + "\n".join(_lines(drafted, CORES[0])) + "\n"
    )


def _find_log(files: Sequence[File], given: Mapping[str, str]) -> tuple[File, Roles]:
    found: list[tuple[File, Roles]] = []
    reasons: list[str] = []
    for file in files:
        try:
            found.append((file, find_roles(file.table, file.guesses, given)))
        except ConfigError as error:
            reasons.append(f"{file.path.name}: {error}")
    if not found:
        raise ConfigError("no file is a log of who took what and when. " + "; ".join(reasons))
    if len(found) > 1:
        names = " and ".join(file.path.name for file, _ in found)
        raise ConfigError(f"{names} are logs; give one of them, and the files of its items and users")
    return found[0]


def _beside(file: File, log: File, roles: Roles) -> tuple[Side, File]:
    """Whose file it is: the side whose column it has, a row for each."""
    for side, choice in (("item", roles.item), ("user", roles.user)):
        keys = file.table.get(choice.column)
        if keys is None or len(set(keys)) < UNIQUE * len(keys):
            continue
        known = set(log.table[choice.column]) & set(keys)
        if len(known) >= COMMON * min(len(set(log.table[choice.column])), len(keys)):
            return ("item" if side == "item" else "user"), file
    for choice in (roles.item, roles.user):
        known = set(log.table[choice.column])
        for column, values in file.table.items():
            found = set(values) - {""}
            if column != choice.column and len(known & found) > 0.9 * len(found) > 1:
                raise ConfigError(
                    f"{file.path.name}: {column!r} seems to be the {choice.column!r} of {log.path.name}; "
                    "call both the same"
                )
    raise ConfigError(
        f"{file.path.name} has neither a row for each {roles.item.column!r} nor for each "
        f"{roles.user.column!r} of {log.path.name}, in a column of that name"
    )


def _lines(drafted: Drafted, core: int) -> Iterator[str]:
    lines = [*_head(drafted, core), *_features(drafted)]
    yield from [*lines, *_tail(lines)]


def _head(drafted: Drafted, core: int) -> Iterator[str]:
    log, roles = drafted.log, drafted.roles
    yield "# A proposal: every guess has its reason. Check the kinds, and what [data] where should leave out."
    yield 'kind = "recommender"'
    yield 'name = "my-shop"'
    yield 'description = "What it is for, and what it was trained on."'
    yield ""
    yield f"# Train with --data {json.dumps(str(drafted.directory), ensure_ascii=False)}"
    yield "[data]"
    yield f"path = {_quoted(_relative(drafted, log))}"
    for side, file in drafted.beside.items():
        yield f"{side}s = {_quoted(_relative(drafted, file))}"
    for role, choice in (("user", roles.user), ("item", roles.item), ("time", roles.time)):
        yield f"# {choice.reason}"
        yield f"{role} = {_quoted(choice.column)}"
    if folds_case(items := log.table[roles.item.column]):
        yield f"# {case_twins(items):,} of {len(set(items)):,} ids are others but for the case of letters"
        yield "uppercase_items = true"
    yield from _where(drafted.conditions)
    if core != CORES[0]:
        yield f"# with {CORES[0]}, the default, too little is left"
        yield f"core = {core}"
    if log.bad_rows:
        looked_at = log.bad_rows + len(log.table[roles.user.column])
        yield f"# {log.bad_rows:,} of the first {looked_at:,} rows cannot be read; training says which"
        yield 'bad_rows = "skip"'


def _relative(drafted: Drafted, file: File) -> str:
    return file.path.resolve().relative_to(drafted.directory).as_posix()


def _where(conditions: Sequence[Condition]) -> Iterator[str]:
    for condition in conditions:
        yield f"# {'' if condition.is_sure else 'perhaps '}{condition.text}: {condition.reason}"
    sure = [_quoted(condition.text) for condition in conditions if condition.is_sure]
    yield f"where = [{', '.join(sure)}]"


def _features(drafted: Drafted) -> Iterator[str]:
    names = _Names()
    names.take("history")
    yield from ["", "[[user]]", 'name = "history"', 'kind = "history"', "max_length = 256"]
    yield from ["", "[[item]]", 'name = "id"', 'kind = "category"']
    yield f"column = {_quoted(drafted.roles.item.column)}"
    yield "dropout = 0.1  # hides ids in training, which is what makes new items work"
    for field in ENTRY_FIELDS:
        names.take(field)
    for guess in drafted.log.guesses:
        is_item = guess.column == drafted.roles.item.column
        if is_item and guess.kind == "text" and "item" not in drafted.beside:
            yield from _feature("item", guess, f"the words of the id, for new items; {guess.reason}", names)
        if guess.column not in drafted.roles.columns:
            side, why = guess_side(drafted.log.table, guess.column, drafted.roles)
            if side in drafted.beside:
                side, why = None, f"the {side}s have a file"
            yield from _feature(side, guess, f"{guess.reason}; {why}" if side else why, names)
    keys: Mapping[Side, Choice] = {"item": drafted.roles.item, "user": drafted.roles.user}
    for side, file in drafted.beside.items():
        for guess in file.guesses:
            if guess.column != keys[side].column:
                yield from _feature(side, guess, f"of {file.path.name}; {guess.reason}", names)


def _feature(side: Side | None, guess: Guess, reason: str, names: _Names) -> Iterator[str]:
    if side is None or guess.idle:
        yield from ["", f"# {guess.column}: left out, {guess.idle or reason}"]
        return
    yield from ["", f"# {reason}", f"[[{side}]]", f"name = {_quoted(names.take(_name(guess.column)))}"]
    yield f'kind = "{guess.kind}"'
    yield f"column = {_quoted(guess.column)}"
    if guess.kind == "bag":
        yield f"separator = {_quoted(guess.separator)}"
    if guess.folds_case:
        yield "uppercase = true  # some values are others but for the case of letters"
    if guess.kind == "text":
        yield "bigrams = true"
    if guess.kind in ("category", "bag", "text"):
        yield "min_count = 2"


class _Names:
    """Names of features, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        """That name, or the next one with a number."""
        found, number = name, 1
        while found in self._taken:
            number += 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found


_TAIL = """
# What [towers] leaves out is chosen on this log by users who are held out, and printed with every candidate's
# figure: output_dim, half_lives_days, and the settings of [towers.initialisation]. What is given is kept.
[towers.initialisation]

# Popularity of now: one component of an item's vector, which a backend refreshes (docs/recommender.md).
[towers.recent]
name = "{recent}"

[loss]
target_fraction = [0.1, 0.4]

# Training adds little to the closed form, and soon fits the training users alone: few and small steps.
[train]
epochs = 6
patience = 2
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
