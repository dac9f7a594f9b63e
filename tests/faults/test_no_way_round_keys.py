"""Row S1: where there are keys nothing answers without one, whatever is tried; raw bytes on real sockets."""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from raw import Answer, ask, connected, parsed, read, request
from routes import METHODS, paths
from running import ROOT, Server, server

from app.api.page import FILES
from app.http.application import Application
from app.http.errors import Forbidden, Unauthorized
from app.http.routes import Route
from app.main import create_app
from app.settings import Settings
from app.shared.watched import LOOK_EVERY_S

pytestmark = pytest.mark.e2e

OPEN = {
    "/",
    *(f"/page/{name}" for name in FILES),
    "/ping",
    "/health/live",
    "/health/ready",
    "/v2/health/live",
    "/v2/health/ready",
}
SECRETS = {
    name: f"ek_{name}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    for name in ("search", "shop", "metrics", "old", "new", "gone", "expired")
}
BODY = b'{"inputs": "hello world", "input": "hello world", "query": "hello", "candidates": ["world"]}'


def digest(name: str) -> str:
    return hashlib.sha256(SECRETS[name].encode()).hexdigest()


KEYS = f"""
[search]
sha256 = "{digest("search")}"
models = ["text"]

[shop]
sha256 = ["{digest("shop")}"]
models = ["shop-*"]

[metrics]
sha256 = "{digest("metrics")}"
scopes = ["metrics"]

[expired]
sha256 = "{digest("expired")}"
expires = 2020-02-29

[rotated]
sha256 = ["{digest("old")}", "{digest("new")}"]
"""
GONE = f'\n[gone]\nsha256 = "{digest("gone")}"\n'


class Door(NamedTuple):
    """A method and a path, its parameters filled in, and the route that the table has for them."""

    method: str
    path: str
    route: Route

    @property
    def is_open(self) -> bool:
        return self.path in OPEN and self.method in ("GET", "HEAD")


@pytest.fixture(scope="module")
def app() -> Application:
    return create_app(Settings(api_key="ek_for-the-table-of-routes-only"))


@pytest.fixture(scope="module")
def doors(app: Application) -> list[Door]:
    """Every path of the route table and of the OpenAPI document, with every method."""
    found = []
    for path in paths(app):
        for method in METHODS:
            scope = {"type": "http", "method": method, "path": path, "headers": [], "root_path": ""}
            found.append(Door(method, path, app.table.find(scope)))
    return found


@pytest.fixture(scope="module")
def entrances(doors: list[Door]) -> list[Door]:
    """Those of the methods that there are: for tricks which have nothing to do with the method."""
    return [door for door in doors if door.method in ("GET", "POST")]


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    file.write_text(KEYS)
    return file


@pytest.fixture(scope="module")
def running(published: Path, keys_file: Path) -> Iterator[Server]:
    with server(published, ENCODERY_KEYS_FILE=str(keys_file)) as started:
        started.logged("ready")
        yield started


@pytest.fixture(scope="module")
def url(running: Server) -> str:
    return str(running.logged("ready")["url"])


def bearer(name: str) -> str:
    return f"Authorization: Bearer {SECRETS[name]}"


TRIED: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _figures(figure: Any) -> Iterator[None]:
    yield
    figure("S1", "requests that tried to get through", TRIED.total())


def send(url: str, method: str, target: str, *lines: str, **how: Any) -> Answer:
    TRIED[method] += 1
    return ask(url, request(method, target, "Content-Type: application/json", *lines, body=BODY, **how))


def check_refused(answer: Answer, door: Door, wanted: Route | None = None) -> None:
    """A 401 in the shape of the route's protocol, which tells nothing; or a status without a word."""
    if is_wordless(answer, door):
        return
    assert answer.status == 401, (door.method, door.path, answer)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["connection"] == "close"
    assert answer.rest == b""
    if door.method == "HEAD":
        assert answer.body == b""
        return
    expected = (wanted or door.route).error(Unauthorized("", code="invalid_api_key"))
    assert shape(answer.json) == shape(parsed(b"HTTP/1.1 401 \r\n\r\n" + bytes(expected.body)).json)
    assert len(answer.body) < 512
    assert not any(secret in answer.body.decode() for secret in SECRETS.values())


def is_wordless(answer: Answer, door: Door) -> bool:
    """A route that needs no key for the status alone has told that, and nothing else."""
    return door.route.access == "optional" and (answer.status, answer.body, answer.rest) == (200, b"", b"")


