"""What the command line does with text encoders alone: one function per command, for `encodery.cli`.

import    directory of a pretrained encoder -> bundle
quantize  published encoder -> the same with integer products, under another name
mine      pairs of a config and a published encoder -> file of triplets
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundle.directory import GRAPH
from bundle.manifest import Manifest
from bundle.publish import publish
from bundle.store import Store, check_name
from training.config import load_config_as
from training.console import say
from training.data.files import data_directory
from training.data.tables import BadRows
from training.describe import checked_languages
from training.errors import ConfigError
from training.text.data.readers import read_pairs
from training.text.imported import imported
from training.text.mining import MiningRules
from training.text.quantized import quantized
from training.text.settings import TextRun
from training.text.triplets import write_triplets


def import_pretrained(
    directory: Path,
    name: str,
    *,
    models: Path,
    description: str | None = None,
    max_length: int | None = None,
    languages: Sequence[str] = (),
    int8: bool = False,
) -> Manifest:
    """Prove and publish the pretrained encoder in a directory. For the arguments see `imported`.

    With `int8` it is published in float32 first, and then, as NAME-int8, with integer products.

    Raises:
        TrainingError: it cannot be represented, or its graph does not give torch's vectors.
        BundleError: it cannot be published.
    """
    check_name(name)  # before the export, which takes long
    spoken = checked_languages(languages)
    draft = imported(directory, name, description=description, max_length=max_length, languages=spoken)
    (manifest,) = publish(models, [draft])
    parity = manifest.parity
    say(
        f"onnxruntime is {parity.max_abs_diff:.1e} off torch over {parity.inputs} texts, "
        f"{parity.batch_max_abs_diff:.1e} in padded batches"
    )
    say(f"published {manifest.name}/{manifest.version}, space {manifest.space}")
    return quantize(name, f"{name}-int8", models=models) if int8 else manifest


def quantize(name: str, to: str, *, version: str | None = None, models: Path) -> Manifest:
    """Publish an encoder of texts with integer products under another name.

    Args:
        name: of the published encoder.
        to: the name of the new one.
        version: by default the current one.
        models: the directory of both.

    Raises:
        ConfigError: it is of another kind, or has nothing to be quantised.
        ExportError: the graph is no encoder any more in int8, or changes with the batch.
        BundleError: there is no such encoder, or the new one cannot be published.
    """
    check_name(to)
    if to == name:
        raise ConfigError(f"{name} in int8 has other vectors; publish it under another name, as {name}-int8")
    store = Store(models)
    contents = store.read(name, version or store.current(name))
    draft, nearness = quantized(contents, to)
    (manifest,) = publish(models, [draft])
    sizes = [len(graph) / 1e6 for graph in (contents.files[GRAPH], draft.graph)]
    say(f"{nearness}; {sizes[0]:.1f} -> {sizes[1]:.1f} MB")
    say(f"published {manifest.name}/{manifest.version}, space {manifest.space}")
    return manifest


def mine(
    config: Path, name: str, out: Path, *, data: Path | None = None, models: Path, rules: MiningRules
) -> int:
    """Find hard negatives for the pairs of a config, by a published encoder; returns how many.

    Args:
        config: the TOML file of a text run.
        name: of the encoder.
        out: JSONL to write, which `data.triplets` reads.
        data: directory that the config's paths are relative to; by default ENCODERY_DATA, or `data`.
        models: the directory to load its current version from.
        rules: which candidates are taken.

    Raises:
        TrainingError: see `training.errors`.
        BundleError: the encoder is not published, or not sound.
    """
    settings = load_config_as(config, TextRun)
    bad = BadRows(settings.data.bad_rows)
    pairs = read_pairs(data_directory(data), settings.data.pairs, settings.data.pair_sources, bad)
    say(bad.report())
    encoder = Store(models).load(name)
    count = write_triplets(pairs, lambda inputs: encoder.encode(inputs, truncate="end"), rules, out)
    say(f"wrote {count:,} triplets for {len(pairs.first):,} pairs to {out}")
    return count
