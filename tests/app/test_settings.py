"""Settings come from ENCODERY_*, once, and mistakes in them are told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.access import KeysError, read_keys
from app.places import check_appendable
from app.process.tls import tls_context
from app.settings import (
    MOST_WORKERS,
    Settings,
    SettingsError,
    settings_from,
    settings_table,
    sourced_settings,
    unknown_variables,
)
from app.shared.listener import CannotServe
from bundle.cores import usable_cores
from bundle.preprocess.text import TEXT


def test_code_wins_over_the_environment_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_HOST", "10.0.0.1")
    monkeypatch.setenv("ENCODERY_LISTEN_PORT", "9000")

    settings = settings_from(host="10.0.0.2", models_dir=None)

    assert (settings.host, settings.listen_port, settings.max_items) == ("10.0.0.2", 9000, 2048)


def test_a_wrong_value_is_told_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_MAX_ITEMS", "many")

    with pytest.raises(SettingsError, match="ENCODERY_MAX_ITEMS: expected a whole number"):
        settings_from()


NUMBERS = [name for name, field in Settings.model_fields.items() if isinstance(field.default, int | float)]
NUMBERS = [name for name in NUMBERS if not isinstance(Settings.model_fields[name].default, bool)]


@pytest.mark.parametrize("value", ["true", "1e18", "10000000000000000000000", "nan", "-1"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_makes_no_sense_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    """TOML's true would count as 1, and a clock set for longer than the world stands would fail later."""
    file = tmp_path / "encodery.toml"
    file.write_text(f"{name} = {value}\n")
    monkeypatch.setenv("ENCODERY_CONFIG", str(file))
    with pytest.raises(SettingsError, match=f"ENCODERY_{name.upper()}: "):
        settings_from()


def test_a_file_stands_behind_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "encodery.toml"
    file.write_text('host = "10.0.0.1"\nmax_items = 7\nmax_chars_per_item = 8\nworkers = 2\n')
    monkeypatch.setenv("ENCODERY_CONFIG", str(file))
    monkeypatch.setenv("ENCODERY_MAX_ITEMS", "9")

    found = sourced_settings(workers=3)

    settings = found.settings
    assert (settings.host, settings.max_items, settings.workers) == ("10.0.0.1", 9, 3)
    assert settings.value(TEXT.limits[0].per_input) == 8
    assert found.sources == {
        "host": f"file {file}",
        "max_chars_per_item": f"file {file}",
        "max_items": "environment",
        "workers": "command",
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("max_item = 7", "there is no setting max_item; did you mean max_items"),
        ('max_items = "many"', "encodery.toml: ENCODERY_MAX_ITEMS: expected a whole number"),
        ("max_items =", "is no TOML"),
        (None, "No such file"),
    ],
)
def test_a_mistake_in_the_file_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, told: str
) -> None:
    file = tmp_path / "encodery.toml"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("ENCODERY_CONFIG", str(file))

    with pytest.raises(SettingsError, match=told):
        settings_from()


def test_an_empty_variable_is_as_if_it_were_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_MAX_ITEMS", "")

    assert settings_from().max_items == 2048


def test_what_kubernetes_adds_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service called "encodery" puts these into every pod of its namespace."""
    links = {
        "ENCODERY_PORT": "tcp://10.96.0.1:8000",
        "ENCODERY_SERVICE_HOST": "10.96.0.1",
        "ENCODERY_SERVICE_PORT": "8000",
        "ENCODERY_SERVICE_PORT_HTTP": "8000",
        "ENCODERY_PORT_8000_TCP": "tcp://10.96.0.1:8000",
        "ENCODERY_PORT_8000_TCP_ADDR": "10.96.0.1",
        "ENCODERY_GPU_SERVICE_HOST": "10.96.0.2",
        "ENCODERY_GPU_PORT": "tcp://10.96.0.2:8000",
    }
    for name, value in links.items():
        monkeypatch.setenv(name, value)

    assert settings_from().listen_port == 8000
    assert unknown_variables(links) == {}


def test_unknown_variables_are_told_with_the_nearest_one() -> None:
    variables = {"ENCODERY_MODEL_DIR": "x", "ENCODERY_ZZZ": "x", "ENCODERY_HOST": "x", "HOME": "x"}

    assert unknown_variables(variables) == {"ENCODERY_MODEL_DIR": "ENCODERY_MODELS_DIR", "ENCODERY_ZZZ": None}


def test_secrets_are_not_shown() -> None:
    class WithSecret(Settings):
        api_key: SecretStr = SecretStr("hunter2")

    shown = WithSecret().shown()

    assert "hunter2" not in str(shown)
    assert (shown["max_items"], shown["api_key"]) == ("2048", "**********")


def test_programs_get_settings_as_json_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the log and from `encodery config --json`: numbers are no text, and what is not there is null."""
    monkeypatch.delenv("HOME", raising=False)
    given = settings_from(api_key="hunter2", model_aliases="ada=text", drain_delay_s="1.5", metrics="no")

    values = json.loads(json.dumps(given.values()))

    assert (values["max_items"], values["drain_delay_s"], values["metrics"]) == (2048, 1.5, False)
    assert (values["model_aliases"], values["socket"], values["models_dir"]) == (
        {"ada": "text"},
        None,
        "models",
    )
    assert values["api_key"] == "**********"


