"""New items enter a published pair: what was known stays as it is, what is new is what its content says."""

from __future__ import annotations

import csv
import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_shop
from typer.testing import CliRunner

from bundle import Encoder, Features, Store
from encodery.cli import app
from training.commands import train
from training.errors import ConfigError
from training.recommender.refresh.command import refresh

NEW = {"g90": "garden thing 90", "k91": "kitchen thing 91"}
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "hidden layers": {
        "towers": tiny_shop.config()["towers"]
        | {"item": {"output_dim": 8, "widths": [12]}, "user": {"output_dim": 8, "widths": [12]}}
    },
    "in order": {
        "towers": tiny_shop.config()["towers"] | {"sequence": {"kind": "gru", "length": 4, "dim": 8}}
    },
    "a start, popularity of now, two readings": {
        "towers": {
            "half_lives_days": [30.0],
            "unweighted": True,
            "initialisation": {},
            "recent": {},
            "user": {"output_dim": 8},
            "item": {"output_dim": 8},
        }
    },
}


@pytest.fixture(scope="module", params=FORMS, ids=lambda form: form.replace(" ", "-"))
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a trained pair, and a log that has new items since."""
    root = tmp_path_factory.mktemp("refresh")
    tiny_shop.write_log(root / "log.csv")
    settings = tiny_shop.config() | FORMS[request.param]
    settings["train"] = settings["train"] | {"epochs": 2}
    (root / "shop.toml").write_text(toml_of(settings))
    train(root / "shop.toml", data=root, models=root / "models", run=root / "run", force=True)
    with (root / "log.csv").open("a", newline="") as file:
        for user in range(0, tiny_shop.USERS, 3):
            for item, title in NEW.items():
                tags = f"{title.split()[0]}|all"
                csv.writer(file).writerow([f"u{user}", item, 2_000_000, title, 1.5, "GB", tags])
    return root


def toml_of(settings: dict[str, Any]) -> str:
    """The settings as TOML: JSON's values are TOML's, tables inline."""

    def value(one: Any) -> str:
        if isinstance(one, dict):
            return "{" + ", ".join(f"{name} = {value(inner)}" for name, inner in one.items()) + "}"
        return "[" + ", ".join(map(value, one)) + "]" if isinstance(one, list) else json.dumps(one)

    text = "".join(f"{name} = {value(one)}\n" for name, one in settings.items())
    assert tomllib.loads(text) == settings
    return text


@pytest.fixture(scope="module")
def after(shop: Path) -> Callable[[str, str], Encoder]:
    """`after("shop-item", "2")`: one of the towers, refreshed once."""
    refresh(shop / "shop.toml", "1", data=shop, models=shop / "models")
    loaded: dict[tuple[str, str], Encoder] = {}

    def of(name: str, version: str) -> Encoder:
        if (name, version) not in loaded:
            loaded[name, version] = Store(shop / "models").load(name, version)
        return loaded[name, version]

    return of


def record(item: str, title: str, fields: list[str]) -> dict[str, Any]:
    told = {"title": title, "price": 1.5, "tags": [title.split(maxsplit=1)[0], "all"]}
    return {"id": item} | {name: value for name, value in told.items() if name in fields}


def fields_of(encoder: Encoder) -> list[str]:
    return list(encoder.schema()["properties"])


def test_known_items_are_as_they_were_to_the_bit(after: Callable[[str, str], Encoder]) -> None:
    old, new = after("shop-item", "1"), after("shop-item", "2")
    ids = [f"{group[0]}{n}" for group in tiny_shop.GROUPS for n in range(tiny_shop.ITEMS_PER_GROUP)]
    asked = [Features({"id": one}) for one in ids]
    told = [Features(record(one, f"office thing {n}", fields_of(old))) for n, one in enumerate(ids)]

    assert np.array_equal(old.encode(asked), new.encode(asked))
    assert np.array_equal(old.encode(told), new.encode(told))


def test_users_of_known_items_are_as_they_were_to_the_bit(after: Callable[[str, str], Encoder]) -> None:
    old, new = after("shop-user", "1"), after("shop-user", "2")
    asked = [Features({"history": [f"g{n}", f"k{n}"], "country": "GB"}, 2e6) for n in range(9)]

    assert np.array_equal(old.encode(asked), new.encode(asked))


def test_new_item_by_its_id_is_what_its_content_said(after: Callable[[str, str], Encoder]) -> None:
    old, new = after("shop-item", "1"), after("shop-item", "2")
    for item, title in NEW.items():
        whole, alone = [Features(record(item, title, fields_of(old)))], [Features({"id": item})]
        np.testing.assert_allclose(new.encode(alone), old.encode(whole), rtol=0, atol=1e-6)
        np.testing.assert_allclose(new.encode(whole), old.encode(whole), rtol=0, atol=1e-6)
        assert "id" not in new.prepare(alone)[0].facts.unknown


def test_history_of_new_items_by_their_ids_is_what_their_content_said(
    after: Callable[[str, str], Encoder],
) -> None:
    """To the rounding of a table in 8 bits a number."""
    old, new = after("shop-user", "1"), after("shop-user", "2")
    fields = fields_of(after("shop-item", "1"))
    for item, title in NEW.items():
        told = record(item, title, fields)
        by_content = old.encode([Features({"history": [told, "g1"]}, 2e6)])
        by_id = new.encode([Features({"history": [item, "g1"]}, 2e6)])
        assert float(np.abs(by_id - by_content).max()) < 0.02 * float(np.abs(by_content).max())


def test_new_version_joins_the_space_and_has_one_of_its_own(after: Callable[[str, str], Encoder]) -> None:
    for name in ("shop-user", "shop-item"):
        old, new = after(name, "1").manifest, after(name, "2").manifest
        assert new.joins is not None
        assert (new.joins.name, new.joins.version, new.joins.space) == (name, "1", old.space)
        assert new.space != old.space
    assert after("shop-user", "2").manifest.space == after("shop-item", "2").manifest.space


def test_second_refresh_joins_the_first_space(
    after: Callable[[str, str], Encoder], shop: Path, tmp_path: Path
) -> None:
    """Whoever indexed by the first version still finds the third."""
    first = after("shop-item", "1").manifest.space
    shutil.copytree(shop, tmp_path / "shop")
    with (tmp_path / "shop" / "log.csv").open("a", newline="") as file:
        for user in range(0, tiny_shop.USERS, 3):
            csv.writer(file).writerow([f"u{user}", "o95", 3_000_000, "office thing 95", 3, "GB", "office"])
    settings = tmp_path / "shop" / "shop.toml"
    manifests = refresh(settings, "2", data=tmp_path / "shop", models=tmp_path / "shop" / "models")

    assert [one.joins.space for one in manifests if one.joins] == [first, first]


def test_nothing_new_is_said(after: Callable[[str, str], Encoder], shop: Path) -> None:
    assert after("shop-item", "2")
    with pytest.raises(ConfigError, match="has no item that shop-item does not know"):
        refresh(shop / "shop.toml", "2", data=shop, models=shop / "models")


def test_items_of_which_nothing_is_said_stay_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row for one would say what it is worth, which nobody knows."""
    settings = tiny_shop.config() | {"item": tiny_shop.config()["item"][:2]}
    settings["train"] = settings["train"] | {"epochs": 1}
    tiny_shop.write_log(tmp_path / "log.csv")
    (tmp_path / "shop.toml").write_text(toml_of(settings))
    train(tmp_path / "shop.toml", data=tmp_path, models=tmp_path, run=tmp_path / "run", force=True)
    lines = [[f"u{user}", "nameless", 2_000_000, "", "", "GB", ""] for user in range(0, tiny_shop.USERS, 3)]
    with (tmp_path / "log.csv").open("a", newline="") as file:
        csv.writer(file).writerows(lines)

    with pytest.raises(ConfigError, match="nothing is said of what shop-item does not know"):
        refresh(tmp_path / "shop.toml", "1", data=tmp_path, models=tmp_path)
    assert "1 new items are left out" in capsys.readouterr().err


def test_the_command_names_a_version_that_is_not_there(
    after: Callable[[str, str], Encoder], shop: Path
) -> None:
    assert after("shop-item", "2")
    arguments = ["train", str(shop / "shop.toml"), "--data", str(shop), "--models-dir", str(shop / "models")]

    result = CliRunner().invoke(app, [*arguments, "--refresh", "9"])

    assert result.exit_code == 2
    assert "shop-user has no version 9" in result.stderr
