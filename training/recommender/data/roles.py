"""Which file is the log of who took what and when, and which of its columns says which.

By content first: what is taken and who takes are many to many, a time differs from row to row of both. Names
of columns decide among what the content allows, and every choice has its reason.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import filterfalse
from math import nan
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from bundle.values import number_in
from tabular.rows import cut
from tabular.written import FORMS
from training.errors import ConfigError
from training.recommender.data.columns import SURE, Guess, Table, are_years, is_time

Side: TypeAlias = Literal["user", "item"]

STEADY = 0.9  # how far a user (an item) tells a column, for it to be the user's (`steadiness`)
EXPLAINED = 0.75  # share of a number's variance that lies between users (items), likewise
MANY = 0.05  # share of the users with several items, and of the items with several users, at least
LIKELIEST = 12  # columns that may be who takes, and as many that may be what is taken
REPEATED = 0.95  # distinct values a row at most, for them to be who takes or what is taken


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


USER = _set(
    "user customer client visitor member shopper account buyer person reviewer player reader viewer listener "
    "patient student guest subscriber profile username uid cust usr household borrower consumer"
)
ITEM = _set(
    "item product prod stock sku article movie film book track song artist album asin isbn listing game wine "
    "beer recipe video course hotel restaurant business venue poi app anime show title place job news "
    "content dish offer"
)
TIME = _set("time date timestamp ts when at datetime created ordered purchased rated day event")
NOT_WHEN = _set(
    "birth born dob birthday birthdate release released published registered signup joined since expiry "
    "expires updated modified"
)
ID = _set("id ids code no nr num number key name uuid hash ref")


class Choice(NamedTuple):
    """A column and why it was chosen."""

    column: str
    reason: str


@dataclass(frozen=True)
class Roles:
    """The columns that make a log."""

    user: Choice
    item: Choice
    time: Choice

    @property
    def columns(self) -> set[str]:
        """All three."""
        return {self.user.column, self.item.column, self.time.column}


def find_roles(table: Table, guesses: Sequence[Guess], given: Mapping[str, str]) -> Roles:
    """User, item and time of a log.

    Args:
        table: its first rows.
        guesses: of its columns.
        given: columns that a person has named.

    Raises:
        ConfigError: which of them cannot be found, and why.
    """
    for role, column in given.items():
        if column not in table:
            raise ConfigError(f"--{role} {column!r} is no column; there are {', '.join(table)}")
    user, item = _pair(table, guesses, given)
    return Roles(user, item, _when(table, guesses, given, user.column, item.column))


def _pair(table: Table, guesses: Sequence[Guess], given: Mapping[str, str]) -> tuple[Choice, Choice]:
    """Who takes, and what is taken."""
    fit = [guess.column for guess in guesses if _may_be_key(guess, table[guess.column])]
    users = [given["user"]] if "user" in given else fit
    items = [given["item"]] if "item" in given else fit
    if not users or not items:
        raise ConfigError("no column repeats as users and items do")
    users, items = _likeliest(table, users, USER), _likeliest(table, items, ITEM)
    pairs = [(u, i) for u in users for i in items if u != i and are_many_to_many(table[u], table[i])]
    if not pairs:
        raise ConfigError("no two columns are many to many, as users and items are")
    coarse = [pair for pair in pairs if not _is_finer(table, pair, pairs)]
    user, item = max(coarse or pairs, key=lambda pair: _pair_score(table, *pair))
    return _told(table, user, "user", given), _told(table, item, "item", given)


def _likeliest(table: Table, columns: Sequence[str], words: frozenset[str]) -> list[str]:
    """The few that are worth a look at their pairs, by name and then by how many values they have.

    All pairs of a hundred columns would take minutes.
    """
    order = sorted(columns, key=lambda one: (-named(one, words), -len(set(table[one]))))
    return [one for one in columns if one in order[:LIKELIEST]]


def _may_be_key(guess: Guess, values: Sequence[str]) -> bool:
    """Whether values repeat, and are names or whole numbers; a few others are bad rows."""
    said = [value for value in values if value]
    if guess.kind in ("time", "bag") or len(set(said)) > REPEATED * len(said) or guess.idle:
        return False
    whole = sum(bool(re.fullmatch(r"-?\d+(\.0+)?", value.strip())) for value in said)
    return guess.kind != "number" or whole >= SURE * len(said)


def _pair_score(table: Table, user: str, item: str) -> tuple[int, int, bool]:
    """Names, then how many there are of the fewer, then who comes first."""
    columns = list(table)
    fewer = min(len(set(table[user])), len(set(table[item])))
    return (
        named(user, USER) + named(item, ITEM) - named(user, ITEM) - named(item, USER),
        fewer,
        columns.index(user) < columns.index(item),
    )


def _is_finer(table: Table, pair: tuple[str, str], pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether a user column only numbers the visits of another one, as an invoice does a customer's."""
    user, item = pair
    return any(
        other != user
        and one == item
        and named(user, USER) <= named(other, USER)
        and len(set(table[other])) * 2 < len(set(table[user]))
        and len(set(table[other])) > len(table[other]) ** 0.5 / 4
        and steadiness(table[user], table[other]) > 0.999
        for other, one in pairs
    )


