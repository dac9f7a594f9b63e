"""Words whose letters were swapped in typing, read as they were meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from strategies import ANY_TEXT

from bundle import ManifestError, Store, Text, publish
from bundle.preprocess.text import TextPreprocessor, TokenIds
from bundle.preprocess.text.spelling import Spelling
from bundle.publish import Draft

MODELS = Path(__file__).parents[2] / "models"
SLIPS = {
    "recieve a letter": "receive a letter",
    "hte cat": "the cat",
    "hTe cat": "The cat",
    "(teh cat)": "(the cat)",
    "teh cat.": "the cat.",
    "a msasaeg from my mother": "a msasaeg from my mother",
    "he is palying the gutiar": "he is playing the guitar",
    "th ecat sleeps": "the cat sleeps",
    "the cat is  acrobat": "the cat is  acrobat",
    "a man breaksa  stick": "a man breaks a stick",
    "Am an si plyaing a gutiar": "A man is playing a guitar",
    " Aman is eaitng na onino": "A man is eating an onion",
    "the owmna is silcing a carrto": "the woman is slicing a carrot",
    "the owmna is silcing a carro.t": "the woman is slicing a carrot.",
}
LEFT = [
    "Where is my parcel?",
    "a blood clot, and a vial of blood",
    "she sneezes and coughs",
    "Laing and Linde met Palsy",  # names
    "TEH NSAI HTE",  # capitals
    "the hte2 and h3te",  # codes
    "see foo.teh/adn and hte_adn or hte@adn.org",
    "main.c and stdio.h",
    "si tow rae act form",  # words of the vocabulary
    "teh\ncat",  # words are parted by spaces
    "",
    " ",
    "x" * 300,
    "Größe, naïveté und 東京",
]


@pytest.fixture(scope="module")
def tokenizer_json() -> bytes:
    store = Store(MODELS)
    return store.read("text", store.current("text")).files["tokenizer.json"]


@pytest.fixture(scope="module")
def spelling(tokenizer_json: bytes) -> Spelling:
    return Spelling.of(tokenizer_json)


@pytest.mark.parametrize("text", SLIPS)
def test_slips_are_read_as_they_were_meant(spelling: Spelling, text: str) -> None:
    assert spelling.read(text).text == SLIPS[text]


def test_the_examples_of_the_docs_are_read_so(spelling: Spelling) -> None:
    page = (MODELS.parent / "docs" / "bundle.md").read_text()
    table = page.partition("| text | read as | |\n|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]

    assert len(rows) >= 6
    assert [spelling.read(text).text for text, _, _ in rows] == [read for _, read, _ in rows]


@pytest.mark.parametrize("text", LEFT)
def test_all_else_is_left_alone(spelling: Spelling, text: str) -> None:
    assert spelling.read(text) == (text, 0)


@given(text=ANY_TEXT | st.text(alphabet="aehist .,'(AT", max_size=80))
def test_a_reading_has_the_characters_of_the_text(spelling: Spelling, text: str) -> None:
    read = spelling.read(text)

    assert sorted(read.text) == sorted(text)
    assert bool(read.changed) == (read.text != text)
    assert spelling.read(text) == read  # from memory


@given(
    words=st.lists(st.sampled_from(["the", "cat", "sat", "my", "form", "from", "act", "7", "NSAI", "x.teh"]))
)
def test_known_words_are_never_read_otherwise(spelling: Spelling, words: list[str]) -> None:
    text = " ".join(words)

    assert spelling.read(text) == (text, 0)


def test_only_texts_of_at_most_64_words_are_read_otherwise(spelling: Spelling) -> None:
    longest = " ".join(["hte cat is palying"] * 16)

    assert spelling.read(longest) == (" ".join(["the cat is playing"] * 16), 32)
    assert spelling.read(f"{longest} hte") == (f"{longest} hte", 0)


def reads(
    *, respells: bool = True, max_length: int = 16, languages: tuple[str, ...] = ()
) -> TextPreprocessor:
    return TextPreprocessor(tiny.word_piece_json(), max_length, languages, respells=respells)


def ids_of(preprocessor: TextPreprocessor, text: Text | TokenIds) -> list[int]:
    (prepared,) = preprocessor.prepare([text], "end")
    return list(prepared.arrays["input_ids"])


def test_a_slip_has_the_tokens_of_what_was_meant_and_is_told() -> None:
    slips, meant = reads().prepare([Text("teh cat sat on th emat"), Text("the cat sat on the mat")])

    assert slips.arrays["input_ids"].tolist() == meant.arrays["input_ids"].tolist()
    assert (slips.facts.warnings, meant.facts.warnings) == ({"respelt": 3}, {})


def test_nothing_is_read_otherwise_unless_it_is_asked_for() -> None:
    (plain,) = reads(respells=False).prepare([Text("teh cat")])

    assert plain.facts.warnings == {}
    assert ids_of(reads(), Text("teh cat")) != plain.arrays["input_ids"].tolist()


def test_a_prompt_is_read_as_it_stands() -> None:
    prompted = Text("teh cat").prompted("hte: ")

    assert ids_of(reads(), prompted) == ids_of(reads(respells=False), Text("hte: the cat"))


def test_a_text_that_is_cut_is_read_first() -> None:
    short = reads(max_length=2)
    (prepared,) = short.prepare([Text("cat sat teh")], "start")

    assert prepared.arrays["input_ids"].tolist() == ids_of(reads(), Text("sat the"))
    assert set(prepared.facts.warnings) == {"truncated", "respelt"}


def test_a_text_in_another_language_is_left_alone() -> None:
    text = Text("teh cat Где моя посылка и когда она придет")

    assert "respelt" in reads().prepare([text], "end")[0].facts.warnings
    assert "respelt" not in reads(languages=("en",)).prepare([text], "end")[0].facts.warnings


def test_token_ids_and_addresses_are_left_alone() -> None:
    ids = tuple(ids_of(reads(respells=False), Text("teh")))

    assert ids_of(reads(), TokenIds(ids)) == list(ids)
    assert ids_of(reads(), Text("teh", is_media_address=True)) == list(ids)


def test_tokens_are_those_of_the_reading_at_their_places_in_the_text() -> None:
    (tokens,) = reads().tokens(["red th ecat sat"])

    assert [(one.text, one.start, one.stop) for one in tokens] == [
        ("red", 0, 3),
        ("the", 4, 7),
        ("cat", 8, 11),
        ("sat", 12, 15),
    ]


def test_a_vocabulary_without_whole_words_is_refused() -> None:
    with pytest.raises(ManifestError, match="leave respell out"):
        TextPreprocessor(tiny.tokenizer_json(), 16, respells=True)


def draft(**changes: Any) -> Draft:
    tokenizer = tiny.word_piece_json()
    words = TextPreprocessor(tokenizer, 16).vocabulary
    table = np.random.default_rng(0).normal(size=(words, tiny.DIM)).astype(np.float32)
    return tiny.text_draft(preprocessor=tokenizer, table=table, **changes)


def test_it_is_another_space_whose_other_vectors_are_equal(tmp_path: Path) -> None:
    (plain,), (mends,) = (publish(tmp_path, [draft(respell=rule)]) for rule in (0, 1))
    before, after = (Store(tmp_path).load("text", one.version) for one in (plain, mends))
    meant, slip = Text("the cat"), Text("teh cat")

    assert plain.space != mends.space
    assert "respell" not in plain.to_bytes().decode()
    assert np.array_equal(before.encode([meant]), after.encode([meant]))
    assert np.array_equal(before.encode([meant]), after.encode([slip]))
    assert not np.array_equal(before.encode([slip]), after.encode([slip]))


def test_kinds_without_words_refuse_it(tmp_path: Path) -> None:
    drafts = tiny.pair_drafts()

    with pytest.raises(ManifestError, match="no words to spell"):
        publish(tmp_path, [replace(one, respell=1) for one in drafts])
