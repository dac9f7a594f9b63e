"""The locks say exactly what is installed: hashed, consistent, without torch, and above known holes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLIENTS = ("clients", "clients-all", "clients-kserve", "clients-mlserver", "clients-apart")
LOCKS = (
    "serve",
    "dev",
    "teacher",
    *CLIENTS,
    "browser",
    "stores",
    "signing",
    "locker",
    "torch-cpu",
    "torch-cuda",
)
INDEX_OF_PYTORCH = "https://download.pytorch.org/whl/cpu"
GPU = ("nvidia-", "cuda-")
SCHEMA = JsonStrictValidator(SchemaVersion.V1_6)  # of the bills of materials
TRAINING_ONLY = {"matplotlib", "onnx", "onnxscript", "safetensors", "torch", "transformers"}

# The first version without the holes named: nothing older may be installed, nor be allowed by pyproject.toml.
FLOORS = {
    "fastapi": "0.109.1",  # CVE-2024-24762
    "h11": "0.16.0",  # CVE-2025-43859, request smuggling by chunks
    "httpx": "0.20",  # CVE-2021-41945
    "onnx": "1.21.0",  # CVE-2026-27489, -34446, -34447, -28500: external data
    "onnxruntime": "1.32.0",  # external data outside the model's directory; the version we checked
    "orjson": "3.11.6",  # CVE-2024-27454, CVE-2025-67221: depth
    "python-multipart": "0.0.31",  # CVE-2024-53981, CVE-2026-53539, -53540
    "sentencepiece": "0.2.1",  # CVE-2026-1260
    "starlette": "1.0.1",  # CVE-2026-48710, CVE-2025-62727, CVE-2025-54121
    "torch": "2.6",  # CVE-2025-32434, torch.load
    "transformers": "5.3.0",  # CVE-2026-4372, CVE-2026-1839
    "uvicorn": "0.11.7",  # CVE-2020-7694, -7695
}


def pins(lock: str) -> dict[str, Version]:
    """Read what a lock installs, refusing a line that is neither pin, hash nor comment."""
    found: dict[str, Version] = {}
    hashes = 1
    for line in (ROOT / "requirements" / f"{lock}.lock").read_text().splitlines():
        text = line.strip().removesuffix("\\").strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("--hash=sha256:"):
            hashes += 1
            continue
        pin = re.fullmatch(r"([a-z0-9-]+)==([^ ;]+)( ; .+)?", text)
        assert pin, f"{lock}.lock: not a pin: {line}"
        assert hashes, f"{lock}.lock: no hash before {line}"
        version = Version(pin[2])
        assert found.setdefault(pin[1], version).public == version.public, f"{lock}.lock: two of {pin[1]}"
        hashes = 0
    assert found, f"{lock}.lock: empty"
    assert hashes, f"{lock}.lock: no hash after the last pin"
    return found


def declared(*extras: str) -> list[Requirement]:
    """Read what pyproject.toml asks for: the base, and these extras."""
    optional = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in optional[extra])]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_one_version(lock: str) -> None:
    assert pins(lock)


@pytest.mark.parametrize(("lock", "extras"), [("serve", ()), ("dev", ("train", "dev"))])
def test_lock_holds_what_the_project_declares(lock: str, extras: tuple[str, ...]) -> None:
    """Fails when pyproject.toml was changed and `dev.py lock` was not run."""
    locked = pins(lock)
    unmet = [
        str(requirement)
        for requirement in declared(*extras)
        if requirement.name != "torch"
        and (requirement.name not in locked or locked[requirement.name] not in requirement.specifier)
    ]

    assert unmet == []


def test_what_is_tested_is_what_is_served() -> None:
    dev = pins("dev")

    assert {name: dev.get(name) for name in pins("serve")} == pins("serve")


def test_server_needs_nothing_of_training_and_tests() -> None:
    tools = {Requirement(line).name for line in PROJECT["project"]["optional-dependencies"]["dev"]}
    tools -= {"httpx2", "packaging", "pyyaml"}  # tokenizers needs them, by way of huggingface-hub

    assert set(pins("serve")) & (TRAINING_ONLY | tools) == set()


@pytest.mark.parametrize("lock", sorted(set(LOCKS) - {"torch-cpu", "torch-cuda"}))
def test_no_lock_brings_torch_but_those_for_it(lock: str) -> None:
    for_gpu = [name for name in pins(lock) if name.startswith(GPU) and name != "nvidia-pytriton"]  # a client

    assert for_gpu == []
    assert "torch" not in pins(lock)


def test_cuda_comes_with_its_own_lock_only() -> None:
    assert set(pins("torch-cpu")) == {"torch"}
    assert [name for name in pins("torch-cuda") if name.startswith(GPU)]


def test_torch_for_linux_is_the_build_without_cuda() -> None:
    """On the package index the version without a label has CUDA for Linux, and only there."""
    lines = (ROOT / "requirements" / "torch-cpu.lock").read_text().splitlines()
    entries = [Requirement(line.removesuffix("\\")) for line in lines if line.startswith("torch")]

    for system, version in (("linux", "2.13.0+cpu"), ("darwin", "2.13.0"), ("win32", "2.13.0")):
        [applies] = [entry for entry in entries if entry.marker.evaluate({"sys_platform": system})]
        assert str(applies.specifier) == f"=={version}"


@pytest.mark.parametrize("lock", ["serve", "dev"])
def test_abandoned_and_unwanted_packages_are_absent(lock: str) -> None:
    """httpx has no releases any more (decision 0001); nothing needs sentencepiece."""
    assert set(pins(lock)) & {"httpx", "sentencepiece"} == set()


def test_torch_is_one_version_everywhere_and_the_lock_holds_what_it_needs() -> None:
    [extra] = [requirement for requirement in declared("train") if requirement.name == "torch"]
    [metadata] = PROJECT["tool"]["uv"]["dependency-metadata"]
    locked = pins("dev")

    assert str(extra) == f"torch=={metadata['version']}"
    assert {pins(lock)["torch"].public for lock in ("torch-cpu", "torch-cuda")} == {metadata["version"]}
    for need in map(Requirement, metadata["requires-dist"]):
        assert locked[need.name] in need.specifier, f"torch needs {need}"
    assert {
        name: version for name, version in pins("torch-cuda").items() if name in locked
    }.items() <= locked.items()


def test_how_locks_are_made_does_not_bind_who_installs_them() -> None:
    """[tool.uv.pip] would hold for `uv pip install` in the checkout, too: one Python's wheels for all."""
    assert set(PROJECT["tool"]["uv"]) == {"dependency-metadata"}


