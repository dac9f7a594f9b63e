"""What deploy/ says of the server is so: settings, paths, ports and times."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from shipped import DEPLOY, ROOT, read

from app.main import create_app
from app.settings import Settings
from bundle import Store

pytestmark = pytest.mark.deploy

FILES = sorted(path for path in DEPLOY.rglob("*") if path.suffix in {".conf", ".service", ".yaml", ".yml"})
SERVICE_LINK = "ENCODERY_PORT"  # what Kubernetes would set, named in a comment


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(DEPLOY).as_posix())
def test_every_setting_that_is_named_exists(path: Path) -> None:
    known = {f"ENCODERY_{name.upper()}" for name in Settings.model_fields} | {SERVICE_LINK}

    assert set(re.findall(r"\bENCODERY_[A-Z_]+\b", path.read_text())) <= known


def test_probes_and_scrapes_ask_for_routes_that_exist(tmp_path: Path) -> None:
    app = create_app(Settings(models_dir=tmp_path), Store(tmp_path))
    paths = {route.path for route in app.routes}  # type: ignore[attr-defined]
    container = _container()
    probes = {
        container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    monitor = read("kubernetes/overlays/monitored/servicemonitor.yaml")

    assert probes | {one["path"] for one in monitor["spec"]["endpoints"]} <= paths


def test_a_pod_listens_where_it_is_asked() -> None:
    [port] = _container()["ports"]
    asked = {_container()[name]["httpGet"]["port"] for name in ("livenessProbe", "readinessProbe")}

    assert (port["name"], port["containerPort"]) == ("http", Settings.model_fields["listen_port"].default)
    assert asked == {"http"}
    assert read("kubernetes/base/service.yaml")["spec"]["ports"][0]["targetPort"] == "http"


def test_who_stops_the_server_waits_for_its_drain() -> None:
    [generated] = read("kubernetes/base/kustomization.yaml")["configMapGenerator"]
    given = dict(literal.split("=", 1) for literal in generated["literals"])
    kubernetes_s = float(given["ENCODERY_DRAIN_DELAY_S"]) + float(given["ENCODERY_SHUTDOWN_GRACE_S"])
    fields = Settings.model_fields
    by_default_s = fields["drain_delay_s"].default + fields["shutdown_grace_s"].default

    pod = read("kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]
    stop = re.search(
        r"^TimeoutStopSec=(\d+)$", (DEPLOY / "systemd/encodery.service").read_text(), re.MULTILINE
    )
    assert pod["terminationGracePeriodSeconds"] > kubernetes_s
    assert stop is not None
    assert float(stop[1]) > by_default_s


def test_nginx_takes_what_the_server_takes_and_hangs_up_first() -> None:
    text = (DEPLOY / "nginx/encodery.conf").read_text()
    fields = Settings.model_fields
    body, kept_s, reading_s = (
        int(_only(rf"^ *{name} (\d+)[ms];", text.partition("/streamed/")[0]))
        for name in ("client_max_body_size", "keepalive_timeout", "proxy_read_timeout")
    )

    largest = max(
        fields[name].default for name in ("max_body_bytes", "max_media_body_bytes", "max_score_body_bytes")
    )
    assert body * 2**20 >= largest
    assert kept_s < fields["keep_alive_s"].default
    assert reading_s > fields["request_timeout_s"].default


def test_the_user_and_the_directories_are_those_of_the_image() -> None:
    image = (ROOT / "Dockerfile").read_text()
    pod = read("kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]
    models = read("kubernetes/overlays/models-image/models.yaml")["spec"]["template"]["spec"]["containers"][0]

    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" in image
    assert f"ENCODERY_MODELS_DIR={models['volumeMounts'][0]['mountPath']}" in image


def _container() -> dict:  # type: ignore[type-arg]
    return read("kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]["containers"][0]  # type: ignore[no-any-return]


def _only(pattern: str, text: str) -> str:
    [found] = re.findall(pattern, text, re.MULTILINE)
    return str(found)
