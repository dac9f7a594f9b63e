"""What is kept from start to start is this user's alone, bounded, and of this machine and code."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest
import structlog

from app.proving import Kept, Verdict
from app.proving.kept import FORGOTTEN_S, WORK, NotPrivate, cache_directory, machine_digest, processor
from app.proving.plan import Planned

ONE, OTHER = Planned("text", "1", "1" * 64, 10), Planned("text", "2", "2" * 64, 10)

posix = pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")


@posix
def test_it_is_made_for_this_user_alone(tmp_path: Path) -> None:
    directory = cache_directory(tmp_path / "caches" / "encodery")

    assert directory.stat().st_mode & 0o777 == 0o700
    assert cache_directory(directory) == directory


def test_by_default_it_is_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory(None) == tmp_path.resolve() / "encodery"


@posix
@pytest.mark.parametrize("mode", [0o777, 0o750, 0o705, 0o1777])
def test_one_that_others_may_enter_is_not_used(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(NotPrivate, match="chmod 700"):
        cache_directory(directory)


@posix
def test_one_that_others_could_put_another_in_the_place_of_is_not_used(tmp_path: Path) -> None:
    above = tmp_path / "shared"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(NotPrivate, match="can be changed by others"):
        cache_directory(above / "encodery")
    above.chmod(0o1777)  # as /tmp
    assert cache_directory(above / "encodery")


@posix
def test_a_link_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    with pytest.raises(NotPrivate):
        cache_directory(tmp_path / "link")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give a directory away")
def test_one_of_another_user_is_not_used(tmp_path: Path) -> None:
    directory = tmp_path / "theirs"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, -1)
    with pytest.raises(NotPrivate):
        cache_directory(directory)


def test_where_nothing_can_be_made_it_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotPrivate, match=r"Not a directory|exists"):
        cache_directory(tmp_path / "file" / "encodery")


def keep(kept: Kept, one: Planned) -> Verdict:
    work = kept.begin()
    assert work is not None
    (work / "weights.bin").write_bytes(b"weights")
    return kept.keep(one, work, Verdict())


def test_a_proof_holds_for_its_version_and_threads_only(tmp_path: Path) -> None:
    kept = keep(Kept(tmp_path, 2), ONE)

    assert Kept(tmp_path, 2).find(ONE) == kept
    assert Kept(tmp_path, 2).find(OTHER) is None
    assert Kept(tmp_path, 1).find(ONE) is None
    assert machine_digest(1) != machine_digest(2)


@pytest.mark.parametrize("spoil", ["", "{}", "not JSON", '{"reason": 1}'])
def test_a_verdict_that_is_half_there_is_none(tmp_path: Path, spoil: str) -> None:
    keep(Kept(tmp_path, 2), ONE)
    (found,) = tmp_path.rglob("verdict.json")
    found.write_text(spoil)

    again = Kept(tmp_path, 2).find(ONE)
    assert again is None or again.weights is None  # "{}" says of no file that it is as it was


def test_the_pace_is_added_later(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 2)
    verdict = keep(kept, ONE)
    kept.update(ONE, Verdict(files=verdict.files, weights=verdict.weights, pace={"rate": 1.0}))

    found = kept.find(ONE)
    assert found is not None
    assert (found.pace, found.weights) == ({"rate": 1.0}, verdict.weights)


def test_what_nobody_used_for_long_goes_and_what_serves_stays(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 2)
    places = [keep(kept, one).weights for one in (ONE, OTHER)]
    dead, alive = tmp_path / f"{WORK}dead", tmp_path / f"{WORK}alive"
    dead.mkdir()
    alive.mkdir()
    old_s = time.time() - FORGOTTEN_S - 1
    for path in (*places, dead):
        assert path is not None
        os.utime(path, (old_s, old_s))
    kept.sweep([ONE])

    assert {path for path in tmp_path.iterdir()} == {places[0], alive}


def test_too_much_goes_from_the_longest_unused_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, 2)
    planned = [Planned("text", str(number), str(number) * 64, 10) for number in range(5)]
    places = [keep(kept, one).weights for one in planned]
    for age, path in enumerate(reversed(places)):
        assert path is not None
        os.utime(path, (time.time() - age, time.time() - age))
    monkeypatch.setattr("app.proving.kept.MOST_BYTES", 3 * 250)
    kept.sweep([])

    left = [path in tmp_path.iterdir() for path in places]
    assert left == sorted(left)
    assert 0 < sum(left) < len(places)


def test_another_processor_is_another_machine(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(
        "model name : A\nflags : avx2\nMHz : 1\n\nmodel name : A\nflags : avx2\nMHz : 2"
    )

    assert processor(tmp_path / "cpuinfo").count("avx2") == 1
    assert "MHz" not in processor(tmp_path / "cpuinfo")
    assert processor(tmp_path / "nothing")


def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    """Whatever is written fails, as without room: the limit of a file's size is the system's own refusal."""
    kept, planned = Kept(tmp_path, 1), [Planned("text", str(n), f"{n:064}", 1) for n in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with structlog.testing.capture_logs() as lines:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            found = [kept.keep(one, kept.begin(), Verdict(prove_s=1.0)) for one in planned]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert [verdict.weights for verdict in found] == [None] * 3
    assert [(line["log_level"], line["cache_dir"], line["reason"]) for line in lines] == [
        ("warning", str(tmp_path), "File too large")
    ]
    assert list(tmp_path.iterdir()) == []
