"""The text encoder against a reference in numpy, and what it starts from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bundle.encoder import Runner
from bundle.preprocess import KINDS, Prepared
from bundle.preprocess.text import Text
from training.export import export_graph, run_torch
from training.layers import Int8Table, halve_layers
from training.text.axes import principal_axes
from training.text.config.model import TextModelConfig
from training.text.encoders.classic import (
    TextEncoder,
    token_counts,
    token_table,
)

Floats = npt.NDArray[np.float64]

CLOSE = 1e-6  # float32 against float64, vectors of length 1
TEXTS = [
    "hello world",
    "the cat sat on the mat",
    "a",
    "unheard words",
    "the red lamp the blue lamp on the mat",
]


def preprocessor() -> Any:
    return KINDS["text"].load(tiny.tokenizer_json(), tiny.MAX_LENGTH)


def prepared() -> list[Prepared]:
    return preprocessor().prepare([Text(text) for text in TEXTS], "end")


ORDERED = {  # what looks at a token's neighbours
    "window": {"width": 5, "embedding_dim": 2, "output_dim": 4},
    "bigrams": {"buckets": 7, "embedding_dim": 3},
}


def encoder(
    poolings: list[str], *, int8: bool = False, ordered: tuple[str, ...] = (), **hidden: Any
) -> TextEncoder:
    torch.manual_seed(1)
    config = TextModelConfig.model_validate(
        {
            "embedding_dim": 6,
            "poolings": poolings,
            "hidden": {"widths": [10, 7], "output_dim": 5} | hidden,
        }
        | {name: ORDERED[name] for name in ordered}
    )
    model = TextEncoder(len(tiny.WORDS), config).eval()
    model.initialise_weights(np.arange(len(tiny.WORDS)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # away from identity, zero and one
            if name.startswith("hidden"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    if int8:
        model.quantize_table()
    return model


def reference(model: TextEncoder, ids: npt.NDArray[np.int64]) -> Floats:
    """One text, unpadded, by the formulas and in float64. (t,) -> (output_dim,)."""
    state = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}
    tokens = table_of(state, "")[ids]
    weights = (
        np.exp(state["log_weights.weight"][ids, 0]) if "log_weights.weight" in state else np.ones(len(ids))
    )
    pooled = []
    for name in model.config.poolings:
        if name == "mean":
            one = tokens.mean(0)
        elif name == "max":
            one = tokens.max(0)
        elif name == "first":
            one = tokens[0]
        else:
            one = weights @ tokens / weights.sum()
        pooled.append(one / np.linalg.norm(one))
    for ordered in (windows(state, ids), bigrams(state, ids)):
        if ordered is not None:
            one = weights @ ordered
            pooled.append(one / np.linalg.norm(one))
    x = np.concatenate(pooled)
    vector = layers(state, x)
    if "hidden.skip.weight" in state:
        vector = vector + state["hidden.skip.weight"] @ x
    return vector / np.linalg.norm(vector)


def table_of(state: dict[str, Floats], part: str) -> Floats:
    if f"{part}table.weight" in state:
        return state[f"{part}table.weight"]
    return state[f"{part}table.quantized"] * state[f"{part}table.scale"][:, None]


def windows(state: dict[str, Floats], ids: npt.NDArray[np.int64]) -> Floats | None:
    """Five tokens, nothing beyond the ends, through a layer with tanh."""
    if "windows.linear.weight" not in state:
        return None
    narrow = np.pad(table_of(state, "windows.")[ids], ((2, 2), (0, 0)))
    around = np.stack([narrow[at : at + 5].reshape(-1) for at in range(len(ids))])
    return np.asarray(np.tanh(around @ state["windows.linear.weight"].T + state["windows.linear.bias"]))


def bigrams(state: dict[str, Floats], ids: npt.NDArray[np.int64]) -> Floats | None:
    """A row of seven for each token and the next; after the last comes token 0."""
    if not any(name.startswith("bigrams.") for name in state):
        return None
    return table_of(state, "bigrams.")[(ids * 1_000_003 + np.append(ids[1:], 0)) % 7]


def layers(state: dict[str, Floats], x: Floats) -> Floats:
    """LayerNorm, then linear layers with tanh between them."""
    places = sorted({int(name.split(".")[2]) for name in state if name.startswith("hidden.layers.")})
    for place in places:
        weight, bias = state[f"hidden.layers.{place}.weight"], state[f"hidden.layers.{place}.bias"]
        if weight.ndim == 1:
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * weight + bias
        else:
            x = weight @ x + bias
            x = x if place == places[-1] else np.tanh(x)
    return x


CASES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "mean": (["mean"], {}),
    "two poolings, no skip": (["weighted", "max"], {"skip": False}),
    "all poolings, no norm": (["first", "mean", "max", "weighted"], {"layer_norm": False}),
    "linear": (["weighted"], {"widths": []}),
    "windows of a plain mean": (["mean"], {"ordered": ("window",)}),
    "everything": (["weighted", "max"], {"ordered": ("window", "bigrams")}),
}


def expected_of(model: TextEncoder) -> Floats:
    return np.stack([reference(model, one.arrays["input_ids"]) for one in prepared()])


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("case", CASES)
def test_numpy_and_torch_agree(case: str, int8: bool) -> None:
    poolings, hidden = CASES[case]
    model = encoder(poolings, int8=int8, activation="tanh", **hidden)

    np.testing.assert_allclose(run_torch(model, preprocessor(), prepared()), expected_of(model), atol=CLOSE)


@pytest.mark.parametrize(
    ("case", "int8"),
    [
        ("two poolings, no skip", False),
        ("all poolings, no norm", True),
        ("linear", False),
        ("everything", False),
        ("everything", True),
    ],
)
def test_numpy_and_onnxruntime_agree(case: str, int8: bool) -> None:
    poolings, hidden = CASES[case]
    model = encoder(poolings, int8=int8, activation="tanh", **hidden)
    inputs, expected = prepared(), expected_of(model)
    runner = Runner(preprocessor(), export_graph(model, preprocessor(), inputs))

    np.testing.assert_allclose(runner.run(inputs), expected, atol=CLOSE)
    np.testing.assert_allclose(np.concatenate([runner.run([one]) for one in inputs]), expected, atol=CLOSE)


def test_vectors_are_as_long_as_the_last_layer_leaves_them_when_not_normalised() -> None:
    config = TextModelConfig.model_validate(
        {"embedding_dim": 2, "normalize": False, "hidden": {"output_dim": 2, "widths": []}}
    )
    model = TextEncoder(3, config)
    with torch.no_grad():
        model.hidden.layers[0].weight.mul_(7.0)
        norms = model(torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.int64)).norm(dim=-1)

    assert norms.tolist() == pytest.approx([7.0])  # the pooled vector has length 1


@given(st.integers(0, 1000), st.floats(1e-6, 1e3))
def test_an_int8_entry_is_at_most_half_a_scale_off(seed: int, size: float) -> None:
    weights = size * torch.randn(5, 9, generator=torch.Generator().manual_seed(seed))
    table = Int8Table(weights)
    back = table(torch.arange(5).unsqueeze(0))[0]
    scale = weights.abs().amax(1, keepdim=True) / 127

    assert bool(((back - weights).abs() <= 0.5001 * scale).all())  # and float32's own rounding
    assert table.quantized.dtype == torch.int8
    torch.testing.assert_close(back.abs().amax(1), weights.abs().amax(1))  # the largest is kept


def test_an_int8_row_of_zeros_stays_zero() -> None:
    assert Int8Table(torch.zeros(2, 3))(torch.tensor([[0, 1]])).tolist() == [[[0.0] * 3] * 2]


def test_an_int8_vector_does_not_depend_on_its_neighbours() -> None:
    """As dynamic quantisation's does: one scale per row of the table, none per batch."""
    model = encoder(["mean"], int8=True)
    inputs, loaded = prepared(), preprocessor()
    alone = np.concatenate([run_torch(model, loaded, [one]) for one in inputs])

    np.testing.assert_allclose(run_torch(model, loaded, inputs), alone, atol=CLOSE)


