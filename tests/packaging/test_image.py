"""The image and its compose file are locked down. Read as text: building one is `dev.py image`."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def stages() -> list[list[tuple[str, str]]]:
    """Split the Dockerfile into stages of (instruction, rest), comments dropped and lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    found: list[list[tuple[str, str]]] = []
    for word, rest in lines:
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest.strip()))
    return found


def heads() -> list[tuple[str, str]]:
    """The FROM of each stage."""
    return [stage[0] for stage in stages()]


def base() -> dict[str, str]:
    """The base image, taken apart."""
    found = re.search(
        r"^ARG PYTHON_IMAGE=python:(?P<python>\S+)-slim@sha256:(?P<digest>\S+)$", DOCKERFILE, re.MULTILINE
    )
    assert found, "the base image has no digest"
    return found.groupdict()


def last(word: str) -> str:
    """Return what the final stage says under this instruction, last."""
    said = [rest for instruction, rest in stages()[-1] if instruction == word]
    assert said, f"the final stage has no {word}"
    return said[-1]


def health_command() -> list[str]:
    return json.loads(last("HEALTHCHECK").partition("CMD ")[2])


@pytest.fixture
def service() -> dict[str, Any]:
    [service] = COMPOSE["services"].values()
    return service


def test_image_never_runs_as_root() -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last("USER"))


def test_image_starts_the_server_without_a_shell() -> None:
    """A shell as process 1 would keep SIGTERM for itself."""
    command = json.loads(last("CMD"))

    assert command == ["python", "-m", "encodery", "serve"]  # flags would come before variables
    assert "ENCODERY_HOST=0.0.0.0" in last("ENV").split()


def test_one_port_everywhere(service: dict[str, Any]) -> None:
    port = last("EXPOSE")

    assert port == str(Settings.model_fields["listen_port"].default)
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_image_installs_the_serving_lock_by_hash_and_nothing_else() -> None:
    installs = [rest for stage in stages() for word, rest in stage if word == "RUN" and "install" in rest]

    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    named = re.findall(r"\S+\.(?:lock|txt|in)\b", installs[0])
    assert named == ["/build/signing.lock", "/build/serve.lock"]
    assert ("ARG", "SIGNING=no") in stages()[0]  # so the first only where it is asked for
    assert "torch" not in "".join(rest for stage in stages() for _, rest in stage)


def test_final_stage_runs_nothing_and_copies_only_what_was_built() -> None:
    words = [word for word, _ in stages()[-1]]
    copies = [rest for word, rest in stages()[-1] if word == "COPY"]

    assert "RUN" not in words
    assert "ADD" not in words
    assert copies
    assert all(copy.startswith("--from=build ") for copy in copies)