def _when(table: Table, guesses: Sequence[Guess], given: Mapping[str, str], user: str, item: str) -> Choice:
    """When it was: differs from row to row of a user and of an item."""
    if "time" in given:
        return Choice(given["time"], "as given")
    times = _times(table, [guess for guess in guesses if guess.column not in (user, item)])
    moving = [
        guess
        for guess in times
        if all(steadiness(table[key], table[guess.column]) < STEADY for key in (user, item))
    ]
    if not times:
        raise ConfigError(
            f"no column holds times, by which histories are ordered, such as {FORMS}; "
            f"{_nearly_times(table, (user, item))}name it by --time"
        )
    if not moving:
        raise ConfigError(
            f"{', '.join(one.column for one in times)}: the same in all rows of a user or of an item, so no "
            "time of what was taken; name it by --time"
        )
    best = max(moving, key=lambda one: (_time_score(one.column), len(set(table[one.column]))))
    return Choice(best.column, f"{best.reason}; it differs within users and items")


def _times(table: Table, guesses: Sequence[Guess]) -> list[Guess]:
    """The columns that hold times; where there are none, those of years alone, which order little."""
    return [guess for guess in guesses if guess.kind == "time"] or [
        Guess(guess.column, "time", "years alone, so rows of one year are in the order of the file")
        for guess in guesses
        if not guess.idle and are_years(table[guess.column])
    ]


def _nearly_times(table: Table, keys: Sequence[str]) -> str:
    """What keeps the likeliest column from being one of times, or ""."""
    for column, values in table.items():
        said = [value.strip() for value in values if value.strip()]
        if column in keys or not said or not set(tokens(column)) & TIME:
            continue
        if len(set(said)) == 1:
            return f"{column!r} is the same in every row; "
        others = list(filterfalse(is_time, said))
        if others:
            share = 1 - len(others) / len(said)
            return f"{share:.0%} of {column!r} are, but not {cut(others[0], 40)!r}; "
    return ""


def _time_score(column: str) -> int:
    words = set(tokens(column))
    return bool(words & TIME) - 2 * bool(words & NOT_WHEN)


def _told(table: Table, column: str, role: Side, given: Mapping[str, str]) -> Choice:
    said = [value for value in table[column] if value]
    counts = f"{len(set(said)):,} values, {len(said) / max(1, len(set(said))):,.1f} rows each"
    if role in given:
        return Choice(column, f"{counts}; as given")
    is_named = named(column, USER if role == "user" else ITEM)
    return Choice(
        column, f"{counts}; " + ("named so" if is_named else f"a guess by content: --{role} says another")
    )


