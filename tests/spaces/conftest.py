"""Documents and models that all tests of spaces share; read only."""

from __future__ import annotations

from pathlib import Path

import pytest
import two_spaces

DOCUMENTS = 300


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JSONL of texts, with ids d0, d1, ..."""
    rows = [{"id": f"d{at}", "text": text} for at, text in enumerate(two_spaces.sentences(DOCUMENTS))]
    return two_spaces.write_jsonl(tmp_path_factory.mktemp("data") / "documents.jsonl", rows)


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`text` 1 to 3 and a pair, 1 and 2."""
    return two_spaces.publish_trainings(tmp_path_factory.mktemp("models"))
