"""A published encoder of texts with integer products, as another encoder: `encodery quantize`.

bundle -> its graph in int8 (`training.int8_graph`) -> compared with itself in batches -> Draft

What comes out has vectors and a space of its own, since no vector stays what it was; it joins the space of
what it was made from, as near as the card says.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bundle.directory import GRAPH, Contents
from bundle.encoder import Runner
from bundle.golden import TOLERANCE, Golden, cosines, deviation
from bundle.lineage import STARTED
from bundle.manifest import Joined, Parity
from bundle.preprocess import KINDS, Prepared
from bundle.preprocess.text import Text
from bundle.publish import Draft
from training.card import model_card
from training.errors import ConfigError, ExportError
from training.export import padded_batches, trained
from training.int8_graph import int8_graph
from training.provenance import Provenance
from training.text.parity import parity_texts

KIND = "text"
LEAST_COSINE = 0.95  # to the first encoder; below, int8 made another one of it
Floats = npt.NDArray[np.float32]


def quantized(contents: Contents, to: str) -> tuple[Draft, str]:
    """The draft of a published encoder in int8, and how near its vectors are, in words.

    Raises ConfigError, ExportError.
    """
    manifest = contents.manifest
    if manifest.kind != KIND:
        raise ConfigError(f"int8 is for encoders of texts; {manifest.name} is of the kind {manifest.kind}")
    first = Draft.of(contents)
    graph = int8_graph(first.graph)
    if graph == first.graph:
        raise ConfigError(f"{manifest.name} has no float32 layer or table that is large enough for int8")
    golden = Golden.from_bytes(first.golden)
    preprocessor = KINDS[KIND].preprocessor(
        first.preprocessor, first.max_length, first.languages, respell=first.respell
    )
    texts = [Text(one) for one in (*golden.inputs, *parity_texts(first.max_length))]
    prepared = preprocessor.prepare(texts, "end")
    before, alone, batched = (
        _vectors(Runner(preprocessor, first.graph), prepared),
        *_both(Runner(preprocessor, graph), prepared),
    )
    if not (off := deviation(alone, batched)) <= TOLERANCE:  # also catches nan
        raise ExportError(f"in int8 the graph is {off:.1e} off its own batches, the limit is {TOLERANCE:.0e}")
    near = cosines(alone, before)
    if not near.min() >= LEAST_COSINE:
        raise ExportError(
            f"in int8 a vector has a cosine of {near.min():.3f} to what it was; the least is {LEAST_COSINE}"
        )
    nearness = (
        f"cosine to {manifest.name}/{manifest.version}: {near.mean():.4f}, "
        f"the least of {len(near)} {near.min():.4f}"
    )
    provenance = _provenance(contents, nearness)
    draft = replace(
        first,
        name=to,
        description=f"{first.description} In int8.",
        graph=graph,
        golden=replace(golden, vectors=alone[: len(golden.inputs)], precision="int8").to_bytes(),
        parity=Parity(inputs=len(prepared), max_abs_diff=deviation(alone, before), batch_max_abs_diff=off),
        trained=trained(provenance, {}),
        joins=Joined(name=manifest.name, version=manifest.version, space=manifest.space),
    )
    return model_card(draft, provenance, golden.inputs[0]), nearness


def _both(runner: Runner, prepared: list[Prepared]) -> tuple[Floats, Floats]:
    batched = np.concatenate([runner.run(batch) for batch in padded_batches(prepared)])
    return _vectors(runner, prepared), batched


def _vectors(runner: Runner, prepared: list[Prepared]) -> Floats:
    return np.concatenate([runner.run([one]) for one in prepared])


def _provenance(contents: Contents, nearness: str) -> Provenance:
    manifest = contents.manifest
    source = f"{manifest.name}/{manifest.version}"
    return Provenance(
        command="encodery quantize",
        config_sha256=hashlib.sha256(contents.files[GRAPH]).hexdigest(),
        data_sha256=manifest.trained.data_sha256,
        seed=0,
        inputs=f"the graph of `{source}`",
        details=[
            f"{STARTED} {source}, space {manifest.space}; its dense layers multiply integers of 8 bits, "
            "a step for each row and each column, and its tables are in int8.",
            "",
            f"Over the texts of the proof: {nearness}.",
            "On another processor the vectors are those of int8 there: near these, not equal.",
        ],
    )
