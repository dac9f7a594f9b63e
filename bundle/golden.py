"""golden.json: inputs, the vectors that torch gave for them, and of some kinds what was prepared of them.

A checksum proves that the files are those that were published; golden vectors prove that this
machine, this onnxruntime and this preprocessing code still compute what training computed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundle.errors import GoldenError, InputError
from bundle.inputs import Input
from bundle.preprocess import Prepared, Truncate

if TYPE_CHECKING:
    from bundle.encoder import Encoder

TOLERANCE = 1e-5  # float32 through other kernels and other batch shapes; a wrong graph is off by 1e-2
# Of a graph that multiplies integers, to its vectors on another processor: float32 rounds otherwise there, a
# number falls to the next integer, and layer by layer that grows to what int8 itself costs (.991 at least for
# all-MiniLM-L6-v2 with its weights moved by 1e-6). Within one processor batches are as exact as in float32.
INT8_COSINE = 0.98
NORM_TOLERANCE = 1e-4
ARRAYS = 4  # inputs of which the prepared arrays are kept: pixels, or samples of a sound


class _Array(BaseModel):
    """An array as base64 of its little-endian bytes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dtype: Literal["uint8", "int16", "float32"]
    shape: list[int]
    data: str

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> _Array:
        data = values.astype(values.dtype.newbyteorder("<")).tobytes()
        return cls.model_validate(
            {
                "dtype": values.dtype.name,
                "shape": list(values.shape),
                "data": base64.b64encode(data).decode(),
            }
        )

    def values(self) -> npt.NDArray[Any]:
        """The array. Raises ValueError."""
        dtype = np.dtype(self.dtype).newbyteorder("<")
        return np.frombuffer(base64.b64decode(self.data, validate=True), dtype).reshape(self.shape)


Precision: TypeAlias = Literal["float32", "int8"]


class _File(BaseModel):
    """The content of golden.json."""

    model_config = ConfigDict(extra="forbid", strict=True)

    precision: Precision = "float32"
    now: Annotated[float, Field(allow_inf_nan=False)] | None
    truncate: Truncate
    inputs: Annotated[list[Any], Field(min_length=1)]
    vectors: list[str]
    arrays: list[dict[str, _Array]] = []


