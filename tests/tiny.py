"""Tiny real bundles, built without torch: a word-level text encoder and a user/item pair.

Real tokenizer, real ONNX graph, real publish; only the weights are random (seeded).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.reference
import pictures
import sounds
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from bundle.golden import golden_of
from bundle.inputs import Input
from bundle.lexical import Lexical
from bundle.manifest import Adapts, Joined, Manifest, Metric, Parity, Trained
from bundle.preprocess import KINDS, Preprocessor
from bundle.preprocess.audio import AudioFile
from bundle.preprocess.features import Features
from bundle.preprocess.features.schema import FIRST, FeatureSchema
from bundle.preprocess.image import ImageFile
from bundle.preprocess.text import Text, TextPreprocessor
from bundle.preprocess.vector import Vector
from bundle.preprocess.vector.preprocessor import VectorFile
from bundle.publish import Draft, publish

DIM = 8
MAX_LENGTH = 16
WORDS = [
    "[UNK]",
    *["the", "a", "cat", "dog", "sat", "ran", "on", "mat", "hello", "world", "red", "blue", "lamp"],
]
ITEMS = ["A1", "A2", "B1", "B2", "C1", "C2"]
COUNTRIES = ["GB", "DE", "FR"]
NOW = 1_700_000_000.0

TEXTS = ["hello world", "the cat sat on the mat", "a red lamp", "dog", "unheard words", "the " * 30]
USERS: list[dict[str, Any]] = [
    {"history": ["A1", {"id": "B1", "time": "2023-10-01"}], "country": "GB"},
    {"history": [], "country": "unheard"},
    {},
    {"history": ["unheard", "C2", "C1", "A2"], "country": None},
]
ITEM_INPUTS: list[dict[str, Any]] = [
    {"id": "A1", "title": "red lamp", "price": 2.5},
    {"id": "new", "title": "blue lamp", "price": 0},
    {"title": "unheard"},
]

TRAINED = Trained(
    created="2026-01-01T00:00:00Z",
    git_commit="0" * 40,
    config_sha256="0" * 64,
    data_sha256="0" * 64,
    seed=0,
    libraries={"onnx": onnx.__version__},
    metrics={"accuracy": Metric(value=0.5, baselines={"chance": 0.25})},
)


def tokenizer_json() -> bytes:
    """A word-level tokenizer over WORDS."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer.to_str().encode()


def word_piece_json() -> bytes:
    """A WordPiece tokenizer of small letters over WORDS, and all letters as parts of other words."""
    letters = [f"{before}{letter}" for before in ("", "##") for letter in "abcdefghijklmnopqrstuvwxyz"]
    entries = dict.fromkeys([*WORDS, *letters, ".", "?"])
    model = models.WordPiece({word: i for i, word in enumerate(entries)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer.to_str().encode()


def user_schema() -> bytes:
    """History and country."""
    return FeatureSchema.model_validate(
        {
            "schema_version": 1,
            "side": "user",
            "features": [
                {"name": "history", "kind": "history", "vocabulary": ITEMS, "max_length": 4},
                {"name": "country", "kind": "category", "vocabulary": COUNTRIES},
            ],
        }
    ).to_bytes()


def item_schema() -> bytes:
    """Id, title and price."""
    return FeatureSchema.model_validate(
        {
            "schema_version": 1,
            "side": "item",
            "features": [
                {"name": "id", "kind": "category", "vocabulary": ITEMS},
                {"name": "title", "kind": "text", "vocabulary": ["red", "blue", "lamp"], "max_length": 4},
                {"name": "price", "kind": "number", "log1p": True, "mean": 1.0, "std": 0.5, "clip": 5.0},
            ],
        }
    ).to_bytes()


def text_draft(
    name: str = "text",
    seed: int = 0,
    *,
    preprocessor: bytes | None = None,
    max_length: int = MAX_LENGTH,
    table: npt.NDArray[np.float32] | None = None,
    **changes: Any,
) -> Draft:
    """Masked sum of token vectors; L2-normalised, unless the manifest is to say that it is not.

    The vectors of tokens are random, of the seed, unless a table [words, DIM] is given.
    """
    is_normalized = changes.get("normalized", True)
    table = token_table(seed) if table is None else table
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),  # (n, t, d)
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),  # (n, t, 1)
        helper.make_node("Mul", ["tokens", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["pooled" if is_normalized else "vector"], keepdims=0),
    ]
    if is_normalized:
        nodes.append(helper.make_node("LpNormalization", ["pooled"], ["vector"], axis=1, p=2))
    inputs = {"input_ids": (TensorProto.INT64, ["n", "t"]), "attention_mask": (TensorProto.INT64, ["n", "t"])}
    constants = {"table": table, "last": np.array([2]), "one": np.array([1])}
    graph = graph_bytes(nodes, inputs, constants)
    texts: list[Input] = [Text(text) for text in TEXTS]
    tokenizer = preprocessor or tokenizer_json()
    return draft(name, "text", graph, tokenizer, texts, max_length=max_length, **changes)


