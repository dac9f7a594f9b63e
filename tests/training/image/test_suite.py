"""`encodery evaluate image`: figures of vectors by hand, and the whole way from tables to a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import picture_data
import pytest
import tiny

from bundle import Store, publish
from bundle.manifest import Joined
from training.describe import figures_of
from training.errors import ConfigError
from training.image.measures import average_precision, neighbours, recall, text_to_image
from training.image.suite.command import run
from training.image.suite.probe import probe
from training.published import Published

EYE = np.eye(3, dtype=np.float32)


def test_average_precision_is_that_of_the_ranks() -> None:
    # ranked: right, wrong, right -> (1/1 + 2/3) / 2
    found = average_precision(np.array([0.9, 0.1, 0.5]), np.array([True, True, False]))

    assert found == pytest.approx((1 + 2 / 3) / 2)


def test_texts_without_pictures_do_not_count() -> None:
    right = np.array([[True, False, False], [False, False, False]])

    assert text_to_image(EYE[:2], EYE, right).mean == 1.0


def test_recall_counts_those_before() -> None:
    texts = np.array([[1, 0, 0], [1, 0.5, 0], [0, 0, 1]], np.float32)

    assert recall(texts, EYE, 1).mean == pytest.approx(2 / 3)
    assert recall(texts, EYE, 2).mean == 1.0


def test_neighbours_leave_the_picture_itself_out() -> None:
    vectors = np.repeat(EYE[:2], 3, axis=0)

    assert neighbours(vectors, [0, 0, 0, 1, 1, 1], k=2).mean == 1.0
    assert neighbours(EYE, [0, 1, 2], k=1).mean == 0.0


def test_a_probe_tells_classes_that_a_line_parts() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    vectors = (random.normal(size=(40, 4)) + 3 * np.eye(4)[labels]).astype(np.float32)

    assert probe(vectors[:20], labels[:20], vectors[20:], labels[20:]).mean >= 0.9


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Published:
    models = tmp_path_factory.mktemp("models")
    (text,) = publish(models, [tiny.text_draft()])
    joins = Joined(name="text", version="1", space=text.space)
    publish(models, [tiny.image_draft(joins=joins)])
    return Published(models)


def test_sets_are_measured_and_their_pictures_shown(place: Published, tmp_path: Path) -> None:
    picture_data.write_sets(tmp_path, each=3)
    captions = [
        json.dumps({"path": f"val/{name}/0.png", "captions": [name]}) for name in picture_data.COLOURS
    ]
    (tmp_path / "names-val.jsonl").write_text("\n".join(captions))
    told = run("image", place, data=tmp_path, split="val", out=tmp_path / "out")
    found = figures_of(tmp_path / "out" / "results.json", Store(place.models).manifest("image", "1"))
    page = (tmp_path / "out" / "results.html").read_text()

    assert found["probe accuracy colours, val"].value == found["5 neighbours colours, val"].value == 1.0
    assert 0 <= found["zero-shot accuracy colours, val"].value <= 1
    assert found["text to image, recall@5 names, val"].value == 1.0
    assert "| colours, 12 | probe accuracy | 1.000" in told
    assert page.count("data:image/jpeg;base64,") >= 8
    assert "the cat" in page


def test_what_cannot_be_measured_is_refused(place: Published, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no table NAME-test"):
        run("image", place, data=tmp_path, split="test", out=tmp_path / "out")
    with pytest.raises(ConfigError, match="is no encoder of pictures"):
        run("text", place, data=tmp_path, split="test", out=tmp_path / "out")