@pytest.mark.parametrize("part", ["window", "bigrams"])
def test_words_in_another_order_give_another_vector(part: str) -> None:
    inputs = [Text("hello world the cat"), Text("cat the world hello")]
    found = preprocessor().prepare(inputs, "end")

    def distance(*ordered: str) -> float:
        first, second = run_torch(encoder(["mean"], ordered=ordered), preprocessor(), found)
        return float(np.abs(first - second).max())

    assert distance() < CLOSE
    assert distance(part) > 1e-3


def test_quantising_twice_is_quantising_once() -> None:
    model = encoder(["mean"], int8=True)
    table = model.table
    model.quantize_table()

    assert model.table is table


@pytest.mark.parametrize(("dim", "width"), [(256, 256), (64, 96), (16, 24), (4, 1)])
def test_layers_in_float16_are_so_in_the_graph_and_compute_in_float32(dim: int, width: int) -> None:
    """The widths of the bundled encoder, and such as the exporter folds back to float32."""
    torch.manual_seed(0)
    hidden = {"widths": [width], "output_dim": dim}
    config = TextModelConfig.model_validate({"embedding_dim": dim, "window": {}, "hidden": hidden})
    model, inputs = TextEncoder(len(tiny.WORDS), config).eval(), prepared()
    layout = preprocessor().layouts[0]
    before = run_torch(model, preprocessor(), inputs)
    layers = sorted(part.weight.numel() for part in model.modules() if isinstance(part, nn.Linear))
    halve_layers(model)
    after, graph = run_torch(model, preprocessor(), inputs), export_graph(model, layout, inputs)
    constants = onnx.load_from_string(graph).graph.initializer
    halves = [math.prod(one.dims) for one in constants if one.data_type == onnx.TensorProto.FLOAT16]

    assert 0 < np.abs(after - before).max() < 1e-3
    np.testing.assert_allclose(Runner(preprocessor(), graph).run(inputs), after, atol=CLOSE)
    assert sorted(halves) == layers