def named(column: str, words: frozenset[str]) -> int:
    """2 if a column is named after one of the words and nothing else, 1 if after one among others."""
    found = tokens(column)
    if not any(token in words for token in found):
        return 0
    return 2 if all(token in words or token in ID for token in found) else 1


def tokens(column: str) -> list[str]:
    """The words of a column's name: CustomerID -> customer, id; wineid -> wine, id; order_ts -> order, ts."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", column)
    found: list[str] = []
    for word in re.findall(r"[^\W_]+", spaced.lower()):
        stem = next((s for s in (word.removesuffix("id"), word.removesuffix("code")) if s != word), "")
        found += [stem, word[len(stem) :]] if stem in USER | ITEM else [word]
    return [_singular(word) for word in found]


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and word[:-1] in USER | ITEM else word


def are_many_to_many(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether many values of either come with several of the other."""
    pairs = {(a, b) for a, b in zip(first, second, strict=True) if a and b}
    return bool(pairs) and all(
        sum(count > 1 for count in counts.values()) >= max(2, MANY * len(counts))
        for counts in (Counter(a for a, _ in pairs), Counter(b for _, b in pairs))
    )


def guess_side(table: Table, column: str, roles: Roles) -> tuple[Side | None, str]:
    """Whose feature a column is: the side for which it hardly changes from row to row; and why."""
    keys: dict[Side, Sequence[str]] = {  # the first where both are as steady
        "item": table[roles.item.column],
        "user": table[roles.user.column],
    }
    steady = {side: steadiness(rows, table[column]) for side, rows in keys.items()}
    side = max(steady, key=lambda one: steady[one])
    if steady[side] >= STEADY:
        return side, f"the {side} tells {steady[side]:.0%} of it"
    if numbers := numbers_in(table[column]):
        explained = {side: explained_share(rows, numbers) for side, rows in keys.items()}
        side = max(explained, key=lambda one: explained[one])
        if explained[side] >= EXPLAINED:
            return side, f"{explained[side]:.0%} of its variance is between {side}s"
    return None, "it changes from row to row of a user and of an item alike"


def steadiness(keys: Sequence[str], values: Sequence[str]) -> float:
    """How much of what a column leaves open its key tells: 1 if every key has one value, 0 if none says more.

    Guessing the most frequent value misses some rows; guessing each key's most frequent one misses fewer: by
    this share. Keys seen once say nothing. Source: Goodman and Kruskal 1954, JASA 49(268), their lambda.
    """
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for key, value in zip(keys, values, strict=True):
        if key and value:
            seen[key][value] += 1
    often = [counts for counts in seen.values() if counts.total() > 1]
    total: Counter[str] = Counter()
    for counts in often:
        total.update(counts)
    missed = total.total() - max(total.values(), default=0)
    still = total.total() - sum(max(counts.values()) for counts in often)
    return 1.0 - still / missed if missed else 0.0


def numbers_in(values: Sequence[str]) -> list[float]:
    """The values as numbers, nan for empty ones; none if one is no number."""
    try:
        return [number_in(value.strip()) if value.strip() else nan for value in values]
    except ValueError:
        return []


def explained_share(keys: Sequence[str], numbers: Sequence[float]) -> float:
    """Share of the variance of the numbers' logarithms that lies between keys; keys seen once say nothing."""
    position = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    rows, found = np.array([position[key] for key in keys]), np.array(numbers)
    found = np.copysign(np.log1p(np.abs(found)), found)
    kept = ~np.isnan(found) & np.array([bool(key) for key in keys])
    rows, found = rows[kept], found[kept]
    counts = np.bincount(rows, minlength=len(position))
    often = counts[rows] > 1
    rows, found = rows[often], found[often]
    if not len(found) or (variance := found.var()) < 1e-12:
        return 0.0
    means = np.bincount(rows, found, minlength=len(position)) / np.maximum(counts, 1)
    return 1.0 - float(np.square(found - means[rows]).mean() / variance)