@dataclass(frozen=True)
class Golden:
    """Inputs as they stand in a request, with the expected vectors.

    Attributes:
        inputs: JSON values.
        now: unix time that `time` features are relative to.
        truncate: how too long inputs are cut.
        vectors: float32 [n, dim].
        arrays: what was prepared of the first inputs, by name, for kinds with a `golden_tolerance`.
        precision: of the graph's products; how near vectors of another processor come follows from it.
    """

    inputs: Sequence[Any]
    vectors: npt.NDArray[np.float32]
    now: float | None = None
    truncate: Truncate = "end"
    arrays: Sequence[Mapping[str, npt.NDArray[Any]]] = ()
    precision: Precision = "float32"

    def to_bytes(self) -> bytes:
        """The file: vectors as base64 of little-endian float32 rows."""
        rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in self.vectors]
        content: dict[str, Any] = {
            "now": self.now,
            "truncate": self.truncate,
            "inputs": list(self.inputs),
            "vectors": rows,
        }
        if self.precision != "float32":
            content["precision"] = self.precision
        if self.arrays:
            content["arrays"] = [
                {name: _Array.of(values).model_dump() for name, values in one.items()} for one in self.arrays
            ]
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Golden:
        """Parse golden.json. Raises GoldenError."""
        try:
            file = _File.model_validate_json(content)
            rows = [np.frombuffer(base64.b64decode(row, validate=True), "<f4") for row in file.vectors]
            vectors = np.stack(rows).astype(np.float32)  # [n, dim]
            arrays = [{name: each.values() for name, each in one.items()} for one in file.arrays]
        except ValidationError as error:
            where = ".".join(map(str, error.errors(include_url=False, include_input=False)[0]["loc"]))
            raise GoldenError(f"golden.json cannot be read: {where or 'it'} is not as it should be") from None
        except ValueError:
            raise GoldenError(
                "golden.json: its vectors are no base64 of float32 rows of one length, or its arrays are none"
            ) from None
        if len(file.inputs) != len(vectors):
            raise GoldenError(f"golden.json has {len(vectors)} vectors for {len(file.inputs)} inputs")
        if not np.isfinite(vectors).all():
            raise GoldenError(
                "golden.json has vectors that are not finite; nothing can be compared with them"
            )
        return cls(file.inputs, vectors, file.now, file.truncate, arrays, file.precision)

    def first(self) -> Golden:
        """The first input alone."""
        return replace(self, inputs=self.inputs[:1], vectors=self.vectors[:1], arrays=self.arrays[:1])

    def check(self, encoder: Encoder) -> float:
        """The largest `deviation` found. Raises GoldenError over the tolerance.

        Each input is run alone and all together: padding must not change a vector.
        """
        alone, together = self._encode(encoder)
        expected = (len(self.inputs), encoder.manifest.dim)
        for how, vectors in (("alone", alone), ("in one batch", together)):
            if vectors.shape != expected or self.vectors.shape != expected:
                raise GoldenError(
                    f"the golden inputs {how} give {list(vectors.shape)} numbers; recorded are "
                    f"{list(self.vectors.shape)}, and the manifest says {list(expected)}"
                )
            if not np.isfinite(vectors).all():
                raise GoldenError(f"the golden inputs {how} give vectors that are not finite")
        worst = self._off(alone, together)
        norms = np.linalg.norm(together, axis=1)
        farthest = norms[np.abs(norms - 1).argmax()]
        if encoder.manifest.normalized and abs(farthest - 1) > NORM_TOLERANCE:
            raise GoldenError(f"the manifest says that vectors are normalised; one has length {farthest:.5f}")
        return worst

    def _off(self, alone: npt.NDArray[np.float32], together: npt.NDArray[np.float32]) -> float:
        """How far the vectors are off what is recorded, and off each other. Raises GoldenError."""
        if self.precision == "int8":
            nearest = min(float(cosines(one, self.vectors).min()) for one in (alone, together))
            if nearest < INT8_COSINE:
                raise GoldenError(
                    f"the golden inputs have a cosine of {nearest:.4f} to the recorded vectors; "
                    f"the least for int8 is {INT8_COSINE}"
                )
            what, compared = "those in one batch", {"alone": (alone, together)}
        else:
            what = "the recorded vectors"
            compared = {"alone": (alone, self.vectors), "in one batch": (together, self.vectors)}
        worst = 0.0
        for how, (found, expected) in compared.items():
            worst = max(worst, deviation(found, expected))
            if worst > TOLERANCE:
                raise GoldenError(
                    f"the golden inputs {how} are {worst:.1e} off {what}; the limit is {TOLERANCE:.0e}"
                )
        return worst

    def _encode(self, encoder: Encoder) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The vectors of each input alone, and of all in one batch."""
        try:
            prepared = encoder.prepare(encoder.read(self.inputs, self.now), self.truncate)
            self._check_arrays(prepared, encoder.kind.golden_tolerance)
            return np.concatenate([encoder.run([one]) for one in prepared]), encoder.run(prepared)
        except InputError as error:
            raise GoldenError(f"a golden input is refused: {error}") from error
        except GoldenError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise GoldenError(f"onnxruntime cannot run the golden inputs: {type(error).__name__}") from error

    def _check_arrays(self, prepared: Sequence[Prepared], tolerance: float | None) -> None:
        """Raise GoldenError unless the first inputs are prepared as they were in training."""
        if tolerance is None:
            return
        if not self.arrays:
            raise GoldenError("golden.json has no arrays of this kind, so that preparing is not proven")
        for one, recorded in zip(prepared, self.arrays, strict=False):
            for name, expected in recorded.items():
                found = one.arrays.get(name)
                if found is None or found.shape != expected.shape or found.dtype != expected.dtype:
                    raise GoldenError(f"golden.json: {name} is of another form than what is prepared")
                worst = np.abs(found.astype(np.float64) - expected).max(initial=0.0)
                if not worst <= tolerance:
                    raise GoldenError(
                        f"a golden input is prepared otherwise than in training: {name} is {worst:g} off, "
                        f"the limit is {tolerance:g}"
                    )


def check_extremes(encoder: Encoder) -> None:
    """Run what reaches the last row of every table: a graph with fewer rows would fail at a request.

    Raises:
        GoldenError: an input that the preprocessor makes has no vector.
    """
    for one in encoder.preprocessor.extremes():
        try:
            vectors = encoder.run([one])
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise GoldenError(
                f"the graph has no row for the last entry of a vocabulary: {type(error).__name__}; "
                "export it with the preprocessor it was trained with"
            ) from error
        if not np.isfinite(vectors).all():
            raise GoldenError("the last entry of a vocabulary gives a vector that is not finite")


def deviation(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    """The largest difference of a number, in units of its row's largest number where that is above 1.

    float32 rounds in proportion; for normalised vectors this is the plain absolute difference. Row by row,
    so that one long vector does not excuse the others. Both [n, dim], n >= 1; nan if a number is none.
    """
    unit = np.maximum(1.0, np.abs(expected).max(axis=1, keepdims=True))  # [n, 1]
    return float((np.abs(found - expected) / unit).max())


def cosines(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The cosine of each row to its own. Both [n, dim]; float64 [n]; 0 where a row is all noughts."""
    a, b = found.astype(np.float64), expected.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny))


def golden_of(
    inputs: Sequence[Input],
    vectors: npt.NDArray[np.float32],
    now: float | None,
    prepared: Sequence[Prepared] = (),
) -> Golden:
    """Golden record of domain inputs; with what was prepared of them, for kinds that keep it."""
    arrays = [dict(one.arrays) for one in prepared[:ARRAYS]]
    return Golden([one.to_json() for one in inputs], vectors, now, arrays=arrays)
