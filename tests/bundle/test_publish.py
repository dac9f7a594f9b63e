"""Writing bundles: all or nothing, proven, never overwritten."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny

from bundle import (
    BundleError,
    Draft,
    InputError,
    IntegrityError,
    ManifestError,
    Store,
    VersionExistsError,
    publish,
    switch_current,
)
from bundle.disk import Disk, publishing

DRAFT = tiny.text_draft()


def tree(root: Path) -> dict[str, bytes]:
    """Every file but locks, by path."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_publish_then_load_gives_what_was_drafted(tmp_path: Path) -> None:
    (manifest,) = publish(tmp_path, [DRAFT])
    contents = Store(tmp_path).read("text", "1")
    assert contents.manifest == manifest == Store(tmp_path).load("text").manifest
    assert contents.files == DRAFT.files()
    assert (manifest.dim, manifest.normalized, manifest.opset) == (tiny.DIM, True, 20)
    assert manifest.trained == DRAFT.trained


def test_published_directory_holds_the_files_and_nothing_else(tmp_path: Path) -> None:
    publish(tmp_path, [DRAFT])
    files = ["README.md", "golden.json", "manifest.json", "model.onnx", "tokenizer.json"]
    assert sorted(tree(tmp_path)) == [
        *(f"text/1/{file}" for file in files),
        "text/current",
        "text/history.jsonl",
    ]


def test_pointer_names_the_version_and_its_manifest(tmp_path: Path) -> None:
    (manifest,) = publish(tmp_path, [DRAFT])
    pointer = json.loads((tmp_path / "text" / "current").read_bytes())
    assert pointer == {"version": "1", "manifest_digest": manifest.digest}


def test_versions_count_up_and_the_newest_is_current(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for expected in ("1", "2", "3"):
        (manifest,) = publish(tmp_path, [DRAFT])
        assert manifest.version == expected == store.current("text")
    publish(tmp_path, [DRAFT], "named")
    publish(tmp_path, [DRAFT], "10")
    assert publish(tmp_path, [DRAFT])[0].version == "11"


def test_pair_takes_a_number_that_neither_tower_has_used(tmp_path: Path) -> None:
    user, item = tiny.pair_drafts()
    publish(tmp_path, [item], "5")
    assert [manifest.version for manifest in publish(tmp_path, [user, item])] == ["6", "6"]


def test_pair_is_published_together_and_says_so(tmp_path: Path) -> None:
    user, item = publish(tmp_path, tiny.pair_drafts())
    assert user.space == item.space
    assert user.space_members == item.space_members
    assert [peer.name for peer in user.peers] == ["shop-item"]
    assert [peer.name for peer in item.peers] == ["shop-user"]


def test_published_version_is_never_overwritten(tmp_path: Path) -> None:
    publish(tmp_path, [DRAFT])
    before = tree(tmp_path)
    with pytest.raises(VersionExistsError, match="text/1 is there already"):
        publish(tmp_path, [tiny.text_draft(seed=1)], "1")
    assert tree(tmp_path) == before


def test_pair_is_refused_whole_if_one_tower_has_the_version(tmp_path: Path) -> None:
    user, item = tiny.pair_drafts()
    publish(tmp_path, [item], "5")
    before = tree(tmp_path)
    with pytest.raises(VersionExistsError):
        publish(tmp_path, [user, item], "5")
    assert tree(tmp_path) == before


def test_pair_with_one_bad_tower_is_refused_whole(tmp_path: Path) -> None:
    user, item = tiny.pair_drafts()
    with pytest.raises(IntegrityError):
        publish(tmp_path, [user, replace(item, graph=b"\x08\x01")])
    assert tree(tmp_path) == {}


REFUSED: dict[str, tuple[Draft, type[BundleError]]] = {
    "graph": (replace(DRAFT, graph=b"not a graph"), IntegrityError),
    "preprocessor": (replace(DRAFT, preprocessor=b"{}"), ManifestError),
    "kind": (replace(DRAFT, kind="image"), ManifestError),
    "dim": (replace(DRAFT, dim=0), ManifestError),
    "dimensions": (replace(DRAFT, dimensions=[4]), ManifestError),
    "text that is no unicode": (replace(DRAFT, description="\ud800"), ManifestError),
    "name": (replace(DRAFT, name="../text"), BundleError),
    "golden": (replace(DRAFT, golden=b"{}"), BundleError),
}


@pytest.mark.parametrize(("draft", "error"), REFUSED.values(), ids=REFUSED)
def test_bad_draft_leaves_nothing_behind(tmp_path: Path, draft: Draft, error: type[BundleError]) -> None:
    models = tmp_path / "models"
    with pytest.raises(error):
        publish(models, [draft])
    assert list(tmp_path.rglob("manifest.json")) == list(tmp_path.rglob(".tmp-*")) == []
    assert publish(models, [DRAFT])[0].version == "1"


@pytest.mark.parametrize("version", ["current", "../1", "", "A"])
def test_version_name_that_cannot_be_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(BundleError):
        publish(tmp_path, [DRAFT], version)
    assert tree(tmp_path) == {}


def test_two_drafts_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="called alike"):
        publish(tmp_path, [DRAFT, DRAFT])


