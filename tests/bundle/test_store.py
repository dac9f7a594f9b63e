"""Bundles on disk: what is found, what is trusted, and what is refused with which reason."""

from __future__ import annotations

import gc
import json
import os
import shutil
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mutants
import pytest
import tiny

from bundle import BundleError, GoldenError, IntegrityError, Store, Text, publish, switch_current
from bundle.directory import read_file
from bundle.disk import publishing
from bundle.errors import MOST_CHARS
from bundle.store import check_name, version_key


def test_published_bundles_load(published: Path) -> None:
    store = Store(published)
    for name in store.names():
        encoder = store.load(name)
        assert (encoder.manifest.name, encoder.manifest.version) == (name, "1")


def test_load_of_an_exact_version(models: Path) -> None:
    publish(models, [tiny.text_draft(seed=1)])
    assert Store(models).load("text", "1").manifest.version == "1"
    assert Store(models).load("text").manifest.version == "2"


def test_names_are_those_with_a_version_or_a_pointer(models: Path) -> None:
    for other in ("empty", ".hidden", "Upper"):
        (models / other).mkdir()
    (models / "README.md").write_text("hello")
    assert Store(models).names() == ["shop-item", "shop-user", "text"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is unreadable to root")
@pytest.mark.parametrize("path", ["text", "text/1", "text/1/model.onnx", "text/current"])
def test_model_that_may_not_be_read_is_refused_and_the_others_load(models: Path, path: str) -> None:
    """The usual mistake with containers that run as nobody."""
    mode = (models / path).stat().st_mode
    (models / path).chmod(0)
    try:
        assert Store(models).names() == ["shop-item", "shop-user", "text"]
        with pytest.raises(BundleError, match="Permission denied"):
            Store(models).load("text")
        Store(models).load("shop-user")
    finally:
        (models / path).chmod(mode)


def test_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "nothing")
    assert (store.names(), store.versions("text")) == ([], [])


def test_versions_are_sorted_by_number_then_name(tmp_path: Path) -> None:
    for version in ("10", "9", "b", "a", ".tmp-1", "half"):
        (tmp_path / "text" / version).mkdir(parents=True)
        if version != "half":
            (tmp_path / "text" / version / "manifest.json").touch()
    assert Store(tmp_path).versions("text") == ["9", "10", "a", "b"]
    assert version_key("9") < version_key("10") < version_key("a")


