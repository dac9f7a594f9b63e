"""Pretrained encoders: read as they were saved, refused by name, and equal to transformers' own vectors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny_pretrained as tiny
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from bundle.encoder import Runner
from bundle.preprocess import KINDS, Preprocessor
from bundle.preprocess.text import Text
from training.errors import ConfigError
from training.export import export_graph, run_torch
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.pretrained.directory import WEIGHTS, read_pretrained
from training.text.pretrained.families import FAMILIES
from training.text.pretrained.tokenizer import whole_tokenizer

SAME = 1e-5  # float32: other kernels of attention, padded rows
TEXTS = ["ship", "the ship of the sailor near the harbour", "bread and new coin", "rose hedge " * 19]
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
NETWORKS = {family: (family, {}) for family in FAMILIES} | {
    f"{family}-both-ways": (family, changes) for family, changes in tiny.VARIANTS.items()
}
PADDED = [name for name, family in FAMILIES.items() if not family.packs]
DENSE = "2_Dense"


class Several(nn.Module):
    """Encoders of the same ids side by side: one export in place of one each. -> (encoders, n, dim)."""

    def __init__(self, encoders: Sequence[nn.Module]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return torch.stack([encoder(input_ids, attention_mask) for encoder in self.encoders])


def run(encoders: Sequence[nn.Module], preprocessor: Preprocessor) -> npt.NDArray[np.float32]:
    """Vectors of TEXTS through onnxruntime, alone and in one padded batch: [2, encoders, n, dim]."""
    prepared = preprocessor.prepare([Text(text) for text in TEXTS])
    runner = Runner(preprocessor, export_graph(Several(encoders), preprocessor, prepared))
    alone = np.concatenate([runner.run([one]) for one in prepared], axis=1)
    return np.stack([alone, runner.run(prepared)])


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory of each family. Read only."""
    root = tmp_path_factory.mktemp("networks")
    for name, (family, changes) in NETWORKS.items():
        tiny.write_network(root / name, family, **changes)
    return root


@pytest.fixture
def bert(networks: Path, tmp_path: Path) -> Path:
    """A BERT of one's own to change."""
    return Path(shutil.copytree(networks / "bert", tmp_path / "bert"))


@pytest.fixture(scope="module")
def preprocessor(networks: Path) -> Preprocessor:
    spec = read_pretrained(networks / "bert")
    return KINDS["text"].load(whole_tokenizer(spec), spec.max_length)


@pytest.fixture(scope="module")
def by_family(networks: Path, preprocessor: Preprocessor) -> dict[str, npt.NDArray[np.float32]]:
    """From onnxruntime, of those whose graph is padded; `test_packed` has the others."""
    encoders = [PretrainedEncoder(read_pretrained(networks / name)) for name in PADDED]
    vectors = run(encoders, preprocessor)
    return {name: vectors[:, i] for i, name in enumerate(PADDED)}


@pytest.mark.parametrize("family", PADDED)
def test_every_family_gives_what_transformers_gives(
    networks: Path, by_family: dict[str, npt.NDArray[np.float32]], family: str
) -> None:
    """Alone and padded to the longest text there may be, against each text alone in transformers."""
    expected = [tiny.hidden_states(networks / family, text).mean(0) for text in TEXTS]

    np.testing.assert_allclose(by_family[family][0], expected, atol=SAME)
    np.testing.assert_allclose(by_family[family][1], expected, atol=SAME)


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_changes_no_vector_of_any_family(
    networks: Path, preprocessor: Preprocessor, name: str
) -> None:
    """In torch, in one batch with the longest text there may be."""
    expected = [tiny.hidden_states(networks / name, text) for text in TEXTS]
    encoder = PretrainedEncoder(read_pretrained(networks / name))
    prepared = preprocessor.prepare([Text(text) for text in TEXTS])

    assert max(map(len, expected)) == tiny.POSITIONS
    vectors = run_torch(encoder, preprocessor, prepared)
    np.testing.assert_allclose(vectors, [states.mean(0) for states in expected], atol=SAME)


def test_decoders_read_both_ways_only_where_their_configuration_says_so(networks: Path) -> None:
    """The second state of a text hears of what follows, or does not."""
    for family in tiny.VARIANTS:
        for name, hears in ((family, False), (f"{family}-both-ways", True)):
            one, other = (tiny.hidden_states(networks / name, text)[1] for text in ("a ship", "a rose"))
            assert bool(np.abs(one - other).max() > SAME) is hears, name


