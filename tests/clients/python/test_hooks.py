"""Hooks for frameworks. Those that need a framework are tested with it, in test_real_clients.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import encodery_client
from encodery_client import Client
from encodery_client.sentence_transformers import SentenceEncoder
from encodery_client.testing import FakeServer

PACKAGE = Path(__file__).resolve().parents[3] / "clients" / "python"


@pytest.fixture
def encoder(server: FakeServer) -> SentenceEncoder:
    prompts = {"query": "q: ", "other": "o: "}
    return SentenceEncoder(Client("http://fake", transport=server.transport), prompts=prompts)


def test_encode_is_called_as_that_of_sentence_transformers(
    server: FakeServer, encoder: SentenceEncoder
) -> None:
    several = encoder.encode(["a", "b"], batch_size=8, show_progress_bar=False, convert_to_numpy=True)

    np.testing.assert_array_equal(several, server.vectors(["a", "b"]))
    np.testing.assert_array_equal(encoder.encode("a"), server.vectors(["a"])[0])
    assert encoder.get_sentence_embedding_dimension() == 6


def test_prompts_are_put_in_front(server: FakeServer, encoder: SentenceEncoder) -> None:
    encoder.encode_query(["a"])
    encoder.encode_document(["a"])
    encoder.encode(["a"], prompt_name="other")
    encoder.encode(["a"], prompt="p ")

    assert [request["inputs"] for request in server.requests] == [["q: a"], ["a"], ["o: a"], ["p a"]]


def test_without_prompts_of_its_own_the_models_are_used() -> None:
    server = FakeServer(prompts={"query": "q: ", "passage": "p: "})
    encoder = SentenceEncoder(Client("http://fake", transport=server.transport))
    encoder.encode_query(["a"])
    encoder.encode_document(["a"])
    encoder.encode(["a"])
    with pytest.raises(KeyError):
        encoder.encode(["a"], prompt_name="absent")

    sent = [(request["inputs"], request.get("prompt")) for request in server.requests]
    assert sent == [(["q: a"], ""), (["p: a"], ""), (["a"], None)]


def test_precision_is_the_type_of_the_vectors(server: FakeServer, encoder: SentenceEncoder) -> None:
    vectors = encoder.encode(["a"], precision="int8", normalize_embeddings=True)

    np.testing.assert_array_equal(vectors, server.vectors(["a"], output="int8"))


def test_tensors_are_refused(encoder: SentenceEncoder) -> None:
    with pytest.raises(TypeError, match="numpy"):
        encoder.encode("a", convert_to_tensor=True)


def test_similarity_of_a_vector_with_itself_is_one(encoder: SentenceEncoder) -> None:
    vectors = encoder.encode(["a", "b", "c"]) * 3

    np.testing.assert_allclose(np.diag(encoder.similarity(vectors, vectors)), 1, atol=1e-6)


def test_the_package_needs_no_framework() -> None:
    """In a Python of its own: what is imported with it, and with the hook that needs none."""
    code = (
        "import sys, encodery_client, encodery_client.sentence_transformers, encodery_client.testing; "
        "print(sorted({m.partition('.')[0] for m in sys.modules} & "
        "{'langchain_core', 'llama_index', 'haystack', 'torch', 'pandas', 'pyarrow', 'pydantic'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_all_that_is_exported_exists() -> None:
    assert all(hasattr(encodery_client, name) for name in encodery_client.__all__)
