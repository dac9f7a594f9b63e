"""The families of networks that can be imported: a row each, and no code of their own.

Networks are transformers' own modules, and the export proves each of them. A row says only what cannot be
read from a directory. Families with code in their directory are not here: such code is never run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """What tells one family from another.

    Attributes:
        title: for people.
        layers: where its layers are, in order; empty where none can be cut out, since they share something.
        adapted: names of the linear layers that LoRA adapts by default, queries and values.
        offset: rows of the position table that are not for tokens.
        has_pooler: the network ends in a pooler, which is not used and whose weights may be missing.
        packs: it attends by the library's common interface, and takes positions as an input.
        biased: the attention whose `compute_bias` all layers add to their scores.
        is_decoder: made to write texts; what it reads to the right is its configuration's choice.
        is_relative: no table of positions bounds the length.
        auto: transformers' class that makes the network without a decoder.
    """

    title: str
    layers: str
    adapted: Sequence[str]
    offset: int = 0
    has_pooler: bool = False
    packs: bool = True
    biased: str = ""
    is_decoder: bool = False
    is_relative: bool = False
    auto: str = "AutoModel"


_BERT = ("query", "value")
_LLAMA = ("q_proj", "v_proj")


def _roberta(title: str) -> Family:
    return Family(title, "encoder.layer", _BERT, offset=2, has_pooler=True)


def _decoder(title: str) -> Family:
    return Family(title, "layers", _LLAMA, is_decoder=True)


def _t5(title: str) -> Family:
    """The first block holds the bias of positions that all of them add."""
    bias = "encoder.block.0.layer.0.SelfAttention"
    return Family(title, "", ("q", "v"), biased=bias, is_relative=True, auto="AutoModelForTextEncoding")


# By `model_type` of config.json.
FAMILIES: Mapping[str, Family] = {
    "albert": Family("ALBERT", "", _BERT, has_pooler=True),  # all layers are one
    "bert": Family("BERT (MiniLM, BGE, E5, GTE)", "encoder.layer", _BERT, has_pooler=True),
    "camembert": _roberta("CamemBERT"),
    "deberta-v2": Family("DeBERTa v2, v3", "encoder.layer", ("query_proj", "value_proj"), packs=False),
    "data2vec-text": _roberta("data2vec"),
    "deberta": Family("DeBERTa", "encoder.layer", ("in_proj",), packs=False),
    "distilbert": Family("DistilBERT", "transformer.layer", ("q_lin", "v_lin")),
    "electra": Family("ELECTRA", "encoder.layer", _BERT),
    "ernie": Family("ERNIE", "encoder.layer", _BERT, has_pooler=True),
    "eurobert": Family("EuroBERT", "layers", _LLAMA),
    "gemma": _decoder("Gemma"),
    "gemma2": _decoder("Gemma 2"),
    "gemma3_text": _decoder("Gemma 3, EmbeddingGemma"),
    "granite": _decoder("Granite"),
    "gte": Family("GTE v1.5", "layers", _LLAMA),
    "jina_embeddings_v3": Family("Jina v3", "layers", _LLAMA, has_pooler=True),
    "llama": _decoder("Llama"),
    "mistral": _decoder("Mistral"),
    "modernbert": Family("ModernBERT", "layers", ("Wqkv",)),
    "mpnet": Family("MPNet", "encoder.layer", ("q", "v"), offset=2, has_pooler=True, packs=False),
    "mt5": _t5("mT5 (encoder)"),
    "nomic_bert": Family("NomicBERT", "layers", _LLAMA),
    "qwen2": _decoder("Qwen2"),
    "qwen3": _decoder("Qwen3"),
    "rembert": Family("RemBERT", "encoder.layer", _BERT, has_pooler=True, packs=False),
    "roberta": _roberta("RoBERTa"),
    "t5": _t5("T5 (encoder)"),
    "xlm-roberta": _roberta("XLM-R"),
    "xlm-roberta-xl": _roberta("XLM-R XL"),
}
