"""golden.json: inputs and the vectors that torch gave for them.

A checksum proves that the files are those that were published; golden vectors prove that this
machine, this onnxruntime and this preprocessing code still compute what training computed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bundle.errors import GoldenError
from bundle.preprocess import Preprocessor, Truncate

if TYPE_CHECKING:
    from bundle.encoder import Encoder

TOLERANCE = 1e-5  # float32 through other kernels and other batch shapes; a wrong graph is off by 1e-2
NORM_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Golden:
    """Inputs as they stand in a request, with the expected vectors.

    Attributes:
        inputs: JSON values.
        now: unix time that `time` features are relative to.
        truncate: how too long inputs are cut.
        vectors: float32 [n, dim].
    """

    inputs: Sequence[Any]
    vectors: npt.NDArray[np.float32]
    now: float | None = None
    truncate: Truncate = "end"

    def to_bytes(self) -> bytes:
        """The file: vectors as base64 of little-endian float32 rows."""
        rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in self.vectors]
        content = {"now": self.now, "truncate": self.truncate, "inputs": list(self.inputs), "vectors": rows}
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Golden:
        """Parse golden.json. Raises GoldenError."""
        try:
            parsed = json.loads(content)
            rows = [np.frombuffer(base64.b64decode(row, validate=True), "<f4") for row in parsed["vectors"]]
            golden = cls(
                parsed["inputs"], np.stack(rows).astype(np.float32), parsed["now"], parsed["truncate"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise GoldenError(f"golden.json cannot be read: {type(error).__name__}") from None
        if len(golden.inputs) != len(golden.vectors):
            raise GoldenError("golden.json has not one vector per input")
        return golden

    def check(self, encoder: Encoder) -> float:
        """The largest absolute difference found. Raises GoldenError over the tolerance.

        Each input is run alone and all together: padding must not change a vector.
        """
        prepared = encoder.prepare(
            [encoder.preprocessor.from_json(value, self.now) for value in self.inputs], self.truncate
        )
        together = encoder.run(prepared)
        alone = np.concatenate([encoder.run([one]) for one in prepared])
        if together.shape != self.vectors.shape:
            raise GoldenError(f"the graph gives {together.shape[1]} dimensions, not {self.vectors.shape[1]}")
        worst = 0.0
        for how, vectors in (("alone", alone), ("in one batch", together)):
            if not np.isfinite(vectors).all():
                raise GoldenError(f"the golden inputs {how} give vectors that are not finite")
            worst = max(worst, float(np.abs(vectors - self.vectors).max()))
            if worst > TOLERANCE:
                raise GoldenError(
                    f"the golden inputs {how} are {worst:.1e} off the recorded vectors, the limit is {TOLERANCE:.0e}"
                )
        norms = np.linalg.norm(together, axis=1)
        if encoder.manifest.normalized and np.abs(norms - 1).max() > NORM_TOLERANCE:
            raise GoldenError("the manifest says that vectors are normalised, but they are not")
        return worst


def golden_of(
    preprocessor: Preprocessor,
    inputs: Sequence[Any],
    vectors: npt.NDArray[np.float32],
    now: float | None,
) -> Golden:
    """Golden record of domain inputs."""
    return Golden([preprocessor.to_json(item) for item in inputs], vectors, now)
