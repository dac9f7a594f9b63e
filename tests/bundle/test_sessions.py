"""Sessions from shared files give what sessions from the graph give, and cost its weights once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny

from bundle import Execution, IntegrityError, Store, Text
from bundle.sessions import open_session, source

TEXTS = [Text(text) for text in tiny.TEXTS]


def test_vectors_are_the_same_from_shared_files_and_by_more_threads(published: Path, tmp_path: Path) -> None:
    plain = Store(published).load("text")
    shared = Store(published).load("text", execution=Execution(max_threads=2, weights=tmp_path))
    prepared = plain.prepare(TEXTS, "end")

    expected = plain.run(prepared)
    np.testing.assert_allclose(shared.run(prepared), expected, atol=1e-6)
    np.testing.assert_allclose(shared.run_multithreaded(prepared), expected, atol=1e-6)
    assert (plain.has_multithreaded, shared.has_multithreaded) == (False, True)


def test_who_comes_later_opens_what_is_there(tmp_path: Path) -> None:
    graph = tiny.text_draft().graph
    first = source(graph, Execution(weights=tmp_path))
    assert isinstance(first, Path)
    made = first.stat().st_mtime_ns

    assert source(graph, Execution(weights=tmp_path)) == first
    assert first.stat().st_mtime_ns == made
    assert source(tiny.text_draft(seed=1).graph, Execution(weights=tmp_path)) != first


def test_files_may_go_once_the_sessions_are_open(published: Path, tmp_path: Path) -> None:
    encoder = Store(published).load("text", execution=Execution(max_threads=2, weights=tmp_path))
    shutil.rmtree(tmp_path)

    prepared = encoder.prepare(TEXTS, "end")
    np.testing.assert_allclose(encoder.run_multithreaded(prepared), encoder.run(prepared), atol=1e-6)


def test_where_there_is_no_room_the_graph_itself_is_opened(tmp_path: Path) -> None:
    graph = tiny.text_draft().graph
    assert source(graph, Execution(weights=tmp_path), free=lambda path: len(graph)) == graph
    assert not list(tmp_path.iterdir())


def test_a_graph_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    given = source(b"not a graph", Execution(weights=tmp_path))
    with pytest.raises(IntegrityError, match="onnxruntime refuses"):
        open_session(given)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
