"""What a graph may contain: compared with the `onnx` package on graphs it builds, and fed with garbage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bundle import IntegrityError
from bundle.graph import MAX_DEPTH, MAX_FIELDS, check_graph, count_weights, has_loops

GRAPHS = {draft.name: draft.graph for draft in [tiny.text_draft(), *tiny.pair_drafts()]}
EXTERNAL, CUSTOM = "other files", "custom operator"


def graph(nodes: list[onnx.NodeProto], *initializers: onnx.TensorProto, **fields: Any) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    return helper.make_graph(nodes, "g", [], [output], list(initializers), **fields)


def model(body: onnx.GraphProto, **fields: Any) -> onnx.ModelProto:
    fields.setdefault("opset_imports", [helper.make_opsetid("", 20)])
    return helper.make_model(body, ir_version=10, **fields)


def tensor(name: str = "x") -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones(2, np.float32), name)


def external(name: str = "x") -> onnx.TensorProto:
    """Weights in another file, as large exports have them."""
    outside = tensor(name)
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../etc/passwd")
    return outside


def sparse(values: onnx.TensorProto) -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([0, 1])), [4])


def node(domain: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Identity", ["x"], ["y"], domain=domain, **attributes)


def constant(**attribute: Any) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["y"], **attribute)


def branch(body: onnx.GraphProto) -> onnx.GraphProto:
    """The body as a branch of an If."""
    return graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=graph([node()]))], tensor()
    )


def with_function(body: list[onnx.NodeProto]) -> onnx.ModelProto:
    function = helper.make_function("here", "f", ["x"], ["y"], body, [helper.make_opsetid("", 17)])
    return model(graph([node()], tensor()), functions=[function])


def with_training(body: onnx.GraphProto) -> onnx.ModelProto:
    found = model(graph([node()], tensor()))
    found.training_info.add(algorithm=body)
    return found


def attribute_default(body: onnx.TensorProto) -> onnx.ModelProto:
    found = with_function([node()])
    found.functions[0].attribute_proto.append(helper.make_attribute("w", body))
    return found


REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "initializer": (model(graph([node()], external())), EXTERNAL),
    "initializer of a subgraph": (model(branch(graph([node()], external()))), EXTERNAL),
    "initializer two subgraphs down": (model(branch(branch(graph([node()], external())))), EXTERNAL),
    "Constant": (model(graph([constant(value=external())])), EXTERNAL),
    "list of tensors": (model(graph([node(values=[tensor(), external()])])), EXTERNAL),
    "list of graphs": (model(graph([node(bodies=[graph([node()], external())])])), EXTERNAL),
    "sparse initializer": (model(graph([node()], sparse_initializer=[sparse(external())])), EXTERNAL),
    "sparse Constant": (model(graph([constant(sparse_value=sparse(external()))])), EXTERNAL),
    "body of a function": (with_function([constant(value=external())]), EXTERNAL),
    "default of a function": (attribute_default(external()), EXTERNAL),
    "training graph": (with_training(graph([node()], external())), EXTERNAL),
    "operator": (model(graph([node("com.example")], tensor())), CUSTOM),
    "contributed operator": (model(graph([node("com.microsoft")], tensor())), CUSTOM),
    "operator in a subgraph": (model(branch(graph([node("com.example")]))), CUSTOM),
    "operator in a function": (with_function([node("com.example")]), CUSTOM),
}


@pytest.mark.parametrize(("unsafe", "reason"), REFUSED.values(), ids=REFUSED)
def test_unsafe_graph_is_refused_wherever_it_hides(unsafe: onnx.ModelProto, reason: str) -> None:
    with pytest.raises(IntegrityError, match=reason):
        check_graph(unsafe.SerializeToString())


ALLOWED = {
    "plain": model(graph([node()], tensor())),
    "subgraph": model(branch(graph([node()], tensor()))),
    "ml operator": model(graph([node("ai.onnx.ml")], tensor())),
    "domain spelled out": model(graph([node("ai.onnx")], tensor())),
    "sparse": model(graph([node()], sparse_initializer=[sparse(tensor())])),
    "function": with_function([node()]),
}


@pytest.mark.parametrize("safe", ALLOWED.values(), ids=ALLOWED)
def test_graph_of_standard_operators_with_embedded_weights_is_allowed(safe: onnx.ModelProto) -> None:
    assert check_graph(safe.SerializeToString()) == 20


def loop(kind: str = "Loop") -> onnx.NodeProto:
    return helper.make_node(kind, ["trips", "", "x"], ["y"], body=graph([node()]))


LOOPS = {
    "loop": (model(graph([loop()])), True),
    "scan": (model(graph([loop("Scan")])), True),
    "in a branch": (model(branch(graph([node(), loop()]))), True),
    "in a function": (with_function([loop()]), True),
    "none": (model(branch(graph([node()]))), False),
    "a name": (model(graph([helper.make_node("Identity", ["Loop"], ["Scan"], name="Loop")])), False),
}


@pytest.mark.parametrize(("content", "loops"), LOOPS.values(), ids=LOOPS)
def test_loops_are_found_wherever_they_are(content: onnx.ModelProto, loops: bool) -> None:
    assert has_loops(content.SerializeToString()) is loops


@pytest.mark.parametrize("content", GRAPHS.values(), ids=GRAPHS)
def test_opset_is_what_onnx_reads(content: bytes) -> None:
    (opset,) = onnx.load_from_string(content).opset_import
    assert check_graph(content) == opset.version


def test_weights_are_counted_by_their_type() -> None:
    """Wherever they stand, packed or in fields of their own; shapes in int64 are none."""
    stored = [
        numpy_helper.from_array(np.zeros((3, 5), np.float32), "a"),
        numpy_helper.from_array(np.zeros((2, 2), np.float32), "b"),
        numpy_helper.from_array(np.zeros(7, np.int8), "c"),
        numpy_helper.from_array(np.zeros(4, np.int64), "shape"),
        numpy_helper.from_array(np.float32(1), "scalar"),
    ]
    whole = model(graph([node()], *stored)).SerializeToString()

    assert count_weights(whole) == {"F32": 20, "I8": 7}


@pytest.mark.parametrize("dims", [b"\x08\x03\x08\x05", b"\x0a\x02\x03\x05"], ids=["apart", "packed"])
def test_a_shape_is_read_in_both_forms_of_protobuf(dims: bytes) -> None:
    content = OPSET + message(7, message(5, dims + b"\x10\x01"))

    assert count_weights(content) == {"F32": 15}


@pytest.mark.parametrize("version", [1, 17, 127, 128, 20_000])
def test_opset_is_that_of_the_core_domain(version: int) -> None:
    """Not that of ai.onnx.ml, and not that of a function."""
    opsets = [helper.make_opsetid("ai.onnx.ml", version + 1), helper.make_opsetid("", version)]
    assert check_graph(model(graph([node()], tensor()), opset_imports=opsets).SerializeToString()) == version


def test_model_without_core_opset_is_refused() -> None:
    only_ml = model(graph([node()]), opset_imports=[helper.make_opsetid("ai.onnx.ml", 3)])
    with pytest.raises(IntegrityError, match="not an ONNX model"):
        check_graph(only_ml.SerializeToString())


# Bytes made by hand: what a writer of protobuf cannot write, but a reader may be lied to with.


def varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def message(number: int, content: bytes, tag_bits: int = 0) -> bytes:
    return varint((number << 3 | 2) + tag_bits) + varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


OPSET = message(8, number(2, 20))


def test_bytes_made_by_hand_are_read() -> None:
    assert check_graph(OPSET + message(7, b"")) == 20


LIES: dict[str, bytes] = {
    "location overwritten with the wrong type": message(7, message(5, number(14, 1) + message(14, b""))),
    "location overwritten": message(7, message(5, number(14, 1) + number(14, 0))),
    "empty external entry": message(7, message(5, message(13, b""))),
    "domain overwritten with a number": message(7, message(1, message(7, b"evil") + number(7, 0))),
    "domain overwritten": message(7, message(1, message(7, b"evil") + message(7, b""))),
    "tag of more than 32 bits": message(7, message(5, message(13, b"k"), tag_bits=1 << 32)),
    "field number zero": message(7, message(0, b"")),
    "endless number": message(7, b"\x08" + b"\xff" * 11),
    "group": message(7, b"\x0b\x0c"),
    "version of the wrong type": message(8, message(2, b"20")),
    "huge number as domain": message(7, message(1, number(7, 2**62))) + b"\x00",
    "length beyond the end": message(7, varint(5 << 3 | 2) + varint(2**40)),
}


@pytest.mark.parametrize("body", LIES.values(), ids=LIES)
def test_bytes_that_two_readers_may_read_differently_are_refused(body: bytes) -> None:
    with pytest.raises(IntegrityError):
        check_graph((b"" if body.startswith(b"\x42") else OPSET) + body + message(7, b""))


def nested(depth: int) -> bytes:
    """Graph in attribute in node in graph, as bytes: python's onnx stops at a hundred."""
    content = b""
    for _ in range(depth):
        content = message(1, message(5, message(6, content)))
    return OPSET + message(7, content)


