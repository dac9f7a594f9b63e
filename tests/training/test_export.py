"""Export: proven against torch, free in its axes, and without a trace of the machine that made it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny
import tiny_training
import torch
from torch import Tensor, nn

from bundle.encoder import OUTPUT, Runner
from bundle.errors import EncoderyError
from bundle.golden import TOLERANCE
from bundle.graph import check_graph
from bundle.preprocess import KINDS, Facts, Prepared
from bundle.preprocess.text import Text
from bundle.publish import publish
from training.errors import ExportError
from training.export import (
    BATCH_COST,
    BATCH_INPUTS,
    OPSET,
    Exportable,
    compare,
    draft_of,
    export_graph,
    git_commit,
    padded_batches,
    run_torch,
    stripped,
)
from training.layers import ACTIVATIONS, POOLINGS
from training.provenance import of_run
from training.text.config.model import TextModelConfig
from training.text.encoders.classic import TextEncoder
from training.text.parity import parity_texts

LENGTH = 200


def preprocessor() -> Any:
    return KINDS["text"].load(tiny.tokenizer_json(), LENGTH)


def inputs(*texts: str) -> list[Prepared]:
    return preprocessor().prepare([Text(text) for text in texts], "end")


SOME = ["hello world", "the cat sat on the mat", "a", "the " * 30, "red blue lamp"]


def encoder(
    pooling: str = "weighted", activation: str = "gelu", *, int8: bool = False, plain: bool = False
) -> TextEncoder:
    torch.manual_seed(3)
    hidden = {"widths": [12], "output_dim": tiny.DIM, "activation": activation}
    hidden |= {"skip": not plain, "layer_norm": not plain}
    config = TextModelConfig.model_validate({"embedding_dim": 8, "poolings": [pooling], "hidden": hidden})
    model = TextEncoder(len(tiny.WORDS), config)
    model.initialise_weights(np.arange(len(tiny.WORDS)))
    if int8:
        model.quantize_table()
    return model.eval()


class IgnoresMask(nn.Module):
    """Means over the padding too: right alone, wrong in a batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(len(tiny.WORDS), tiny.DIM)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return nn.functional.normalize(
            self.table(input_ids).mean(1) + 0.0 * attention_mask.sum(1, keepdim=True)
        )


class Several(nn.Module):
    """Many encoders side by side: one export in place of one each."""

    def __init__(self, encoders: Sequence[nn.Module]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return torch.cat([encoder(input_ids, attention_mask) for encoder in self.encoders], dim=-1)


@pytest.fixture(scope="module")
def graph() -> bytes:
    return export_graph(encoder(), preprocessor(), inputs(*SOME))


def test_every_pooling_and_activation_gives_the_vectors_of_torch() -> None:
    """All combinations in one graph, each alone and in padded batches."""
    model = Several([encoder(*each, plain=True) for each in product(POOLINGS, ACTIVATIONS)])
    some = inputs(*SOME)
    expected = run_torch(model, preprocessor(), some, batch_size=1)
    parity = compare(export_graph(model, preprocessor(), some), preprocessor(), some, expected)

    assert expected.shape == (len(SOME), len(POOLINGS) * len(ACTIVATIONS) * tiny.DIM)
    assert parity.inputs == len(SOME)
    assert max(parity.max_abs_diff, parity.batch_max_abs_diff) <= TOLERANCE


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
def test_batch_and_length_are_free(graph: bytes, int8: bool) -> None:
    """Traced with 4 texts of up to 30 tokens; run with 1 to 50 texts of 1 to 200 tokens."""
    model, loaded = encoder(int8=int8), preprocessor()
    runner = Runner(loaded, export_graph(model, loaded, inputs(*SOME)) if int8 else graph)
    for count, length in product((1, 2, 50), (1, 7, LENGTH)):
        some = inputs(*("cat mat " * (i % length) + "on" for i in range(count - 1)), "cat " * length)
        vectors = runner.run(some)

        assert vectors.shape == (count, tiny.DIM)
        np.testing.assert_allclose(vectors, run_torch(model, loaded, some), atol=TOLERANCE)


def test_a_graph_that_ignores_the_mask_is_refused() -> None:
    model, some = IgnoresMask(), inputs(*SOME)
    expected = run_torch(model, preprocessor(), some, batch_size=1)
    graph = export_graph(model, preprocessor(), some)
    with pytest.raises(ExportError, match=r"off its own batches, the limit is 1e-05") as caught:
        compare(graph, preprocessor(), some, expected)

    assert isinstance(caught.value, EncoderyError)


def test_a_graph_of_other_weights_is_refused(graph: bytes) -> None:
    some = inputs(*SOME)
    with pytest.raises(ExportError, match="off torch, the limit is 1e-05"):
        compare(graph, preprocessor(), some, run_torch(encoder("max"), preprocessor(), some))


def test_vectors_that_are_not_numbers_are_refused(graph: bytes) -> None:
    some = inputs(*SOME)
    with pytest.raises(ExportError, match="nan off torch"):
        compare(graph, preprocessor(), some, np.full((len(some), tiny.DIM), np.nan, np.float32))


def test_a_graph_that_does_not_run_is_refused_with_a_sentence() -> None:
    some = inputs(*SOME)
    with pytest.raises(ExportError, match="onnxruntime cannot run the graph"):
        compare(b"no graph", preprocessor(), some, np.zeros((len(some), 1), np.float32))


@pytest.mark.parametrize(("scale", "refused"), [(1.0, True), (100.0, False)])
def test_the_limit_grows_with_the_vectors(graph: bytes, scale: float, refused: bool) -> None:
    """0.0002 off is wrong for vectors of length 1, and rounding where numbers reach 100."""
    some = inputs(*SOME)
    model = onnx.load_from_string(graph)
    last = model.graph.node[-1].output[0]
    model.graph.node[-1].output[0] = "unscaled"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(scale), "scale"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["unscaled", "scale"], [last]))
    expected = scale * run_torch(encoder(), preprocessor(), some, batch_size=1)
    expected[0, 0] += 2e-4
    if refused:
        with pytest.raises(ExportError, match="the limit is 1e-05"):
            compare(model.SerializeToString(), preprocessor(), some, expected)
    else:
        compare(model.SerializeToString(), preprocessor(), some, expected)


