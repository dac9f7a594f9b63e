"""Makes versions that are not as published: damaged, or changed and sealed again so that all digests fit."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import damage
import mutants
import onnx
import tiny
from onnx import numpy_helper

from bundle import publish
from bundle.directory import GOLDEN, GRAPH, MANIFEST
from bundle.manifest import FileEntry, Manifest, canonical_json
from bundle.preprocess import KINDS
from bundle.publish import Draft

VERSION, CURRENT = "1", "current"
SPARSE = (2 << 30) + 1  # bytes: over protobuf's limit, and nearly none on the disk
Change = Callable[[Path, random.Random], None]  # of the directory of a version


@dataclass(frozen=True)
class Mutant:
    """A model whose only version is no longer as published; `of` is the model that it was."""

    name: str
    of: str
    change: str


def publish_sound(models: Path) -> None:
    """Each kind of encoder once, alone, so that it can be sealed again."""
    for draft in (tiny.text_draft(), *_towers()):
        publish(models, [draft])


def _towers() -> Iterator[Draft]:
    for draft, name in zip(tiny.pair_drafts(), ("user", "item"), strict=True):
        yield replace(draft, name=name)


def breed(sound: Path, models: Path, names: Iterator[str], changes: list[str], seed: int) -> list[Mutant]:
    """Put a mutant into a directory of models for each change, of an encoder drawn by the seed."""
    chance, bred = random.Random(seed), []
    for change, name in zip(changes, names, strict=False):
        of = "text" if change in mutants.KILLERS else chance.choice(["text", "user", "item"])
        directory = models / name / VERSION
        shutil.copytree(sound / of / VERSION, directory)
        manifest = Manifest.from_bytes((directory / MANIFEST).read_bytes())
        mutants.write_manifest(directory, manifest.model_copy(update={"name": name}))
        CHANGES[change](directory, chance)
        bred.append(Mutant(name, of, change))
    return bred


def kind_of(directory: Path) -> Any:
    manifest = Manifest.from_bytes((directory / MANIFEST).read_bytes())
    return KINDS[manifest.kind]


def files_of(directory: Path) -> list[Path]:
    return [directory.parent / CURRENT, *sorted(directory.iterdir())]


# Not sealed: as a disk, a copy or a stranger leaves it.


def damaged(mutation: damage.Mutation) -> Change:
    def change(directory: Path, chance: random.Random) -> None:
        path = chance.choice(files_of(directory))
        path.write_bytes(mutation(path.read_bytes(), chance))

    return change


def garbled(directory: Path, chance: random.Random) -> None:
    path = chance.choice([path for path in files_of(directory) if path.suffix in ("", ".json")])
    path.write_bytes(damage.garble(path.read_bytes(), chance))


def missing(directory: Path, chance: random.Random) -> None:
    chance.choice(sorted(directory.iterdir())).unlink()


def more(directory: Path, chance: random.Random) -> None:
    (directory / chance.choice(["weights.bin", ".hidden", "model.onnx.data", "manifest.json~"])).write_bytes(
        b""
    )


def no_bytes(directory: Path, chance: random.Random) -> None:
    chance.choice(files_of(directory)).write_bytes(b"")


def link(directory: Path, chance: random.Random) -> None:
    path = chance.choice([*files_of(directory), directory])
    path.symlink_to(path.rename(directory.parent.parent / f".moved-{directory.parent.name}"))


def hard_link(directory: Path, chance: random.Random) -> None:
    path = chance.choice(files_of(directory))
    os.link(path, directory.parent.parent / f".linked-{directory.parent.name}")


def no_file(directory: Path, chance: random.Random) -> None:
    path = chance.choice(files_of(directory))
    path.unlink()
    chance.choice([Path.mkdir, os.mkfifo])(path)


def sparse(directory: Path, chance: random.Random) -> None:
    with chance.choice(files_of(directory)).open("r+b") as file:
        file.truncate(SPARSE)


# Sealed again.


def sparse_and_sealed(directory: Path, chance: random.Random) -> None:
    """Over every limit, and the manifest says so: nobody is to read it to compare its digest."""
    manifest = Manifest.from_bytes((directory / MANIFEST).read_bytes())
    name = chance.choice(sorted(manifest.files))
    os.truncate(directory / name, SPARSE)
    entry = FileEntry(sha256="0" * 64, size=SPARSE)
    mutants.write_manifest(directory, manifest.model_copy(update={"files": {**manifest.files, name: entry}}))


def sealed(mutation: damage.Mutation) -> Change:
    def change(directory: Path, chance: random.Random) -> None:
        name = chance.choice([GRAPH, GOLDEN, kind_of(directory).file])
        mutants.sealed_again(directory, {name: mutation((directory / name).read_bytes(), chance)})

    return change


def garbled_and_sealed(directory: Path, chance: random.Random) -> None:
    name = chance.choice([GOLDEN, kind_of(directory).file])
    mutants.sealed_again(directory, {name: damage.garble((directory / name).read_bytes(), chance)})


def garbled_manifest(directory: Path, chance: random.Random) -> None:
    """Its own digest fits, whatever it says."""
    content = damage.garble_values(json.loads((directory / MANIFEST).read_bytes()), chance)
    content.pop("digest", None)
    digest = hashlib.sha256(canonical_json(content)).hexdigest()
    (directory / MANIFEST).write_text(json.dumps(content | {"digest": digest}))
    pointer = {"version": VERSION, "manifest_digest": digest}
    (directory.parent / CURRENT).write_text(json.dumps(pointer))


def field(directory: Path, chance: random.Random) -> None:
    """One that vectors depend on says something else."""
    manifest = Manifest.from_bytes((directory / MANIFEST).read_bytes())
    changed: Mapping[str, Any] = chance.choice(
        [
            {"dim": manifest.dim + 1, "dimensions": [manifest.dim + 1]},
            {"dim": 1, "dimensions": [1]},
            {"dim": (1 << 31) - 1, "dimensions": [(1 << 31) - 1]},
            {"normalized": not manifest.normalized},
            {"max_length": 1 if manifest.max_length > 1 else 2},
            {"opset": manifest.opset - 1},
        ]
    )
    mutants.write_manifest(directory, manifest.model_copy(update=changed))


def weights(change: Callable[[Any, random.Random], Any]) -> Change:
    """Another table of numbers in the graph."""

    def changed(directory: Path, chance: random.Random) -> None:
        model = onnx.load_from_string((directory / GRAPH).read_bytes())
        tables = [one for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT]
        table = chance.choice(tables)
        table.CopyFrom(
            numpy_helper.from_array(change(numpy_helper.to_array(table).copy(), chance), table.name)
        )
        mutants.sealed_again(directory, {GRAPH: model.SerializeToString()})

    return changed


def one_number(value: float) -> Change:
    def change(table: Any, chance: random.Random) -> Any:
        table[chance.randrange(len(table)), chance.randrange(table.shape[1])] = value
        return table

    return weights(change)


def vocabulary(directory: Path, chance: random.Random) -> None:
    """The same words in another order: each gets the vector of another."""
    name = kind_of(directory).file
    document = json.loads((directory / name).read_bytes())
    if name == mutants.TOKENIZER:
        words = list(document["model"]["vocab"])
        chance.shuffle(words)
        document["model"]["vocab"] = {word: number for number, word in enumerate(words)}
    else:
        chance.shuffle(next(one for one in document["features"] if "vocabulary" in one)["vocabulary"])
    mutants.sealed_again(directory, {name: json.dumps(document).encode()})


def another_kind_by_name(directory: Path, chance: random.Random) -> None:
    """The kind in the manifest, and the name of its file, are those of another."""
    manifest, own = Manifest.from_bytes((directory / MANIFEST).read_bytes()), kind_of(directory)
    other = chance.choice([kind for kind in KINDS.values() if kind.file != own.file])
    (directory / own.file).rename(directory / other.file)
    files = {other.file if name == own.file else name: entry for name, entry in manifest.files.items()}
    changed = {"kind": other.name, "preprocess_version": other.version, "files": files}
    mutants.write_manifest(directory, manifest.model_copy(update=changed))


def another_kind(directory: Path, chance: random.Random) -> None:
    """A tokenizer where features belong, or the other way round."""
    name = kind_of(directory).file
    content = tiny.user_schema() if name == mutants.TOKENIZER else tiny.tokenizer_json()
    mutants.sealed_again(directory, {name: content})


def killer(name: str) -> Change:
    return lambda directory, chance: mutants.sealed_again(directory, mutants.KILLERS[name]())


CHANGES: dict[str, Change] = {
    **{mutation.__name__: damaged(mutation) for mutation in damage.MUTATIONS},
    "garbled": garbled,
    "missing": missing,
    "more": more,
    "no_bytes": no_bytes,
    "link": link,
    "hard_link": hard_link,
    "no_file": no_file,
    "sparse": sparse,
    **{f"{mutation.__name__}, sealed": sealed(mutation) for mutation in damage.MUTATIONS},
    "sparse, sealed": sparse_and_sealed,
    "garbled, sealed": garbled_and_sealed,
    "garbled manifest, sealed": garbled_manifest,
    "field, sealed": field,
    "nan, sealed": one_number(float("nan")),
    "infinity, sealed": one_number(float("inf")),
    "zeros, sealed": weights(lambda table, chance: table * 0),
    "narrow, sealed": weights(lambda table, chance: table[:, :-1]),
    "short, sealed": weights(lambda table, chance: table[:-1]),
    "vocabulary, sealed": vocabulary,
    "another kind, sealed": another_kind,
    "another kind by name, sealed": another_kind_by_name,
    **{name: killer(name) for name in mutants.KILLERS},
}
