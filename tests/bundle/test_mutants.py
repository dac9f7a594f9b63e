"""A thousand damaged bundles; each is refused with a reason, or is the same bundle in other bytes."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from damage import MUTATIONS

from bundle import BundleError, Encoder, Store

MUTANTS = 334  # of each of three bundles


@pytest.mark.parametrize("name", ["text", "shop-user", "shop-item"])
def test_damaged_bundle_is_refused_or_the_same(published: Path, tmp_path: Path, name: str) -> None:
    """No file has bytes that do not matter but the white space of the manifest and of the pointer."""
    models = Path(shutil.copytree(published, tmp_path / "models"))
    whole = Store(models).load(name)
    chance = random.Random(name)
    files = [models / name / "current", *sorted((models / name / "1").iterdir())]
    accepted = []
    for _ in range(MUTANTS):
        path = chance.choice(files)
        before = path.read_bytes()
        after = chance.choice(MUTATIONS)(before, chance)
        path.write_bytes(after)
        loaded = load_or_reason(Store(models), name)
        path.write_bytes(before)
        if isinstance(loaded, Encoder):
            assert loaded.manifest == whole.manifest
            accepted += [path.name] if after != before else []
        else:
            assert 10 < len(loaded) < 500
    assert set(accepted) <= {"current", "manifest.json"}
    assert len(accepted) < MUTANTS / 20


def load_or_reason(store: Store, name: str) -> Encoder | str:
    """Anything but a BundleError escapes."""
    try:
        return store.load(name)
    except BundleError as error:
        return str(error)
