"""dev.py makes an environment once, again when its lock changed or it was cut short; says what is wrong."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "dev.py"


def run(script: Path, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PIP_NO_INDEX": "1"} | variables
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_script_needs_the_standard_library_only_and_stays_small() -> None:
    text = SCRIPT.read_text()
    roots = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip

    assert roots - sys.stdlib_module_names == set()
    assert len(text.splitlines()) <= 370


def test_old_python_can_read_the_script_and_is_told_what_is_needed(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 8))
    monkeypatch.setattr(dev, "OLDEST_PYTHON", (99, 0))

    with pytest.raises(dev.Stop, match=r"Python 99\.0 or newer is needed, not 3\."):
        dev.main(["serve"])


def test_missing_ensurepip_names_the_debian_package(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)

    with pytest.raises(dev.Stop, match=r"apt install python3\.\d+-venv"):
        dev.create_venv(tmp_path / "venv")


def test_help_is_the_default_and_names_every_task(tmp_path: Path) -> None:
    done = run(SCRIPT, cwd=tmp_path)

    assert done.returncode == 0
    for task in ("serve", "test", "check", "run", "lock", "sbom", "size", "image"):
        assert f"\n  {task} " in done.stdout


def test_unknown_task_is_refused_by_name(tmp_path: Path) -> None:
    done = run(SCRIPT, "sreve", cwd=tmp_path)

    assert done.returncode == 2
    assert "There is no task 'sreve'." in done.stderr


def test_a_list_of_the_rows_of_faults_installs_nothing(tmp_path: Path) -> None:
    """As on a fresh clone: with the standard library alone, and without an environment afterwards."""
    clone = tmp_path / "clone"
    for name in ("faults", "bench"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SCRIPT, clone)
    bare = [sys.executable, "-S", "-m", "faults", "--list"]
    listed = subprocess.run(bare, cwd=clone, capture_output=True, text=True, check=False)
    done = run(clone / "dev.py", "faults", "--list", cwd=tmp_path)

    assert (listed.returncode, listed.stderr) == (0, "")
    assert "\nF12 " in done.stdout
    assert done.stdout == listed.stdout
    assert not (clone / ".venv").exists()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The real script, on a lock with nothing in it and a command that tells how it was called."""
    project = tmp_path / "with space"
    (project / "requirements").mkdir(parents=True)
    (project / "requirements" / "serve.lock").write_text("# nothing\n")
    shutil.copy(SCRIPT, project)
    (project / "encodery").mkdir()
    (project / "encodery" / "__main__.py").write_text(
        "import os, sys, importlib.metadata as m; print(os.getcwd(), m.version('encodery'), sys.argv[1:])"
    )
    (project / "pyproject.toml").write_text("[project]\nversion = '1.2.3'\n")
    return project


def test_environment_is_made_once_and_again_when_its_lock_changes(project: Path, tmp_path: Path) -> None:
    """From another directory."""
    elsewhere, lock = tmp_path / "elsewhere", project / "requirements" / "serve.lock"
    elsewhere.mkdir()

    first = run(project / "dev.py", "serve", "--port", "1", cwd=elsewhere)
    second = run(project / "dev.py", "serve", cwd=elsewhere)
    lock.write_text("no-such-package==1.0 --hash=sha256:00\n")
    third = run(project / "dev.py", "serve", cwd=elsewhere)
    fourth = run(project / "dev.py", "serve", cwd=elsewhere)

    assert first.returncode == 0, first.stderr
    assert "Set up .venv/serve: " in first.stderr
    assert first.stdout == f"{project} 1.2.3 ['serve', '--port', '1']\n"
    assert second.stdout == f"{project} 1.2.3 ['serve']\n"
    assert second.stderr == ""
    for cut_short in (third, fourth):  # what is half installed is never taken for whole
        assert cut_short.returncode == 1
        assert "dev.py: pip could not install" in cut_short.stderr
        assert "Traceback" not in cut_short.stderr