def test_padded_batches_hold_all_in_order_and_no_long_one_many_times() -> None:
    some = [Prepared({}, cost=cost, facts=Facts(tokens=cost)) for cost in (5, 900, 1, 9000, 2, *[3] * 9)]
    batches = list(padded_batches(some))

    assert [one for batch in batches for one in batch] == some
    assert [len(batch) for batch in batches] == [3, 1, BATCH_INPUTS, 3]
    assert all(
        len(batch) * max(one.cost for one in batch) <= BATCH_COST for batch in batches if len(batch) > 1
    )


def test_the_graph_is_what_a_bundle_may_hold(graph: bytes) -> None:
    model = onnx.load_from_string(graph)

    assert check_graph(graph) == OPSET
    assert [output.name for output in model.graph.output] == [OUTPUT]
    assert [node.name for node in model.graph.input] == ["input_ids", "attention_mask"]


def test_the_graph_says_nothing_of_the_machine(graph: bytes) -> None:
    """The exporter's notes hold stack traces with paths, names of classes and its own version."""
    root = str(Path(__file__).parents[2])
    traces = [
        root,
        "/home/",
        "site-packages",
        ".py",
        "File ",
        "Traceback",
        "forward(",
        "torch",
        "pkg.",
        str(Path.home()),
    ]

    assert [trace for trace in traces if trace.encode() in graph] == []
    assert onnx.load_from_string(graph).producer_name == "encodery"


def test_stripping_takes_notes_from_wherever_they_are() -> None:
    """Doc strings and metadata of model, graph, nodes, inputs, outputs and weights."""
    model = onnx.load_from_string(tiny.text_draft().graph)
    parts = [
        model,
        model.graph,
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
    ]
    for part in parts:
        part.doc_string = "SECRET"
        if hasattr(part, "metadata_props"):
            part.metadata_props.add(key="SECRET", value="SECRET")
    model.graph.value_info.add(name="SECRET")

    assert b"SECRET" not in stripped(model.SerializeToString())


def test_exporting_twice_gives_the_same_bytes(graph: bytes) -> None:
    assert export_graph(encoder(), preprocessor(), inputs(*SOME)) == graph


def test_run_torch_keeps_the_order_and_evaluates() -> None:
    torch.manual_seed(0)
    config = TextModelConfig.model_validate({"embedding_dim": 8, "hidden": {"widths": [12], "dropout": 0.5}})
    model = TextEncoder(len(tiny.WORDS), config).train()
    some = inputs(*SOME)
    together = run_torch(model, preprocessor(), some, batch_size=2)

    assert together.dtype == np.float32
    np.testing.assert_allclose(
        together, np.concatenate([run_torch(model, preprocessor(), [one]) for one in some]), atol=1e-6
    )


def test_run_torch_of_nothing_is_nothing() -> None:
    assert run_torch(encoder(), preprocessor(), []).shape == (0, 0)


def test_parity_texts_are_short_long_and_odd() -> None:
    lengths = [
        one.cost for one in preprocessor().prepare([Text(text) for text in parity_texts(LENGTH)], "end")
    ]

    assert min(lengths) == 1
    assert max(lengths) == LENGTH
    assert len(set(lengths)) > 20


def exportable(**changes: Any) -> Exportable:
    fields: dict[str, Any] = {
        "name": "tiny",
        "description": "a tiny encoder",
        "kind": "text",
        "model": encoder(),
        "preprocessor": tiny.tokenizer_json(),
        "parity_inputs": [Text(text) for text in parity_texts(LENGTH)],
        "dimensions": [],
        "normalized": True,
        "metric": "cosine",
        "max_length": LENGTH,
    }
    return Exportable(**(fields | changes))


def test_a_draft_can_be_published_and_says_where_it_comes_from(tmp_path: Path) -> None:
    run = tiny_training.text_run(seed=5)
    draft = draft_of(exportable(), of_run(run, "1" * 64), {"spearman": tiny.TRAINED.metrics["accuracy"]})
    (manifest,) = publish(tmp_path, [draft])

    assert (manifest.dim, manifest.dimensions, manifest.opset) == (tiny.DIM, [tiny.DIM], OPSET)
    assert (manifest.trained.seed, manifest.trained.data_sha256) == (5, "1" * 64)
    assert manifest.trained.git_commit == git_commit()
    assert set(manifest.trained.libraries) >= {"torch", "onnxruntime", "tokenizers", "python"}
    assert "| spearman | 0.5000 | chance 0.2500 |" in draft.card
    assert json.dumps({"model": "tiny", "inputs": ["Where is my parcel?"]}) in draft.card
    assert str(tmp_path) not in draft.card
