"""The few calls that change the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundle import IntegrityError
from bundle.directory import read_file
from bundle.disk import DISK


def test_write_makes_the_file(tmp_path: Path) -> None:
    DISK.write(tmp_path / "file", b"content")
    assert read_file(tmp_path / "file", 100) == b"content"


def test_write_never_overwrites(tmp_path: Path) -> None:
    DISK.write(tmp_path / "file", b"old")
    with pytest.raises(FileExistsError):
        DISK.write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_write_never_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        DISK.write(tmp_path / "link", b"content")
    assert not (tmp_path / "elsewhere").exists()


def test_rename_fails_where_a_version_stands(tmp_path: Path) -> None:
    for name in ("new", "old"):
        DISK.make_directory(tmp_path / name)
        DISK.write(tmp_path / name / "file", name.encode())
    with pytest.raises(OSError, match=r"exists|not empty"):
        DISK.rename(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_bytes() == b"old"


def test_remove_takes_files_and_directories_and_minds_nothing(tmp_path: Path) -> None:
    DISK.make_directory(tmp_path / "a" / "b")
    DISK.write(tmp_path / "file", b"")
    for name in ("a", "file", "nothing"):
        DISK.remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_remove_of_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    DISK.make_directory(tmp_path / "kept")
    (tmp_path / ".tmp-link").symlink_to(tmp_path / "kept")
    DISK.remove(tmp_path / ".tmp-link")
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]


def test_file_that_cannot_be_opened_is_an_integrity_error(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="cannot be opened"):
        read_file(tmp_path / ("x" * 300), 100)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that cannot be read, on Linux")
def test_file_that_grows_or_fails_while_it_is_read_is_an_integrity_error() -> None:
    """Files of /proc say that they have no bytes, and then have some."""
    with pytest.raises(IntegrityError, match="changed while it was read"):
        read_file(Path("/proc/self/status"), 100)
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_file(Path("/proc/self/mem"), 100)
