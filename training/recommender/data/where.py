"""The conditions of `data.where`: which rows of a log count."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tabular.values import number_of_text
from training.errors import ConfigError

_CONDITION = re.compile(r"(\S.*?) (>=|<=|>|<|==|!=|~|!~) ?(.*)")
_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class Condition:
    """One condition: numbers by < <= > >=, text by == and !=, patterns by ~ and !~.

    Attributes:
        text: as it stands in the config.
        holds: whether a value of the column meets it. Raises ValueError for what is no number.
    """

    text: str
    column: str
    holds: Callable[[str], bool]


def condition_of(text: str) -> Condition:
    """Read a condition. Raises ConfigError."""
    match = _CONDITION.fullmatch(text)
    if not match:
        raise ConfigError(
            f'data.where: {text!r} is no condition; write for example "Quantity > 0" or "Code ~ ^[0-9]+$"'
        )
    column, sign, operand = match.groups()
    if sign in _NUMERIC:
        return Condition(text, column, _comparison(text, sign, operand))
    if sign in ("==", "!="):
        return Condition(text, column, lambda value: (value.strip() == operand) == (sign == "=="))
    try:
        pattern = re.compile(operand)
    except re.error as error:
        raise ConfigError(f"data.where: {operand!r} is no regular expression: {error}") from None
    return Condition(text, column, lambda value: bool(pattern.search(value)) == (sign == "~"))


def _comparison(text: str, sign: str, operand: str) -> Callable[[str], bool]:
    """A missing number meets no comparison."""
    compare = _NUMERIC[sign]
    try:
        limit = number_of_text(operand)
    except ValueError as error:
        raise ConfigError(f"data.where: {text!r}: {error}") from None
    if limit is None:
        raise ConfigError(f"data.where: {text!r} has no number to compare with")

    def holds(value: str) -> bool:
        try:
            number = number_of_text(value)
        except ValueError as error:
            raise ValueError(f"{error}, for data.where {text!r}") from None
        return number is not None and compare(number, limit)

    return holds
