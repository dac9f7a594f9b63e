"""Times looking up vocabularies in the ONNX graph beside looking them up in the preprocessor.

    python -m bench.vocabulary_in_graph [MODELS]

Takes the bundled user tower and puts a LabelEncoder in front of its history and country. Both ways start
from the same checked strings and end in the same vectors. The figures of docs/decisions/0005.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.servers import ROOT

NAME = "retail-user"
ROUNDS, S_PER_ROUND = 7, 0.2


def with_vocabularies(content: bytes, vocabularies: Mapping[str, Sequence[str]]) -> bytes:
    """Let these int64 inputs of the graph be strings; "" is padding in a history, and missing elsewhere."""
    import onnx
    from onnx import helper

    from bundle.preprocess.features.schema import FIRST, MISSING, PAD, UNKNOWN

    model = onnx.load_from_string(content)
    graph = model.graph
    for name, vocabulary in vocabularies.items():
        for node in graph.node:
            node.input[:] = [f"{name}_index" if one == name else one for one in node.input]
        (given,) = (one for one in graph.input if one.name == name)
        given.type.tensor_type.elem_type = onnx.TensorProto.STRING
        empty = PAD if name == "history" else MISSING
        encoder = helper.make_node(
            "LabelEncoder",
            [name],
            [f"{name}_index"],
            domain="ai.onnx.ml",
            keys_strings=["", *vocabulary],
            values_int64s=[empty, *range(FIRST, FIRST + len(vocabulary))],
            default_int64=UNKNOWN,
        )
        graph.node.insert(0, encoder)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    return bytes(model.SerializeToString())


def best_us(work: Callable[[], Any]) -> float:
    """Time one call: the mean of the best round."""
    work()
    times = []
    for _ in range(ROUNDS):
        started, calls = time.perf_counter(), 0
        while time.perf_counter() - started < S_PER_ROUND:
            work()
            calls += 1
        times.append((time.perf_counter() - started) / calls)
    return 1e6 * min(times)


def session_of(content: bytes) -> tuple[Any, float]:
    """Open a session of one thread; return the milliseconds that it took to load as well."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    started = time.perf_counter()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session, 1e3 * (time.perf_counter() - started)


def main(arguments: list[str]) -> int:
    """Print the table."""
    from bundle.preprocess.base import pad
    from bundle.preprocess.features import FeaturePreprocessor
    from bundle.preprocess.features.schema import FIRST, FeatureSchema
    from bundle.store import Store

    models = Path(arguments[0]) if arguments else ROOT / "models"
    directory = models / NAME / Store(models).current(NAME)
    schema = FeatureSchema.from_bytes((directory / "features.json").read_bytes())
    preprocessor = FeaturePreprocessor(schema)
    vocabularies = {
        spec.name: spec.vocabulary for spec in schema.features if spec.kind in ("history", "category")
    }
    plain = (directory / "model.onnx").read_bytes()
    words = with_vocabularies(plain, vocabularies)
    (ids, ids_ms), (strings, strings_ms) = session_of(plain), session_of(words)
    index = {
        name: {entry: number for number, entry in enumerate(vocabulary, FIRST)}
        for name, vocabulary in vocabularies.items()
    }
    print(f"graph {len(plain):,} and {len(words):,} bytes, loaded in {ids_ms:.0f} and {strings_ms:.0f} ms")
    print(
        "| users x events | preprocessor, us | graph, us | of that strings to arrays, us |\n|---|---|---|---|"
    )
    for users, events in ((1, 20), (1, 200), (64, 20), (64, 200)):
        histories = [vocabularies["history"][at : at + events] for at in range(users)]
        country = vocabularies["country"][0]
        rest = preprocessor.collate(preprocessor.prepare([_user(one, country) for one in histories]))

        def as_ids(histories: Any = histories, country: str = country) -> dict[str, Any]:
            look = index["history"].get
            rows = [np.array([look(item, 2) for item in one], dtype=np.int64) for one in histories]
            numbers = np.array([[index["country"].get(country, 2)]] * len(histories), dtype=np.int64)
            return {"history": pad(rows), "country": numbers}

        def as_strings(histories: Any = histories, country: str = country) -> dict[str, Any]:
            rows = np.full((len(histories), max(map(len, histories))), "", dtype=object)
            for row, one in zip(rows, histories, strict=True):
                row[: len(one)] = one
            return {"history": rows, "country": np.full((len(histories), 1), country, dtype=object)}

        one: Callable[[], Any]
        other: Callable[[], Any]
        one, other = (
            (lambda: ids.run(None, rest | as_ids())),  # noqa: B023  # called within this round
            (lambda: strings.run(None, rest | as_strings())),  # noqa: B023  # as above
        )
        assert np.abs(one()[0] - other()[0]).max() < 1e-6
        cells = [best_us(one), best_us(other), best_us(as_strings)]
        print(f"| {users} x {events} | {' | '.join(f'{cell:.0f}' for cell in cells)} |", flush=True)
    return 0


def _user(history: Sequence[str], country: str) -> Any:
    from bundle.preprocess.features import Features

    return Features({"history": list(history), "country": country})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
