"""What proxies say of a request counts if they are trusted, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from running import Server, server

from app.http.proxies import Proxies
from app.settings import SettingsError, settings_from

NEAR, FAR = ("10.0.0.1", 4000), ("203.0.113.9", 4000)
SAID = (
    (b"x-forwarded-for", b"198.51.100.7"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-prefix", b"/vectors"),
)


def applied(
    proxies: Proxies, *headers: tuple[bytes, bytes], client: tuple[str, int] | None = NEAR
) -> dict[str, Any]:
    scope = {"client": client, "scheme": "http", "path": "/encode", "root_path": "", "headers": headers}
    proxies.apply(scope)
    return scope


@pytest.mark.parametrize(
    ("trusted", "client"),
    [("", NEAR), ("10.0.0.1", FAR), ("unix", NEAR), ("10.0.0.0/8", None), ("::1", ("127.0.0.1", 1))],
)
def test_who_is_not_trusted_says_nothing(trusted: str, client: tuple[str, int] | None) -> None:
    scope = applied(Proxies(trusted), *SAID, client=client)

    assert (scope["client"], scope["scheme"]) == (client, "http")
    assert (scope["path"], scope["root_path"]) == ("/encode", "")


@pytest.mark.parametrize(
    ("trusted", "client"),
    [
        ("10.0.0.1", NEAR),
        ("192.168.0.0/16, 10.0.0.0/8", NEAR),
        ("*", FAR),
        ("unix", None),
        ("10.0.0.0/8", ("::ffff:10.0.0.1", 1)),
        ("fd00::/8", ("fd00::1", 1)),
    ],
)
def test_who_is_trusted_says_all(trusted: str, client: tuple[str, int] | None) -> None:
    scope = applied(Proxies(trusted), *SAID, client=client)

    assert (scope["client"], scope["scheme"]) == (("198.51.100.7", 0), "https")
    assert (scope["path"], scope["root_path"]) == ("/vectors/encode", "/vectors")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1.1.1.1, 2.2.2.2"], "2.2.2.2"),
        (["1.1.1.1, 2.2.2.2, 10.0.0.2"], "2.2.2.2"),
        (["1.1.1.1", "2.2.2.2"], "2.2.2.2"),
        (["1.1.1.1", "10.0.0.2,10.0.0.3"], "1.1.1.1"),
        (["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        (["2.2.2.2:5000"], "2.2.2.2"),
        (["[2001:db8::1]:5000"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["1.1.1.1, unknown"], "10.0.0.1"),
        (["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (["<script>"], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["\xff"], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy(values: list[str], expected: str) -> None:
    """What stands before it is the client's own word; what is no address is nobody's."""
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in values]

    assert applied(Proxies("10.0.0.0/8"), *headers)["client"][0] == expected


@pytest.mark.parametrize("said", [b"ftp", b"", b"https, http", b"javascript"])
def test_another_scheme_is_none(said: bytes) -> None:
    assert applied(Proxies("*"), (b"x-forwarded-proto", said))["scheme"] == "http"


@pytest.mark.parametrize(
    "said", [b"vectors", b"/", b"//evil.example", b"/a b", b"/a?b", b"/a/..\x00", b"\xff"]
)
def test_another_prefix_is_none(said: bytes) -> None:
    scope = applied(Proxies("*", "/default"), (b"x-forwarded-prefix", said))

    assert (scope["path"], scope["root_path"]) == ("/default/encode", "/default")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", "proxy.example"),
        ("trusted_proxies", "10.0.0.0/99"),
        ("root_path", "vectors"),
        ("root_path", "/vectors/"),
        ("socket_mode", "rw"),
        ("socket_mode", "999"),
    ],
)
def test_a_setting_that_cannot_be_is_told(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"ENCODERY_{name.upper()}"):
        settings_from(**{name: value})


def get(running: Server, path: str, **headers: str) -> httpx.Response:
    url = running.logged("ready")["url"]
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(f"{url}{path}", headers=said, trust_env=False, timeout=60)


@pytest.mark.e2e
def test_a_real_server_behind_a_proxy(published: Path) -> None:
    """The audit has the client's address; pages and the document have the prefix; paths are as they were."""
    variables = {
        "ENCODERY_TRUSTED_PROXIES": "127.0.0.1",
        "ENCODERY_ROOT_PATH": "/api",  # which is the beginning of Ollama's paths as well
        "ENCODERY_API_KEY": "ek_only",
    }
    with server(published, **variables) as running:
        refused = get(running, "/models", X_Forwarded_For="203.0.113.9, 198.51.100.7")
        audit = running.logged("access.refused")
        assert (refused.status_code, audit["client"], audit["route"]) == (401, "198.51.100.7", "/models")

        said = {"X_Forwarded_Prefix": "/vectors", "X_API_Key": "ek_only"}
        assert '"/vectors/openapi.json"' in get(running, "/docs", **said).text.replace("'", '"')
        assert get(running, "/openapi.json", **said).json()["servers"] == [{"url": "/vectors"}]
        own = get(running, "/openapi.json", X_API_Key="ek_only").json()
        assert own["servers"] == [{"url": "/api"}]
        for path in ("/models", "/models/text", "/docs/assets/swagger-ui.css", "/api/tags", "/health/live"):
            assert get(running, path, X_API_Key="ek_only").status_code == 200, path
            assert get(running, path, **said).status_code == 200, path
        assert "did you mean GET /models?" in get(running, "/modles", **said).text


@pytest.mark.e2e
def test_by_default_nobody_is_believed(published: Path) -> None:
    with server(published, ENCODERY_API_KEY="ek_only") as running:
        get(running, "/models", X_Forwarded_For="198.51.100.7", X_Forwarded_Prefix="/vectors")
        assert running.logged("access.refused")["client"] == "127.0.0.1"
        said = {"X_Forwarded_Prefix": "/vectors", "X_API_Key": "ek_only"}
        assert "servers" not in get(running, "/openapi.json", **said).json()
