"""Texts in languages that an encoder was not trained for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from strategies import ANY_TEXT
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from bundle import InputError, ManifestError, Store, Text, publish
from bundle.manifest import Manifest
from bundle.preprocess.text import TextPreprocessor, TokenIds
from bundle.preprocess.text.languages import SCRIPTS_OF, Languages, frequencies, weights

OTHER = {
    "ru": "Где моя посылка?",
    "uk": "Де мій пакунок",
    "ar": "أين طردي؟",
    "hi": "मेरा पार्सल कहाँ है?",
    "zh": "我的包裹在哪里?",
    "zh with a brand": "iPhone 15 Pro 多少钱一台",
    "ja": "荷物はどこですか",
    "ko": "제 소포는 어디에 있나요?",
    "th": "พัสดุของฉันอยู่ที่ไหน",
    "el": "Πού είναι το δέμα μου;",
    "he": "איפה החבילה שלי",
    "de": "Wo ist mein Paket und wann kommt es bei mir an?",
    "es": "¿Dónde está mi paquete y cuándo va a llegar?",
    "fr": "Où est mon colis et quand est-ce que je vais le recevoir ?",
    "it": "Dove è il mio pacco e quando arriva a casa mia?",
    "nl": "Waar is mijn pakket en wanneer komt het aan?",
    "pl": "Gdzie jest moja paczka i kiedy będzie u mnie w domu?",
    "pt": "Onde está o meu pacote e quando ele vai chegar?",
    "tr": "Benim paketim nerede ve ne zaman bana gelecek?",
}
ENGLISH = [
    "Where is my parcel?",
    "WHERE IS MY PARCEL",
    "reset password",
    "wher is my pacrel, it hsa not arived",
    "Garcia Lopez, Los Angeles",
    "Vincent van Gogh",
    "for i in range(10): print(i ** 2)",
    "SELECT * FROM users WHERE id = 7;",
    "https://example.org/de/la/que?und=der",
    "0123 456 789",
    "👍👍👍",
    "naïve café, jalapeño",
    "β-carotene and δ-tocopherol",
    "π ≈ 3.14",
    "σ² = Σ(x-μ)² / n",
    "①②③ ⅷ ½",
    "ssl.OP_NO_DE_LA",
    "“smart” quotes — and dashes…",
    "Tokyo (東京) is the capital of Japan",
    "ok",
    "",
    "Samsung Galaxy S21 Ultra 5G 128GB Black",
    "E = mc²",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Of a bundled encoder."""
    store = Store(Path(__file__).parents[2] / "models")
    return Tokenizer.from_file(str(store.root / "text" / store.current("text") / "tokenizer.json"))


@pytest.fixture(scope="module")
def english(tokenizer: Tokenizer) -> Callable[[str], bool]:
    """Whether an encoder of English texts takes one for another language."""
    known = Languages(["en"], tokenizer)
    return lambda text: known.is_other(text, tokenizer.encode(text).ids)


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER.keys())
def test_other_languages_are_told(english: Callable[[str], bool], text: str) -> None:
    assert english(text)


def test_the_multilingual_encoder_tells_other_scripts_than_its_own_alone() -> None:
    store = Store(Path(__file__).parents[2] / "models")
    manifest = store.manifest("text-multi", store.current("text-multi"))
    path = store.root / "text-multi" / manifest.version / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    known = Languages(manifest.languages, tokenizer)
    told = {one for one, text in OTHER.items() if known.is_other(text, tokenizer.encode(text).ids)}

    assert told == {"th", "el", "he"}
    assert not any(known.is_other(text, tokenizer.encode(text).ids) for text in ENGLISH)


@pytest.mark.parametrize("text", ENGLISH)
def test_english_names_code_and_symbols_are_not(english: Callable[[str], bool], text: str) -> None:
    assert not english(text)


@given(st.text(alphabet=st.characters(categories=["N", "P", "S", "Z"])))
def test_a_text_without_letters_is_in_no_language(text: str) -> None:
    assert not Languages(["en"], Tokenizer(models.WordLevel({"a": 0}, "a"))).is_other(text, [])


