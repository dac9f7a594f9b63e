"""Figures of sounds, by examples whose answers are known."""

from __future__ import annotations

import numpy as np

from training.audio.measures import nearest_caption, nearest_label, neighbours, probe, recall

EAST, NORTH, BETWEEN = [1.0, 0.0], [0.0, 1.0], [0.8, 0.6]
VECTORS = np.array([EAST, NORTH, BETWEEN], np.float32)


def test_nearest_label_is_that_of_another_sound() -> None:
    # 0 and 2 are nearest to each other, 1 is nearest to 2
    assert nearest_label(VECTORS, np.array([0, 1, 0])).values.tolist() == [1, 0, 1]  # type: ignore[union-attr]
    assert nearest_label(VECTORS, np.array([0, -1, 0])).n == 2


def test_captions_find_their_sounds_and_sounds_their_captions() -> None:
    captions = np.array([EAST, NORTH, [-1.0, 0.0]], np.float32)
    own = np.array([0, 1, 1])
    # the third sound is nearer to east than to north, its own
    assert nearest_caption(VECTORS, captions, own).mean == 2 / 3
    assert recall(VECTORS, captions, own, 1).mean == 1.0
    assert recall(VECTORS, captions, np.array([2, 1, 0]), 1).mean == 1 / 3
    assert recall(VECTORS, captions, np.array([2, 1, 0]), 3).mean == 1.0


def test_neighbours_vote_and_the_nearest_decides_among_equals() -> None:
    learned = np.array([EAST, EAST, NORTH, NORTH, BETWEEN], np.float32)
    labels = np.array(["a", "a", "b", "b", "c"])
    found = neighbours(learned, labels, np.array([[0.9, 0.4], [0.4, 0.9]], np.float32), np.array(["a", "b"]))
    assert found.mean == 1.0


def test_a_probe_separates_what_a_line_separates() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, 5)).astype(np.float32)
    labels = np.where(vectors[:, 0] > 0, "up", "down")
    far = np.abs(vectors[:, 0]) > 0.3
    assert probe(vectors, labels, vectors[far], labels[far]).mean > 0.95
    shuffled = random.permutation(labels)
    assert probe(vectors[:30], shuffled[:30], vectors[30:], labels[30:]).mean < 0.8