def pooled(states: npt.NDArray[np.float32], pooling: str) -> npt.NDArray[np.float32]:
    """By definition, of the states of one text alone (t, d)."""
    if pooling == "cls":
        return states[0]
    if pooling == "lasttoken":
        return states[-1]
    if pooling == "max":
        return np.asarray(states.max(0), dtype=np.float32)
    if pooling == "weightedmean":
        return np.asarray(np.average(states, axis=0, weights=np.arange(len(states)) + 1), dtype=np.float32)
    scale = len(states) if pooling == "mean" else len(states) ** 0.5
    return np.asarray(states.sum(0) / scale, dtype=np.float32)


@pytest.mark.parametrize("normalize", [False, True], ids=["plain", "normalised"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_is_what_its_name_says(
    bert: Path, preprocessor: Preprocessor, pooling: str, normalize: bool
) -> None:
    tiny.write_modules(bert, ("Pooling", {"pooling_mode": pooling}), *[("Normalize", {})] * normalize)
    encoder = PretrainedEncoder(read_pretrained(bert))
    expected = np.array([pooled(tiny.hidden_states(bert, text), pooling) for text in TEXTS])
    if normalize:
        expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    prepared = preprocessor.prepare([Text(text) for text in TEXTS])

    np.testing.assert_allclose(run_torch(encoder, preprocessor, prepared), expected, atol=SAME)


def test_poolings_dense_layers_and_norm_are_in_the_graph(bert: Path, preprocessor: Preprocessor) -> None:
    """All poolings side by side, and two Dense layers behind them."""
    width = len(POOLINGS) * tiny.HIDDEN
    first = {
        "in_features": width,
        "out_features": 8,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    second = {"in_features": 8, "out_features": 4, "bias": False}
    second["activation_function"] = "torch.nn.modules.linear.Identity"
    modules = [("Pooling", {"pooling_mode": list(POOLINGS)}), ("Dense", first), ("Dense", second)]
    tiny.write_modules(bert, *modules, ("Normalize", {}))
    weight, offset = tiny.write_dense(bert / DENSE, width, 8)
    last, _ = tiny.write_dense(bert / "3_Dense", 8, 4, bias=False)
    states = [tiny.hidden_states(bert, text) for text in TEXTS]
    together = [np.concatenate([pooled(each, pooling) for pooling in POOLINGS]) for each in states]
    expected = np.array([last @ np.tanh(weight @ each + offset) for each in together])
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)

    vectors = run([PretrainedEncoder(read_pretrained(bert))], preprocessor)

    np.testing.assert_allclose(vectors[:, 0], np.stack([expected, expected]), atol=SAME)


def test_a_plain_directory_is_a_mean_without_norm(networks: Path) -> None:
    spec = read_pretrained(networks / "bert")

    assert (spec.name, spec.family, spec.dim, spec.layers) == ("bert", "bert", tiny.HIDDEN, 2)
    assert (spec.poolings, spec.dense, spec.normalize, spec.metric) == (("mean",), (), False, "cosine")
    assert (spec.max_length, spec.positions, spec.lowercase) == (tiny.POSITIONS, tiny.POSITIONS, False)


def test_old_names_of_poolings_are_read_in_the_order_of_their_library(bert: Path) -> None:
    flags = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True, "word_embedding_dimension": 16}
    tiny.write_modules(bert, ("Pooling", flags | {"pooling_mode_max_tokens": False}), ("Normalize", {}))

    spec = read_pretrained(bert)

    assert (spec.poolings, spec.dim, spec.normalize) == (("first", "mean"), 2 * tiny.HIDDEN, True)


@pytest.mark.parametrize("family", ["camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"])
def test_positions_kept_for_padding_are_not_counted(networks: Path, family: str) -> None:
    assert read_pretrained(networks / family).positions == tiny.POSITIONS


@pytest.mark.parametrize(
    ("sizes", "tokenizer", "expected"),
    [
        ({"max_seq_length": 12}, {"model_max_length": 20}, 12),
        ({"max_seq_length": None}, {"model_max_length": 20}, 20),
        ({"max_seq_length": 4000}, {}, tiny.POSITIONS),
        ({}, {"model_max_length": int(1e30)}, tiny.POSITIONS),
    ],
)
def test_the_length_is_what_is_said_and_never_more_than_positions(
    bert: Path, sizes: Any, tokenizer: Any, expected: int
) -> None:
    tiny.write_json(bert / "sentence_bert_config.json", sizes)
    tiny.write_json(bert / "tokenizer_config.json", tokenizer)

    assert read_pretrained(bert).max_length == expected


def test_prompts_and_the_way_to_compare_are_read(bert: Path) -> None:
    prompts = {"query": "query: ", "document": ""}
    tiny.write_json(
        bert / "config_sentence_transformers.json",
        {"prompts": prompts, "default_prompt_name": "query", "similarity_fn_name": "dot"},
    )
    spec = read_pretrained(bert)

    assert (dict(spec.prompts), spec.default_prompt) == ({"query": "query: "}, "query")
    assert spec.metric == "inner_product"


def test_a_network_may_lie_in_a_folder_of_its_own(networks: Path, tmp_path: Path) -> None:
    shutil.copytree(networks / "bert", tmp_path / "0_Transformer")
    tiny.write_modules(tmp_path, ("Pooling", {"pooling_mode": "cls"}))
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    tiny.write_json(tmp_path / "modules.json", modules)
    spec = read_pretrained(tmp_path)

    assert (spec.poolings, spec.directory) == (("first",), tmp_path / "0_Transformer")


POOLING = ("Pooling", {"pooling_mode": "mean"})
DENSE_CONFIG = {"in_features": 16, "out_features": 4, "activation_function": "torch.nn.Tanh"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"auto_map": {"AutoModel": "own.Model"}}, "needs code of its own (auto_map)"),
        ({"model_type": "fnet"}, "is of the family 'fnet'; supported are albert, bert"),
        ({"is_decoder": True}, "is a decoder (is_decoder)"),
        ({"position_embedding_type": "relative_key"}, "has relative_key positions"),
        ({"quantization_config": {"bits": 4}}, "has quantised weights"),
        ({"max_position_embeddings": None}, "config.json does not say max_position_embeddings"),
    ],
)
def test_a_network_that_cannot_be_represented_is_refused(bert: Path, changes: Any, reason: str) -> None:
    tiny.edit_json(bert / "config.json", **changes)
    with pytest.raises(ConfigError) as caught:
        read_pretrained(bert)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ([("WordWeights", {})], "names a WordWeights; supported are Transformer, Pooling, Dense, Normalize"),
        ([POOLING, POOLING], "one Transformer, one Pooling, then Dense"),
        (
            [POOLING, ("Normalize", {}), ("Dense", DENSE_CONFIG)],
            "has Transformer, Pooling, Normalize, Dense;",
        ),
        ([("Pooling", {"pooling_mode": "median"})], "pooling by median is not supported"),
        ([("Pooling", {"pooling_mode_median_tokens": True})], "pooling by pooling_mode_median"),
        ([("Pooling", {"pooling_mode_mean_tokens": False})], "pooling by nothing"),
        ([("Pooling", {})], "1_Pooling/config.json is missing"),
        ([POOLING, ("Dense", DENSE_CONFIG)], "2_Dense has no model.safetensors"),
        ([POOLING, ("Dense", DENSE_CONFIG | {"use_residual": True})], "adds its input to its output"),
        ([POOLING, ("Dense", DENSE_CONFIG | {"activation_function": "own.Swish"})], "2_Dense ends in Swish"),
        ([POOLING, ("Dense", DENSE_CONFIG | {"module_input_name": "token_embeddings"})], "token_embeddings"),
    ],
)
def test_a_part_that_cannot_be_represented_is_refused(bert: Path, modules: Any, reason: str) -> None:
    tiny.write_modules(bert, *modules)
    with pytest.raises(ConfigError) as caught:
        read_pretrained(bert)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"similarity_fn_name": "manhattan"}, "compared by manhattan"),
        ({"prompts": {"query": "query: "}}, "leaves the prompt's tokens out"),
    ],
)
def test_what_goes_beyond_one_vector_of_one_text_is_refused(bert: Path, content: Any, reason: str) -> None:
    tiny.write_modules(bert, ("Pooling", {"pooling_mode": "mean", "include_prompt": False}))
    tiny.write_json(bert / "config_sentence_transformers.json", content)
    with pytest.raises(ConfigError, match=reason):
        read_pretrained(bert)


