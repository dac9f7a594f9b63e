"""Writing bundles: all or nothing, proven, never overwritten."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

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
PAIR = ("shop-item", "shop-user")


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
    assert sorted(tree(tmp_path)) == [*(f"text/1/{file}" for file in files), "text/current"]


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


# Failures and crashes at every single change to the disk.


class Crash(BaseException):
    """The process dies: nothing after it runs, cleaning up neither."""


class FailingDisk(Disk):
    """Counts the calls, and fails one of them.

    Args:
        fail_at: which call, from 0; None to count only.
        error: what it raises.
        half: whether the call is done (a file: half-written) before it fails.
    """

    def __init__(self, fail_at: int | None, error: BaseException, *, half: bool) -> None:
        self.calls = 0
        self.fail_at, self.error, self.half = fail_at, error, half

    def _fails(self) -> bool:
        self.calls += 1
        if isinstance(self.error, Crash) and self.fail_at is not None and self.calls - 1 > self.fail_at:
            raise self.error  # dead already
        if self.calls - 1 != self.fail_at:
            return False
        if not self.half:
            raise self.error
        return True

    def make_directory(self, path: Path) -> None:
        fails = self._fails()
        super().make_directory(path)
        if fails:
            raise self.error

    def write(self, path: Path, content: bytes) -> None:
        fails = self._fails()
        super().write(path, content[: len(content) // 2] if fails else content)
        if fails:
            raise self.error

    def rename(self, source: Path, target: Path) -> None:
        fails = self._fails()
        super().rename(source, target)
        if fails:
            raise self.error

    def replace(self, source: Path, target: Path) -> None:
        fails = self._fails()
        super().replace(source, target)
        if fails:
            raise self.error

    def remove(self, path: Path) -> None:
        fails = self._fails()
        super().remove(path)
        if fails:
            raise self.error


def calls_of_publishing_a_pair(tmp_path: Path) -> int:
    disk = FailingDisk(None, Crash(), half=False)
    publish(tmp_path, tiny.pair_drafts(), disk=disk)
    return disk.calls


FULL = OSError(errno.ENOSPC, "No space left on device")
FAILURES = {
    "crash": (Crash(), True),  # after one call is before the next
    "disk full": (FULL, False),
    "disk full half-way": (FULL, True),
}


@pytest.mark.parametrize(("error", "half"), FAILURES.values(), ids=FAILURES)
def test_failure_at_any_change_leaves_the_old_pair_or_the_new(
    tmp_path: Path, error: BaseException, half: bool
) -> None:
    """F5: whole and loadable in each case, and whoever comes next sweeps what was left."""
    old, new = tiny.pair_drafts(seed=0), tiny.pair_drafts(seed=1)
    spaces = [publish(tmp_path / where, pair)[0].space for where, pair in (("old", old), ("new", new))]
    published = {path: content for path, content in tree(tmp_path / "old").items() if "/1/" in path}
    outcomes = []
    for fail_at in range(calls_of_publishing_a_pair(tmp_path / "count")):
        models = Path(shutil.copytree(tmp_path / "old", tmp_path / f"{fail_at}"))
        with pytest.raises((Crash, BundleError, OSError)):
            publish(models, new, disk=FailingDisk(fail_at, error, half=half))
        assert published.items() <= tree(models).items()
        found = {Store(models).load(name).manifest.space for name in PAIR}
        assert found in ({spaces[0]}, {spaces[1]}), f"mixed after call {fail_at}"
        outcomes.append(spaces.index(found.pop()))
        switch_current(models, "shop-user", "1")
        assert list(models.rglob(".tmp-*")) == []
        assert [Store(models).current(name) for name in PAIR] == ["1", "1"]
    assert outcomes == sorted(outcomes), "once it is new it stays new"
    assert set(outcomes) == {0, 1}


def test_publisher_after_a_crash_starts_clean(tmp_path: Path) -> None:
    publish(tmp_path, tiny.pair_drafts())
    with pytest.raises(Crash):
        publish(tmp_path, tiny.pair_drafts(seed=1), disk=FailingDisk(6, Crash(), half=True))
    assert list(tmp_path.rglob(".tmp-*")) != []
    assert publish(tmp_path, tiny.pair_drafts(seed=1))[0].version == "2"
    assert list(tmp_path.rglob(".tmp-*")) == []


def test_first_publication_that_fails_leaves_no_model_or_the_whole(tmp_path: Path) -> None:
    """Of a pair that was never there before."""
    for fail_at in range(calls_of_publishing_a_pair(tmp_path / "count")):
        models = tmp_path / f"{fail_at}"
        with pytest.raises(Crash):
            publish(models, tiny.pair_drafts(), disk=FailingDisk(fail_at, Crash(), half=True))
        loads = []
        for name in PAIR:
            try:
                loads.append(Store(models).load(name).manifest.space)
            except BundleError:
                loads.append(None)
        assert len(set(loads)) == 1


def test_full_disk_is_told_and_undone(tmp_path: Path) -> None:
    publish(tmp_path, [DRAFT])
    before = tree(tmp_path)
    with pytest.raises(BundleError, match="nothing was published: No space left on device"):
        publish(tmp_path, [DRAFT], disk=FailingDisk(3, FULL, half=True))
    assert tree(tmp_path) == before


def test_input_errors_are_no_bundle_errors() -> None:
    """Whoever calls the server is not told what its operator is, and the other way round."""
    assert not issubclass(InputError, BundleError)
