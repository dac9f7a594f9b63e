"""dev.py makes an environment once, again when its lock changed or it was cut short; says what is wrong."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "dev.py"


@pytest.fixture
def dev() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dev_script", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(script: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PIP_NO_INDEX": "1"}
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
    assert len(text.splitlines()) <= 300


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
    for task in ("serve", "test", "check", "run", "lock", "size", "image"):
        assert f"\n  {task} " in done.stdout


def test_unknown_task_is_refused_by_name(tmp_path: Path) -> None:
    done = run(SCRIPT, "sreve", cwd=tmp_path)

    assert done.returncode == 2
    assert "There is no task 'sreve'." in done.stderr


def test_environment_is_made_once_and_again_when_its_lock_changes(tmp_path: Path) -> None:
    """Runs the real script, from another directory, on a lock with nothing in it."""
    project, elsewhere = tmp_path / "with space", tmp_path / "elsewhere"
    lock = project / "requirements" / "serve.lock"
    lock.parent.mkdir(parents=True)
    elsewhere.mkdir()
    shutil.copy(SCRIPT, project)
    (project / "encodery").mkdir()
    (project / "encodery" / "__main__.py").write_text(
        "import os, sys, importlib.metadata as m; print(os.getcwd(), m.version('encodery'), sys.argv[1:])"
    )
    (project / "pyproject.toml").write_text("[project]\nversion = '1.2.3'\n")
    lock.write_text("# nothing\n")

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
