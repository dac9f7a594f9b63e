"""A pretrained encoder from a local directory to a bundle's draft, proven as a trained one is.

directory -> what it says -> tokenizer and network -> one graph from ids to vector -> Draft

Knows nothing of the command line, and nothing of training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from bundle.directory import MAX_GRAPH_BYTES
from bundle.preprocess import KINDS
from bundle.preprocess.text import Text
from bundle.publish import Draft
from training.errors import ConfigError
from training.export import GOLDEN_INPUTS, Exportable, draft_of
from training.provenance import Provenance
from training.text.encoders.form import notes_of
from training.text.encoders.packed import packed
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.encoders.static import StaticEncoder, StaticTable, static_notes
from training.text.pretrained.directory import Pretrained, read_pretrained
from training.text.pretrained.static import STATIC, load_static, read_static
from training.text.pretrained.tokenizer import whole_tokenizer

LENGTHS = 48  # parity texts from one word to the most tokens; with the golden ones 72
GOLDEN_WORDS = 48  # the server runs golden inputs when it starts, so they are short
_ODD = (
    "Where is my parcel?",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "Größe, naïveté and 東京 in one line 🙂",
    "MiXeD CaSe 1,234.50 EUR (incl. VAT)!",
    "\tspaces \n and   lines\r\n",
    "x" * 200,
    "don't   e-mail me@example.org; see https://example.org/a?b=c#d",
)
_WORDS = (
    "an old map of the harbour shows seven ships under sail near two small islands while "
    "people on land trade bread for silver and nobody writes down who paid what or when"
)


def imported(
    directory: Path,
    name: str,
    *,
    description: str | None = None,
    max_length: int | None = None,
    languages: Sequence[str] = (),
) -> Draft:
    """Read, export and prove the encoder in a directory.

    Args:
        directory: as Hugging Face transformers or sentence-transformers save it.
        name: of the model.
        description: by default, where it comes from.
        max_length: most tokens of a text; by default what the directory says.
        languages: that it was trained for, by ISO 639-1; a text in another one is told so.

    Raises:
        ConfigError: it holds something that cannot be represented.
        ExportError: the graph does not give torch's vectors.
    """
    spec = _with_length(read_static(directory) or read_pretrained(directory), max_length)
    model, tokenizer = _loaded(spec)
    _check_size(model, spec)
    encoder = Exportable(
        name=name,
        description=description or f"Imported from {spec.name}: {_in_words(spec)}.",
        kind="text",
        model=model,
        preprocessor=tokenizer,
        parity_inputs=_parity_inputs(model, tokenizer, spec.max_length),
        dimensions=[],
        normalized=spec.normalize,
        metric=spec.metric,
        max_length=spec.max_length,
        languages=languages,
        prompts=spec.prompts,
        default_prompt=spec.default_prompt if spec.default_prompt in spec.prompts else None,
        packed=packed(model),
        notes=static_notes() if isinstance(model, StaticEncoder) else notes_of(model),
    )
    return draft_of(encoder, provenance(spec, tokenizer), {})


def _loaded(spec: Pretrained) -> tuple[PretrainedEncoder, bytes]:
    """The encoder, and the content of its tokenizer.json. Raises ConfigError."""
    if spec.family == STATIC:
        rows, unknown, tokenizer = load_static(spec)
        return StaticEncoder(spec, StaticTable(rows, unknown)), tokenizer
    tokenizer = whole_tokenizer(spec)
    return PretrainedEncoder(spec), tokenizer


def _parity_inputs(model: PretrainedEncoder, tokenizer: bytes, max_length: int) -> list[Text]:
    """Texts to prove it on; of a static table only those of which something is known, for the rest are 0."""
    texts = [Text(text) for text in parity_texts(max_length)]
    if not isinstance(model, StaticEncoder) or model.table.unknown is None:
        return texts
    prepared = KINDS["text"].load(tokenizer, max_length).prepare(texts, "end")
    known = [(one.arrays["input_ids"] != model.table.unknown).any() for one in prepared]
    return [text for text, is_known in zip(texts, known, strict=True) if is_known]


def provenance(spec: Pretrained, tokenizer: bytes) -> Provenance:
    """Digests of what was read, and where it comes from; no path."""
    weights = spec.weights()
    layers = [asdict(layer) | {"directory": layer.directory.name} for layer in spec.dense]
    read = asdict(replace(spec, dense=())) | {"directory": "", "dense": layers}
    read["tokenizer_sha256"] = hashlib.sha256(tokenizer).hexdigest()
    joined = "\n".join(weights.values()).encode()
    return Provenance(
        command="encodery import",
        config_sha256=hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest(),
        data_sha256=hashlib.sha256(joined).hexdigest(),
        seed=0,
        inputs=f"directory `{spec.name}`",
        details=list(_details(spec, weights)),
    )


def parity_texts(max_length: int) -> list[str]:
    """Make at least 64 texts of very different lengths, up to the longest; the golden ones first, and short.

    Long and short ones take turns, so that batches of neighbours are padded a lot.
    """
    golden = np.linspace(1, GOLDEN_WORDS, GOLDEN_INPUTS - len(_ODD)).astype(int)
    rest = np.geomspace(1, max_length, LENGTHS).round().astype(int)
    turns = [each for pair in zip(rest, rest[::-1], strict=True) for each in pair][:LENGTHS]
    return [*_ODD, *(_words(int(n), start) for start, n in enumerate([*golden, *turns]))]


def _words(count: int, start: int) -> str:
    words = _WORDS.split()
    return " ".join(words[(start + i) % len(words)] for i in range(count))


def _with_length(spec: Pretrained, max_length: int | None) -> Pretrained:
    if max_length is None:
        return spec
    if not 1 <= max_length <= spec.positions:
        raise ConfigError(f"max-length is {max_length}; {spec.name} reads 1 to {spec.positions} tokens")
    return replace(spec, max_length=max_length)


def _check_size(model: PretrainedEncoder, spec: Pretrained) -> None:
    weights = [*model.parameters(), *model.buffers()]
    size = sum(weight.numel() * weight.element_size() for weight in weights)
    if size > 0.99 * MAX_GRAPH_BYTES:  # the rest is for the operators
        raise ConfigError(
            f"{spec.name} has {size / 2**30:.1f} GiB of weights; a graph holds at most "
            f"{MAX_GRAPH_BYTES / 2**30:.0f} GiB"
        )


def _in_words(spec: Pretrained) -> str:
    network = f"{spec.family} of {spec.layers} layers"
    if spec.family == STATIC:
        network = f"static table of {spec.vocabulary:,} tokens"
    parts = [network, f"{' and '.join(spec.poolings)} pooling"]
    parts += [f"a {layer.activation} layer to {layer.out_features}" for layer in spec.dense]
    return ", ".join([*parts, *(["L2 norm"] if spec.normalize else [])])


def _details(spec: Pretrained, weights: dict[str, str]) -> Iterator[str]:
    yield f"{_in_words(spec)[0].upper()}{_in_words(spec)[1:]}; reads at most {spec.max_length} tokens."
    yield "The weights keep the licence of the model that they are of."
    yield ""
    yield "| weights | sha256 |"
    yield "|---|---|"
    yield from (f"| {name} | `{digest}` |" for name, digest in weights.items())
    if spec.prompts:
        yield from ("", 'Trained with prompts; ask for the one that fits as `"prompt"`:', "")
        yield from (f"- {name}: `{text}`" for name, text in spec.prompts.items())
    if spec.default_prompt in spec.prompts:
        yield from ("", f'`{spec.default_prompt}` is put before every text unless `"prompt"` says otherwise.')
