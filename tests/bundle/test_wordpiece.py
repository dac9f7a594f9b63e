"""The memory of words answers what the library answers, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ANY_TEXT
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from bundle.preprocess.text.wordpiece import LONGEST_WORD, SYMBOLS, TokenCache

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *"abcxyzABC019.,!?'[]-",
    *(f"##{one}" for one in "abcABC01"),
]
PLAIN = st.text(alphabet="abcxyzABCQ019 .,!?'-[]\t\n", max_size=60)
NEAR = st.lists(  # what may go wrong, among what does not
    st.sampled_from(
        ["abc", "cab", "Bca", "q", "[SEP]", "[sep]", "[S", "EP]", "a-b", " ", "\n", "\x00", "\x1c", "é", "中"]
    )
).map("".join)


def word_piece(*, lowercase: bool = True, specials: Sequence[str] = ("[PAD]", "[CLS]", "[SEP]")) -> Tokenizer:
    ids = {token: number for number, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(specials))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    return tokenizer


def memory_of(tokenizer: Tokenizer) -> TokenCache:
    memory = TokenCache.of(tokenizer, tokenizer.to_str().encode())
    assert memory is not None
    return memory


FOLDED, CASED = word_piece(), word_piece(lowercase=False)
BARE = word_piece()
BARE.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
PLAINLY = word_piece()
PLAINLY.normalizer = normalizers.Sequence([normalizers.NFKC(), PLAINLY.normalizer])
PLAINLY.pre_tokenizer = pre_tokenizers.Sequence(
    [PLAINLY.pre_tokenizer, pre_tokenizers.Split(Regex(SYMBOLS), "isolated")]
)
KNOWN = {"folded": FOLDED, "cased": CASED, "no special tokens": BARE, "read plainly": PLAINLY}
REMEMBERED = {id(one): memory_of(one) for one in KNOWN.values()}


@pytest.mark.parametrize("tokenizer", KNOWN.values(), ids=KNOWN.keys())
@given(text=PLAIN | NEAR | ANY_TEXT)
def test_ids_are_those_of_the_library(tokenizer: Tokenizer, text: str) -> None:
    ids = REMEMBERED[id(tokenizer)].ids(text)
    assert ids is None or ids == tokenizer.encode(text).ids


@pytest.mark.parametrize("text", ["abc cab", "Abc, cab! - it's 10.\n\tB", "", "  ", "zq"])
def test_plain_texts_are_answered(text: str) -> None:
    assert memory_of(FOLDED).ids(text) == FOLDED.encode(text).ids


@pytest.mark.parametrize(
    "text", ["naïve", "a\x00b", "a\x7f", "[SEP]", "a [sep] b", "a" * (LONGEST_WORD + 1)], ids=ascii
)
def test_other_texts_are_left_to_the_library(text: str) -> None:
    assert memory_of(FOLDED).ids(text) is None


def test_added_words_are_left_to_the_library() -> None:
    tokenizer = word_piece()
    tokenizer.add_tokens([AddedToken("abcabc", normalized=True)])
    assert memory_of(tokenizer).ids("an ABCabc here") is None


def test_memory_starts_anew_when_it_is_full() -> None:
    memory = TokenCache(FOLDED, lowercase=True, specials=["[SEP]"], most=3)
    texts = ["a b c", "x y z a", "a b", "0 1 9 x y z"]
    assert [memory.ids(text) for text in texts * 2] == [FOLDED.encode(text).ids for text in texts * 2]


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE({"a": 0}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    return tokenizer


def elsewhere_split() -> Tokenizer:
    tokenizer = word_piece()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def otherwise_normalized() -> Tokenizer:
    tokenizer = word_piece()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace("a", "b"), normalizers.BertNormalizer()])
    return tokenizer


@pytest.mark.parametrize("other", [byte_level, elsewhere_split, otherwise_normalized])
def test_other_tokenizers_are_not_recognised(other: type[Tokenizer]) -> None:
    tokenizer = other()
    assert TokenCache.of(tokenizer, tokenizer.to_str().encode()) is None
