"""The tiny shop on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with its log."""
    directory = tmp_path_factory.mktemp("shop")
    tiny_shop.write_log(directory / "log.csv")
    return directory