def shape(value: Any) -> Any:
    """What there is in the JSON, without the values."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else None


WITHOUT_A_KEY: dict[str, Sequence[str]] = {
    "no key": (),
    "a wrong key": ("Authorization: Bearer ek_wrong",),
    "a key that expired": (bearer("expired"),),
    "a key that is gone": (bearer("gone"),),
    "the digest of a key": (f"Authorization: Bearer {digest('search')}",),
    "the digest in bytes": (f"X-API-Key: {bytes.fromhex(digest('search')).hex()}",),
    "the name of a key": ("X-API-Key: search",),
    "a prefix of the key": (bearer("search")[:-1],),
    "a shorter prefix": ("Authorization: Bearer ek_",),
    "the key and more": (bearer("search") + "0",),
    "the key in another case": (bearer("search").upper(),),
    "a blank within the key": (f"X-API-Key: {SECRETS['search'][:9]} {SECRETS['search'][9:]}",),
    "a NUL-like escape after the key": (f"X-API-Key: {SECRETS['search']}%00",),
    "the key in quotes": (f'X-API-Key: "{SECRETS["search"]}"',),
    "the key twice in one value": (f"X-API-Key: {SECRETS['search']}, {SECRETS['search']}",),
    "two keys in two headers": (bearer("search"), f"X-API-Key: {SECRETS['shop']}"),
    "two keys in one header twice": (bearer("search"), bearer("shop")),
    "a good and a wrong key": (bearer("search"), "api-key: ek_wrong"),
    "a good and an empty key": (bearer("search"), "api-key:"),
    "an empty key": ("X-API-Key:",),
    "a key of blanks": ("X-API-Key:   \t ",),
    "an empty bearer": ("Authorization: Bearer ",),
    "another scheme": (f"Authorization: Token {SECRETS['search']}",),
    "no scheme": (f"Authorization: {SECRETS['search']}",),
    "basic authentication": ("Authorization: Basic OmVrX3NlYXJjaA==",),
    "a header like ours": (f"X_API_Key: {SECRETS['search']}", f"X-Api-Token: {SECRETS['search']}"),
    "a cookie": (f"Cookie: api-key={SECRETS['search']}",),
    "the key of a proxy": (f"Proxy-Authorization: Bearer {SECRETS['search']}",),
    "a method to override": ("X-HTTP-Method-Override: GET", "X-Method-Override: GET"),
    "an open path to override": ("X-Original-URL: /health/live", "X-Rewrite-URL: /health/live"),
    "from the machine itself": ("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=[::1]"),
    "letters beyond ASCII": ("X-API-Key: \xff\xfe",),
}


@pytest.mark.parametrize("trick", WITHOUT_A_KEY)
def test_nothing_but_a_key_is_taken_for_one(url: str, entrances: list[Door], trick: str) -> None:
    for door in entrances:
        if not door.is_open:
            check_refused(send(url, door.method, door.path, *WITHOUT_A_KEY[trick]), door)


def test_every_route_and_method_wants_a_key(url: str, doors: list[Door]) -> None:
    for door in doors:
        if not door.is_open:
            check_refused(send(url, door.method, door.path), door)


def test_a_key_in_the_query_is_none(url: str, entrances: list[Door]) -> None:
    names = ("api_key", "api-key", "key", "token", "access_token", "X-API-Key", "authorization")
    query = "&".join(f"{name}={SECRETS['search']}" for name in names)
    for door in entrances:
        if not door.is_open:
            check_refused(send(url, door.method, f"{door.path}?{query}"), door)


def test_the_probes_are_open_and_tell_no_names(url: str, doors: list[Door]) -> None:
    opened = [door for door in doors if door.is_open]

    assert len(opened) == 2 * len(OPEN)
    for door in opened:
        answer = send(url, door.method, door.path)
        assert answer.status == 200
        assert not re.search(rb"shop|sp_", answer.body)


TRICKS = {
    "two slashes": lambda path: f"/{path}",
    "a slash behind": lambda path: f"{path}/",
    "an encoded slash": lambda path: "/%2f" + path[1:],
    "encoded whole": lambda path: "/" + "".join(f"%{ord(one):02x}" for one in path[1:]),
    "a dot": lambda path: f"/.{path}",
    "an encoded dot": lambda path: f"/%2e{path}",
    "from an open path": lambda path: f"/health/live/..{path}",
    "from an open path, encoded": lambda path: f"/health/live/%2e%2e/%2e%2e{path}",
    "from an open path, with its slash": lambda path: "/health/live%2f..%2f.." + quote(path, safe=""),
    "back to an open path": lambda path: f"{path}/../../health/live",
    "a parameter": lambda path: f"{path};x=1",
    "a parameter with an open path": lambda path: f"{path};/health/live",
    "another case": lambda path: path.upper() if path.upper() != path else path.lower() + "x",
    "encoded once more": lambda path: "/" + quote(quote(path[1:], safe=""), safe=""),
    "a NUL": lambda path: f"{path}%00",
    "a backslash": lambda path: path.replace("/", "\\") if len(path) > 1 else "/\\",
    "a line break": lambda path: f"{path}%0d%0aX-API-Key:%20{SECRETS['search']}",
    "an open path in the query": lambda path: f"{path}?/health/live",
    "an open path as fragment": lambda path: f"{path}#/health/live",
    "a whole URL": lambda path: f"http://127.0.0.1{path}",
    "a whole URL of another host": lambda path: f"http://health{path}",
    "a whole URL with a name and a key": lambda path: f"http://x:{SECRETS['search']}@127.0.0.1{path}",
}
NO_TARGETS = {"a backslash", "an open path as fragment", "a whole URL with a name and a key"}  # of RFC 9112
HOSTS = ("127.0.0.1", "localhost", "health", "a:0")
NO_HOSTS = ("127.0.0.1/health/live?", "a/health/live#", "x@health")


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_of_the_path_open_nothing(url: str, entrances: list[Door], trick: str) -> None:
    """Either it is no HTTP at all, or it wants a key, or it is one of the open answers and nothing else."""
    for door in entrances:
        target = TRICKS[trick](door.path)
        answer = send(url, door.method, target)
        if answer.status == 400:
            assert trick in NO_TARGETS, target
            continue
        if (door.is_open and answer.status == 200) or is_wordless(answer, door):  # written in another way
            continue
        assert answer.status == 401, (door.method, target, answer)


@pytest.mark.parametrize("host", HOSTS)
def test_tricks_of_the_host_open_nothing(url: str, entrances: list[Door], host: str) -> None:
    for door in entrances:
        answer = send(url, door.method, door.path, host=host)
        is_let_in = door.is_open or is_wordless(answer, door)
        assert answer.status == (200 if is_let_in else 401), (door, host, answer)


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_is_no_host_is_refused(url: str, entrances: list[Door], host: str) -> None:
    for door in entrances:
        assert send(url, door.method, door.path, host=host).status == 400, (door, host)


def test_a_key_of_another_scope_is_refused_in_the_routes_shape(url: str, doors: list[Door]) -> None:
    closed = 0
    for door in doors:
        for name, scope in (("metrics", "metrics"), ("search", "encode")):
            answer = send(url, door.method, door.path, bearer(name))
            if door.route.access in ("open", "optional", "any", scope):
                assert answer.status not in (401, 403), (door, answer)
                continue
            assert answer.status == 403, (door.method, door.path, name, answer)
            closed += 1
            if door.method != "HEAD":
                expected = door.route.error(Forbidden("", code="missing_scope"))
                assert shape(answer.json) == shape(
                    parsed(b"HTTP/1.1 403 \r\n\r\n" + bytes(expected.body)).json
                )
    assert closed > 10


ENCODING = {
    "/encode": b'{"model": "%s", "inputs": "hello"}',
    "/score": b'{"model": "%s", "query": {}, "candidates": [{}]}',
    "/v1/embeddings": b'{"model": "%s", "input": "hello"}',
    "/embeddings": b'{"model": "%s", "input": "hello"}',
    "/api/embed": b'{"model": "%s", "input": "hello"}',
    "/api/embeddings": b'{"model": "%s", "prompt": "hello"}',
    "/api/show": b'{"model": "%s"}',
    "/v1/embed": b'{"model": "%s", "texts": ["hello"]}',
    "/v2/embed": b'{"model": "%s", "texts": ["hello"]}',
}
NAMED_IN_PATH = (
    *("GET /models/%s", "GET /models/%s/schema", "GET /model-version?model=%s", "GET /v1/models/%s"),
    *("GET /v2/models/%s", "GET /v2/models/%s/ready", "GET /v2/models/%s/versions/1"),
    *(
        "GET /v2/models/%s/versions/1/ready",
        "POST /v2/models/%s/infer",
        "POST /v2/models/%s/versions/1/infer",
    ),
)


def test_a_model_of_others_is_as_one_that_is_not_there(url: str) -> None:
    """The same answer, to the byte, but for the id of the request."""
    tensors = b'{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}]}'
    asked = [("POST", path, body) for path, body in ENCODING.items()]
    asked += [(*one.split(" "), tensors) for one in NAMED_IN_PATH]

    def answer(method: str, path: str, body: bytes, model: str) -> Answer:
        path, body = path.replace("%s", model), body.replace(b"%s", model.encode())
        return ask(url, request(method, path, bearer("search"), "Content-Type: application/json", body=body))

    for one in asked:
        others, nobodys = answer(*one, "shop-user"), answer(*one, "shop-uzer")
        assert others.status == nobodys.status == 404, (one, others)
        assert others.body == nobodys.body
        assert b"shop" not in others.body


def test_every_answer_that_tells_of_models_tells_a_keys_own_only(url: str, doors: list[Door]) -> None:
    for door in doors:
        if door.method in ("GET", "POST") and door.path not in (
            "/openapi.json",
            "/docs/assets/swagger-ui.css",
        ):
            answer = send(url, door.method, door.path, bearer("search"))
            assert b"shop-" not in answer.body, (door.method, door.path, answer)


def test_both_secrets_are_good_while_one_replaces_the_other(url: str) -> None:
    for name in ("old", "new"):
        assert (
            send(url, "POST", "/encode", bearer(name)).status == 422
        )  # it is read: other fields are unknown


def test_keys_come_and_go_with_their_file(running: Server, url: str, keys_file: Path) -> None:
    def status_becomes(wanted: int) -> None:
        give_up_s = time.monotonic() + 20 * LOOK_EVERY_S
        while send(url, "GET", "/models", bearer("gone")).status != wanted:
            assert time.monotonic() < give_up_s
            time.sleep(0.1)

    assert send(url, "GET", "/models", bearer("gone")).status == 401
    keys_file.write_text(KEYS + GONE)
    status_becomes(200)
    keys_file.write_text(KEYS + GONE + "[broken")
    running.logged("keys.refused")
    assert send(url, "GET", "/models", bearer("gone")).status == 200
    shutil.move(keys_file, keys_file.with_suffix(".away"))
    status_seen = running.logged("keys.refused", times=2)
    assert "No such file" in status_seen["reason"]
    assert send(url, "GET", "/models", bearer("gone")).status == 200
    keys_file.write_text(KEYS)
    status_becomes(401)
    assert send(url, "GET", "/models", bearer("search")).status == 200


def test_a_refusal_waits_for_no_byte_of_the_body(url: str) -> None:
    with connected(url) as client:
        client.sendall(b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        answer = read(client)

    assert answer.status == 401


def test_a_refusal_comes_in_place_of_100_continue(url: str) -> None:
    with connected(url) as client:
        client.sendall(
            b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = read(client)

    assert (answer.status, answer.rest) == (401, b"")


def test_a_refusal_reaches_who_sends_100_mb_in_chunks(url: str) -> None:
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    with connected(url) as client:
        client.sendall(b"POST /encode HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 100_000_000:
                client.sendall(chunk)
                sent += 65536
        except (ConnectionError, TimeoutError):
            pass  # it has heard enough
        client.settimeout(20)
        first = client.recv(4096)

    assert b" 401 " in first.split(b"\r\n")[0]


def test_a_request_behind_a_refused_one_is_not_answered(url: str) -> None:
    both = request("POST", "/encode", body=BODY) + request("GET", "/models", bearer("search"))

    assert ask(url, both.replace(b"Connection: close\r\n", b"")).rest == b""


SECRET_NAMES = re.compile(r"secret|digest|password|api_?key|authorization|credential|asked")
MODULES = [*(ROOT / "app" / "access").glob("*.py"), ROOT / "app/http/authentication.py", ROOT / "app/main.py"]


def leaking_comparisons(tree: ast.AST) -> Iterator[int]:
    """Lines where something that is called a secret is compared, or looked up, in time that depends on it."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others) if not all(
                isinstance(op, ast.Is | ast.IsNot) for op in ops
            ):
                compared = [left, *others]
            case ast.Call(func=ast.Attribute(attr="startswith" | "endswith" | "__eq__", value=value)):
                compared = [value]
            case ast.Call(func=ast.Attribute(attr="get" | "index" | "count" | "find"), args=compared):
                pass
            case ast.Subscript(slice=index):
                compared = [index]
            case _:
                continue
        names = [one for one in compared if isinstance(one, ast.Name | ast.Attribute)]
        if any(SECRET_NAMES.search(one.id if isinstance(one, ast.Name) else one.attr) for one in names):
            yield node.lineno


def test_secrets_are_compared_by_compare_digest_only() -> None:
    sources = {path: path.read_text() for path in MODULES}

    assert "hmac.compare_digest(" in (ROOT / "app/access/keys.py").read_text()
    for path, source in sources.items():
        assert list(leaking_comparisons(ast.parse(source))) == [], path


@pytest.mark.parametrize(
    "line",
    [
        "secret == given",
        "given != self._secret",
        "asked in keys",
        "keys[digest]",
        "keys.get(digest)",
        "secret.startswith(x)",
    ],
)
def test_the_search_for_comparisons_finds_them(line: str) -> None:
    assert list(leaking_comparisons(ast.parse(line))) == [1]
