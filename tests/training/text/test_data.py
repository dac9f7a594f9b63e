"""From files to batches: readers, tokenising, vocabularies and the order of examples."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_training
from hypothesis import given
from hypothesis import strategies as st

from bundle.preprocess import KINDS
from bundle.preprocess.text import Text
from training.data.stream import Stream
from training.errors import ConfigError
from training.text.config.data import SourceConfig
from training.text.config.model import VocabularyConfig
from training.text.data.readers import (
    files_sha256,
    read_labels,
    read_pairs,
    read_scored_file,
    read_texts,
    spans_of,
)
from training.text.data.tokenised import CHUNK, Tokenised, tokenise
from training.text.vocabulary import pooled_tokenizer, train_tokenizer

SIZES = st.tuples(st.integers(1, 90), st.integers(1, 20), st.integers(0, 5))


def stream(n: int, batch_size: int, seed: int) -> Stream:
    return Stream(np.random.default_rng(seed).integers(1, 50, n), batch_size, seed)


def epoch(some: Stream, number: int = 0) -> np.ndarray:
    return np.stack([some.rows(number * some.steps + step) for step in range(some.steps)])


@given(SIZES)
def test_an_epoch_has_every_row_at_most_once_and_leaves_out_less_than_a_batch(
    size: tuple[int, int, int],
) -> None:
    n, batch_size, _ = size
    rows = epoch(stream(*size)).ravel().tolist()

    assert len(set(rows)) == len(rows)
    assert set(rows) <= set(range(n))
    assert n - len(rows) < min(batch_size, n)


@given(SIZES)
def test_a_batch_follows_from_seed_and_step_alone(size: tuple[int, int, int]) -> None:
    some = stream(*size)
    steps = list(range(3 * some.steps))
    backwards = {step: stream(*size).rows(step).tolist() for step in reversed(steps)}

    assert [some.rows(step).tolist() for step in steps] == [backwards[step] for step in steps]


def test_epochs_and_seeds_differ() -> None:
    assert not np.array_equal(epoch(stream(60, 6, 0), 0), epoch(stream(60, 6, 0), 1))
    assert not np.array_equal(epoch(Stream(np.ones(60), 6, 0)), epoch(Stream(np.ones(60), 6, 1)))


def test_like_lengths_come_together() -> None:
    """Padding of 20 texts of lengths 1..200 by chance is about 95 % of their tokens; sorted, 5 %."""
    lengths = np.random.default_rng(0).permutation(np.arange(1, 201))
    some = Stream(lengths, 10, seed=0)
    padded = sum(int(lengths[rows].max()) * len(rows) for rows in epoch(some))

    assert padded < 1.1 * lengths.sum()


def test_the_longest_rows_are_seen_too() -> None:
    """What does not fill a batch is left out by chance, not by length."""
    lengths = np.arange(1, 16)
    seen = {
        row for number in range(20) for row in epoch(Stream(lengths, 10, seed=0), number).ravel().tolist()
    }

    assert seen == set(range(15))


def test_a_stream_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Stream(np.zeros(0, dtype=np.int64), 4, 0)


def write(path: Path, content: str | bytes) -> SourceConfig:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return SourceConfig(path=path.name)


def test_spans_are_neighbouring_words_of_longer_texts() -> None:
    texts = ["too short a text", "a b c d e f g h i j k", "l m n o p q r s t u v w"]
    spans = spans_of(texts, 300)

    assert len(spans) == 300
    assert {len(span.split()) for span in spans} == set(range(2, 11))
    assert all(any(span in text for text in texts[1:]) for span in spans)
    assert spans_of(texts, 300) == spans


def test_no_more_pairs_of_a_source_are_read_than_its_limit_over_all_files(tmp_path: Path) -> None:
    rows = "".join(f"{name}\t{name} {i}\tx\n" for i in range(4) for name in ("few", "all", "none"))
    files = [write(tmp_path / name, rows) for name in ("a.tsv", "b.tsv")]
    pairs = read_pairs(tmp_path, files, ["few", "all"], limits={"few": 5, "none": 1})

    assert [first for first in pairs.first if first.startswith("few")] == [
        f"few {i}" for i in (0, 1, 2, 3, 0)
    ]
    assert sum(first.startswith("all") for first in pairs.first) == 8
    assert not any(first.startswith("none") for first in pairs.first)


def test_spans_of_short_texts_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs texts of more than 10 words"):
        spans_of(["a b c"], 1)


def test_texts_are_read_line_by_line_without_blank_ones(tmp_path: Path) -> None:
    """Windows' line ends too; a limit counts the texts that are left."""
    source = write(tmp_path / "a.txt", "one\n\n  \ntwo words \r\ndrei ß\n")

    assert read_texts(tmp_path, source) == ["one", "two words ", "drei ß"]
    assert read_texts(tmp_path, source.model_copy(update={"limit": 2})) == ["one", "two words "]


