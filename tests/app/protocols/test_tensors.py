"""Tensors in JSON and in binary: a value is one of its datatype, or is refused by its place."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.json_values import PIECE
from app.api.protocols.datatypes import DATATYPES
from app.api.protocols.kserve.missing import load_body
from app.api.protocols.tensors import TensorSpec, read_tensors
from app.http.errors import InvalidRequest, MalformedRequest

NUMBERS = [name for name, row in DATATYPES.items() if row.wire]


def read(datatype: str, data: Any, shape: list[int] | None = None, **parameters: Any) -> list[Any]:
    """The values of a tensor in JSON, row by row."""
    spec = TensorSpec(
        name="t", datatype=datatype, shape=shape or [len(data)], data=data, parameters=parameters
    )
    return [value for row in read_tensors([spec], memoryview(b""))["t"].rows for value in row]


def read_binary(datatype: str, block: bytes, count: int) -> list[Any]:
    spec = TensorSpec(name="t", datatype=datatype, shape=[count], parameters={"binary_data_size": len(block)})
    return [row[0] for row in read_tensors([spec], memoryview(block))["t"].rows]


@pytest.mark.parametrize(
    ("datatype", "least", "most"),
    [("INT8", -128, 127), ("UINT8", 0, 255), ("INT16", -(2**15), 2**15 - 1), ("UINT16", 0, 2**16 - 1),
     ("INT32", -(2**31), 2**31 - 1), ("UINT32", 0, 2**32 - 1), ("INT64", -(2**63), 2**63 - 1),
     ("UINT64", 0, 2**64 - 1)],
)  # fmt: skip
def test_whole_numbers_lie_within_their_bits(datatype: str, least: int, most: int) -> None:
    assert read(datatype, [least, 0, most]) == [least, 0, most]
    for wrong in (least - 1, most + 1, 1.5, 1.0, True, None, "1", {}):
        with pytest.raises(InvalidRequest, match=rf"data\[1\]: no {datatype}, .* from {least} to"):
            read(datatype, [0, wrong])


@pytest.mark.parametrize(
    ("datatype", "most"), [("FP16", 65504.0), ("FP32", 3.4028234e38), ("FP64", 1.79e308)]
)
def test_floats_lie_within_theirs_and_may_be_missing(datatype: str, most: float) -> None:
    assert read(datatype, [-most, 1, most, None]) == [-most, 1.0, most, None]
    for wrong in (most * 2, True, "1.5", {}):
        with pytest.raises(InvalidRequest, match=rf"^inputs\[0\].data\[0\]: no {datatype}, .*null"):
            read(datatype, [wrong, 1.0])


def test_truth_values_are_two() -> None:
    assert read("BOOL", [True, False, 1, 0]) == [True, False, True, False]
    assert read_binary("BOOL", b"\1\0", 2) == [True, False]
    for wrong in (2, -1, None, "true", 1.0):
        with pytest.raises(InvalidRequest, match="no BOOL"):
            read("BOOL", [wrong])
    with pytest.raises(InvalidRequest, match="no BOOL"):
        read_binary("BOOL", b"\1\2", 2)


@given(st.sampled_from(NUMBERS), st.data())
def test_json_gives_what_binary_gives(datatype: str, data: st.DataObject) -> None:
    wire = DATATYPES[datatype].wire
    assert wire
    dtype = np.dtype(wire)
    block = data.draw(st.binary(max_size=16 * dtype.itemsize))
    block = bytes(byte & 1 for byte in block) if dtype.kind == "b" else block
    block = block[: len(block) // dtype.itemsize * dtype.itemsize]
    values = np.frombuffer(block, dtype)
    if not len(values) or (dtype.kind == "f" and np.isinf(values).any()):
        return

    in_json = json.loads(json.dumps(values.tolist()), parse_constant=lambda nan: None)

    for found, expected in zip(
        read(datatype, in_json), read_binary(datatype, block, len(values)), strict=True
    ):
        assert found == expected or (found is None and np.isnan(expected))


@pytest.mark.parametrize(
    ("data", "shape"),
    [(["a", "b"], [2]), ([["a"], ["b"]], [2]), ([[["a"], ["b"]]], [2]), ([["a", "b"]], [2, 1]),
     ([[[["a"]]], [[["b"]]]], [1, 2])],
)  # fmt: skip
def test_evenly_nested_data_is_read_row_by_row(data: list[Any], shape: list[int]) -> None:
    assert read("BYTES", data, shape) == ["a", "b"]


@pytest.mark.parametrize("data", [["a", ["b"]], [["a"], "b"], [["a"], [["b"]]], [[], "a", "b"]])
def test_unevenly_nested_data_is_refused(data: list[Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"^inputs\[0\].data"):
        read("BYTES", data, [2])


WRONG: list[tuple[dict[str, Any], bytes, str]] = [
    ({"shape": [3]}, b"", "inputs[1].shape: the shape is of 3, the data of 2 values"),
    ({"shape": [2**40, 2**40]}, b"", "more than"),
    ({"shape": [-1]}, b"", "inputs[1].shape: a length is negative"),
    ({"shape": [0], "data": []}, b"", "inputs[1].shape: the batch is empty"),
    ({"shape": []}, b"", "got 0 axes"),
    ({"shape": [2, 1, 1]}, b"", "got 3 axes"),
    ({"datatype": "STRING"}, b"", "inputs[1].datatype: expected one of BYTES, BOOL"),
    ({"datatype": "BF16"}, b"", "inputs[1].datatype"),
    ({"name": "first"}, b"", "inputs[1].name: an earlier tensor has the same name"),
    ({"data": None}, b"", '"inputs[1].data" is missing'),
    ({"data": ["a", 1]}, b"", "inputs[1].data[1]: no BYTES"),
    ({"data": None, "parameters": {"binary_data_size": 6}}, b"\1\0\0\0a", "a whole number up to 5"),
    ({"data": None, "parameters": {"binary_data_size": True}}, b"\0", "parameters.binary_data_size: exp"),
    ({"data": None, "parameters": {"binary_data_size": 5}}, b"\2\0\0\0a", "[0]: a string is longer"),
    ({"data": None, "parameters": {"binary_data_size": 5}}, b"\1\0\0\0\xff", "a string is not UTF-8"),
    ({"data": None, "datatype": "INT32", "parameters": {"binary_data_size": 3}}, b"abc", "no whole number"),
    ({"parameters": {"binary_data_size": 5}}, b"\1\0\0\0a", "inputs[1].data: send data or binary_data_size"),
    ({"parameters": {"shared_memory_region": "r"}}, b"", "inputs[1].parameters.shared_mem"),
    ({"parameters": {"content_type": "base64"}}, b"", "inputs[1].data[0]: no base64 of UTF-8"),
    ({}, b"\0", "1 bytes follow the last tensor"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "block", "told"), WRONG)
def test_what_is_wrong_is_told_by_its_place(change: dict[str, Any], block: bytes, told: str) -> None:
    good = {"name": "a", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}
    specs = [TensorSpec(**(good | {"name": "first"})), TensorSpec(**(good | change))]

    with pytest.raises(InvalidRequest) as raised:
        read_tensors(specs, memoryview(block))

    assert told in str(raised.value)


def test_null_is_a_parameter_that_is_left_out() -> None:
    assert read("BYTES", ["a"], binary_data_size=None, shared_memory_region=None) == ["a"]


def test_base64_is_read_where_the_content_type_says_so() -> None:
    """As MLServer's codec has it; others tell how numbers were written, and change nothing."""
    coded = base64.b64encode("grüße".encode()).decode()

    assert read("BYTES", [coded, "", None], content_type="base64") == ["grüße", "", None]
    assert read("BYTES", [coded], content_type="str") == [coded]


