"""Alerts and dashboard speak of metrics that a server has; where Prometheus is installed, it reads them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running import ROOT, serving, until
from shipped import DEPLOY, free_port, read, run, tool

sys.path.insert(0, str(DEPLOY / "monitoring"))
import dashboard
import tiny

pytestmark = pytest.mark.deploy

MONITORING = DEPLOY / "monitoring"
QUERIES = [query for row in dashboard.ROWS.values() for panel in row for query in panel.queries.values()]
SCRAPES_S = 1  # in the test
METRIC = re.compile(r"\b(?:encodery|process)_[a-z0-9_]+\b")
MAY_BE_EMPTY = ("encodery_model_refused",)  # nothing is refused


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    tiny.publish_all(models)
    with serving(models) as url:
        yield url


@pytest.fixture(scope="module")
def names(url: str) -> set[str]:
    """Names of all samples of a server that was asked something."""
    _ask(url)
    page = urllib.request.urlopen(f"{url}/metrics").read().decode()
    return set(re.findall(r"^([a-z][a-z0-9_]*)[{ ]", page, re.MULTILINE)) | {
        name for name in re.findall(r"^# TYPE (\S+) ", page, re.MULTILINE)
    }


def test_alerts_speak_of_metrics_that_exist(names: set[str]) -> None:
    rules = [rule["expr"] for group in read("monitoring/alerts.yml")["groups"] for rule in group["rules"]]
    spoken = {name for rule in rules for name in METRIC.findall(rule)}

    assert spoken - names <= {"encodery_worker_deaths_total"}  # of several processes
    assert len(spoken) > 5


def test_the_dashboard_speaks_of_metrics_that_exist(names: set[str]) -> None:
    spoken = {name for query in QUERIES for name in METRIC.findall(query)}

    assert spoken <= names
    assert len(spoken) > 10


def test_the_dashboard_is_the_one_of_the_table() -> None:
    assert dashboard.FILE.read_text() == dashboard.written()


def test_no_two_panels_lie_on_each_other() -> None:
    cells = [
        (x, y)
        for panel in dashboard.dashboard()["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < dashboard.COLUMNS


def test_each_alert_is_tried() -> None:
    rules = {rule["alert"] for group in read("monitoring/alerts.yml")["groups"] for rule in group["rules"]}
    tried = [
        (case["alertname"], bool(case["exp_alerts"]))
        for test in read("monitoring/alerts.test.yml")["tests"]
        for case in test["alert_rule_test"]
    ]

    assert {name for name, fires in tried if fires} == rules
    assert {name for name, fires in tried if not fires} == rules


def test_prometheus_finds_the_alerts_right() -> None:
    assert "SUCCESS" in run(tool("promtool"), "test", "rules", "alerts.test.yml", cwd=MONITORING)


def test_prometheus_finds_the_configuration_right() -> None:
    run(tool("promtool"), "check", "config", "prometheus.yml", cwd=MONITORING)


def test_prometheus_finds_the_metrics_well_named(url: str) -> None:
    page = urllib.request.urlopen(f"{url}/metrics").read()
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=page, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_each_panel_shows_what_prometheus_scraped(url: str, tmp_path: Path) -> None:
    """A panel whose labels meet no series stays empty for ever."""
    queries = [query for query in QUERIES if not any(name in query for name in MAY_BE_EMPTY)]
    with _prometheus(url, tmp_path) as ask:

        def all_show() -> bool:
            _ask(url)
            time.sleep(SCRAPES_S / 2)
            queries[:] = [query for query in queries if not ask(query)]
            return not queries

        until(all_show)


def test_compose_mounts_what_is_there_and_asks_who_is_there() -> None:
    services = read("monitoring/docker-compose.yml")["services"]
    mounted = [
        volume.split(":")[0]
        for service in services.values()
        for volume in service["volumes"]
        if "/" in volume.split(":")[0]
    ]
    [scrape] = read("monitoring/prometheus.yml")["scrape_configs"]
    [source] = read("monitoring/grafana/provisioning/datasources/prometheus.yml")["datasources"]

    assert all((ROOT / path).exists() for path in mounted)
    assert scrape["static_configs"][0]["targets"] == ["encodery:8000"]
    assert urllib.parse.urlsplit(source["url"]).hostname in services
    assert all(re.search(r":v?\d+\.\d+\.\d+$", service["image"]) for service in services.values())
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service["ports"])


def _ask(url: str) -> None:
    for body in ({"inputs": ["hello", "unheard"]}, {"inputs": 1}):
        request = urllib.request.Request(
            f"{url}/encode", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            urllib.request.urlopen(request).read()
        except urllib.error.HTTPError as error:
            error.close()


@contextmanager
def _prometheus(url: str, directory: Path) -> Iterator[Callable[[str], list[Any]]]:
    """A Prometheus that scrapes a server every second; asks it a query of a panel."""
    config = read("monitoring/prometheus.yml") | {
        "rule_files": [],
        "global": {"scrape_interval": f"{SCRAPES_S}s"},
    }
    config["scrape_configs"][0]["static_configs"] = [{"targets": [urllib.parse.urlsplit(url).netloc]}]
    (directory / "prometheus.yml").write_text(json.dumps(config))
    command = [tool("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    port = free_port()

    def ask(query: str) -> list[Any]:
        query = query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$model", ".*")
        asked = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(asked) as answer:
                found: list[Any] = json.load(answer)["data"]["result"]
        except urllib.error.URLError:  # it still starts
            return []
        return found

    listen = f"--web.listen-address=127.0.0.1:{port}"
    with subprocess.Popen([*command, listen], cwd=directory, stderr=subprocess.DEVNULL) as process:
        try:
            yield ask
        finally:
            process.terminate()
