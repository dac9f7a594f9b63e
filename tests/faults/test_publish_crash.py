"""F5: a publisher that dies, or whose disk fails, at any call leaves the old pair or the new, whole."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import tiny
from publisher import FAULTS, KILLED, publisher
from running import server

from bundle import BundleError, Store, publish, set_alias
from bundle.history import read_history

PAIR = ("shop-item", "shop-user")
READS = "EIO while it reads"
SHORT = 3  # points of each kind, in the short form


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[..., dict[str, Any]]]:
    with publisher() as asking:
        yield asking


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What there is before: one version to publish another beside, two to change between, or nothing."""
    root = tmp_path_factory.mktemp("before")
    publish(root / "one", tiny.pair_drafts(seed=0))
    shutil.copytree(root / "one", root / "two")
    publish(root / "two", tiny.pair_drafts(seed=1))
    (root / "nothing").mkdir()
    return {path.name: path for path in root.iterdir()}


def spaces(models: Path) -> set[str | None]:
    """Of both encoders, loaded and proven; None for one that is not there."""
    found: set[str | None] = set()
    for name in PAIR:
        try:
            found.add(Store(models).load(name).manifest.space)
        except BundleError:
            found.add(None)
    return found


def fresh(before: Path, models: Path) -> Path:
    """The directory as it was."""
    shutil.rmtree(models, ignore_errors=True)
    return Path(shutil.copytree(before, models))


def files(models: Path) -> dict[str, bytes]:
    """All of version 1."""
    return {str(path.relative_to(models)): path.read_bytes() for path in models.glob("*/1/*")}


CASES = [("publish", "one"), ("publish", "nothing"), ("use", "two")]


@pytest.mark.parametrize("fault", [*FAULTS, READS])
@pytest.mark.parametrize(("what", "there"), CASES, ids=str)
def test_any_call_may_be_the_last(
    ask: Any,
    before: dict[str, Path],
    tmp_path: Path,
    *,
    what: str,
    there: str,
    fault: str,
    effort: Any,
    figure: Any,
) -> None:
    models = fresh(before[there], tmp_path / "models")
    old, version_1 = spaces(models), files(models)
    told = ask(models, what)
    assert told["said"] is None, told
    new, count = spaces(models), told["reads" if fault == READS else "calls"]
    is_new, mixed, bare = list[bool](), list[int](), list[Any]()
    for at in effort(sorted(random.Random(fault).sample(range(count), min(SHORT, count))), range(count)):
        models = fresh(before[there], models)
        told = ask(models, what, fault, at)
        Store(models).sweep()
        found = spaces(models)
        is_new.append(found == new)
        if found not in (old, new):
            mixed.append(at)
        if fault == KILLED:
            assert told == {"status": -signal.SIGKILL}
        elif told["said"] is not None and told["said"][0] != "BundleError":
            bare.append((at, told["said"]))
        assert version_1.items() <= files(models).items()
        assert list(models.rglob(".tmp-*")) == []
        publish(models, tiny.pair_drafts(seed=2))  # whoever comes next is not hindered
        assert spaces(models) not in (old, new)
    figure("F5", f"{what}: calls, each with a fault", len(is_new))
    figure("F5", f"{fault}: neither the old pair nor the new", len(mixed), at_most=0)
    if fault != KILLED:
        figure("F5", f"{fault}: errors that are no BundleError", len(bare), at_most=0)
    assert mixed == []
    assert bare == []
    if fault == KILLED:
        assert is_new == sorted(is_new), "once it is new it stays new"


@pytest.mark.parametrize("fault", [*FAULTS, READS])
@pytest.mark.parametrize("was", [None, "1"])
def test_any_call_that_sets_an_alias_may_be_the_last(
    ask: Any, before: dict[str, Path], tmp_path: Path, *, was: str | None, fault: str, effort: Any
) -> None:
    there = fresh(before["two"], tmp_path / "there")
    if was is not None:
        set_alias(there, "shop-item", "champion", {was: 100})
    models = fresh(there, tmp_path / "models")
    told = ask(models, "alias")
    assert told["said"] is None
    count = told["reads" if fault == READS else "calls"]
    for at in effort(sorted(random.Random(fault).sample(range(count), min(SHORT, count))), range(count)):
        models = fresh(there, models)
        said = ask(models, "alias", fault, at).get("said")
        Store(models).sweep()
        found = {champion(models, name) for name in PAIR}
        assert found in ({was}, {"2"})
        assert said is None or said[0] == "BundleError"
        assert list(models.rglob(".tmp-*")) == []
        set_alias(models, "shop-user", "champion", {"1": 100}, new_space=True)
        assert read_history(models / "shop-item")[0].outcome == "done"


def champion(models: Path, name: str) -> str | None:
    found = Store(models).alias(name, "champion")
    return next(iter(found.shares)) if found else None


@pytest.mark.parametrize("what", ["publish", "use"])
def test_a_server_that_starts_after_a_crash_serves_what_is_whole(
    ask: Any, before: dict[str, Path], tmp_path: Path, what: str, effort: Any
) -> None:
    there = before["one" if what == "publish" else "two"]
    calls = ask(fresh(there, tmp_path / "models"), what)["calls"]
    for at in effort([calls // 2], range(0, calls, 12)):
        models = fresh(there, tmp_path / "models")
        ask(models, what, KILLED, at)
        with server(models) as running:
            url = running.logged("ready")["url"]
            answer = httpx.post(f"{url}/encode", json={"inputs": {}, "model": "shop-user"}, trust_env=False)
        assert answer.status_code == 200
        assert {answer.json()["space"]} == spaces(models)
        assert list(models.rglob(".tmp-*")) == []
