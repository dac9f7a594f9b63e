"""The whole way: train a tiny encoder of each kind, publish it, serve it in a process, ask over HTTP."""

from __future__ import annotations

import base64
import csv
import io
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import numpy.typing as npt
import pytest
from running import serving

from bundle.inputs import Input
from bundle.preprocess.features import Features
from bundle.preprocess.text import Text
from bundle.publish import publish
from training.client import served
from training.commands import make_task
from training.config import parse_config
from training.published import Published
from training.recommender.settings import RecommenderRun
from training.recommender.suite.command import Suite
from training.recommender.suite.command import run as suite
from training.recommender.task import RecommenderTask
from training.run import open_run
from training.task import Encode
from training.trainer import Trainer

pytestmark = pytest.mark.e2e

TOLERANCE = 1e-5  # torch and onnxruntime sum in different orders

TOPICS = {
    "garden": ["rose", "tulip", "soil", "spade", "water", "seed", "lawn", "hedge"],
    "kitchen": ["pan", "oven", "flour", "sugar", "knife", "plate", "spoon", "salt"],
    "office": ["paper", "desk", "printer", "meeting", "email", "chair", "phone", "screen"],
}
TEXT_CONFIG: dict[str, Any] = {
    "kind": "text",
    "name": "topics",
    "description": "three topics",
    "data": {"pairs": [{"path": "pairs.tsv"}]},
    "vocabulary": {"size": 200, "max_length": 32},
    "model": {
        "embedding_dim": 16,
        "poolings": ["weighted", "max"],
        "dimensions": [8],
        "hidden": {"widths": [24], "output_dim": 16},
    },
    "loss": {"infonce": {"temperature": 0.1}},
    "train": {"epochs": 3, "batch_size": 64, "learning_rate": 0.01, "metric": "pair_first_hit", "threads": 1},
    "export": {"table": "int8"},
}
SHOP_CONFIG: dict[str, Any] = {
    "kind": "recommender",
    "name": "shop",
    "description": "two clusters of items",
    "data": {
        "path": "log.csv",
        "user": "user",
        "item": "item",
        "time": "time",
        "core": 2,
    },
    "user": [
        {"name": "history", "kind": "history", "max_length": 10},
        {"name": "country", "kind": "category", "dim": 4},
    ],
    "item": [
        {"name": "id", "kind": "category", "column": "item", "dim": 8, "dropout": 0.2},
        {"name": "title", "kind": "text", "dim": 8},
        {"name": "price", "kind": "number", "log1p": True, "dim": 4},
    ],
    "towers": {
        "item_dim": 12,
        "half_lives_days": [30.0],
        "user": {"widths": [16], "output_dim": 8},
        "item": {"widths": [16], "output_dim": 8},
    },
    "train": {"epochs": 3, "batch_size": 32, "learning_rate": 0.01, "metric": "ndcg@100", "threads": 1},
}


@dataclass(frozen=True)
class Served:
    """A running server of what was just trained, and the torch encoders it must agree with."""

    url: str
    torch: Mapping[str, Encode]
    data: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("whole-way")
    write_pairs(root / "pairs.tsv")
    write_log(root / "log.csv")
    torch: dict[str, Encode] = {}
    for config in (TEXT_CONFIG, SHOP_CONFIG):
        settings = parse_config(config)
        task = make_task(settings, root)
        with open_run(root / "runs" / settings.name, settings) as directory:
            Trainer(task, settings.train, seed=settings.seed, directory=directory).fit()
        torch |= task.encoders()
        publish(root / "models", task.drafts(task.score(task.encoders())))
    with serving(root / "models", ENCODERY_DEFAULT_MODEL="topics") as url:
        yield Served(url, torch, root)


def test_texts_over_http_are_torchs(trained: Served) -> None:
    texts = ["rose and spade", "oven", "the printer on the desk", "unheard of", "water " * 100]

    expected = trained.torch["topics"]([Text(text) for text in texts])

    assert_same(served(trained.url, "topics")([Text(text) for text in texts]), expected)
    assert_same(floats(trained.url, {"inputs": texts, "truncate": "end"}), expected)
    assert_same(base64_floats(trained.url, {"inputs": texts, "truncate": "end"}), expected)