def test_gzip_is_read_as_it_is(tmp_path: Path) -> None:
    content = "one\ntwo\n"
    plain, packed = (
        write(tmp_path / "a.txt", content),
        write(tmp_path / "a.txt.gz", gzip.compress(content.encode())),
    )

    assert read_texts(tmp_path, packed) == read_texts(tmp_path, plain) == ["one", "two"]


def test_pairs_are_kept_by_source(tmp_path: Path) -> None:
    source = write(tmp_path / "p.tsv", "faq\ta\tb\r\nwiki\tc\td\nfaq\te\tf\n")
    everything, faq = read_pairs(tmp_path, [source], []), read_pairs(tmp_path, [source], ["faq"])

    assert (everything.first, everything.second) == (["a", "c", "e"], ["b", "d", "f"])
    assert (faq.first, faq.second) == (["a", "e"], ["b", "f"])


def test_labels_are_numbered_in_the_order_of_their_names(tmp_path: Path) -> None:
    source = write(tmp_path / "l.csv", 'id,category,text\n1,b,"one, two"\n\n2,a,three\n3,b,four\n')
    labelled = read_labels(tmp_path, [source])

    assert labelled.texts == ["one, two", "three", "four"]
    assert (labelled.labels.tolist(), labelled.names) == ([1, 0, 1], ["a", "b"])


def test_graded_pairs_are_read(tmp_path: Path) -> None:
    write(tmp_path / "g.csv", '"a, b",c,2.5\nd,e,0\n')
    graded = read_scored_file(tmp_path / "g.csv")

    assert (graded.first, graded.second, graded.scores.tolist()) == (["a, b", "d"], ["c", "e"], [2.5, 0.0])


Read = Callable[[Path, SourceConfig], object]
READERS: dict[str, Read] = {
    "texts": read_texts,
    "pairs": lambda directory, source: read_pairs(directory, [source], []),
    "labels": lambda directory, source: read_labels(directory, [source]),
    "graded": lambda directory, source: read_scored_file(directory / source.path),
}


