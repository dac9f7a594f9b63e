"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # for `import tiny` and `import strategies`

import tiny
from buckets import bucket, store  # noqa: F401  # fixtures

from bundle.cores import usable_cores

MOST_PROCESSES = 4

# A busy machine is slow, not wrong. CI tries the same examples each time: what it refuses is the change's.
settings.register_profile(
    "encodery",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("encodery")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: one more than cores, since many tests wait; each loads torch in 400 MB."""
    return min(usable_cores() + 1, MOST_PROCESSES)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers keep their proofs for this session, not in the home of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of models with tiny real bundles: text, shop-user and shop-item. Read only."""
    models = tmp_path_factory.mktemp("models")
    tiny.publish_all(models)
    return models


@pytest.fixture
def models(published: Path, tmp_path: Path) -> Path:
    """The same, one's own to change."""
    return Path(shutil.copytree(published, tmp_path / "models"))