def test_users_over_http_are_torchs(trained: Served) -> None:
    users: list[Input] = [
        Features({"history": ["a1", {"id": "a2", "time": "2026-01-03"}, "a3"], "country": "DE"}),
        Features({"history": [], "country": None}),
        Features({}),
        Features({"history": ["never seen", "b1"], "country": "Atlantis"}),
    ]

    assert_same(served(trained.url, "shop-user")(users), trained.torch["shop-user"](users))


def test_items_over_http_are_torchs_and_new_ones_too(trained: Served) -> None:
    items: list[Input] = [
        Features({"id": "a1", "title": "soft ball", "price": 2}),
        Features({"id": "brand new", "title": "hard brick", "price": 1e6}),
        Features({"title": ""}),
    ]

    assert_same(served(trained.url, "shop-item")(items), trained.torch["shop-item"](items))


def test_a_pair_shares_a_space_and_a_text_encoder_does_not(trained: Served) -> None:
    spaces = {
        model: httpx.get(f"{trained.url}/model-version", params={"model": model}).json()["space"]
        for model in ("shop-user", "shop-item", "topics")
    }

    assert spaces["shop-user"] == spaces["shop-item"] != spaces["topics"]


def test_what_was_trained_is_worth_something(trained: Served) -> None:
    """Texts of one topic are nearer than others; a user of one cluster gets items of that cluster."""
    encode = served(trained.url, "topics")
    garden, kitchen = (encode([Text(" ".join(TOPICS[topic][:3]))])[0] for topic in ("garden", "kitchen"))
    (query,) = encode([Text(" ".join(TOPICS["garden"][4:7]))])
    assert query @ garden > query @ kitchen

    (user,) = served(trained.url, "shop-user")([Features({"history": ["a1", "a2", "a3"]})])
    items = [f"{cluster}{number}" for cluster in "ab" for number in range(4, 9)]
    vectors = served(trained.url, "shop-item")([Features({"id": item}) for item in items])
    best = [items[row] for row in np.argsort(-(vectors @ user))[:3]]
    assert all(item.startswith("a") for item in best), best


def test_the_recommender_suite_finds_the_same_by_http_as_by_torch(trained: Served, tmp_path: Path) -> None:
    run = parse_config(SHOP_CONFIG)
    assert isinstance(run, RecommenderRun)

    place = Published(tmp_path, trained.url)
    [found] = suite(Suite(run, trained.data, "test", tmp_path, place))

    served_ndcg = {row.method: row.value.mean for row in found.rows if row.figure == "ndcg@100"}
    assert {"encoder", "popularity", "itemcf", "ials", "ease"} < set(served_ndcg)
    own = RecommenderTask(run, trained.data).score(trained.torch)
    assert served_ndcg["encoder"] == pytest.approx(own["ndcg@100"].value, abs=1e-4)


def floats(url: str, body: dict[str, Any]) -> npt.NDArray[np.float32]:
    answer = httpx.post(f"{url}/encode", json=body)
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["embeddings"], dtype=np.float32)


def base64_floats(url: str, body: dict[str, Any]) -> npt.NDArray[np.float32]:
    answer = httpx.post(f"{url}/encode", json=body | {"encoding": "base64"}).json()
    return np.stack([np.frombuffer(base64.b64decode(row), "<f4") for row in answer["embeddings"]])


def assert_same(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> None:
    assert found.shape == expected.shape
    assert float(np.abs(found - expected).max()) <= TOLERANCE


def write_pairs(path: Path) -> None:
    """Two bags of words of one topic belong together."""
    chance = random.Random(0)
    with path.open("w") as file:
        for _ in range(600):
            words = TOPICS[chance.choice(list(TOPICS))]
            file.write(f"made\t{' '.join(chance.sample(words, 3))}\t{' '.join(chance.sample(words, 3))}\n")


def write_log(path: Path) -> None:
    """Users buy from one of two clusters of items, which also differ in their titles."""
    chance = random.Random(0)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["user", "item", "time", "country", "title", "price"])
    for user in range(120):
        cluster = "ab"[user % 2]
        for day, number in enumerate(chance.sample(range(1, 13), 8)):
            title = f"{'soft ball' if cluster == 'a' else 'hard brick'} {number}"
            time = f"2026-01-{day + 1:02d} 10:00:00"
            rows.writerow([f"u{user}", f"{cluster}{number}", time, ["DE", "FR"][user % 3 % 2], title, number])
    path.write_text(text.getvalue())
