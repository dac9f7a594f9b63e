"""A published text encoder as the start of a run: its weights in torch again, proven before the first step.

    NAME or NAME@VERSION -> bundle -> form and weights of its graph -> module -> golden vectors

What is trained of it is said in `[model]`; the vectors of what comes out are of a new space, always:
docs/decisions/0020.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from bundle.directory import CARD, GOLDEN, GRAPH, Contents
from bundle.golden import TOLERANCE, Golden, deviation
from bundle.manifest import Manifest
from bundle.preprocess import KINDS
from bundle.store import Store
from training.errors import ConfigError
from training.export import run_torch
from training.text.encoders.classic import TextEncoder
from training.text.encoders.form import FORM, PLACES, encoder_of
from training.text.encoders.legacy import legacy_form, legacy_places
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.encoders.weights import load_weights


@dataclass(frozen=True)
class Start:
    """A published encoder, ready to be trained on.

    Attributes:
        manifest: what its bundle says.
        tokenizer: the content of its tokenizer.json.
        encoder: float32; an int8 table is expanded, so nothing of it moved.
        storage: how its bundle stores token embeddings (`table`) and the other layers (`layers`).
    """

    manifest: Manifest
    tokenizer: bytes
    encoder: TextEncoder | PretrainedEncoder
    storage: Mapping[str, str]

    @property
    def said(self) -> str:
        """Name, version and space, for people."""
        return f"{self.manifest.name}/{self.manifest.version}, space {self.manifest.space}"


def read_start(models: Path, reference: str) -> Start:
    """Read a published encoder back into torch, and prove that it gives the bundle's vectors.

    Args:
        models: the directory of bundles.
        reference: NAME for its current version, or NAME@VERSION.

    Raises:
        BundleError: it is not published there, or not sound.
        ConfigError: it takes no texts, or its weights cannot be read back.
    """
    store, (name, _, version) = Store(models), reference.partition("@")
    contents = store.read(name, version or store.current(name))
    manifest = contents.manifest
    if manifest.kind != "text":
        raise ConfigError(
            f"model.start is {reference!r}, which takes {KINDS[manifest.kind].plural}, no texts"
        )
    tokenizer = contents.files["tokenizer.json"]
    try:
        encoder, storage = _encoder(contents)
        _prove(encoder, Golden.from_bytes(contents.files[GOLDEN]), tokenizer, manifest)
    except ConfigError as error:
        raise ConfigError(f"model.start = {reference!r}: {error}") from None
    return Start(manifest, tokenizer, encoder, storage)


def _encoder(contents: Contents) -> tuple[TextEncoder | PretrainedEncoder, Mapping[str, str]]:
    """The module of a bundle, and how its weights were stored."""
    model = onnx.load_from_string(contents.files[GRAPH])
    said = {one.key: json.loads(one.value) for one in model.metadata_props if one.key in (FORM, PLACES)}
    if FORM in said:
        form = said[FORM]
    else:
        card, is_unit = contents.files[CARD].decode(), contents.manifest.normalized
        form = legacy_form(model.graph, card, normalized=is_unit)
    encoder = encoder_of(form)
    load_weights(encoder, model.graph, said.get(PLACES) or legacy_places(encoder, model.graph))
    return encoder, form["storage"]


def _prove(
    encoder: TextEncoder | PretrainedEncoder, golden: Golden, tokenizer: bytes, manifest: Manifest
) -> None:
    """Raises ConfigError where torch does not give the recorded vectors."""
    preprocessor = KINDS["text"].preprocessor(
        tokenizer, manifest.max_length, manifest.languages, respell=manifest.respell
    )
    inputs = [preprocessor.from_json(one, golden.now) for one in golden.inputs]
    vectors = run_torch(encoder, preprocessor, preprocessor.prepare(inputs, golden.truncate))
    if not (off := deviation(vectors, golden.vectors)) <= TOLERANCE:
        raise ConfigError(
            f"torch is {off:.0e} off its golden vectors, the limit is {TOLERANCE:.0e}: it is of a form that "
            "cannot be read back; give the directory that it was made of as model.pretrained"
        )