def test_what_is_no_regular_file_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pipe = tmp_path / "encodery.toml"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        monkeypatch.setenv("ENCODERY_CONFIG", str(path))
        with pytest.raises(SettingsError, match="it is no regular file"):
            settings_from()
        with pytest.raises(KeysError, match="it is no regular file"):
            read_keys(path)
        with pytest.raises(CannotServe, match="it is no regular file"):
            tls_context(Settings(tls_certificate=path))
    with pytest.raises(OSError, match="No such device"):
        check_appendable(pipe)
    assert not check_appendable(tmp_path / "audit.jsonl")


def test_the_table_has_every_setting() -> None:
    table = settings_table()

    for name, field in Settings.model_fields.items():
        assert f"`ENCODERY_{name.upper()}`" in table
        assert field.description
        assert field.description in table


@pytest.mark.parametrize(
    ("quota", "parent_quota", "expected"),
    [
        ("max 100000", "max 100000", None),
        ("150000 100000", "max 100000", 1),
        ("50000 100000", "max 100000", 1),
        ("max 100000", "100000 100000", 1),
        ("garbage", "max 100000", None),
    ],
)
def test_cores_are_bounded_by_the_containers_quota(
    tmp_path: Path, quota: str, parent_quota: str, expected: int | None
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "cpu.max").write_text(parent_quota)
    (tmp_path / "a" / "b" / "cpu.max").write_text(quota)
    own = tmp_path / "own"
    own.write_text("1:name=systemd:/x\n0::/a/b\n")

    unbounded = usable_cores(tmp_path, tmp_path / "missing")

    assert usable_cores(tmp_path, own) == (expected or unbounded)


def test_cores_are_divided_among_the_workers() -> None:
    cores = usable_cores()

    assert Settings().threads == cores
    assert Settings(workers=2).threads == max(1, cores // 2)
    assert Settings(workers=MOST_WORKERS).threads == max(1, cores // MOST_WORKERS)


def test_an_empty_key_is_refused_and_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_API_KEY", "")

    with pytest.raises(SettingsError, match="ENCODERY_API_KEY is empty"):
        settings_from()


def test_changed_are_those_that_are_not_as_by_default() -> None:
    """What follows from another setting is no change of its own."""
    assert settings_from().changed() == {}
    assert settings_from(workers=4, max_items=7, max_candidates=10_000).changed() == {
        "workers": "4",
        "max_items": "7",
    }
    assert settings_from(api_key="secret").changed() == {"api_key": "**********"}


def test_a_profile_sets_several_settings_and_those_that_are_given_win(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENCODERY_COMPATIBILITY", "tei")
    monkeypatch.setenv("ENCODERY_AUTO_TRUNCATE", "false")

    found = sourced_settings()

    settings = found.settings
    assert (settings.auto_truncate, settings.openai_unknown_model, settings.openai_token_ids) == (
        False,
        "default",
        True,
    )
    assert found.sources["auto_truncate"] == "environment"
    assert found.sources["openai_token_ids"] == "compatibility tei"


def test_a_profile_goes_on_to_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = settings_from(compatibility="tei").environment()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert settings_from() == settings_from(compatibility="tei")
    assert settings_from().auto_truncate


def test_there_is_no_other_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_COMPATIBILITY", "openai")

    with pytest.raises(SettingsError, match="ENCODERY_COMPATIBILITY: expected 'none' or 'tei'"):
        settings_from()


def test_a_flag_with_an_address_comes_before_a_unix_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODERY_SOCKET", "/run/encodery.sock")

    assert str(settings_from().socket) == "/run/encodery.sock"
    assert settings_from(host="0.0.0.0").socket is None
    found = sourced_settings(listen_port=9)
    assert (found.settings.socket, found.sources["socket"]) == (None, "command")


@pytest.mark.parametrize(
    ("given", "compared"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://Shop.Example:443/, HTTP://localhost:3000", "https://shop.example,http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://a:443", "http://a:443"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("http://localhost:*, https://*.Example", "http://localhost:*,https://*.example"),
        ("file://", "file://"),
        ("local", "local"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_origins_are_kept_as_browsers_send_them(given: str, compared: str) -> None:
    assert settings_from(cors_origins=given).cors_origins == compared


@pytest.mark.parametrize(
    "given",
    [
        "a.example",
        "a.example:3000",
        "//a.example",
        "https://",
        "https://a.example/shop",
        "https://a.example?x",
        "https://me@a.example",
        "https://a.example:port",
        "https://b\u00fccher.example",
        "https://a.example https://b.example",
        "https://a.example, b.example",
        "null",
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match=r"ENCODERY_CORS_ORIGINS: .*https://shop\.example"):
        settings_from(cors_origins=given)


@pytest.mark.parametrize(
    "hosts",
    ["embed example", "a.example b.example", "https://embed.example", "embed.example:443", "embed.example/x",
     "*embed.example", "a.*.example", "*.", "-a.example", "good.example,bad host", "é.example"],
)  # fmt: skip
def test_what_no_host_is_called_is_refused(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    """It would never be found in a request, and nobody would know why."""
    monkeypatch.setenv("ENCODERY_ALLOWED_HOSTS", hosts)

    with pytest.raises(SettingsError, match=r"ENCODERY_ALLOWED_HOSTS: .*a host is a name without"):
        settings_from()


@pytest.mark.parametrize(
    "hosts",
    ["", "*", "embed.example, *.shop.example", "my_service", "xn--9ca.example.", "10.1.2.3,[::1],::1"],
)
def test_names_of_hosts_and_addresses_are_taken(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    monkeypatch.setenv("ENCODERY_ALLOWED_HOSTS", hosts)

    assert settings_from().allowed_hosts == hosts