@pytest.mark.parametrize("lock", LOCKS)
def test_locked_versions_are_above_known_holes(lock: str) -> None:
    locked = pins(lock)

    assert [name for name, floor in FLOORS.items() if name in locked and locked[name] < Version(floor)] == []


def test_project_admits_no_version_with_a_known_hole() -> None:
    """Who installs without the lock must be no worse off."""
    admitted = [
        str(requirement)
        for requirement in declared("train", "dev")
        if requirement.name in FLOORS
        and not any(
            clause.operator in (">=", "==") and Version(clause.version) >= Version(FLOORS[requirement.name])
            for clause in requirement.specifier
        )
    ]

    assert admitted == []


def test_no_file_names_an_index_or_a_host_but_that_of_pytorch() -> None:
    """Where packages come from is for the machine that installs them to say; hashes say which they are."""
    files = [
        ROOT / name for name in ("pyproject.toml", "dev.py", "Dockerfile", "docker-compose.yml", ".ci/run")
    ]
    named = [
        f"{path.relative_to(ROOT)}: {url}"
        for path in [*files, *(ROOT / "requirements").iterdir()]
        for url in re.findall(r"(?:https?|file)://\S+", path.read_text())
        if not url.startswith(("http://127.0.0.1:", f'{INDEX_OF_PYTORCH}"'))
    ]

    assert named == []


def test_nobody_is_told_to_install_us_by_name() -> None:
    """Our distributions are on no index; whoever registers their names would be installed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = re.compile(
        r"(pip3?|uv|pipx|uvx|uv tool)\s+(install|add|run)\s[^\n,;]*?[\s'\"]encodery\b(?!/)", re.IGNORECASE
    )
    texts = {
        name: (ROOT / name).read_text()
        for name in listed.stdout.split("\0")
        if name.endswith((".py", ".md", ".toml", ".html", ".yml", ".mjs", "Dockerfile", "run"))
        and (ROOT / name).exists()
        and ROOT / name != Path(__file__)
    }

    assert len(texts) > 300
    assert [f"{name}: {found[0]}" for name, text in texts.items() for found in ours.finditer(text)] == []
    assert ours.search("pip install 'encodery[train]'")
    assert ours.search("pip install -U encodery-client")


@pytest.fixture
def bills(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What `dev.py sbom` writes, with the packages that are here."""
    monkeypatch.setattr(dev, "environment", lambda name: Path(sys.executable))
    monkeypatch.setattr(dev, "SBOMS", tmp_path)
    assert dev.sbom([]) == 0
    return tmp_path


def test_every_lock_has_a_valid_bill_of_what_it_installs(bills: Path) -> None:
    for lock in LOCKS:
        content = (bills / f"{lock}.cdx.json").read_text()
        bill = json.loads(content)
        parts = {part["name"]: part for part in bill["components"]}

        assert SCHEMA.validate_str(content) is None
        assert bill["metadata"]["component"]["version"] == PROJECT["project"]["version"]
        assert set(parts) == set(pins(lock))
        for name, part in parts.items():
            assert Version(part["version"]).public == pins(lock)[name].public
            assert part["purl"].startswith(f"pkg:pypi/{name}@")
            assert part["externalReferences"][0]["hashes"][0]["alg"] == "SHA-256"


def test_a_wrong_bill_is_seen() -> None:
    """The check above could not fail if the schema took anything."""
    assert SCHEMA.validate_str('{"bomFormat": "other"}') is not None