def test_deep_nesting_is_refused_and_shallow_is_not() -> None:
    assert check_graph(nested(MAX_DEPTH // 3 - 1)) == 20
    for depth in (MAX_DEPTH, 1000):
        with pytest.raises(IntegrityError, match="nests"):
            check_graph(nested(depth))


def test_graph_of_too_many_parts_is_refused() -> None:
    """Numbers one by one would take seconds to walk, and no exporter writes them so."""
    with pytest.raises(IntegrityError, match="parts"):
        check_graph(OPSET + message(7, b"\x08\x01" * (MAX_FIELDS + 1)))


def judged(content: bytes) -> bool:
    """Whether it is accepted; any exception but IntegrityError escapes."""
    try:
        check_graph(content)
    except IntegrityError:
        return False
    return True


@pytest.mark.parametrize("content", GRAPHS.values(), ids=GRAPHS)
def test_truncated_graph_is_refused_or_whole_as_far_as_it_goes(content: bytes) -> None:
    """Cut inside a field is refused; protobuf itself cannot tell a cut between fields, the size check can."""
    accepted = [end for end in range(len(content)) if judged(content[:end])]
    assert len(accepted) <= 3


@given(content=st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_integrity_error(content: bytes) -> None:
    judged(content)


@settings(max_examples=200)
@given(data=st.data())
def test_changed_graph_raises_nothing_but_integrity_error(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(list(GRAPHS.values()))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    judged(bytes(content))


@settings(max_examples=200)
@given(data=st.data())
def test_graph_that_is_accepted_keeps_no_tensor_outside_for_onnx_either(data: st.DataObject) -> None:
    """Whatever a mutation does, onnx's own reader finds no external tensor in what was accepted."""
    content = bytearray(model(graph([node()], tensor("a"), tensor("b"))).SerializeToString())
    position = data.draw(st.integers(0, len(content) - 2))
    content[position : position + 2] = data.draw(st.binary(min_size=0, max_size=4) | st.just(b"\x70\x01"))
    if judged(bytes(content)):
        try:
            found = onnx.load_from_string(bytes(content))
        except Exception:  # protobuf's own, of no public type
            return
        assert not any(each.data_location == TensorProto.EXTERNAL for each in found.graph.initializer)


def test_real_exporters_external_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    whole = onnx.load_from_string(GRAPHS["text"])
    onnx.save_model(whole, path, save_as_external_data=True, location="w", size_threshold=0)
    with pytest.raises(IntegrityError, match=EXTERNAL):
        check_graph(path.read_bytes())


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("is_raw", [True, False])
def test_a_weight_that_is_no_number_is_refused(kind: type[np.floating], is_raw: bool) -> None:
    """Wherever it stands: golden inputs reach few rows of a table. Infinity is what masks are made of."""
    values = np.array([1, -np.inf, 2], kind)

    def stored(array: np.ndarray) -> onnx.TensorProto:
        if is_raw or kind is np.float16:
            return numpy_helper.from_array(array, "x")
        return helper.make_tensor("x", helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array)

    check_graph(model(graph([node()], stored(values))).SerializeToString())
    values[2] = np.nan
    with pytest.raises(IntegrityError, match="no numbers"):
        check_graph(model(graph([node()], stored(values))).SerializeToString())
