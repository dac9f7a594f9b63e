"""Static encoders of other libraries: a table of token vectors becomes a bundle with their vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny_pretrained as tiny
import tiny_training
import torch
from safetensors.torch import save_file
from torch import Tensor

from bundle import Store, Text
from training.errors import ConfigError
from training.text.commands import import_pretrained
from training.text.imported import imported
from training.text.start import read_start

SAME = 1e-6
DIM = 8
UNKNOWN = tiny.WORDS.index("[UNK]")
TEXTS = ["ship", "the ship of a zebra", "bread and new coin and bread", "rose hedge " * 40]


def write_static(directory: Path, tensors: dict[str, Tensor]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, directory / "model.safetensors")
    tiny_training.wordpiece(tiny.WORDS).save(str(directory / "tokenizer.json"))
    return directory


def table(rows: int = len(tiny.WORDS)) -> Tensor:
    return torch.randn(rows, DIM, generator=torch.Generator().manual_seed(rows))


def mean(rows: npt.NDArray[np.floating], text: str, *, leaves_unknown_out: bool) -> npt.NDArray[np.floating]:
    """By definition, of the words of one text."""
    ids = [tiny.WORDS.index(word) if word in tiny.WORDS else UNKNOWN for word in text.split()]
    return np.mean([rows[i] for i in ids if not (leaves_unknown_out and i == UNKNOWN)], axis=0)


def vectors(directory: Path, models: Path) -> npt.NDArray[np.float32]:
    import_pretrained(directory, "static", models=models)
    return Store(models).load("static").encode([Text(text) for text in TEXTS])


def test_a_folder_of_model2vec_gives_its_vectors(tmp_path: Path) -> None:
    """Fewer rows than tokens, a weight of each token, float16, and unknown words left out; then the norm."""
    rows, mapping = table(12).half(), torch.arange(len(tiny.WORDS)) % 12
    weights = torch.linspace(0.5, 2, len(tiny.WORDS))
    tensors = {"embeddings": rows, "mapping": mapping, "weights": weights}
    source = write_static(tmp_path / "potion", tensors)
    tiny.write_json(source / "config.json", {"model_type": "model2vec", "normalize": True})
    whole = (rows.float()[mapping] * weights.unsqueeze(1)).numpy()
    expected = np.array([mean(whole, text, leaves_unknown_out=True) for text in TEXTS])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)

    np.testing.assert_allclose(vectors(source, tmp_path / "models"), expected, atol=SAME)
    with pytest.raises(ConfigError, match="an imported table of token vectors, which is not trained further"):
        read_start(tmp_path / "models", "static")
    manifest = Store(tmp_path / "models").manifest("static", "1")
    assert (manifest.max_length, manifest.normalized, manifest.dim) == (512, True, DIM)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int8])
def test_a_table_keeps_the_type_it_was_saved_in(tmp_path: Path, dtype: torch.dtype) -> None:
    """And with it the size of its graph."""
    rows = (table(len(tiny.WORDS)) * 20).to(dtype)
    source = write_static(tmp_path / "potion", {"embeddings": rows})
    tiny.write_json(source / "config.json", {"model_type": "model2vec", "normalize": False})
    graph = imported(source, "static").graph

    assert rows.numpy().tobytes() in graph
    assert len(graph) < rows.numel() * rows.element_size() + 10_000


def test_a_static_embedding_counts_unknown_words_and_no_special_tokens(tmp_path: Path) -> None:
    """With a Dense layer and the norm after it, in a folder of its own, with a prompt."""
    source, rows = tmp_path / "static", table()
    write_static(source / "0_StaticEmbedding", {"embedding.weight": rows})
    kinds = {"StaticEmbedding": "0_StaticEmbedding", "Dense": "1_Dense", "Normalize": "2_Normalize"}
    parts = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in kinds.items()]
    tiny.write_json(source / "modules.json", parts)
    tanh = {"in_features": DIM, "out_features": 4, "activation_function": "torch.nn.modules.activation.Tanh"}
    tiny.write_json(source / "1_Dense" / "config.json", tanh)
    weight, offset = tiny.write_dense(source / "1_Dense", DIM, 4)
    prompts = {"prompts": {"query": "the ship "}, "default_prompt_name": "query"}
    tiny.write_json(source / "config_sentence_transformers.json", prompts)
    means = [mean(rows.numpy(), f"the ship {text}", leaves_unknown_out=False) for text in TEXTS]
    expected = np.array([np.tanh(weight @ one + offset) for one in means])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)

    np.testing.assert_allclose(vectors(source, tmp_path / "models"), expected, atol=SAME)
    assert Store(tmp_path / "models").manifest("static", "1").description == (
        f"Imported from static: static table of {len(tiny.WORDS)} tokens, mean pooling, "
        "a tanh layer to 4, L2 norm."
    )


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"other": table()}, "has no table of token vectors"),
        ({"embeddings": torch.ones(4)}, "has no table of token vectors"),
        ({"embeddings": table(5), "mapping": torch.tensor([7])}, "mapping and weights do not fit the table"),
        ({"embeddings": table(5), "weights": torch.ones(3)}, "mapping and weights do not fit the table"),
        ({"embeddings": table(5)}, "network 5: put the tokenizer"),
    ],
)
def test_what_is_no_table_of_these_tokens_is_refused(
    tmp_path: Path, tensors: dict[str, Tensor], reason: str
) -> None:
    source = write_static(tmp_path / "potion", tensors)
    tiny.write_json(source / "config.json", {"model_type": "model2vec"})
    with pytest.raises(ConfigError, match=reason):
        imported(source, "static")


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    source = write_static(tmp_path / "potion", {"embeddings": table()})
    tiny.write_json(source / "config.json", {"model_type": "model2vec"})
    (source / missing).unlink()
    with pytest.raises(ConfigError, match=missing):
        imported(source, "static")


@pytest.mark.parametrize("content", [{"0": 1}, [7], [{"type": "StaticEmbedding"}]])
def test_broken_modules_are_refused(tmp_path: Path, content: Any) -> None:
    source = write_static(tmp_path / "static", {"embedding.weight": table()})
    tiny.write_json(source / "modules.json", content)
    with pytest.raises(ConfigError, match=r"modules\.json"):
        imported(source, "static")
