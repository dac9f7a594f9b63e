"""Every text is encoded once; cut vectors are unit vectors again; a teacher's are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import InputError
from training.errors import ConfigError
from training.text.suite import vectors
from training.text.suite.subjects import Subject, pretrained
from training.text.suite.task import Floats
from training.text.suite.vectors import encoded, speed


class Fake:
    """The vector of a text is its length, 1 and 2; remembers what it was asked, refuses `bad`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> Floats:
        if "bad" in texts:
            raise InputError(list(texts).index("bad"), "empty_input", "it has no token")
        self.asked += texts
        return np.array([[len(text), 1, 2] for text in texts], dtype=np.float32)

    @property
    def subject(self) -> Subject:
        return Subject("fake", "1", "sp", "bundle", (3, 2), self.encode)


def test_each_text_is_encoded_once_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "CHUNK", 2)
    fake = Fake()

    with encoded(fake.subject, ["a", "bb", "a", "ccc", "bb"], tmp_path) as table:
        full, cut = table.at(["ccc", "a", "ccc"], 3), table.at(["ccc", "a"], 2)

    assert sorted(fake.asked) == ["a", "bb", "ccc"]
    assert full == pytest.approx(np.array([[3, 1, 2], [1, 1, 2], [3, 1, 2]]) / np.sqrt([[14], [6], [14]]))
    assert cut == pytest.approx(np.array([[3, 1], [1, 1]]) / np.sqrt([[10], [2]]))


def test_a_blank_text_has_no_direction(tmp_path: Path) -> None:
    fake = Fake()

    with encoded(fake.subject, ["a", " \n"], tmp_path) as table:
        assert table.at([" \n"], 3).tolist() == [[0.0, 0.0, 0.0]]
    assert fake.asked == ["a"]


def test_no_texts_are_no_trouble(tmp_path: Path) -> None:
    with encoded(Fake().subject, [], tmp_path) as table:
        assert table.at([], 3).shape == (0, 3)


def test_a_text_that_cannot_be_encoded_is_shown(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="fake cannot encode 'bad': it has no token"),
        encoded(Fake().subject, ["good", "bad"], tmp_path),
    ):
        pass


def test_speed_is_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "SPEED_S", 0.0)
    monkeypatch.setattr(vectors, "SPEED_TEXTS", 5)
    fake = Fake()

    assert speed(fake.subject, [str(number) for number in range(50)] * 2) > 0
    assert len(set(fake.asked)) == len(fake.asked) == 5


def test_a_teachers_vectors_are_kept(teacher_directory: Path, tmp_path: Path) -> None:
    subject, texts = pretrained(str(teacher_directory)), ["the ship", "old bread", "the ship"]

    with encoded(subject, texts, tmp_path / "kept") as table:
        first = table.at(texts, subject.dim)
    [kept] = (tmp_path / "kept").iterdir()
    kept_at = kept.stat().st_mtime_ns
    with encoded(subject, texts, tmp_path / "kept") as table:
        second = table.at(texts, subject.dim)

    assert first == pytest.approx(subject.encode(texts), abs=1e-3)  # kept as float16
    assert (first == second).all()
    assert kept.stat().st_mtime_ns == kept_at