def lexical(texts: Sequence[str] = TEXTS) -> Lexical:
    """Statistics of words, by the tiny tokenizer."""
    preprocessor = TextPreprocessor(tokenizer_json(), MAX_LENGTH)
    prepared = preprocessor.prepare([Text(text) for text in texts], "end")
    return Lexical.of(map(preprocessor.terms, prepared), preprocessor.vocabulary)


AUDIO_WINDOW, AUDIO_HOP, AUDIO_LEAD, AUDIO_MOST = 800, 400, 80, 6


def audio_draft(name: str = "audio", seed: int = 0, **changes: Any) -> Draft:
    """How loud each eighth of a window is, by a random matrix; the mean of the windows, L2-normalised."""
    weights = np.random.default_rng(seed).normal(size=(8, DIM)).astype(np.float32)
    nodes = [
        helper.make_node("Abs", ["windows"], ["loud"]),
        helper.make_node("Reshape", ["loud", "shape"], ["eighths"]),
        helper.make_node("ReduceMean", ["eighths", "axes"], ["means"], keepdims=0),  # (w, 8)
        helper.make_node("Add", ["means", "ones"], ["features"]),  # silence has a direction as well
        helper.make_node("MatMul", ["features", "matrix"], ["each"]),  # (w, d)
        helper.make_node("MatMul", ["weights", "each"], ["mean"]),  # (n, d)
        helper.make_node("LpNormalization", ["mean"], ["vector"], axis=1, p=2),
    ]
    inputs = {
        "windows": (TensorProto.FLOAT, ["w", AUDIO_WINDOW]),
        "weights": (TensorProto.FLOAT, ["n", "w"]),
    }
    constants = {
        "shape": np.array([-1, 8, AUDIO_WINDOW // 8]),
        "axes": np.array([2]),
        "ones": np.linspace(0.1, 0.9, 8, dtype=np.float32),
        "matrix": weights,
    }
    file = AudioFile(sample_rate=sounds.RATE, window=AUDIO_WINDOW, hop=AUDIO_HOP, lead=AUDIO_LEAD)
    made = [sounds.tone(0.05), sounds.noise(1, 0.2), sounds.noise(2, 0.09), sounds.tone(0.3, 900.0)]
    inputs_of: list[Input] = [sounds.sound_of(one) for one in made]
    graph = graph_bytes(nodes, inputs, constants)
    return draft(name, "audio", graph, file.to_bytes(), inputs_of, max_length=AUDIO_MOST, **changes)


def pair_drafts(prefix: str = "shop", seed: int = 0) -> list[Draft]:
    """A user tower (mean of history plus country) and an item tower (id plus words plus price)."""
    items, words = _table(FIRST + len(ITEMS), seed), _table(FIRST + 3, seed + 1)
    countries, price = _table(FIRST + len(COUNTRIES), seed + 2), _table(2, seed + 3)
    items[0] = 0.0
    user = graph_bytes(
        [
            helper.make_node("Gather", ["items", "history"], ["entries"]),  # (n, h, d)
            helper.make_node("Exp", ["history_age_minus"], ["recency"]),
            helper.make_node("Neg", ["history_age"], ["history_age_minus"]),
            helper.make_node("Unsqueeze", ["recency", "last"], ["weights"]),
            helper.make_node("Mul", ["entries", "weights"], ["weighted"]),
            helper.make_node("ReduceSum", ["weighted", "one"], ["pooled"], keepdims=0),
            helper.make_node("Gather", ["countries", "country"], ["place"]),  # (n, 1, d)
            helper.make_node("ReduceSum", ["place", "one"], ["place_row"], keepdims=0),
            helper.make_node("Add", ["pooled", "place_row"], ["vector"]),
        ],
        {
            "history": (TensorProto.INT64, ["n", "h"]),
            "history_age": (TensorProto.FLOAT, ["n", "h"]),
            "country": (TensorProto.INT64, ["n", 1]),
        },
        {"items": items, "countries": countries, "last": np.array([2]), "one": np.array([1])},
    )
    words[0] = 0.0
    item = graph_bytes(
        [
            helper.make_node("Gather", ["items", "id"], ["ids"]),
            helper.make_node("Gather", ["words", "title"], ["title_words"]),
            helper.make_node("Concat", ["ids", "title_words"], ["entries"], axis=1),
            helper.make_node("ReduceSum", ["entries", "one"], ["pooled"], keepdims=0),
            helper.make_node("MatMul", ["price", "prices"], ["priced"]),
            helper.make_node("Add", ["pooled", "priced"], ["vector"]),
        ],
        {
            "id": (TensorProto.INT64, ["n", 1]),
            "title": (TensorProto.INT64, ["n", "w"]),
            "price": (TensorProto.FLOAT, ["n", 2]),
        },
        {"items": items, "words": words, "prices": price, "one": np.array([1])},
    )
    users: list[Input] = [Features(values, NOW) for values in USERS]
    records: list[Input] = [Features(values, NOW) for values in ITEM_INPUTS]
    plain = {"normalized": False, "metric": "inner_product", "max_length": 1}
    return [
        draft(f"{prefix}-user", "features", user, user_schema(), users, **plain),
        draft(f"{prefix}-item", "features", item, item_schema(), records, **plain),
    ]


IMAGE_SIDE = 16


def image_draft(name: str = "image", seed: int = 0, **changes: Any) -> Draft:
    """Mean colours of the four quarters of a picture, by a random matrix; L2-normalised."""
    weights = np.random.default_rng(seed).normal(size=(12, DIM)).astype(np.float32)
    shape = np.array([-1, 2, IMAGE_SIDE // 2, 2, IMAGE_SIDE // 2, 3])
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["quarters"]),
        helper.make_node("ReduceMean", ["quarters", "axes"], ["means"], keepdims=0),  # (n, 2, 2, 3)
        helper.make_node("Reshape", ["means", "row"], ["features"]),  # (n, 12)
        helper.make_node("MatMul", ["features", "weights"], ["turned"]),
        helper.make_node("LpNormalization", ["turned"], ["vector"], axis=1, p=2),
    ]
    inputs = {"pixels": (TensorProto.UINT8, ["n", IMAGE_SIDE, IMAGE_SIDE, 3])}
    constants = {"shape": shape, "axes": np.array([2, 4]), "row": np.array([-1, 12]), "weights": weights}
    drawn = (pictures.drawing(), *(pictures.noise(number, 20, 30) for number in range(3)))
    images: list[Input] = [pictures.image_of(one, "JPEG", quality=95) for one in drawn]
    graph, content = graph_bytes(nodes, inputs, constants), ImageFile(side=IMAGE_SIDE).to_bytes()
    return draft(name, "image", graph, content, images, max_length=1, **changes)


def adapter_draft(name: str, source: Manifest, target: Manifest, seed: int = 0) -> Draft:
    """A random matrix between the spaces of two encoders; of norm 1 where the target's vectors are."""
    matrix = np.random.default_rng(seed).normal(size=(source.dim, target.dim)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["source", "matrix"], ["turned" if target.normalized else "vector"])]
    if target.normalized:
        nodes.append(helper.make_node("LpNormalization", ["turned"], ["vector"], axis=1, p=2))
    graph = graph_bytes(nodes, {"source": (TensorProto.FLOAT, ["n", source.dim])}, {"matrix": matrix})
    vectors: list[Input] = [Vector(row) for row in _table(3, seed)[:, : source.dim]]
    places = [Joined(name=one.name, version=one.version, space=one.space) for one in (source, target)]
    adapts = Adapts(source=places[0], target=places[1], kind=source.kind, documents=1000, method="by chance")
    plain = {"normalized": target.normalized, "metric": target.metric, "max_length": 1}
    content = VectorFile(dim=source.dim).to_bytes()
    return draft(name, "vector", graph, content, vectors, adapts=adapts, **plain)


def draft(
    name: str,
    kind: str,
    graph: bytes,
    preprocessor: bytes,
    inputs: Sequence[Input],
    *,
    max_length: int,
    **changes: Any,
) -> Draft:
    """A draft whose golden vectors come from the graph itself, run by onnx's reference evaluator."""
    loaded = KINDS[kind].preprocessor(preprocessor, max_length, respell=changes.get("respell", 0))
    vectors = reference_vectors(graph, loaded, inputs)
    prepared = loaded.prepare(inputs, "end") if KINDS[kind].golden_tolerance is not None else ()
    fields: dict[str, Any] = {
        "description": "a tiny bundle for tests",
        "golden": golden_of(inputs, vectors, NOW, prepared).to_bytes(),
        "card": f"# {name}\n",
        "dim": DIM,
        "dimensions": [DIM, DIM // 2],
        "normalized": True,
        "metric": "cosine",
        "parity": Parity(inputs=len(inputs), max_abs_diff=0.0, batch_max_abs_diff=0.0),
        "trained": TRAINED,
    }
    return Draft(
        name=name,
        kind=kind,
        graph=graph,
        preprocessor=preprocessor,
        max_length=max_length,
        **(fields | changes),
    )


def publish_all(models_dir: Path, seed: int = 0) -> list[Manifest]:
    """text/1 and the pair shop-user/1, shop-item/1."""
    return publish(models_dir, [text_draft(seed=seed)]) + publish(models_dir, pair_drafts(seed=seed))


def graph_bytes(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[Any]]],
    constants: dict[str, npt.NDArray[Any]],
    opset: int = 20,
) -> bytes:
    """A serialised model with one output, `vector` [n, DIM]."""
    graph = helper.make_graph(
        sorted_nodes(nodes, set(inputs) | set(constants)),
        "tiny",
        [helper.make_tensor_value_info(name, *spec) for name, spec in inputs.items()],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", DIM])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def sorted_nodes(nodes: Sequence[onnx.NodeProto], known: set[str]) -> list[onnx.NodeProto]:
    """Nodes in the order in which their inputs become known."""
    waiting, ready = list(nodes), list[onnx.NodeProto]()
    while waiting:
        node = next(node for node in waiting if set(node.input) <= known)
        waiting.remove(node)
        ready.append(node)
        known |= set(node.output)
    return ready


def reference_vectors(
    graph: bytes, preprocessor: Preprocessor, inputs: Sequence[Input]
) -> npt.NDArray[np.float32]:
    """What onnx's own evaluator gives, each input alone."""
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_from_string(graph))
    rows = [
        evaluator.run(None, preprocessor.collate([one]))[0] for one in preprocessor.prepare(inputs, "end")
    ]
    return np.concatenate(rows).astype(np.float32)


def token_table(seed: int = 0) -> npt.NDArray[np.float32]:
    """The vectors of WORDS, [words, DIM]."""
    return _table(len(WORDS), seed)


def _table(rows: int, seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
