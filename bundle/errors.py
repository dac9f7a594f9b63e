"""What can go wrong with a bundle or an input.

    EncoderyError
    ├── BundleError               a bundle cannot be found, trusted or published
    │   ├── ManifestError         manifest.json is missing, malformed or of another schema
    │   ├── IntegrityError        a file is missing, changed, a link, unknown, or its graph is unsafe
    │   ├── SignatureError        nobody who is trusted has signed it
    │   ├── GoldenError           the encoder does not give the vectors that training recorded
    │   ├── VersionExistsError    a published version is never overwritten
    │   ├── AliasChangedError     what an alias stands for was changed by somebody else
    │   └── SpaceChangeError      vectors under a name would not be comparable any more
    └── InputError                one input cannot be encoded

Bundle errors belong to whoever operates the server, input errors to whoever calls it. An input error
names the item, the kind of its value, the limit and the way out; it never repeats the value.
"""

from __future__ import annotations

MOST_CHARS = 400  # of the reason why a bundle is refused: logs, answers and metrics repeat it


class EncoderyError(Exception):
    """Base of every error that this project raises on purpose."""


class BundleError(EncoderyError):
    """A bundle cannot be found, trusted or published.

    Args:
        message: for people. What libraries say of a file may repeat all of it, so it is cut.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= MOST_CHARS else f"{message[: MOST_CHARS - 1]}…")


class ManifestError(BundleError):
    """manifest.json is missing, malformed or of another schema."""


class IntegrityError(BundleError):
    """A file is missing, changed, a link or unknown, or the graph is unsafe."""


class SignatureError(BundleError):
    """Nobody who is trusted has signed it, or a key cannot be used."""


class GoldenError(BundleError):
    """The encoder does not give the vectors that training recorded."""


class VersionExistsError(BundleError):
    """A version of that name is published already."""


class AliasChangedError(BundleError):
    """An alias does not stand for what whoever changes it has seen."""


class SpaceChangeError(BundleError):
    """Vectors under a name would be of another space, and nobody said that this is meant."""


class InputError(EncoderyError):
    """One input cannot be encoded.

    Args:
        index: its position in the request.
        code: a stable word for programs, for example `too_long`.
        message: for people; says the limit and the way out.
        path: where inside the input, for example `.history[2].time`.
    """

    def __init__(self, index: int, code: str, message: str, path: str = "") -> None:
        self.index, self.code, self.path = index, code, path
        self.reason = message
        super().__init__(f"{self.param}: {message}")

    @property
    def param(self) -> str:
        """The place in the request, for example `inputs[3].price`."""
        return f"inputs[{self.index}]{self.path}"

    def at(self, index: int) -> InputError:
        """Return this error, said of the input at another position."""
        return InputError(index, self.code, self.reason, self.path)
