"""What runs: the version of Encodery."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def running_version() -> str:
    """The version of the installed distribution."""
    try:
        return version("encodery")
    except PackageNotFoundError:
        return "from source"