# One publisher at a time.


def test_second_publisher_of_a_model_fails_at_once(tmp_path: Path) -> None:
    publish(tmp_path, tiny.pair_drafts())
    with publishing(tmp_path / "shop-item"):
        with pytest.raises(BundleError, match="shop-item is being published by somebody else"):
            publish(tmp_path, tiny.pair_drafts())
        with pytest.raises(BundleError, match="somebody else"):
            switch_current(tmp_path, "shop-user", "1")
        publish(tmp_path, [DRAFT])  # another model
    assert publish(tmp_path, tiny.pair_drafts())[0].version == "2"


def test_lock_of_a_killed_publisher_is_free(tmp_path: Path) -> None:
    """A real process, killed while it holds the lock with half a version written."""
    program = (
        "import pathlib, sys, time\nfrom bundle.disk import publishing\n"
        "directory = pathlib.Path(sys.argv[1])\nwith publishing(directory):\n"
        "    (directory / '.tmp-half').mkdir()\n    print('locked', flush=True)\n    time.sleep(60)\n"
    )
    (tmp_path / "text").mkdir()
    command = [sys.executable, "-c", program, str(tmp_path / "text")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"locked"
        with pytest.raises(BundleError, match="somebody else"):
            publish(tmp_path, [DRAFT])
        assert (tmp_path / "text" / ".tmp-half").exists()  # not swept while its publisher lives
        process.kill()
    publish(tmp_path, [DRAFT])
    assert not (tmp_path / "text" / ".tmp-half").exists()


# What the disk refuses. Every single call, and crashes, are in tests/faults/test_publish_crash.py.


class FullDisk(Disk):
    """Refuses one function of `os` for paths, or files, that are asked for later than so many before."""

    def __init__(self, function: object, after: int = 0) -> None:
        self._function, self._left = function, after

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if function is self._function:
            self._left -= 1
            if self._left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        return super().call(function, *args, **options)


@pytest.mark.parametrize(
    ("function", "after"), [(os.mkdir, 1), (os.open, 0), (os.write, 2), (os.fsync, 3), (os.rename, 0)]
)
def test_full_disk_is_told_and_undone(tmp_path: Path, function: object, after: int) -> None:
    publish(tmp_path, [DRAFT])
    before = tree(tmp_path)
    with pytest.raises(BundleError, match="nothing was published: No space left on device"):
        publish(tmp_path, [DRAFT], disk=FullDisk(function, after))
    assert tree(tmp_path) == before


def test_what_could_not_be_made_current_is_there_and_can_be_later(tmp_path: Path) -> None:
    publish(tmp_path, [DRAFT])
    with pytest.raises(BundleError, match=r"is published, but .* `encodery models use text 2`.*: No space"):
        publish(tmp_path, [DRAFT], disk=FullDisk(os.replace))
    assert Store(tmp_path).current("text") == "1"
    switch_current(tmp_path, "text", "2")
    assert Store(tmp_path).current("text") == "2"


def test_a_file_where_the_model_belongs_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"")
    with pytest.raises(BundleError, match="nothing was published: File exists"):
        publish(tmp_path, [DRAFT])


def test_a_lock_that_cannot_be_made_is_no_other_publisher(tmp_path: Path) -> None:
    publish(tmp_path, [DRAFT])
    with pytest.raises(BundleError, match="nothing was switched: No space left on device"):
        switch_current(tmp_path, "text", "1", disk=FullDisk(os.open))


def test_input_errors_are_no_bundle_errors() -> None:
    """Whoever calls the server is not told what its operator is, and the other way round."""
    assert not issubclass(InputError, BundleError)
