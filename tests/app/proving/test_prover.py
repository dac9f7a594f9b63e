"""Whatever a bundle does, it does it to a child process; the others are proven."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import mutants
import pytest
import tiny
from running import until

from app.proving import Kept, Plan, Prover, Verdict, VerdictsInMemory, plan_of
from app.proving.plan import Planned
from app.proving.prover import LOW_PRIORITY, _end_of
from bundle import Store, publish

LIMIT_S = 2.0
ENDLESS = (
    "CPU time; if it needs more, raise ENCODERY_PROOF_LIMIT_S|its proof did not end within"  # beside others
)
REASONS = {
    "aborts": "SIGABRT",
    "doubles": f"{ENDLESS}|SIGABRT|memory",
    "loops": ENDLESS,
    "needs-memory": "golden inputs|memory",
    "panics-when-read": "PanicException",
}


def proven(models: Path, kept: Path | None, limit_s: float = LIMIT_S) -> dict[str, Verdict]:
    """The verdict on every planned version, by name/version, with the pace of those that are sound."""
    plan, verdicts = plan_of(Store(models), 2), VerdictsInMemory()
    prover = Prover(models, plan.versions(), Kept(kept, 2), verdicts, threads=2, limit_s=limit_s)
    prover.start()

    def found() -> dict[str, Verdict | None]:
        return {f"{one.name}/{one.version}": verdicts.get(one.digest) for one in plan.versions()}

    until(lambda: all(one and (one.reason or one.pace) for one in found().values()))
    prover.close()
    return {name: verdict for name, verdict in found().items() if verdict}


def test_each_culprit_is_refused_with_its_reason_and_the_rest_is_proven(models: Path, tmp_path: Path) -> None:
    mutants.publish_killers(models)
    kept = tmp_path / "kept"
    kept.mkdir()

    verdicts = proven(models, kept)

    sound = {name.split("/")[0] for name, verdict in verdicts.items() if verdict.reason is None}
    assert sound == {"text", "shop-user", "shop-item"}
    for name, reason in REASONS.items():
        told = verdicts[f"{name}/1"].reason or ""
        assert any(part in told for part in reason.split("|")), told
    assert len(list(kept.iterdir())) == len(sound)  # nothing half-made is left


@pytest.mark.skipif(sys.platform == "win32", reason="it has no limit of CPU time")
def test_what_takes_all_its_cpu_time_is_told_so() -> None:
    """By the system's own limit, however long that takes by the clock on a busy machine."""
    loop = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass"
    status = subprocess.run([sys.executable, "-c", loop], check=False).returncode

    assert _end_of(status, 1.0).startswith("took more than 1 s of CPU time; if it needs more, raise ENCODERY")


def test_what_was_proven_before_is_not_proven_again(published: Path, tmp_path: Path) -> None:
    first = proven(published, tmp_path)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("verdict.json")}
    second = proven(published, tmp_path)

    assert second == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("verdict.json")} == made
    assert all(verdict.pace for verdict in second.values())


def test_weights_that_the_disk_spoilt_are_prepared_again(published: Path, tmp_path: Path) -> None:
    proven(published, tmp_path)
    spoilt = max(tmp_path.rglob("graph.onnx"), key=lambda path: path.stat().st_size)
    content = spoilt.read_bytes()
    spoilt.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert all(verdict.reason is None for verdict in proven(published, tmp_path).values())
    assert spoilt.read_bytes() == content


def test_without_a_directory_all_is_proven_and_nothing_kept(published: Path) -> None:
    verdicts = proven(published, None)

    assert {(verdict.reason, verdict.weights) for verdict in verdicts.values()} == {(None, None)}


def test_a_version_that_changed_since_it_was_planned_is_refused(models: Path) -> None:
    plan, verdicts = plan_of(Store(models), 2), VerdictsInMemory()
    shutil.rmtree(models / "text" / "1")
    publish(models, [tiny.text_draft(seed=1)], "1")
    prover = Prover(models, plan.versions(), Kept(None, 2), verdicts, threads=1, limit_s=60.0)
    prover.start()
    until(lambda: prover.has_proven)
    prover.close()

    text = next(one for one in plan.versions() if one.name == "text")
    assert "replaced" in str(verdicts.get(text.digest))


def test_closing_ends_a_proof_that_does_not(models: Path) -> None:
    mutants.publish_killers(models)
    plan, verdicts = plan_of(Store(models), 1), VerdictsInMemory()
    loops = [one for one in plan.versions() if one.name == "loops"]
    prover = Prover(models, loops, Kept(None, 1), verdicts, threads=1, limit_s=3600.0)
    prover.start()
    prover.close()

    assert verdicts.get(loops[0].digest) is not None


def test_a_plan_names_current_versions_first_and_is_the_same_in_a_file(models: Path, tmp_path: Path) -> None:
    publish(models, [tiny.text_draft(seed=1)])
    plan = plan_of(Store(models), 2)
    plan.write(tmp_path / "plan")

    order = [(one.name, one.version) for one in plan.versions(first=["text"])]
    assert order == [("text", "2"), ("shop-item", "1"), ("shop-user", "1"), ("text", "1")]
    assert Plan.read(tmp_path / "plan") == plan
    assert all(isinstance(one, Planned) and one.size > 1000 for one in plan.versions())


@pytest.mark.parametrize("broken", ["{}", "not JSON"])
def test_a_broken_pointer_is_in_the_plan(models: Path, broken: str) -> None:
    (models / "text" / "current").write_text(broken)
    text = next(model for model in plan_of(Store(models), 2).models if model.name == "text")

    assert (text.current, len(text.versions), len(text.refused)) == (None, 1, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of children")
@pytest.mark.parametrize("is_serving", [False, True])
def test_while_somebody_serves_a_proof_comes_after_requests(models: Path, is_serving: bool) -> None:
    plan, own = plan_of(Store(models), 2), os.getpriority(os.PRIO_PROCESS, 0)
    verdicts, seen = VerdictsInMemory(), list[int]()

    class Seeing(Kept):
        """Looks at the child when a proof has come."""

        def keep(self, planned: Planned, work: Path | None, verdict: Verdict) -> Verdict:
            children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
            seen.extend(os.getpriority(os.PRIO_PROCESS, int(child)) for child in children)
            return super().keep(planned, work, verdict)

    before = VerdictsInMemory() if is_serving else None
    prover = Prover(
        models, plan.versions()[:1], Seeing(None, 1), verdicts, threads=1, limit_s=60.0, before=before
    )
    prover.start()
    until(lambda: bool(seen))
    prover.close()

    assert [niceness - own for niceness in seen] == [LOW_PRIORITY if is_serving else 0]