BAD_NAMES = ["", ".", "..", "../text", "a/b", "a\\b", "A", "-a", "a" * 65, "text\n", "text\0", "\ud800", "ä"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_name_that_could_be_a_path_is_refused_everywhere(published: Path, name: str) -> None:
    store = Store(published)
    calls: list[Callable[[], object]] = [
        lambda: check_name(name),
        lambda: store.versions(name),
        lambda: store.current(name),
        lambda: store.load(name),
        lambda: store.load("text", name),
    ]
    for call in calls:
        with pytest.raises(BundleError, match="a name is 1 to 64 of"):
            call()


# What the files of a version can have happen to them.


def shrink(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def symlink(path: Path) -> None:
    path.symlink_to(path.rename(path.parent.parent / f"{path.name}-moved"))


def hard_link(path: Path) -> None:
    os.link(path, path.parent.parent / f"{path.name}-linked")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def named_pipe(path: Path) -> None:
    """Opening it for reading waits for a writer, for ever, unless one takes care."""
    path.unlink()
    os.mkfifo(path)


def unreadable(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


POSIX = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
DAMAGE = {
    "shrunk": (shrink, "bytes, published were"),
    "grown": (grow, "bytes, published were"),
    "changed": (flip, "SHA-256 differs"),
    "emptied": (empty, "bytes, published were"),
    "removed": (Path.unlink, "is missing"),
    "symbolic link": pytest.param(symlink, "is a link", marks=POSIX),
    "hard link": pytest.param(hard_link, "hard link", marks=POSIX),
    "directory": pytest.param(directory, "hard link or no regular file", marks=POSIX),
    "named pipe": pytest.param(named_pipe, "no regular file", marks=POSIX),
    "circular link": pytest.param(unreadable, "is a link", marks=POSIX),
}


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", "golden.json", "README.md"])
@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_file_is_refused_with_the_reason(
    models: Path, file: str, damage: Callable[[Path], None], reason: str
) -> None:
    damage(models / "text" / "1" / file)
    with pytest.raises(IntegrityError, match=reason) as caught:
        Store(models).load("text")
    assert file in str(caught.value)
    assert str(models) not in str(caught.value)
    Store(models).load("shop-user")  # the others serve


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_manifest_is_refused(models: Path, damage: Callable[[Path], None], reason: str) -> None:
    damage(models / "text" / "1" / "manifest.json")
    if damage in (grow, shrink):  # a line break more or less at the end is the same JSON
        Store(models).load("text")
        return
    for version in (None, "1"):
        with pytest.raises(BundleError, match=r"manifest\.json"):
            Store(models).load("text", version)


@pytest.mark.parametrize("name", ["weights.bin", ".hidden", "subdirectory/file"])
def test_unknown_file_is_refused(models: Path, name: str) -> None:
    path = models / "text" / "1" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"unknown files in the bundle: \['[a-z.]+'\]; remove them"):
        Store(models).load("text")


@POSIX
@pytest.mark.parametrize("level", ["text", "text/1"])
def test_directory_that_is_a_link_is_refused(models: Path, level: str) -> None:
    symlink(models / level)
    with pytest.raises(IntegrityError, match="link"):
        Store(models).load("text", "1")


def test_root_may_be_a_link(models: Path, tmp_path: Path) -> None:
    """Operators mount their models where they like."""
    (tmp_path / "link").symlink_to(models)
    Store(tmp_path / "link").load("text")


def test_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Three gigabytes that take no place on the disk; reading them would take memory."""
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(IntegrityError, match="the limit is 2147483648"):
        read_file(path, 2 << 30, expected_size=3 << 30)


def test_version_copied_to_another_place_is_refused(models: Path) -> None:
    shutil.copytree(models / "text" / "1", models / "text" / "2")
    shutil.copytree(models / "text" / "1", models / "other" / "1")
    for name, version in (("text", "2"), ("other", "1")):
        with pytest.raises(BundleError, match=f"is of text/1, not {name}/{version}"):
            Store(models).load(name, version)


# Pointers and pairs.


def test_model_without_a_pointer_has_no_current_version(models: Path) -> None:
    (models / "text" / "current").unlink()
    with pytest.raises(BundleError, match="text has no current version"):
        Store(models).load("text")
    Store(models).load("text", "1")


@pytest.mark.parametrize(
    "content", [b"", b"1", b"null", b'{"version": 1}', b'{"version": "../../x"}', b"[" * 100_000, b"\xff"]
)
def test_malformed_pointer_is_refused(models: Path, content: bytes) -> None:
    (models / "text" / "current").write_bytes(content)
    with pytest.raises(BundleError, match="text/current is not a pointer file"):
        Store(models).current("text")


def test_pointer_to_a_version_that_was_exchanged_is_refused(models: Path) -> None:
    """The same number, another manifest, each valid by itself."""
    other = models.parent / "other"
    tiny.publish_all(other, seed=1)
    shutil.rmtree(models / "text" / "1")
    shutil.copytree(other / "text" / "1", models / "text" / "1")
    with pytest.raises(IntegrityError, match="not the one that was made current"):
        Store(models).load("text")


@pytest.mark.parametrize(("lost", "left"), [("shop-user", "shop-item"), ("shop-item", "shop-user")])
def test_half_a_pair_is_refused(models: Path, lost: str, left: str) -> None:
    shutil.rmtree(models / lost)
    for version in (None, "1"):
        with pytest.raises(BundleError, match=lost):
            Store(models).load(left, version)


def test_pair_with_a_half_of_another_space_is_refused(models: Path) -> None:
    other = models.parent / "other"
    tiny.publish_all(other, seed=1)
    shutil.rmtree(models / "shop-item")
    shutil.copytree(other / "shop-item", models / "shop-item")
    with pytest.raises(IntegrityError, match="shop-item/1 is of another space"):
        Store(models).load("shop-user", "1")


def test_switch_flips_both_towers(models: Path) -> None:
    publish(models, tiny.pair_drafts(seed=1))
    store = Store(models)
    for version in ("1", "2", "1"):
        switched = switch_current(models, "shop-user", version)
        assert [(each.name, each.version) for each in switched] == [
            ("shop-user", version),
            ("shop-item", version),
        ]
        assert {store.current(name) for name in ("shop-user", "shop-item")} == {version}
        assert len({store.load(name).manifest.space for name in ("shop-user", "shop-item")}) == 1


def test_switch_to_a_damaged_version_is_refused_and_changes_nothing(models: Path) -> None:
    """Also when the damage is in the other tower."""
    publish(models, tiny.pair_drafts(seed=1))
    flip(models / "shop-item" / "1" / "model.onnx")
    with pytest.raises(IntegrityError):
        switch_current(models, "shop-user", "1")
    assert {Store(models).current(name) for name in ("shop-user", "shop-item")} == {"2"}


def test_of_two_pointers_the_first_by_name_decides(models: Path) -> None:
    """What a crash between the two leaves: the old pair as a whole, never a mixture."""
    old = (models / "shop-item" / "current").read_bytes()
    publish(models, tiny.pair_drafts(seed=1))
    (models / "shop-item" / "current").write_bytes(old)
    assert [Store(models).current(name) for name in ("shop-item", "shop-user")] == ["1", "1"]


@pytest.mark.parametrize("alone", ["shop-item", "shop-user"])
def test_pointers_that_disagree_are_refused(models: Path, alone: str) -> None:
    """One tower was published alone later: the other half of the old pair has no partner any more."""
    publish(models, [draft for draft in tiny.pair_drafts() if draft.name == alone])
    other = ({"shop-item", "shop-user"} - {alone}).pop()
    with pytest.raises(BundleError, match=f"{other} and {alone} were not published together"):
        Store(models).current(other)
    assert Store(models).current(alone) == "2"


def test_a_version_that_was_replaced_meanwhile_is_not_loaded(models: Path) -> None:
    """What was looked at before is what is loaded."""
    digest = Store(models).manifest("text", "1").digest
    shutil.rmtree(models / "text" / "1")
    publish(models, [tiny.text_draft(seed=1)], "1")

    with pytest.raises(IntegrityError, match="replaced while"):
        Store(models).read("text", "1", digest)


def test_an_id_beyond_the_table_is_refused(tmp_path: Path) -> None:
    """The golden texts do not have the word, a request may."""
    tokenizer = json.loads(tiny.tokenizer_json())
    tokenizer["model"]["vocab"]["zebra"] = len(tiny.WORDS)
    with pytest.raises(GoldenError, match="last entry of a vocabulary"):
        publish(tmp_path, [tiny.text_draft(preprocessor=json.dumps(tokenizer).encode())])


@pytest.mark.parametrize(
    ("side", "feature"), [(0, "history"), (0, "country"), (1, "id"), (1, "title")], ids=str
)
def test_a_feature_beyond_its_table_is_refused(tmp_path: Path, side: int, feature: str) -> None:
    pair = tiny.pair_drafts()
    schema = json.loads(pair[side].preprocessor)
    for spec in schema["features"]:
        if spec["name"] == feature:
            spec["vocabulary"].append("zebra")
    pair[side] = replace(pair[side], preprocessor=json.dumps(schema).encode())
    with pytest.raises(GoldenError, match="last entry of a vocabulary"):
        publish(tmp_path, pair)


@pytest.mark.parametrize("length", [5_000, 200_000])
def test_a_reason_does_not_repeat_the_file(models: Path, length: int) -> None:
    """The libraries that read the files quote what they do not like."""
    tokenizer = mutants.tokenizer_with(normalizer="a" * length)
    mutants.sealed_again(models / "text" / "1", {mutants.TOKENIZER: tokenizer})
    schema = json.loads(tiny.user_schema())
    schema["features"][0]["kind"] = [0] * length
    publish(models, [replace(tiny.pair_drafts()[0], name="user")])
    mutants.sealed_again(models / "user" / "1", {"features.json": json.dumps(schema).encode()})
    for name, file in (("text", "tokenizer.json"), ("user", "features.json")):
        with pytest.raises(BundleError, match=file) as caught:
            Store(models).load(name, "1")
        assert len(str(caught.value)) <= MOST_CHARS


def test_sweeping_spares_a_publisher_at_work(models: Path) -> None:
    (models / "text" / ".tmp-dead").mkdir()
    (models / "shop-user" / ".tmp-alive").mkdir()
    with publishing(models / "shop-user"):
        Store(models).sweep()

    assert not (models / "text" / ".tmp-dead").exists()
    assert (models / "shop-user" / ".tmp-alive").exists()


def test_versions_that_read_alike_share_what_reads(models: Path) -> None:
    """As retrainings with one vocabulary: reading it once more would take time and memory for nothing."""
    publish(models, [tiny.text_draft(seed=1)])
    other = tiny.text_draft(seed=2)
    publish(models, [replace(other, max_length=other.max_length - 1)])
    one, two, shorter = (Store(models).load("text", version) for version in ("1", "2", "3"))

    assert one.preprocessor is two.preprocessor
    assert one.preprocessor is not shorter.preprocessor
    assert one.encode([Text("hello")]).tolist() != two.encode([Text("hello")]).tolist()
    kept = weakref.ref(shorter.preprocessor)
    del shorter
    gc.collect()
    assert kept() is None
