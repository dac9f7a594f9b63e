"""What the tests of training share: a tiny teacher, and generated sentences about topics."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_training
import torch

torch.set_num_threads(1)  # the matrices are tiny: threads would only wait for each other


@pytest.fixture(scope="session")
def teacher_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained encoder of two random layers whose tokenizer pads to 128, as all-MiniLM's does."""
    return tiny_training.write_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """texts.txt, pairs.tsv.gz, labels.csv and graded.csv."""
    return tiny_training.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A teacher's cache of the test's own."""
    monkeypatch.setenv("ENCODERY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
