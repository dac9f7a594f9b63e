"""bench.multilingual_sizes: nothing cut changes nothing, and what is cut is gone."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from bench.multilingual_sizes import cut
from bundle.preprocess import KINDS
from bundle.preprocess.text import Text
from training.export import run_torch
from training.text.config.model import TextModelConfig
from training.text.encoders.classic import TextEncoder

PIECES = ["<pad>", "<unk>", "▁", *"abcdef", "▁bad", "▁cab", "▁fade"]
TEXTS = ["bad cab", "cab fade", "fade bad bad"]
FREQUENCIES = np.array([0] * 9 + [3, 2, 1])


@pytest.fixture
def start() -> Any:
    torch.manual_seed(0)
    tokenizer = Tokenizer(models.Unigram([(one, -float(len(PIECES) - len(one))) for one in PIECES], unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken(one, special=True) for one in PIECES[:2]])
    settings = {"embedding_dim": 8, "poolings": ["weighted"], "window": {"embedding_dim": 4, "output_dim": 4}}
    config = TextModelConfig.model_validate(settings | {"hidden": {"widths": [8], "output_dim": 6}})
    encoder = TextEncoder(len(PIECES), config).eval()
    manifest = SimpleNamespace(max_length=16)
    return SimpleNamespace(tokenizer=tokenizer.to_str().encode(), encoder=encoder, manifest=manifest)


def test_a_cut_to_all_that_there_is_changes_no_vector(start: Any) -> None:
    encode, size = cut(start, FREQUENCIES, len(PIECES), 8)
    preprocessor = KINDS["text"].load(start.tokenizer, 16)
    whole = run_torch(start.encoder, preprocessor, preprocessor.prepare([Text(one) for one in TEXTS], "end"))

    np.testing.assert_allclose(encode(TEXTS), whole, atol=1e-5)
    assert size > len(PIECES) * (8 + 4)


def test_the_rarest_pieces_go_first_and_characters_stay(start: Any) -> None:
    encode, size = cut(start, FREQUENCIES, len(PIECES) - 1, 4)
    _, whole = cut(start, FREQUENCIES, len(PIECES), 4)
    short = json.loads(start.tokenizer)["model"]["vocab"][-1]

    assert short[0] == "▁fade"
    assert size < whole
    assert np.isfinite(encode(["fade", "bad"])).all()
    assert not np.allclose(encode(["cab fade"]), cut(start, FREQUENCIES, len(PIECES), 4)[0](["cab fade"]))
