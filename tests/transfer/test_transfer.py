"""Models come from a directory, a web server, a registry and a bucket, whole and proven, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_places as places
import pytest
import tiny
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from running import ROOT, server

from bundle import BundleError, Store, publish, set_alias
from bundle.errors import SignatureError
from bundle.history import read_history
from bundle.install import Foreign, install
from bundle.signatures import TrustedKeys
from bundle.signing import sign_group
from encodery.transfer import TransferError, Wanted, place_of, pull, push
from encodery.transfer.pull import ATTEMPTS, PARTIAL
from encodery.transfer.registry import Registry
from encodery.transfer.trees import signed

NO_WAIT: Any = lambda seconds: None  # noqa: E731
PAIR = ["shop-item", "shop-user"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty directory of models."""
    return tmp_path / "here"


@pytest.fixture
def web(models: Path) -> Iterator[tuple[str, Any]]:
    """The URL of a web server of a directory of models, and what can be changed of it."""
    with places.running(places.Files, root=models, asked=[], changed={}) as (host, handler):
        yield f"http://{host}", handler


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    """The address of a registry that this user is logged in at."""
    with places.running(places.Registry, blobs={}, images={}) as (host, handler):
        docker = tmp_path / "docker"
        docker.mkdir()
        docker.joinpath("config.json").write_text(json.dumps({"auths": {host: {"auth": places.PASSWORD}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(docker))
        yield f"oci://{host}/team/encoders", handler


def same(one: Path, other: Path, name: str, version: str = "1") -> bool:
    """Every byte of a version."""
    files = {path.name: path.read_bytes() for path in (one / name / version).iterdir()}
    return files == {path.name: path.read_bytes() for path in (other / name / version).iterdir()}


def got(address: str, name: str, here: Path, **options: Any) -> list[str]:
    done = pull(place_of(address), Wanted.parsed(name), here, wait=NO_WAIT, **options)
    return sorted(f"{one.name}/{one.version}" for one in done)


def leftovers(here: Path) -> list[str]:
    found = [path.name for path in (here / PARTIAL).iterdir() if path.name != ".lock"]
    return found + [path.name for path in here.rglob(".tmp-*")]


def test_a_pair_comes_together_and_is_current(models: Path, here: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = got(
        str(models), "shop-user", here, progress=lambda _, file, done, size: told.append((file, done, size))
    )

    assert found == ["shop-item/1", "shop-user/1"]
    assert all(same(models, here, name) for name in PAIR)
    assert [Store(here).current(name) for name in PAIR] == ["1", "1"]
    assert {file for file, done, size in told if done == size} >= {"model.onnx", "golden.json", "README.md"}
    assert leftovers(here) == []
    assert [change.after for change in read_history(here / "shop-item")] == [{"1": 100}]


def test_a_web_server_is_a_place(models: Path, here: Path, web: tuple[str, Any]) -> None:
    url, _ = web

    assert got(url, "shop-item", here) == ["shop-item/1", "shop-user/1"]
    assert all(same(models, here, name) for name in PAIR)


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_what_was_cut_short_goes_on(
    models: Path, here: Path, web: tuple[str, Any], knows_ranges: bool
) -> None:
    url, handler = web
    handler.knows_ranges, size = knows_ranges, (models / "text/1/model.onnx").stat().st_size
    for path in (models / "text/1").iterdir():  # manifests and other small files come whole
        handler.cut_after = max(handler.cut_after, path.stat().st_size if path.name != "model.onnx" else 0)
    graph = (models / "text/1/model.onnx").read_bytes()
    big = {"model.onnx": graph}
    handler.cut_after = 0
    cut = max(1, size // 3)
    # A connection that ends within the graph, each time, until the attempts are used up.
    original = handler.do_GET

    def cutting(self: Any) -> None:
        handler.cut_after = cut if self.path.endswith("model.onnx") and not handler.is_whole else 0
        original(self)

    handler.is_whole, handler.do_GET = False, cutting
    if knows_ranges:
        assert got(url, "text", here) == ["text/1"]  # a third each time, within the attempts
        ranges = [ranged for path, ranged in handler.asked if path.endswith("model.onnx")]
        assert len(ranges) in (3, 4)
        assert ranges[1] == f"bytes={cut}-"
    else:
        with pytest.raises(TransferError, match="ended after"):
            got(url, "text", here)
        assert [path.stat().st_size for path in (here / PARTIAL).glob("*") if path.name != ".lock"].count(
            cut
        ) == 1
        assert Store(here).names() == []
        handler.is_whole = True
        assert got(url, "text", here) == ["text/1"]
    assert same(models, here, "text")
    assert (here / "text/1/model.onnx").read_bytes() == big["model.onnx"]


def test_an_interrupted_pull_begins_where_it_stopped(models: Path, here: Path, web: tuple[str, Any]) -> None:
    """As after a kill: what came is on the disk, and is not asked for again."""
    url, handler = web
    entry = Store(models).manifest("text", "1").files["model.onnx"]
    (here / PARTIAL).mkdir(parents=True)
    (here / PARTIAL / entry.sha256).write_bytes((models / "text/1/model.onnx").read_bytes()[:100])

    assert got(url, "text", here) == ["text/1"]
    assert ("/text/1/model.onnx", "bytes=100-") in handler.asked


@pytest.mark.parametrize("file", ["model.onnx", "golden.json", "tokenizer.json", "README.md"])
@pytest.mark.parametrize(
    "change", [lambda content: content[:-1] + b"!", lambda content: content + b"!", lambda content: b""]
)
def test_another_file_than_was_published_is_refused(
    models: Path, here: Path, web: tuple[str, Any], file: str, change: Any
) -> None:
    url, handler = web
    publish(here, [tiny.text_draft(seed=3)])
    publish(models, [tiny.text_draft(seed=4)])
    handler.changed = {file: change((models / "text/2" / file).read_bytes())}
    with pytest.raises(TransferError, match=r"ended after|is not the file"):
        got(url, "text", here)
    handler.changed = {}

    assert Store(here).versions("text") == ["1"]
    assert got(url, "text", here) == ["text/2"]


def test_a_bundle_that_is_not_proven_is_not_seen(models: Path, here: Path, tmp_path: Path) -> None:
    """Every digest is right, and the golden vectors are not what the graph gives."""
    publish(here, [tiny.text_draft(seed=3)])
    publish(models, [tiny.text_draft(seed=4)])
    source, bad = Store(models).read("text", "1"), tmp_path / "bad"
    content = Store(models).read("text", "2").files["golden.json"]
    entry = source.manifest.files["golden.json"].model_copy(
        update={"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    )
    manifest = source.manifest.model_copy(
        update={"version": "2", "files": {**source.manifest.files, "golden.json": entry}}
    ).sealed()
    shutil.copytree(models / "text", bad / "text")
    shutil.rmtree(bad / "text/2")
    (bad / "text/1").rename(bad / "text/2")
    (bad / "text/2/golden.json").write_bytes(content)
    (bad / "text/2/manifest.json").write_bytes(manifest.to_bytes())
    with pytest.raises(BundleError):
        got(str(bad), "text@2", here)

    assert (Store(here).versions("text"), Store(here).current("text")) == (["1"], "1")
    assert list(here.rglob(".tmp-*")) == []


def test_which_version_is_said_by_name_or_alias(models: Path, here: Path) -> None:
    publish(models, [tiny.text_draft(seed=1)])
    publish(models, [tiny.text_draft(seed=2)])
    set_alias(models, "text", "champion", {"2": 100})

    assert got(str(models), "text@1", here) == ["text/1"]
    assert got(str(models), "text@champion", here, use=False) == ["text/2"]
    assert Store(here).current("text") == "1"
    assert got(str(models), "text", here) == ["text/3"]
    assert got(str(models), "text@2", here) == ["text/2"]  # is there; only the pointer moves
    assert Store(here).current("text") == "2"


def test_another_bundle_of_that_version_is_left_alone(models: Path, here: Path) -> None:
    publish(here, [tiny.text_draft(seed=9)])
    before = Store(here).manifest("text", "1").digest
    with pytest.raises(BundleError, match="is there already, and is another one"):
        got(str(models), "text", here)

    assert Store(here).manifest("text", "1").digest == before


@pytest.mark.parametrize("place", ["directory", "registry"])
def test_what_is_pushed_can_be_pulled(
    models: Path, here: Path, tmp_path: Path, registry: tuple[str, Any], place: str
) -> None:
    address = registry[0] if place == "registry" else str(tmp_path / "there")
    (tmp_path / "there").mkdir()
    publish(models, [tiny.text_draft(seed=1)])
    push(place_of(address), Wanted.parsed("text@1"), models)
    push(place_of(address), Wanted.parsed("text"), models, use=False)
    push(place_of(address), Wanted.parsed("shop-user"), models)
    push(place_of(address), Wanted.parsed("shop-user"), models)  # once more is nothing new

    assert got(address, "text", here) == ["text/1"]  # which stayed the current one there
    assert got(address, "text@2", here) == ["text/2"]
    assert got(address, "shop-item", here) == ["shop-item/1", "shop-user/1"]
    assert all(same(models, here, name) for name in (*PAIR, "text"))


def test_a_registry_holds_artifacts_that_others_can_read(models: Path, registry: tuple[str, Any]) -> None:
    address, handler = registry
    push(place_of(address), Wanted.parsed("text"), models)
    image = json.loads(handler.images["team/encoders/text", "1"])

    assert handler.images["team/encoders/text", "current"] == handler.images["team/encoders/text", "1"]
    assert image["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert image["artifactType"] == "application/vnd.encodery.bundle.v1"
    titles = {one["annotations"]["org.opencontainers.image.title"]: one["size"] for one in image["layers"]}
    assert titles == {path.name: path.stat().st_size for path in (models / "text/1").iterdir()}


def test_a_registry_refuses_who_is_not_logged_in(
    models: Path, registry: tuple[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(TransferError, match="answered 401"):
        push(place_of(registry[0]), Wanted.parsed("text"), models)

    assert registry[1].images == {}


def test_a_changed_blob_of_a_registry_is_refused(models: Path, here: Path, registry: tuple[str, Any]) -> None:
    address, handler = registry
    push(place_of(address), Wanted.parsed("text"), models)
    for digest, content in handler.blobs.items():
        handler.blobs[digest] = content[:-1] + b"!"
    with pytest.raises(TransferError, match=r"sent another manifest\.json"):
        got(address, "text", here)


def test_a_key_is_not_sent_to_another_host(tmp_path: Path) -> None:
    """A redirect is followed, without what was for the first host."""
    seen: list[str | None] = []

    class Other(places.Handler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.answer(404)

    with places.running(Other) as (other, _):

        class First(places.Handler):
            def do_GET(self) -> None:
                self.answer(307, Location=f"http://{other}{self.path}")

        with places.running(First) as (first, _):
            asked = Registry(f"oci://{first}/x", {})
            asked._authorization = "Bearer secret"
            with pytest.raises(TransferError):
                asked.version("text", None)

    assert seen == [None]


def test_a_signature_is_that_of_awss_own_example() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, its third."""
    headers = signed(
        "GET",
        "https://examplebucket.s3.amazonaws.com/?lifecycle=",
        hashlib.sha256(b"").hexdigest(),
        key="AKIAIOSFODNN7EXAMPLE",
        secret="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        token="",
        region="us-east-1",
        now="20130524T000000Z",
    )

    assert headers["Authorization"].endswith(
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ftp://host/models", "begins with https://"),
        ("nowhere/at/all", "there is no directory"),
        ("https://", "comes a host"),
        ("s3://", "comes a bucket"),
        ("https://me:secret@host/models", "no name and no password"),
        ("https://host:port/models", "comes a host"),
    ],
)
def test_what_is_no_place_is_told(address: str, told: str) -> None:
    with pytest.raises(TransferError, match=told) as raised:
        place_of(address)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "../x", "text@", "text@../1", "text@a@b"])
def test_what_is_no_name_is_told(name: str) -> None:
    with pytest.raises(BundleError):
        Wanted.parsed(name)


@pytest.mark.parametrize(
    "pointer", ["", "[]", '{"version": 3}', '{"version": "../../x"}', '{"version": "9"}']
)
def test_a_pointer_of_others_leads_nowhere(models: Path, here: Path, pointer: str) -> None:
    (models / "text/current").write_text(pointer)
    with pytest.raises(BundleError):
        got(str(models), "text", here)

    assert not (here / "text").exists()


def test_a_place_that_is_away_is_asked_a_few_times(here: Path) -> None:
    waits: list[float] = []
    with pytest.raises(TransferError, match="cannot be reached"):
        pull(place_of("http://127.0.0.1:9/models"), Wanted.parsed("text"), here, wait=waits.append)

    assert waits == [0.5 * 2**attempt for attempt in range(ATTEMPTS - 1)]


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "encodery", *arguments],
        cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.e2e
def test_the_command_says_what_it_did(models: Path, here: Path) -> None:
    done = command("models", "pull", str(models), "shop-user", "--models-dir", str(here))
    absent = command("models", "pull", str(models), "txt", "--models-dir", str(here))
    (here / "there").mkdir()
    sent = command("models", "push", str(here / "there"), "shop-user", "--models-dir", str(here))

    assert (done.returncode, done.stdout) == (0, "current: shop-user/1, shop-item/1\n")
    assert "shop-user/1  model.onnx" in done.stderr
    assert (absent.returncode, absent.stderr) == (
        2, "encodery: there is no model txt, or it has no current version\n",
    )  # fmt: skip
    assert (sent.returncode, sent.stdout) == (0, "current there: shop-user/1, shop-item/1\n")


@pytest.mark.e2e
def test_a_server_fetches_what_it_serves(models: Path, here: Path, web: tuple[str, Any]) -> None:
    here.mkdir()
    pulls = f"{web[0]} text@1, {web[0]} shop-user, {web[0]} absent"
    with server(here, ENCODERY_PULL=pulls) as running:
        url = running.logged("ready")["url"]
        failed = running.logged("pull failed")
        unmet = _health(url)["unmet"]

    assert failed["model"] == "absent"
    assert unmet == [{"setting": "ENCODERY_PULL", "reason": f"absent: {failed['reason']}"}]
    assert [line["models"] for line in running.log if line["event"] == "pulled"] == [
        ["text/1"],
        ["shop-user/1", "shop-item/1"],
    ]
    assert {line["name"] for line in running.log if line["event"] == "model"} == {"text", *PAIR}


def test_each_of_several_processes_tells_what_could_not_be_fetched(models: Path, tmp_path: Path) -> None:
    pulls = f"{tmp_path / 'nowhere'} text"
    with server(models, ENCODERY_PULL=pulls, ENCODERY_WORKERS="2") as running:
        running.logged("all workers serve")
        url = running.logged("ready")["url"]
        told = [_health(url) for _ in range(8)]

    assert all(one["ready"] for one in told)
    assert {one["setting"] for health in told for one in health["unmet"]} == {"ENCODERY_PULL"}
    assert all(len(health["unmet"]) == 1 for health in told)


def _health(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/health") as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def test_a_disk_that_refuses_leaves_all_as_it_was(models: Path, here: Path) -> None:
    from bundle.disk import Disk

    class Full(Disk):
        left = 6

        def write(self, path: Path, content: bytes) -> None:
            self.left -= 1
            if self.left < 0:
                raise OSError(28, "No space left on device")
            super().write(path, content)

    store = Store(models)
    pair = [store.read(name, "1") for name in PAIR]
    group = [Foreign(one.manifest, one.manifest.to_bytes(), one.files.__getitem__) for one in pair]
    for left in range(10):
        full = Full()
        full.left = left
        with pytest.raises(BundleError, match="No space left"):
            install(here, group, disk=full)
        assert Store(here).names() == []
        assert list(here.rglob(".tmp-*")) == []


def keys(seed: int) -> tuple[bytes, TrustedKeys]:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, TrustedKeys.from_pem(public)


@pytest.mark.parametrize("place", ["directory", "registry"])
def test_signatures_come_with_a_bundle_and_those_of_later_keys_too(
    models: Path, here: Path, tmp_path: Path, registry: tuple[str, Any], place: str
) -> None:
    address = registry[0] if place == "registry" else str(tmp_path / "there")
    (tmp_path / "there").mkdir()
    (ours, trusted), (following, trusted_later) = keys(1), keys(2)
    sign_group(models, "shop-user", "1", ours)
    push(place_of(address), Wanted.parsed("shop-user"), models, trusted=trusted)
    got(address, "shop-user", here, trusted=trusted)
    assert all(same(models, here, name) for name in PAIR)

    sign_group(models, "shop-user", "1", following)
    push(place_of(address), Wanted.parsed("shop-user"), models)
    got(address, "shop-user", here, trusted=trusted_later)
    assert all(same(models, here, name) for name in PAIR)
    Store(here, trusted).read("shop-item", "1")


@pytest.mark.parametrize("signed", ["nobody", "another", "one of two"])
def test_nothing_comes_of_a_bundle_that_nobody_trusted_signed(
    models: Path, here: Path, web: tuple[str, Any], signed: str
) -> None:
    """It is told from the manifest and the signatures; no file is asked for."""
    url, handler = web
    if signed == "another":
        sign_group(models, "shop-user", "1", keys(2)[0])
    if signed == "one of two":
        sign_group(models, "shop-user", "1", keys(1)[0])
        (models / "shop-item/1/signatures.json").unlink()
    with pytest.raises(SignatureError, match=r"^shop-(user|item)/1: it is (not signed|signed by ed25519:)"):
        got(url, "shop-user", here, trusted=keys(1)[1])

    assert not here.exists()
    assert not any(path.endswith("model.onnx") for path, _ in handler.asked)
    with pytest.raises(SignatureError):
        push(place_of(str(models)), Wanted.parsed("shop-user"), models, trusted=keys(1)[1])


def test_signatures_of_endless_length_are_refused(models: Path, here: Path, web: tuple[str, Any]) -> None:
    (models / "text/1/signatures.json").write_bytes(b" " * 70_000)
    with pytest.raises(TransferError, match=r"signatures\.json is larger"):
        got(web[0], "text", here)
