"""The distribution: the four packages, the command, and serving dependencies only."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = target.glob("encodery-*.whl")
    return zipfile.ZipFile(path)


def read(wheel: zipfile.ZipFile, name: str) -> str:
    [path] = [path for path in wheel.namelist() if path.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def test_wheel_holds_the_packages_and_no_tests_or_models(wheel: zipfile.ZipFile) -> None:
    top = {path.partition("/")[0] for path in wheel.namelist()}

    assert {name for name in top if not name.endswith(".dist-info")} == {
        "app",
        "bundle",
        "encodery",
        "tabular",
        "training",
    }


def test_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    """Static pages and configs, too: what git knows is what is shipped."""
    packages = ["app", "bundle", "encodery", "tabular", "training"]
    tracked = subprocess.run(
        ["git", "ls-files", "-z", *packages], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")

    assert {path for path in tracked if path and (ROOT / path).exists()} - set(wheel.namelist()) == set()


def test_wheel_has_the_command_and_the_licences(wheel: zipfile.ZipFile) -> None:
    assert "encodery = encodery.__main__:main" in read(wheel, "entry_points.txt")
    assert "Apache License" in read(wheel, "licenses/LICENSE")
    assert "all-MiniLM-L6-v2" in read(wheel, "licenses/NOTICE")


def test_plain_installation_asks_for_no_torch(wheel: zipfile.ZipFile) -> None:
    needs = Parser().parsestr(read(wheel, "METADATA")).get_all("Requires-Dist") or []
    plain = {need.split(">")[0].split("=")[0] for need in needs if "extra ==" not in need}

    assert "fastapi" in plain
    assert plain & {"torch", "transformers", "onnx", "pytest"} == set()
