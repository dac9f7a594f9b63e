"""Models come from a bucket of moto's, and go there; skipped where `dev.py apart stores` set up none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle import Store
from encodery.transfer import TransferError, Wanted, place_of, pull, push
from encodery.transfer.pull import PARTIAL

pytestmark = [pytest.mark.stores, pytest.mark.e2e]


def test_what_is_sent_to_a_bucket_comes_back(models: Path, tmp_path: Path, bucket: str) -> None:
    here = tmp_path / "here"
    for name in ("shop-user", "text"):
        push(place_of(bucket), Wanted.parsed(name), models)
    entry = Store(models).manifest("text", "1").files["model.onnx"]
    (here / PARTIAL).mkdir(parents=True)
    (here / PARTIAL / entry.sha256).write_bytes((models / "text/1/model.onnx").read_bytes()[:100])
    for name in ("text", "shop-item"):
        pull(place_of(bucket), Wanted.parsed(name), here)

    for name in ("shop-user", "shop-item", "text"):
        assert Store(here).read(name, Store(here).current(name)).files == Store(models).read(name, "1").files
    with pytest.raises(TransferError, match="there is no model absent"):
        pull(place_of(bucket), Wanted.parsed("absent"), here)