def test_principal_axes_are_orthonormal_and_keep_cosines() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(200, 6)) * [9, 5, 3, 1, 0.5, 0.1]
    axes = principal_axes(vectors)
    turned = vectors @ axes

    np.testing.assert_allclose(axes.T @ axes, np.eye(6), atol=1e-6)
    np.testing.assert_allclose(turned @ turned.T, vectors @ vectors.T, rtol=1e-4, atol=1e-4)
    assert (np.diff((turned**2).sum(0)) < 0).all()  # the first coordinates hold the most


def test_principal_axes_of_vectors_along_one_direction_begin_with_it() -> None:
    direction = np.array([3.0, 4.0]) / 5
    axes = principal_axes(np.outer([1.0, -2.0, 3.0], direction))

    np.testing.assert_allclose(np.abs(axes[:, 0]), direction, atol=1e-6)


def test_principal_axes_look_at_all_sources_of_the_vectors() -> None:
    """The first half points one way, the larger second half another."""
    vectors = np.repeat([[1.0, 0.0], [0.0, 3.0]], 500, axis=0)

    np.testing.assert_allclose(np.abs(principal_axes(vectors, sample=100)[:, 0]), [0, 1], atol=1e-6)


def test_start_weights_are_sif() -> None:
    """a / (a + p): of 8 tokens one occurs 6 times, one 2 times, one never; a = 1/4."""
    config = TextModelConfig.model_validate({"poolings": ["weighted"], "sif": 0.25})
    model = TextEncoder(3, config)
    model.initialise_weights(np.array([6, 2, 0]))
    assert model.log_weights is not None
    weights = model.log_weights.weight.detach().exp().flatten().tolist()

    assert weights == pytest.approx([0.25 / (0.25 + 0.75), 0.25 / (0.25 + 0.25), 1.0])


def test_start_weights_without_weighted_pooling_do_nothing() -> None:
    model = TextEncoder(3, TextModelConfig())
    model.initialise_weights(np.array([6, 2, 0]))

    assert model.log_weights is None


def test_token_counts_are_over_everything() -> None:
    counts = token_counts([np.array([1, 1, 3], np.int32), np.zeros(0, np.int32), np.array([3])], 5)

    assert counts.tolist() == [0, 2, 0, 2, 0]


def test_a_token_table_is_centred_turned_and_cut() -> None:
    vectors = np.array([[1.0, 2, 3], [3, 2, 1], [2, 8, 2]], dtype=np.float32)
    axes = np.eye(3, dtype=np.float32)[:, [1, 0, 2]]
    table = token_table(vectors, axes, 2)
    model = TextEncoder(3, TextModelConfig.model_validate({"embedding_dim": 2}))
    model.initialise_from(table)

    assert table.tolist() == [[-2.0, -1.0], [-2.0, 1.0], [4.0, 0.0]]  # means 2, 4, 2; the second axis first
    np.testing.assert_array_equal(model.table(torch.arange(3)).detach().numpy(), table)