def test_pickled_weights_are_refused(bert: Path) -> None:
    (bert / WEIGHTS).rename(bert / "pytorch_model.bin")
    with pytest.raises(
        ConfigError, match=r"bert has no model\.safetensors, only pytorch_model\.bin, which is"
    ):
        read_pretrained(bert)


def test_weights_in_several_files_and_adapters_are_refused(bert: Path) -> None:
    tiny.write_json(bert / "adapter_config.json", {})
    with pytest.raises(ConfigError, match="holds an adapter"):
        read_pretrained(bert)
    (bert / "adapter_config.json").unlink()
    (bert / WEIGHTS).rename(bert / f"{WEIGHTS}.index.json")
    with pytest.raises(ConfigError, match="has its weights in several files"):
        read_pretrained(bert)


@pytest.mark.parametrize("file", ["config.json", "modules.json", "sentence_bert_config.json"])
@pytest.mark.parametrize("content", ["{", "7"])
def test_broken_json_is_refused_by_the_name_of_its_file(bert: Path, file: str, content: str) -> None:
    (bert / file).write_text(content)
    with pytest.raises(ConfigError, match=file):
        read_pretrained(bert)


def test_no_encoder_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json is missing: this is no directory of a pretrained"):
        read_pretrained(tmp_path)


def test_missing_weights_are_refused_not_made_up(bert: Path) -> None:
    weights = load_file(bert / WEIGHTS)
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, bert / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"has no encoder\.layer\.1\.output\.dense\.weight \(1 weights"):
        PretrainedEncoder(read_pretrained(bert))


