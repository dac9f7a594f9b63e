"""The models that come with the package: read where there are no others, and never changed.

A wheel has them beside this file. A checkout has none there: its own are in `models/`.
"""

from __future__ import annotations

from pathlib import Path

from bundle.errors import BundleError

SHIPPED = Path(__file__).resolve().with_name("models")


def is_shipped(path: Path) -> bool:
    """Tell whether a path is of the models that came with the package."""
    return path.is_relative_to(SHIPPED)


def refuse_shipped(path: Path) -> None:
    """Raise BundleError if something of what came with the package is about to be changed."""
    if is_shipped(path):
        raise BundleError(
            f"{path.name} came with the package, and stays as it is; copy {SHIPPED}, "
            "and name the copy by ENCODERY_MODELS_DIR"
        )