def test_everything_copied_passes_the_dockerignore() -> None:
    """The ignore file lets in what it names and nothing else."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for word, rest in stages()[0]
        if word == "COPY"
        for source in rest.split()[:-1]
    }  # fmt: skip

    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert copied == allowed
    assert [name for name in sorted(allowed) if not (ROOT / name).exists()] == []


def test_image_runs_the_python_that_the_project_supports_first() -> None:
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]

    assert base()["python"] == oldest.strip(">=")


def test_base_is_one_image_whatever_its_tag_becomes() -> None:
    assert {rest.split()[0] for _, rest in heads()} == {"${PYTHON_IMAGE}"}
    assert re.fullmatch("[0-9a-f]{64}", base()["digest"])
    assert len(set(base()["digest"])) > 8  # no digits in place of one


@pytest.mark.parametrize(
    ("image", "allowed", "passes"),
    [
        (f"python:3.11-slim@sha256:{'ab' * 32}", "no", True),
        ("python:3.11-slim", "no", False),
        ("python:3.11-slim", "", False),
        ("python:3.11-slim", "yes", True),
    ],
)
def test_build_refuses_a_base_without_a_digest(image: str, allowed: str, passes: bool) -> None:
    """Runs the very command of the Dockerfile, which is the first of the build."""
    command = next(rest for word, rest in stages()[0] if word == "RUN")
    variables = {"PYTHON_IMAGE": image, "BASE_WITHOUT_DIGEST": allowed}
    done = subprocess.run(["sh", "-c", command], env=variables, capture_output=True, text=True, check=False)

    assert (done.returncode == 0) == passes
    assert passes or "BASE_WITHOUT_DIGEST=yes" in done.stderr


def test_health_check_waits_for_the_start(service: dict[str, Any]) -> None:
    assert re.search(r"--start-period=\d+s", last("HEALTHCHECK"))
    assert health_command() == ["python", "-m", "encodery.probe"]  # tests/packaging/test_probe.py
    assert service["healthcheck"]["test"] == ["CMD", *health_command()]
    for name, value in re.findall(r"--([a-z-]+)=(\S+)", last("HEALTHCHECK")):
        assert str(service["healthcheck"][name.replace("-", "_")]) == value


def test_image_reports_to_nobody() -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in last("ENV").split()


def test_compose_takes_every_privilege_away(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == last("USER")
    assert "privileged" not in service
    assert "cap_add" not in service


def test_compose_can_write_to_tmp_and_its_cache_only(service: dict[str, Any]) -> None:
    [mount] = service["tmpfs"]
    assert mount.startswith("/tmp:")
    assert {"noexec", "nosuid", "nodev"} <= set(mount.partition(":")[2].split(","))
    assert "size=" in mount
    assert writable(service) == [f"cache:{service['environment']['ENCODERY_CACHE_DIR']}"]


def writable(service: dict[str, Any]) -> list[str]:
    return [volume for volume in service["volumes"] if not volume.endswith(":ro")]


def test_cache_is_a_volume_that_the_user_alone_may_enter(service: dict[str, Any]) -> None:
    """A new volume takes owner and mode of the image's directory; a tmpfs would be lost at a restart."""
    name, _, place = writable(service)[0].partition(":")
    [copied] = [rest.split() for word, rest in stages()[-1] if word == "COPY" and "--chown" in rest]

    assert name in COMPOSE["volumes"]
    assert copied == ["--from=build", f"--chown={service['user']}", "/build/cache/", f"{Path(place).parent}/"]
    assert any(f"chmod 700 /build/cache/{Path(place).name}" in rest for _, rest in stages()[0])


def test_compose_sets_limits(service: dict[str, Any]) -> None:
    assert service["mem_limit"] == service["memswap_limit"]
    assert service["cpus"] > 0
    assert service["pids_limit"] > 0
    assert service["ulimits"]["core"] == 0
    assert service["ulimits"]["nofile"] >= 1024
    assert service["cpus"] <= 4


def test_compose_starts_again_what_ends(service: dict[str, Any]) -> None:
    """It restarts nothing for being unhealthy: what hangs ends itself (tests/faults/test_hang.py)."""
    assert service["restart"] in ("unless-stopped", "always")
    assert service["init"] is True


def test_compose_serves_the_mounted_models(service: dict[str, Any]) -> None:
    [volume] = [each for each in service["volumes"] if each.endswith(":ro")]

    assert f"ENCODERY_MODELS_DIR={volume.split(':')[1]}" in last("ENV").split()
    assert "ENCODERY_MODELS_DIR" not in service["environment"]


def test_every_variable_is_a_setting_of_the_server(service: dict[str, Any]) -> None:
    """The server refuses to start on a misspelt one."""
    named = re.findall(r"\bENCODERY_(\w+)", DOCKERFILE) + [
        name.removeprefix("ENCODERY_") for name in service["environment"]
    ]

    assert named
    assert {name.lower() for name in named} - set(Settings.model_fields) == set()


def test_compose_waits_for_what_was_accepted(service: dict[str, Any]) -> None:
    settings = Settings.model_construct()

    assert int(service["stop_grace_period"].rstrip("s")) > settings.drain_delay_s + settings.shutdown_grace_s


def test_compose_names_the_version_of_the_project(service: dict[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert service["image"] == f"encodery:{version}"