@pytest.mark.parametrize("content", [b"", b"no safetensors"])
def test_weights_that_cannot_be_read_are_refused(bert: Path, content: bytes) -> None:
    (bert / WEIGHTS).write_bytes(content)
    with pytest.raises(ConfigError, match="bert cannot be loaded"):
        PretrainedEncoder(read_pretrained(bert))


def test_a_dense_layer_of_another_shape_is_refused(bert: Path) -> None:
    tiny.write_modules(bert, POOLING, ("Dense", DENSE_CONFIG))
    tiny.write_dense(bert / DENSE, 16, 5)
    with pytest.raises(ConfigError, match=r"2_Dense/model\.safetensors does not fit its config\.json"):
        PretrainedEncoder(read_pretrained(bert))


def ids(tokenizer_json: bytes, text: str) -> list[int]:
    return list(Tokenizer.from_str(tokenizer_json.decode()).encode(text).ids)


def test_the_tokenizer_neither_pads_nor_cuts(bert: Path) -> None:
    tokenizer = whole_tokenizer(read_pretrained(bert))

    assert len(ids(tokenizer, "ship")) == 3
    assert len(ids(tokenizer, "ship " * 50)) == 52


def test_a_vocabulary_without_tokenizer_json_is_converted(bert: Path) -> None:
    before = whole_tokenizer(read_pretrained(bert))
    (bert / "tokenizer.json").unlink()
    (bert / "vocab.txt").write_text("".join(f"{word}\n" for word in tiny.WORDS))

    assert ids(whole_tokenizer(read_pretrained(bert)), "The SHIP, ship") == ids(before, "The SHIP, ship")


def test_a_directory_without_vocabulary_is_refused(bert: Path) -> None:
    (bert / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match="the tokenizer of bert has 5 tokens up to number 4, its network"):
        whole_tokenizer(read_pretrained(bert))


def test_a_tokenizer_that_transformers_reads_otherwise_is_refused(bert: Path) -> None:
    """Case is kept by the one and folded by the other."""
    tiny.write_json(
        bert / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    )
    content = json.loads((bert / "tokenizer.json").read_text())
    content["model"]["vocab"]["in"] = content["model"]["vocab"].pop("beetle")
    content["normalizer"]["lowercase"] = True
    tiny.write_json(bert / "tokenizer.json", content)
    whole_tokenizer(read_pretrained(bert))
    content["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    tiny.write_json(bert / "tokenizer.json", content)
    with pytest.raises(ConfigError, match=r"tokenizer\.json and what transformers makes of .* differ"):
        whole_tokenizer(read_pretrained(bert))


def test_a_broken_tokenizer_is_refused(bert: Path) -> None:
    (bert / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="the tokenizer of bert cannot be used: "):
        whole_tokenizer(read_pretrained(bert))


def test_case_is_folded_where_the_directory_says_so(bert: Path) -> None:
    content = json.loads((bert / "tokenizer.json").read_text())
    content["normalizer"] = None
    tiny.write_json(bert / "tokenizer.json", content)
    kept = whole_tokenizer(read_pretrained(bert))
    tiny.write_json(bert / "sentence_bert_config.json", {"do_lower_case": True})
    folded = whole_tokenizer(read_pretrained(bert))

    assert ids(kept, "SHIP") == [2, 1, 3]
    assert ids(folded, "SHIP") == ids(kept, "ship")