@pytest.mark.parametrize(
    ("reader", "name", "content", "message"),
    [
        ("pairs", "p.tsv", "a\tb\tc\na\tb\n", "p.tsv, line 2: 2 fields, expected source, first, second"),
        (
            "labels",
            "l.csv",
            "text,label\na,b\n",
            "l.csv has no column 'category'; it has text, label",
        ),
        ("labels", "l.csv", "", "l.csv is empty; expected a line of column names"),
        ("labels", "l.csv", "text,category\na,b\nlonely\n", "l.csv, line 3: 1 fields, expected 2"),
        ("graded", "g.csv", "a,b,1\n\na,b,much\n", "g.csv, line 3: score: 'much' is no number"),
        (
            "graded",
            "g.csv",
            "one,other,grade\na,b,1\n",
            "g.csv, line 1: score: 'grade' is no number; a line of names needs columns = { first = ...,",
        ),
        (
            "pairs",
            "p.tsv",
            "Source\tfirst\tSecond \nx\ta\tb\n",
            "p.tsv, line 1: the names of columns; a line of names needs",
        ),
        ("labels", "l.csv", "text,category\na,x\nb, \n", "l.csv, line 3: label: the label is missing"),
        ("graded", "g.csv", "a,b\n", "g.csv, line 1: 2 fields, expected first, second, score"),
        ("graded", "g.csv", "a,b,nan\n", "g.csv, line 1: score: 'nan' is no finite number"),
        ("graded", "g.csv", "", "g.csv has no usable row; expected first, second, score"),
        ("texts", "a.txt.gz", b"plain text", "a.txt.gz is no gzip file"),
        (
            "texts",
            "a.txt.gz",
            gzip.compress(b"a\n" * 9, mtime=0)[:-9],
            "a.txt.gz, after line 0: the gzip file",
        ),
        ("texts", "a.txt", gzip.compress(b"a\n", mtime=0), "a.txt is a gzip file; add .gz to its name"),
        *(
            (
                reader,
                "latin.csv",
                b"text,category,1\n" * 9000 + b"a,\xe9,1\n",
                "latin.csv, line 9001: byte 0xE9",
            )
            for reader in ("texts", "labels")
        ),
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_its_file(
    tmp_path: Path, reader: str, name: str, content: str | bytes, message: str
) -> None:
    source = write(tmp_path / name, content)
    with pytest.raises(ConfigError) as caught:
        READERS[reader](tmp_path, source)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("reader", [*READERS, "digest"])
def test_a_file_that_is_not_there_is_named_with_the_way_out(tmp_path: Path, reader: str) -> None:
    read = READERS.get(reader, lambda directory, source: files_sha256(directory, [source.path]))
    with pytest.raises(
        ConfigError, match=r"none\.txt does not exist; say where the data is by --data or ENCODERY_DATA"
    ):
        read(tmp_path, SourceConfig(path="none.txt"))


def test_the_digest_is_of_contents_in_order(tmp_path: Path) -> None:
    for name, content in (("a", "1"), ("b", "2"), ("c", "1")):
        write(tmp_path / name, content)

    assert files_sha256(tmp_path, ["a", "b"]) == files_sha256(tmp_path, ["c", "b"])
    assert files_sha256(tmp_path, ["a", "b"]) != files_sha256(tmp_path, ["b", "a"])


def preprocessor(max_length: int = tiny.MAX_LENGTH) -> object:
    return KINDS["text"].load(tiny.tokenizer_json(), max_length)


TEXTS = ["the cat", "", "a red lamp on the mat", " \t", "dog", "unheard"]


def test_texts_without_tokens_are_dropped_and_the_others_keep_their_numbers() -> None:
    found = tokenise(preprocessor(), TEXTS)

    assert found.kept.tolist() == [0, 2, 4, 5]
    assert len(found) == 4
    assert found.lengths.tolist() == [2, 6, 1, 1]
    assert found.lengths_of(np.array([2, 5])).tolist() == [6, 1]


def test_what_is_kept_is_what_the_server_would_prepare() -> None:
    loaded = preprocessor(4)
    texts = ["the cat", "a red lamp on the mat", "dog"] * 3
    expected = loaded.prepare([Text(text) for text in texts], "end")
    found = tokenise(loaded, texts)

    for one, other in zip(expected, found.of(np.arange(9)), strict=True):
        np.testing.assert_array_equal(one.arrays["input_ids"], other.arrays["input_ids"])
        assert one.arrays["input_ids"].dtype == other.arrays["input_ids"].dtype == np.int64
        assert (one.cost, one.facts.tokens) == (other.cost, other.facts.tokens)
    assert ids(found, [1]) == [expected[1].arrays["input_ids"].tolist()]


def ids(found: Tokenised, positions: Sequence[int]) -> list[list[int]]:
    return [one.arrays["input_ids"].tolist() for one in found.at(np.array(positions, dtype=np.int64))]


@pytest.mark.parametrize("empty_at", [0, CHUNK - 1, CHUNK, CHUNK + 3])
def test_numbers_hold_across_chunks(empty_at: int) -> None:
    texts = [f"{tiny.WORDS[1 + i % 13]}" for i in range(CHUNK + 5)]
    texts[empty_at] = ""
    found = tokenise(preprocessor(), texts)

    assert found.kept.tolist() == [i for i in range(CHUNK + 5) if i != empty_at]
    assert [row[0] for row in ids(found, range(len(found)))] == [1 + i % 13 for i in found.kept.tolist()]


def test_no_texts_give_no_tokens() -> None:
    found = tokenise(preprocessor(), [])

    assert (len(found), found.ids.size, found.lengths.tolist()) == (0, 0, [])
    assert found.at(np.zeros(0, np.int64)) == []


VOCABULARY = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import hashlib, numpy as np, tiny_training
from training.text.config.model import VocabularyConfig
from training.text.vocabulary import train_tokenizer
random = np.random.default_rng(0)
texts = [tiny_training.sentence(random, topic, 9) for topic in tiny_training.TOPICS for _ in range(40)]
print(hashlib.sha256(train_tokenizer(texts, VocabularyConfig(size=150))).hexdigest())
"""


def test_a_trained_vocabulary_is_the_same_in_every_process() -> None:
    """The library numbers letters by a hash map, whose order is another in each process."""
    tests = Path(tiny_training.__file__).parent
    code = VOCABULARY.format(tests=str(tests), root=str(tests.parent))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]
    digests = {process.communicate(timeout=300)[0] for process in started}

    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_a_trained_vocabulary_reads_what_it_was_trained_on() -> None:
    texts = ["Ships sail, ships sink", "naïve ships sail"] * 5
    content = train_tokenizer(texts, VocabularyConfig(size=60))
    vocabulary = json.loads(content)["model"]["vocab"]
    loaded = KINDS["text"].load(content, 64)
    (prepared,) = loaded.prepare([Text("NAIVE ships 漢")])

    assert (vocabulary["[PAD]"], vocabulary["[UNK]"]) == (0, 1)
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert prepared.arrays["input_ids"][-1] == 1  # a letter never seen
    assert 1 not in prepared.arrays["input_ids"][:-1]
    assert "ships" in vocabulary


def test_a_cased_vocabulary_keeps_capitals() -> None:
    content = train_tokenizer(["Ship ship"] * 3, VocabularyConfig(size=40, lowercase=False))

    assert {"Ship", "ship"} <= set(json.loads(content)["model"]["vocab"])


def test_entries_are_as_frequent_as_asked() -> None:
    texts = ["ship"] * 5 + ["harbour"] * 2
    vocabulary = json.loads(train_tokenizer(texts, VocabularyConfig(size=100, min_count=3)))["model"]["vocab"]

    assert "ship" in vocabulary
    assert "harbour" not in vocabulary


def test_a_pretrained_tokenizer_loses_what_its_own_model_needed(teacher_directory: Path) -> None:
    """Padding to 128, truncation and the special tokens at both ends; its entries keep their ids."""
    original = json.loads((teacher_directory / "tokenizer.json").read_bytes())
    content = pooled_tokenizer((teacher_directory / "tokenizer.json").read_bytes())
    taken = json.loads(content)
    (prepared,) = KINDS["text"].load(content, 256).prepare([Text("the ship " * 100)])

    assert original["padding"] is not None
    assert original["truncation"] is not None
    assert [taken[key] for key in ("padding", "truncation", "post_processor")] == [None, None, None]
    assert taken["model"]["vocab"] == original["model"]["vocab"]
    assert prepared.cost == 200