@pytest.mark.parametrize(
    ("body", "expected"),
    [('{"a": NaN}', None), ('{"a": [NaN,NaN , NaN]}', [None] * 3), ('{"a": "NaN, [NaN"}', "NaN, [NaN"),
     (r'{"a": ["\"NaN", NaN, "\\", NaN]}', ['"NaN', None, "\\", None]), ('{"a": [1, NaN]}', [1, None])],
)  # fmt: skip
def test_nan_is_a_missing_number(body: str, expected: Any) -> None:
    assert load_body(body.encode()) == {"a": expected}


@pytest.mark.parametrize(
    "body",
    ['{"a": -NaN}', '{"a": NaNs}', '{"a": xNaN}', '{"a": 1NaN}', '{"NaN": ', '{NaN: 1}', '{"a": nan}',
     '{"a": \0\0\0}', '{"a": NaN, "b": \0\0\0}', '{"a": NaNNaN}', '{"a": trueNaN}', '{"a": [NaN NaN]}',
     '{"a": Infinity}', '{"a": -Infinity}', '{"a": "NaN', '{"a": "NaN\\', '{"a": NaN, "b": "\\ud800"}'],
)  # fmt: skip
def test_no_other_word_is_taken_for_a_number(body: str) -> None:
    with pytest.raises(MalformedRequest):
        load_body(body.encode())


@pytest.mark.parametrize("shift", range(-4, 2))
def test_nan_is_found_wherever_it_lies(shift: int) -> None:
    """A body is looked at in pieces; one may end within the word, or within a string."""
    text = "NaN" * ((PIECE + shift) // 3)
    body = json.dumps({"a": text, "b": float("nan"), "c": "NaN"})

    assert load_body(body.encode()) == {"a": text, "b": None, "c": "NaN"}
    assert load_body(b" " * (PIECE + shift - 6) + b'{"a": NaN}') == {"a": None}


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["NaN", ",NaN,", '"NaN']))
)
def test_no_string_is_changed_by_looking_for_nan(texts: list[str]) -> None:
    body = json.dumps({"a": texts, "b": float("nan")}, ensure_ascii=False)

    assert load_body(body.encode()) == {"a": texts, "b": None}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_strings_survive_the_binary_form(texts: list[str]) -> None:
    block = b"".join(struct.pack("<I", len(one.encode())) + one.encode() for one in texts)

    assert read_binary("BYTES", block, len(texts)) == texts


@given(st.binary(max_size=64), st.sampled_from(["BYTES", "FP32", "INT64", "BOOL"]), st.integers(0, 9))
def test_any_bytes_are_read_or_refused(block: bytes, datatype: str, rows: int) -> None:
    """Never anything but values or a RequestError."""
    try:
        found = read_binary(datatype, block, rows)
    except InvalidRequest:
        return
    assert len(found) == rows
