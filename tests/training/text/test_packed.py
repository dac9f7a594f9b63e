"""Packed encoders: without padding between texts, and with the vectors of the padded ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny_pretrained as tiny
import torch
from torch import Tensor, nn

from bundle import Text
from bundle.encoder import Runner
from bundle.preprocess import KINDS, Prepared, Preprocessor
from training.export import export_graph, packed_layout, run_torch
from training.text.encoders.packed import packed
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.pretrained.directory import read_pretrained
from training.text.pretrained.families import FAMILIES
from training.text.pretrained.tokenizer import whole_tokenizer

SAME = 1e-5  # float32: other kernels, sums in another order
TEXTS = ["ship", "the ship of the sailor near the harbour", "bread and new coin", "rose hedge " * 19, "rose"]
ALL_POOLINGS = {"pooling_mode": ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]}
PACKED = [(name, {}) for name, family in FAMILIES.items() if family.packs] + list(tiny.VARIANTS.items())
# One of each kind of attention, for exports take long: all is seen, shared keys to the left, and capped,
# windows of both kinds, a bias of positions. An import proves the graph of every other.
EXPORTED = ("bert", "roberta", "llama", "gemma2", "modernbert", "t5")


class Several(nn.Module):
    """Encoders of the same ids side by side: one export in place of one each. -> (n, encoders * dim)."""

    def __init__(self, encoders: Sequence[nn.Module]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, token_ids: Tensor, grid: Tensor, spots: Tensor) -> Tensor:
        return torch.cat([encoder(token_ids, grid, spots) for encoder in self.encoders], dim=1)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[PretrainedEncoder]:
    """One of each kind that can be packed, with all poolings side by side."""
    root, found = tmp_path_factory.mktemp("networks"), []
    for family in EXPORTED:
        directory = tiny.write_network(root / family, family)
        tiny.write_modules(directory, ("Pooling", ALL_POOLINGS), ("Normalize", {}))
        found.append(PretrainedEncoder(read_pretrained(directory)))
    return found


@pytest.fixture(scope="module")
def preprocessor(encoders: list[PretrainedEncoder]) -> Preprocessor:
    spec = encoders[0].spec
    return KINDS["text"].load(whole_tokenizer(spec), spec.max_length)


@pytest.fixture(scope="module")
def prepared(preprocessor: Preprocessor) -> list[Prepared]:
    return preprocessor.prepare([Text(text) for text in TEXTS])


@pytest.fixture(scope="module")
def runner(encoders: list[PretrainedEncoder], preprocessor: Preprocessor, prepared: list[Prepared]) -> Runner:
    networks = [packed(encoder) for encoder in encoders]
    assert all(networks)
    graph = export_graph(Several(networks), packed_layout(preprocessor), prepared)  # type: ignore[arg-type]
    return Runner(preprocessor, graph)


@pytest.fixture(scope="module")
def expected(
    encoders: list[PretrainedEncoder], preprocessor: Preprocessor, prepared: list[Prepared]
) -> npt.NDArray[np.float32]:
    """The padded encoders, each text alone."""
    alone = [run_torch(encoder, preprocessor, prepared, batch_size=1) for encoder in encoders]
    return np.concatenate(alone, axis=1)


def test_a_packed_batch_gives_what_each_text_gives_alone(
    runner: Runner, prepared: list[Prepared], expected: npt.NDArray[np.float32]
) -> None:
    """In onnxruntime, for every kind of attention and every pooling."""
    together = runner.run(prepared)
    alone = np.concatenate([runner.run([one]) for one in prepared])

    assert runner.layout.is_packed
    np.testing.assert_allclose(alone, expected, atol=SAME)
    np.testing.assert_allclose(together, expected, atol=SAME)


@pytest.mark.parametrize(
    ("family", "changes"), PACKED, ids=[f"{name}{'-both-ways' * bool(changes)}" for name, changes in PACKED]
)
def test_packing_changes_no_vector_of_any_family(
    tmp_path: Path, prepared: list[Prepared], preprocessor: Preprocessor, family: str, changes: dict[str, Any]
) -> None:
    """In torch, against each text alone in the padded network."""
    directory = tiny.write_network(tmp_path / family, family, **changes)
    encoder = PretrainedEncoder(read_pretrained(directory))
    network, layout = packed(encoder), packed_layout(preprocessor)
    assert network is not None
    arrays = layout.collate(prepared)
    with torch.inference_mode():
        together = network(*(torch.from_numpy(arrays[name]) for name in layout.input_names)).numpy()

    alone = run_torch(encoder, preprocessor, prepared, batch_size=1)
    np.testing.assert_allclose(together, alone, atol=SAME)


def test_neighbours_and_their_order_change_nothing(
    runner: Runner, prepared: list[Prepared], expected: npt.NDArray[np.float32]
) -> None:
    chance = np.random.default_rng(0)
    for _ in range(10):
        rows = chance.integers(0, len(prepared), size=chance.integers(1, 12))
        vectors = runner.run([prepared[row] for row in rows])
        np.testing.assert_allclose(vectors, expected[rows], atol=SAME)


def test_the_network_attends_as_before_when_it_is_not_packed(
    encoders: list[PretrainedEncoder], preprocessor: Preprocessor, prepared: list[Prepared]
) -> None:
    """Packing borrows the network's attention and gives it back."""
    before = run_torch(encoders[0], preprocessor, prepared)
    network, arrays = packed(encoders[0]), packed_layout(preprocessor).collate(prepared)
    assert network is not None
    with torch.inference_mode():
        network(*(torch.from_numpy(arrays[name]) for name in packed_layout(preprocessor).input_names))

    np.testing.assert_array_equal(run_torch(encoders[0], preprocessor, prepared), before)


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if not family.packs])
def test_families_that_cannot_be_packed_stay_padded(tmp_path: Path, family: str) -> None:
    directory = tiny.write_network(tmp_path / family, family)

    assert packed(PretrainedEncoder(read_pretrained(directory))) is None
