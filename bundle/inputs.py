"""What an encoder encodes, before any preprocessing: the protocol that the inputs of every kind follow.

The inputs themselves stand with the rest of their kind, in `bundle.preprocess`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from bundle.errors import InputError


class Input(Protocol):
    """One input, valid by construction: what cannot be encoded by any encoder of its kind cannot exist."""

    @property
    def size(self) -> int:
        """What preparing it costs, in characters of a text that takes as long."""
        ...

    @property
    def key(self) -> Hashable:
        """Equal for equal inputs."""
        ...

    @property
    def now(self) -> float | None:
        """Unix time in seconds that moments within it are relative to; None if there is none."""
        ...

    def prompted(self, prompt: str) -> Input:
        """The input with a prompt's text before it; the same where its kind has no prompts.

        Raises InputError for one that would be nothing but the prompt.
        """
        ...

    def to_json(self) -> Any:
        """The input as it stands in a request, without `now`."""
        ...


def prompted(inputs: Sequence[Input], prompt: str) -> Sequence[Input]:
    """The inputs with a prompt's text before each. Raises InputError for one that cannot have it."""
    if not prompt:
        return inputs
    found = list[Input]()
    for index, one in enumerate(inputs):
        try:
            found.append(one.prompted(prompt))
        except InputError as error:
            raise error.at(index) from None
    return found
