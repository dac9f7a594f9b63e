"""The manifests for Kubernetes, as kubectl puts them together and as the API's own schemas read them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from shipped import DEPLOY, documents, python_of, read, run, tool

pytestmark = pytest.mark.deploy

BASE = DEPLOY / "kubernetes" / "base"
BULK = DEPLOY / "kubernetes" / "bulk"
OVERLAYS = sorted(path.parent for path in (DEPLOY / "kubernetes" / "overlays").glob("*/kustomization.yaml"))
VERSIONS = ("1.33", "1.37")  # the first that mounts images without a gate, and the newest known
LABELS = {"app.kubernetes.io/name": "encodery"}
VALIDATE = """
import json, sys, kubernetes_validate
for one in json.load(sys.stdin):
    for version in sys.argv[1:]:
        kubernetes_validate.validate(one, version, strict=True)
"""


@pytest.fixture(params=[BASE, *OVERLAYS], ids=lambda path: path.name)
def built(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return documents(run(tool("kubectl"), "kustomize", request.param))


@pytest.mark.parametrize("directory", [BASE, BULK, *OVERLAYS], ids=lambda path: path.name)
def test_the_schemas_of_the_api_know_every_field(directory: Path) -> None:
    python, built = python_of("deploy"), documents(run(tool("kubectl"), "kustomize", directory))
    own = [
        one for one in built if not one["apiVersion"].startswith("monitoring.coreos.com/")
    ]  # the operator's
    done = subprocess.run(
        [python, "-c", VALIDATE, *VERSIONS],
        input=json.dumps(own),
        text=True,
        capture_output=True,
        check=False,
    )

    assert own
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_selector_means_these_pods_and_no_others(built: list[dict[str, Any]]) -> None:
    kinds = {one["kind"]: one for one in built}
    spec = kinds["Deployment"]["spec"]

    assert spec["template"]["metadata"]["labels"].items() >= LABELS.items()
    assert spec["selector"]["matchLabels"] == LABELS
    assert kinds["Service"]["spec"]["selector"] == LABELS
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == LABELS
    assert kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == LABELS
    assert all(
        _is_narrow(peer) for rule in kinds["NetworkPolicy"]["spec"]["ingress"] for peer in rule["from"]
    )


def test_the_settings_are_those_of_the_pod(built: list[dict[str, Any]]) -> None:
    [settings] = [one for one in built if one["kind"] == "ConfigMap"]
    [deployment] = [one for one in built if one["kind"] == "Deployment"]

    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    assert settings["metadata"]["name"] != "encodery"  # its digest makes a change a rolling update


@pytest.mark.parametrize("overlay", ["autoscale-cpu", "autoscale-queue"])
def test_an_autoscaler_alone_decides_how_many(overlay: str) -> None:
    built = documents(run(tool("kubectl"), "kustomize", DEPLOY / "kubernetes" / "overlays" / overlay))
    kinds = {one["kind"]: one for one in built}

    assert "replicas" not in kinds["Deployment"]["spec"]
    assert kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "encodery"


def test_the_adapter_makes_the_metric_that_the_autoscaler_asks_for() -> None:
    folder = "kubernetes/overlays/autoscale-queue"
    [rule] = read(f"{folder}/prometheus-adapter-rule.yaml")["rules"]
    [metric] = read(f"{folder}/horizontalpodautoscaler.yaml")["spec"]["metrics"]

    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]


def test_the_operator_gets_the_same_alerts() -> None:
    rule = read("kubernetes/overlays/monitored/prometheusrule.yaml")

    assert rule["spec"] == read("monitoring/alerts.yml")


def _is_narrow(peer: dict[str, Any]) -> bool:
    return all(selector.get("matchLabels") for selector in peer.values())


def test_a_job_has_as_many_parts_as_its_rows_are_cut_in() -> None:
    job = read("kubernetes/bulk/job.yaml")["spec"]
    [container] = job["template"]["spec"]["containers"]
    index = "$(JOB_COMPLETION_INDEX)"

    assert job["completionMode"] == "Indexed"
    assert f"--shard={index}/{job['completions']}" in container["args"]
    assert index in container["args"][1]  # each has an OUT of its own