@pytest.mark.parametrize("language", ["ru", "zh"])
def test_the_languages_of_the_encoder_are_not_told(tokenizer: Tokenizer, language: str) -> None:
    known = Languages(["en", language], tokenizer)
    assert not known.is_other(OTHER[language], tokenizer.encode(OTHER[language]).ids)
    assert known.is_other(OTHER["hi"], tokenizer.encode(OTHER["hi"]).ids)
    assert known.is_other(OTHER["de"], tokenizer.encode(OTHER["de"]).ids)


def test_english_is_another_language_for_a_german_encoder(tokenizer: Tokenizer) -> None:
    known = Languages(["de"], tokenizer)
    text = "Where is my parcel and when will it be here?"
    assert known.is_other(text, tokenizer.encode(text).ids)
    assert not known.is_other(OTHER["de"], tokenizer.encode(OTHER["de"]).ids)


@pytest.mark.parametrize("languages", [[], ["xx"], ["en", "xx"]])
def test_nothing_is_told_where_a_language_is_not_known(tokenizer: Tokenizer, languages: list[str]) -> None:
    assert Languages.of(languages, tokenizer) is None


def test_words_weigh_by_whose_they_are() -> None:
    assert weights(("en",))["und"] > 0 > weights(("en",))["the"]
    assert weights(("de", "en"))["und"] < 0


def test_every_word_is_counted_in_a_language_with_a_script() -> None:
    languages = {language for row in frequencies().values() for language in row}
    assert languages == {one for one, scripts in SCRIPTS_OF.items() if "Latn" in scripts}
    assert all(min(row.values()) > 0 for row in frequencies().values())


def test_a_cased_tokenizer_knows_words_in_any_case() -> None:
    words = ["[UNK]", "The", "the", "THE", "parcel", "und"]
    cased = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, "[UNK]"))
    cased.pre_tokenizer = pre_tokenizers.Whitespace()
    known = Languages(["en"], cased)
    for text in ("The parcel de la", "the parcel de la", "THE PARCEL DE LA"):
        assert not known.is_other(text, cased.encode(text).ids)


def _prepared(text: str, prompt: str = "", languages: tuple[str, ...] = ("en",)) -> bool:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1, "query": 2}, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    preprocessor = TextPreprocessor(tokenizer.to_str().encode(), 64, languages)
    (prepared,) = preprocessor.prepare([Text(text).prompted(prompt)])
    return bool(prepared.facts.warnings.get("other_language"))


def test_a_prompt_says_nothing_of_the_language() -> None:
    prompt = "Represent the text of this query for the search: "
    assert _prepared(OTHER["de"], prompt)
    assert _prepared("да", prompt)
    assert not _prepared("reset password", prompt)
    assert not _prepared(OTHER["de"], prompt, languages=())


def test_token_ids_are_told_by_what_they_stand_for(tokenizer: Tokenizer) -> None:
    preprocessor = TextPreprocessor(tokenizer.to_str().encode(), 64, ["en"])
    for text, expected in ((OTHER["ru"], True), ("Where is my parcel?", False)):
        (prepared,) = preprocessor.prepare([TokenIds(tuple(tokenizer.encode(text).ids))])
        assert ("other_language" in prepared.facts.warnings) is expected


@given(ANY_TEXT)
def test_vectors_do_not_depend_on_the_languages(text: str) -> None:
    content = tiny.tokenizer_json()
    plain, telling = (TextPreprocessor(content, 64, languages) for languages in ((), ("en",)))
    try:
        (expected,) = plain.prepare([Text(text)], "end")
    except InputError:
        return
    (found,) = telling.prepare([Text(text)], "end")
    assert found.arrays["input_ids"].tolist() == expected.arrays["input_ids"].tolist()


def test_languages_change_no_space_and_older_manifests_no_digest(tmp_path: Path) -> None:
    (silent,) = publish(tmp_path, [tiny.text_draft()])
    (telling,) = publish(tmp_path, [tiny.text_draft(languages=["en"], not_for="the law")])
    assert telling.space == silent.space
    assert telling.version != silent.version
    assert not {"languages", "not_for"} & json.loads(silent.to_bytes()).keys()
    assert Manifest.from_bytes(telling.to_bytes()) == telling


def test_a_language_is_written_as_iso_639_has_it(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="ISO 639-1"):
        publish(tmp_path, [tiny.text_draft(languages=["english"])])
