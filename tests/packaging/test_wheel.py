"""The distributions: the packages, the command, serving dependencies only, and one model that is served."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from running import server

ROOT = Path(__file__).resolve().parents[2]
MODELS = Path("bundle/models")  # in the wheel
MOST_WHEEL_BYTES = 20_000_000  # 15.4 MB now; an index of packages takes 100


def built(source: Path, target: Path, kind: str) -> Path:
    """A distribution of the project in a directory."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = target.iterdir()
    return path


def installed(wheel: Path, target: Path) -> Path:
    """The wheel's files where pip puts them; what it needs is in this environment."""
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", f"--target={target}"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(wheel)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel_file)


@pytest.fixture(scope="module")
def site(wheel_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation, with files linked to a cache as uv links them."""
    home = tmp_path_factory.mktemp("installed")
    site = installed(wheel_file, home / "site")
    (home / "cache").mkdir()
    for number, path in enumerate(sorted((site / MODELS).rglob("*"))):
        if path.is_file():
            os.link(path, home / "cache" / str(number))
    return site


def command(site: Path, where: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ENCODERY_")}
    return subprocess.run(
        [sys.executable, "-m", "encodery", *arguments],
        cwd=where, env=clean | {"PYTHONPATH": str(site)} | variables,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def read(wheel: zipfile.ZipFile, name: str) -> str:
    [path] = [path for path in wheel.namelist() if path.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def test_wheel_holds_the_packages_and_no_tests(wheel: zipfile.ZipFile) -> None:
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


def test_wheel_holds_the_current_text_model_and_no_other(wheel: zipfile.ZipFile) -> None:
    pointer = json.loads((ROOT / "models/text/current").read_text())
    version = MODELS / "text" / pointer["version"]
    models = {Path(path) for path in wheel.namelist() if Path(path).is_relative_to(MODELS)}

    assert {version / path.name for path in (ROOT / "models/text" / pointer["version"]).iterdir()} <= models
    assert {path.parts[2] for path in models} == {"text"}
    assert {path.name for path in models if path.parent == MODELS / "text"} == {"current"}
    assert sum(one.compress_size for one in wheel.infolist()) < MOST_WHEEL_BYTES


def test_wheel_of_the_source_distribution_is_the_same(
    wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What pip makes where it finds no wheel."""
    home = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built(ROOT, home / "packed", "sdist")) as packed:
        packed.extractall(home / "source", filter="data")
    [source] = (home / "source").iterdir()
    again = zipfile.ZipFile(built(source, home / "wheel", "wheel"))

    contents = [{one.filename: one.CRC for one in each.infolist()} for each in (wheel, again)]
    assert contents[0] == contents[1]


@pytest.mark.e2e
def test_installed_wheel_serves_text_in_an_empty_directory(site: Path, tmp_path: Path) -> None:
    clean = {"PYTHONPATH": str(site), "ENCODERY_CACHE_DIR": str(tmp_path / "cache")}
    (empty := tmp_path / "empty").mkdir()
    with server(Path(), ["-m", "encodery", "serve"], empty, **clean) as running:
        url = running.logged("ready")["url"]
        body = json.dumps({"inputs": ["Where is my parcel?"]}).encode()
        request = urllib.request.Request(f"{url}/encode", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            found = json.load(answer)
        said = running.logged(
            "no models directory here: serving what came with the package, which stays as it is"
        )
        with urllib.request.urlopen(url) as page:
            assert page.status == 200

    assert (found["model"], found["dim"], len(found["embeddings"][0])) == ("text", 384, 384)
    assert said["models_dir"] == str(site.resolve() / MODELS)
    assert list(empty.iterdir()) == []


def test_models_of_the_package_stay_as_they_are(site: Path, tmp_path: Path) -> None:
    before = sorted(path.relative_to(site) for path in (site / MODELS).rglob("*"))
    version = json.loads((site / MODELS / "text/current").read_text())["version"]
    listed = command(site, tmp_path, "models", "list", "--json")
    verified = command(site, tmp_path, "models", "verify")
    switched = command(site, tmp_path, "models", "use", "text", version)
    pulled = command(
        site, tmp_path, "models", "pull", str(ROOT / "models"), "text", "--models-dir", str(site / MODELS)
    )

    assert [one["name"] for one in json.loads(listed.stdout)] == ["text"], listed.stderr
    assert verified.stdout == f"text/{version}: sound\n"
    for refused in (switched, pulled):
        assert refused.returncode == 2
        assert "came with the package, and stays as it is" in refused.stderr
    assert sorted(path.relative_to(site) for path in (site / MODELS).rglob("*")) == before


def test_who_says_where_models_are_gets_no_others(site: Path, tmp_path: Path) -> None:
    """A place that is named and not there, a place to fetch from, and a directory of the default name."""
    for variables in ({"ENCODERY_MODELS_DIR": "models"}, {"ENCODERY_PULL": "nowhere text"}):
        refused = command(site, tmp_path, "models", "list", **variables)
        assert (refused.returncode, "there is no directory models" in refused.stderr) == (2, True)
    (tmp_path / "models").mkdir()

    assert command(site, tmp_path, "models", "list").stdout == "no models in models\n"


def test_pull_into_an_empty_directory_makes_one_of_its_own(site: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/retail-user", tmp_path / "there/retail-user")
    shutil.copytree(ROOT / "models/retail-item", tmp_path / "there/retail-item")
    done = command(site, tmp_path, "models", "pull", "there", "retail-user")

    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "models").iterdir()} >= {"retail-user", "retail-item"}


def test_config_says_that_models_are_of_the_package(site: Path, tmp_path: Path) -> None:
    rows = json.loads(command(site, tmp_path, "config", "--json").stdout)

    assert {"name": "ENCODERY_MODELS_DIR", "value": str(site.resolve() / MODELS), "source": "package"} in rows


@pytest.mark.e2e
def test_client_is_a_package_of_its_own(site: Path, tmp_path: Path) -> None:
    """Its wheel alone, beside nothing of ours, asks a server that was installed alone."""
    client = installed(built(ROOT / "clients/python", tmp_path / "wheel", "wheel"), tmp_path / "site")
    (empty := tmp_path / "empty").mkdir()
    program = (
        "import sys, encodery_client; from encodery_client import Client; "
        "vectors = Client(sys.argv[1]).encode(['Where is my parcel?']); "
        "print(encodery_client.__file__, vectors.shape)"
    )
    with server(
        Path(),
        ["-m", "encodery", "serve"],
        empty,
        PYTHONPATH=str(site),
        ENCODERY_CACHE_DIR=str(tmp_path / "c"),
    ) as running:
        done = subprocess.run(
            [sys.executable, "-P", "-c", program, running.logged("ready")["url"]],
            cwd=empty, env=os.environ | {"PYTHONPATH": str(client)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert done.stdout == f"{client / 'encodery_client/__init__.py'} (1, 384)\n", done.stderr
    assert {path.name.partition("-")[0] for path in client.iterdir()} == {"encodery_client"}
