"""A bundle as mteb sees it: by mteb's protocol always, by mteb itself where it is installed."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.preprocess.text import Text
from bundle.store import Store
from training.errors import ConfigError, VectorError
from training.text.suite.mteb import MtebEncoder

TOLERANCE = 1e-6  # the same graph, in other batches
BATCHES = [{"text": ["the cat sat", " "]}, {"text": ["red lamp"], "title": ["x"]}]


@pytest.fixture(scope="module")
def encoder(published: Path) -> MtebEncoder:
    return MtebEncoder("text", "1", device="cpu", models=published)


def test_batches_become_rows_in_order(encoder: MtebEncoder, published: Path) -> None:
    """The call is mteb's: everything but the inputs by name."""
    vectors = encoder.encode(
        BATCHES, task_metadata=None, hf_split="test", hf_subset="default", prompt_type=None
    )

    expected = Store(published).load("text").encode([Text("the cat sat"), Text("red lamp")])
    assert vectors.dtype == np.float32
    assert vectors[[0, 2]] == pytest.approx(expected, abs=TOLERANCE)
    assert vectors[1].tolist() == [0.0] * 8  # blank
    assert encoder.encode([]).shape == (0, 8)


def test_a_shorter_length_is_normalised_again(published: Path) -> None:
    vectors = MtebEncoder("text", models=published, dimensions=4).encode(BATCHES)

    assert vectors.shape == (3, 4)
    assert np.linalg.norm(vectors[[0, 2]], axis=1) == pytest.approx([1.0, 1.0], abs=TOLERANCE)
    with pytest.raises(ConfigError, match="only to 8, 4"):
        MtebEncoder("text", models=published, dimensions=5)


def test_a_vector_that_is_not_finite_is_never_ranked(published: Path) -> None:
    broken = MtebEncoder("text", models=published)
    broken.subject = replace(
        broken.subject, encode=lambda texts: np.full((len(texts), 8), np.nan, dtype=np.float32)
    )

    with pytest.raises(VectorError, match="text: 2 of 2 vectors are not finite"):
        broken.encode(BATCHES)


def test_similarity_is_the_cosine(encoder: MtebEncoder) -> None:
    a, b = np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 2.0], [3.0, 4.0]])

    assert encoder.similarity(a, b).numpy() == pytest.approx(np.array([[0.0, 0.6], [0.8, 1.0]]))
    assert encoder.similarity_pairwise(a, b).tolist() == pytest.approx([0.0, 1.0])
    assert encoder.similarity(a[0], b).shape == (1, 2)


def test_without_mteb_it_says_how_to_get_it(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)

    with pytest.raises(ConfigError, match="pip install mteb"):
        _ = MtebEncoder("text", models=published).mteb_model_meta


@pytest.mark.skipif(importlib.util.find_spec("mteb") is None, reason="mteb is not installed")
@pytest.mark.filterwarnings("default")
def test_mteb_measures_a_task_of_our_own(encoder: MtebEncoder) -> None:
    """Two pairs of equal words and two of others: the order by cosine is the given one."""
    import mteb
    from datasets import Dataset, DatasetDict
    from mteb.abstasks.sts import AbsTaskSTS
    from mteb.models.models_protocols import EncoderProtocol

    class OwnPairs(AbsTaskSTS):
        metadata = mteb.TaskMetadata(
            name="OwnPairs",
            description="made up",
            reference=None,
            dataset={"path": "none", "revision": "none"},
            type="STS",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="cosine_spearman",
        )
        min_score, max_score = 0, 2

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            rows = {
                "sentence1": ["red lamp", "the cat sat", "dog", "hello world"],
                "sentence2": ["red lamp", "the cat sat on", "blue", "mat"],
            }
            near = encoder.similarity_pairwise(
                encoder.encode([{"text": rows["sentence1"]}]), encoder.encode([{"text": rows["sentence2"]}])
            )
            self.dataset = DatasetDict({"test": Dataset.from_dict({**rows, "score": near.tolist()})})
            self.data_loaded = True

    assert isinstance(encoder, EncoderProtocol)
    [found] = mteb.evaluate(encoder, [OwnPairs()], cache=None).task_results
    assert found.get_score() == pytest.approx(1.0)