@pytest.mark.skipif(os.name == "nt", reason="the command is another there")
def test_the_command_is_where_the_set_up_says(project: Path, tmp_path: Path) -> None:
    """And takes nothing in the current directory for ours."""
    (tmp_path / "encodery").mkdir()
    (tmp_path / "encodery" / "__main__.py").write_text("raise SystemExit('not ours')")

    told = run(project / "dev.py", "serve", cwd=tmp_path).stderr
    [line] = re.findall(r"^The command is (.*); to call it encodery: (export PATH=.*)$", told, re.MULTILINE)
    called = subprocess.run(
        ["sh", "-c", f"{line[1]}; encodery models list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert line[0] == str(project / ".venv" / "serve" / "bin" / "encodery")
    assert called.stdout == f"{tmp_path} 1.2.3 ['models', 'list']\n"


def uv_that(directory: Path, does: str) -> str:
    """A PATH on which the first uv does this, after it has written down how it was called."""
    directory.mkdir()
    uv = directory / "uv"
    uv.write_text(f'#!/bin/sh\necho "$@" >> "{directory}/called"\n{does}\n')
    uv.chmod(0o755)
    return f"{directory}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.skipif(os.name == "nt", reason="a shell script takes the place of uv")
def test_uv_installs_where_there_is_one(project: Path, tmp_path: Path) -> None:
    """By hash, into this environment and for its Python."""
    path = uv_that(tmp_path / "uv", "exit 0")

    done = run(project / "dev.py", "serve", cwd=tmp_path, PATH=path)

    assert done.returncode == 0, done.stderr
    assert "serve.lock: with uv" in done.stderr
    [call] = (tmp_path / "uv" / "called").read_text().splitlines()
    for option in ("pip install", "--require-hashes", "--no-deps", "serve.lock"):
        assert option in call
    assert f"--python={project / '.venv' / 'serve' / 'bin' / 'python'}" in call


@pytest.mark.skipif(os.name == "nt", reason="a shell script takes the place of uv")
def test_where_uv_fails_pip_is_asked(project: Path, tmp_path: Path) -> None:
    """It may be that only pip knows where packages come from."""
    path = uv_that(tmp_path / "uv", "exit 1")

    done = run(project / "dev.py", "serve", cwd=tmp_path, PATH=path)

    assert done.returncode == 0, done.stderr
    assert "serve.lock: uv could not; with pip" in done.stderr


def test_torch_without_cuda_comes_unless_cuda_is_asked_for(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENCODERY_TORCH", raising=False)
    assert [file.name for file in dev.files_of("dev")] == ["dev.lock", "torch-cpu.lock"]
    plain = dev.fingerprint("dev")

    monkeypatch.setenv("ENCODERY_TORCH", "cuda")
    assert [file.name for file in dev.files_of("dev")] == ["dev.lock", "torch-cuda.lock"]
    assert dev.fingerprint("dev") != plain

    monkeypatch.setenv("ENCODERY_TORCH", "rocm")
    with pytest.raises(dev.Stop, match="one of cpu, cuda"):
        dev.files_of("dev")


def test_every_file_of_an_environment_is_a_lock(dev: ModuleType) -> None:
    files = [file for name in dev.ENVIRONMENTS for file in dev.files_of(name)]

    assert {file.suffix for file in files} == {".lock"}
    assert [file for file in files if not file.exists()] == []


def test_another_python_gets_an_environment_of_its_own(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wheels of one do not fit the other."""
    ours = dev.fingerprint("serve")

    monkeypatch.setattr(dev.sysconfig, "get_config_var", lambda name: "cpython-312-x86_64-linux-gnu")

    assert dev.fingerprint("serve") != ours


class Pip:
    """In place of `dev.call`: keeps what was asked, and fails unless one option is given."""

    def __init__(self, needs: str) -> None:
        self.needs, self.calls = needs, list[list[str]]()

    def __call__(self, command: list[object]) -> int:
        self.calls.append([str(part) for part in command])
        return 0 if self.needs in self.calls[-1] else 1


def test_torch_comes_from_pytorchs_index_where_no_other_has_it(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with a mirror or a wheel of its own needs no other; one may be named."""
    lock, python = dev.REQUIREMENTS / "torch-cpu.lock", Path("python")
    monkeypatch.delenv("ENCODERY_TORCH_INDEX", raising=False)

    monkeypatch.setattr(dev, "call", elsewhere := Pip(f"--index-url={dev.TORCH_INDEX}"))
    dev.install(python, lock)
    monkeypatch.setattr(dev, "call", here := Pip("--require-hashes"))
    dev.install(python, lock)
    monkeypatch.setenv("ENCODERY_TORCH_INDEX", "mirror")
    monkeypatch.setattr(dev, "call", named := Pip("--index-url=mirror"))
    dev.install(python, lock)

    assert [len(one.calls) for one in (elsewhere, here, named)] == [2, 1, 1]
    assert all("--require-hashes" in call for one in (elsewhere, here, named) for call in one.calls)
