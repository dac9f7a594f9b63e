"""What TEI's clients rely on: the pages say what its server answers, these requests are our own.

The profile is `tei` where that says so; else what is asked is answered so by default.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from app.engine import Registry, load_registry
from app.http.errors import MAX_MESSAGE_CHARS
from bundle import Store, publish

LONG = "the cat sat " * 3000  # 36,000 characters: over the limit in characters, and in tokens
PAIR = {"source_sentence": "red lamp", "sentences": ["blue lamp", "red lamp", "dog"]}
TIMES = ("x-compute-time", "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time")
SAME = 1e-6


@pytest.fixture
async def moved(serving: Any, registry: Registry) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server in TEI's place."""
    async with serving(registry, compatibility="tei") as client:
        yield client


async def embedded(client: httpx.AsyncClient, inputs: Any, path: str = "/embed", **more: Any) -> np.ndarray:
    answer = await client.post(path, json={"inputs": inputs, **more})
    assert answer.status_code == 200, answer.text
    return np.array(answer.json())


# Cutting: https://github.com/huggingface/text-embeddings-inference, --auto-truncate


@pytest.mark.parametrize("more", [{}, {"truncate": None}, {"truncate": None, "prompt_name": None}])
@pytest.mark.parametrize("path", ["/embed", "/", "/invocations"])
async def test_who_does_not_say_is_cut_in_the_profile(
    moved: httpx.AsyncClient, path: str, more: dict[str, Any]
) -> None:
    found = await embedded(moved, ["dog", LONG], path, **more)

    np.testing.assert_allclose(found, await embedded(moved, ["dog", LONG], truncate=True), atol=SAME)


@pytest.mark.parametrize("path", ["/embed", "/", "/invocations"])
async def test_who_says_no_is_not_cut_even_there(moved: httpx.AsyncClient, path: str) -> None:
    answer = await moved.post(path, json={"inputs": ["dog", "the " * 17], "truncate": False})

    assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")
    assert (
        'inputs[1]: the text has 17 tokens, the limit is 16; shorten it or send "truncate":true'
        in (answer.json()["error"])
    )


async def test_the_side_alone_says_where_to_cut_and_the_profile_whether(
    moved: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    ask = {"inputs": LONG + "dog", "truncation_direction": "left"}

    np.testing.assert_allclose(
        await embedded(moved, **ask), await embedded(moved, **ask, truncate=True), atol=SAME
    )
    assert (await client.post("/embed", json=ask)).status_code == 422


async def test_openais_route_is_cut_as_well_unless_a_request_says_otherwise(moved: httpx.AsyncClient) -> None:
    cut = await moved.post("/v1/embeddings", json={"input": LONG})
    kept = [
        await moved.post("/v1/embeddings", json={"input": LONG, **no})
        for no in ({"truncation": False}, {"truncate": "none"})
    ]

    np.testing.assert_allclose(
        [cut.json()["data"][0]["embedding"]], await embedded(moved, LONG, truncate=True), atol=SAME
    )
    assert [one.status_code for one in kept] == [400, 400]


async def test_sentences_are_cut_in_the_profile_and_by_their_own_parameters(
    moved: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    inputs = {"source_sentence": "the cat sat", "sentences": [LONG, "dog"]}
    cut = await client.post("/similarity", json={"inputs": inputs, "parameters": {"truncate": True}})
    left_open = await moved.post("/similarity", json={"inputs": inputs})
    refused = await client.post("/similarity", json={"inputs": inputs})

    np.testing.assert_allclose(left_open.json(), cut.json(), atol=SAME)
    assert refused.status_code == 422
    assert refused.json()["error"].startswith("inputs.sentences[0]: ")


async def test_info_tells_whether_texts_are_cut(moved: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    there, here = [(await one.get("/info")).json() for one in (moved, client)]

    assert (there["auto_truncate"], here["auto_truncate"]) == (True, False)
    assert there | {"auto_truncate": False} == here


# Models by other names, and token ids, on OpenAI's route

FOREIGN = [
    "text-embeddings-inference",
    "org/name",
    "/data/model",
    "gpt:3",
    "tex",
    "text/99",
    "text:v9",
    "shop-user/99",
]


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_foreign_name_is_served_by_the_default_model_in_the_profile(
    moved: httpx.AsyncClient, client: httpx.AsyncClient, name: str
) -> None:
    there = await moved.post("/v1/embeddings", json={"input": "dog", "model": name})
    here = await client.post("/v1/embeddings", json={"input": "dog", "model": name})

    assert (there.status_code, there.json()["model"]) == (200, "text")
    assert (here.status_code, here.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_version_of_another_model_that_is_there_still_counts(moved: httpx.AsyncClient) -> None:
    answer = await moved.post("/v1/embeddings", json={"input": "dog", "model": "shop-user/1"})

    assert answer.status_code == 400  # a text is no user


async def test_token_ids_are_this_models_own_where_the_profile_says_so(
    moved: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    one = await moved.post("/v1/embeddings", json={"input": [9, 10]})
    two = await moved.post("/v1/embeddings", json={"input": [[9, 10], [4]]})
    refused = [await client.post("/v1/embeddings", json={"input": one}) for one in ([9, 10], [[9, 10], [4]])]

    expected = await embedded(moved, ["hello world", "dog"])
    np.testing.assert_allclose([one.json()["data"][0]["embedding"]], expected[:1], atol=SAME)
    np.testing.assert_allclose([row["embedding"] for row in two.json()["data"]], expected, atol=SAME)
    assert {answer.json()["error"]["code"] for answer in refused} == {"token_ids"}


@pytest.mark.parametrize("value", [5, 1.5, True, {"a": 1}])
async def test_a_value_that_is_no_text_is_not_called_token_ids(client: httpx.AsyncClient, value: Any) -> None:
    answer = await client.post("/v1/embeddings", json={"input": value})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    assert "token id" not in answer.json()["error"]["message"]


# Token ids on TEI's own routes: its /tokenize, split, and sent back


@pytest.mark.parametrize(
    ("inputs", "texts"),
    [
        ([9, 10], ["hello world"]),
        ([[9, 10]], ["hello world"]),
        ([[4], [9, 10]], ["dog", "hello world"]),
        ([[4], "hello world"], ["dog", "hello world"]),
        (["dog", [9, 10]], ["dog", "hello world"]),
    ],
)
async def test_ids_are_encoded_as_their_texts(
    client: httpx.AsyncClient, inputs: Any, texts: list[str]
) -> None:
    np.testing.assert_allclose(await embedded(client, inputs), await embedded(client, texts), atol=SAME)


async def test_a_text_is_taken_apart_split_and_encoded_in_parts(client: httpx.AsyncClient) -> None:
    text = "the cat sat on the mat " * 4000  # more than can be encoded, or cut, as one text
    [tokens] = (await client.post("/tokenize", json={"inputs": text})).json()
    ids = [token["id"] for token in tokens]
    parts = [ids[start : start + 6] for start in range(0, 60, 6)]

    found = await embedded(client, parts)

    assert len(ids) == 24_000
    np.testing.assert_allclose(found, await embedded(client, ["the cat sat on the mat"] * 10), atol=SAME)


@pytest.mark.parametrize(
    ("inputs", "status", "kind", "place"),
    [
        ([[], [4]], 400, "Empty", "inputs[0]: "),
        ([[4], [len(tiny.WORDS)]], 422, "Validation", "inputs[1]: a token id is none of this model's"),
        ([-1], 422, "Validation", "inputs[0]: "),
        ([[1 << 40]], 422, "Validation", "inputs[0]: "),
        ([1.5], 422, "Validation", "inputs[0]: expected a text"),
        ([True], 422, "Validation", "inputs[0]: expected a text"),
        (["dog", 3], 422, "Validation", "inputs[1]: expected a text"),
        ([["dog", "cat"]], 422, "Validation", "inputs[0]: expected a text"),
        ([[4, "dog"]], 422, "Validation", "inputs[0]: expected a text"),
        ([[4] * 17], 422, "Validation", "inputs[0]: the text has 17 tokens"),
    ],
)
async def test_what_are_no_ids_of_this_model_is_refused_at_its_place(
    client: httpx.AsyncClient, inputs: Any, status: int, kind: str, place: str
) -> None:
    answer = await client.post("/embed", json={"inputs": inputs})

    assert (answer.status_code, answer.json()["error_type"]) == (status, kind)
    assert answer.json()["error"].startswith(place)
    assert len(answer.json()["error"]) < MAX_MESSAGE_CHARS


async def test_too_many_ids_are_cut_where_that_is_asked_for(client: httpx.AsyncClient) -> None:
    many = [2] * 20 + [4]

    end = await embedded(client, many, truncate=True)
    start = await embedded(client, many, truncate=True, truncation_direction="Left")

    np.testing.assert_allclose(end, await embedded(client, [[2] * 16]), atol=SAME)
    np.testing.assert_allclose(start, await embedded(client, [[2] * 15 + [4]]), atol=SAME)


# Nothing is Empty, whatever stands before it


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {"inputs": ""}),
        ("/embed", {"inputs": "", "dimensions": 999}),
        ("/invocations", {"inputs": ["dog", []], "dimensions": 999}),
        ("/embed", {"inputs": "", "prompt_name": "nowhere"}),
        ("/vertex", {"instances": [{"inputs": ["dog", ""], "dimensions": 999}]}),
        ("/", {"inputs": ["dog", ""]}),
        ("/invocations", {"inputs": []}),
        ("/embed_all", {"inputs": ["dog", ""]}),
        ("/embed_all", {"inputs": []}),
        ("/similarity", {"inputs": {"source_sentence": "dog", "sentences": []}}),
        ("/similarity", {"inputs": {"source_sentence": "", "sentences": ["dog"]}}),
        ("/", {"inputs": {"source_sentence": "dog", "sentences": ["cat", ""]}}),
        ("/tokenize", {"inputs": ["dog", ""]}),
        ("/decode", {"ids": []}),
        ("/rerank", {"query": "dog", "texts": []}),
        ("/vertex", {"instances": [{"inputs": "dog"}, {"inputs": ""}]}),
        ("/vertex", {"instances": [{"inputs": "dog"}, {"inputs": []}]}),
    ],
)
async def test_nothing_is_empty(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    answer = await client.post(path, json=body)

    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty"), answer.text


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\0", "\u200b"])
async def test_a_prompt_before_nothing_is_empty_too(serving: Any, tmp_path: Path, blank: str) -> None:
    publish(tmp_path, [tiny.text_draft(prompts={"query": "the cat "}, default_prompt="query")])
    async with serving(load_registry(Store(tmp_path), versions_per_model=1)) as client:
        answers = [
            await client.post("/embed", json={"inputs": ["dog", blank], **named})
            for named in ({}, {"prompt_name": "query"})
        ]
        ids = await client.post("/embed", json={"inputs": [4]})

    for answer in answers:
        assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")
        assert answer.json()["error"].startswith("inputs[1]: ")
    assert (ids.status_code, ids.json()["error_type"]) == (422, "Validation")  # no prompt goes before ids


# Times are whole milliseconds, on OpenAI's routes as well


@pytest.mark.parametrize(
    ("path", "body", "characters"),
    [
        ("/embed", {"inputs": ["dog", "hello world"]}, 14),
        ("/", {"inputs": [[4, 4], "dog"]}, 5),
        ("/similarity", {"inputs": PAIR}, 28),
        ("/invocations", {"inputs": PAIR}, 28),
        ("/v1/embeddings", {"input": "dog"}, 3),
        ("/embeddings", {"input": ["dog", "cat"], "encoding_format": "base64"}, 6),
    ],
)
async def test_headers_tell_of_the_work_in_whole_numbers(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], characters: int
) -> None:
    answer = await client.post(path, json=body)

    for name in TIMES:
        assert answer.headers[name].isdecimal(), name
    assert int(answer.headers["x-total-time"]) >= int(answer.headers["x-inference-time"])
    assert answer.headers["x-compute-characters"] == str(characters)
    assert int(answer.headers["x-compute-tokens"]) >= 1
    assert answer.headers["x-compute-type"] == "cpu"
    assert answer.headers["x-embedding-space"].startswith("sp_")


# The shapes at / and /invocations, and Vertex AI's


@pytest.mark.parametrize("path", ["/", "/invocations"])
async def test_the_shape_tells_a_similarity_from_texts(client: httpx.AsyncClient, path: str) -> None:
    near = await client.post(path, json={"inputs": PAIR})

    expected = (await client.post("/similarity", json={"inputs": PAIR})).json()
    assert near.json() == expected
    assert expected[1] == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(await embedded(client, "dog", path), await embedded(client, "dog"), atol=SAME)


async def test_vertex_answers_each_instance_as_its_own_route_would(client: httpx.AsyncClient) -> None:
    instances = [
        {"inputs": ["dog", "hello world"]},
        {"inputs": PAIR},
        {"inputs": LONG, "truncate": True},
        {"inputs": [4]},
        {"inputs": "dog", "normalize": False},
    ]
    answer = await client.post("/vertex", json={"instances": instances})

    predictions = answer.json()["predictions"]
    paths = ["/embed", "/similarity", "/embed", "/embed", "/embed"]
    for path, instance, found in zip(paths, instances, predictions, strict=True):
        alone = (await client.post(path, json=instance)).json()
        np.testing.assert_allclose(found, alone, atol=SAME)
    assert (await client.post("/vertex", json={"instances": []})).json() == {"predictions": []}


@pytest.mark.parametrize(
    ("instances", "status", "told"),
    [
        ([{"input": "dog"}], 422, "instances[0]: "),
        ([{"inputs": "dog"}, 5], 422, "instances[1]: expected an object"),
        ([{"inputs": "dog"}, {"inputs": ["dog", 7]}], 422, "instances[1].inputs[1]: expected a text"),
        ([{"inputs": "dog"}, {"inputs": []}], 400, "instances[1]: the list is empty"),
        (
            [{"inputs": "dog"}, {"inputs": {"source_sentence": "cat", "sentences": ["dog", "the " * 17]}}],
            422,
            "instances[1].inputs.sentences[1]: the text has 17 tokens",
        ),
        ([{"query": "dog", "texts": ["cat"]}], 424, "Backend error: model is not a re-ranker model"),
        ("dog", 422, "instances: "),
        ([{"inputs": ["dog"] * 1100}] * 2, 422, "2200 inputs, the limit is 2048"),
        ([{"inputs": "dog"}] * 2049, 422, "2049 inputs, the limit is 2048"),
    ],
)
async def test_vertex_names_the_instance_that_is_wrong(
    client: httpx.AsyncClient, instances: Any, status: int, told: str
) -> None:
    answer = await client.post("/vertex", json={"instances": instances})

    assert answer.status_code == status, answer.text
    assert told in answer.json()["error"]


# Probes, and HEAD


async def test_ping_is_the_readiness_of_the_server(serving: Any, registry: Registry) -> None:
    async with serving(registry) as ready, serving(registry, required_models="absent") as waiting:
        yes, no = await ready.get("/ping"), await waiting.get("/ping")
        heads = [await one.head("/ping") for one in (ready, waiting)]

    assert (yes.status_code, yes.content) == (200, b"")
    assert (no.status_code, no.json()["error_type"]) == (503, "Unhealthy")
    assert "absent" not in no.text
    assert [(head.status_code, head.content) for head in heads] == [(200, b""), (503, b"")]


@pytest.mark.parametrize("path", ["/", "/ping", "/health", "/info", "/metrics", "/docs", "/docs/"])
async def test_head_goes_where_get_goes(client: httpx.AsyncClient, path: str) -> None:
    head, get = await client.head(path), await client.get(path)

    assert (head.status_code, head.content, get.status_code) == (200, b"", 200)


async def test_info_has_teis_types(client: httpx.AsyncClient) -> None:
    info = (await client.get("/info")).json()

    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    for name in ("max_batch_tokens", "max_input_length", "max_client_batch_size", "max_concurrent_requests"):
        assert type(info[name]) is int
    assert type(info["auto_truncate"]) is bool


async def test_the_document_is_where_tei_has_its_own_as_well(client: httpx.AsyncClient) -> None:
    there, here = await client.get("/api-doc/openapi.json"), await client.get("/openapi.json")

    assert there.json() == here.json()


# /tokenize: slices of the text, and places in bytes of UTF-8

PIECES = ["[UNK]", "[CLS]", "[SEP]", "una", "##ffa", "##ble", "elephant", "caf", "##e", "c", "x", "!"]


@pytest.fixture
async def bert(serving: Any, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a model whose tokenizer is of BERT's kind: lower case, no accents, pieces of words."""
    ids = {piece: number for number, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    publish(tmp_path, [tiny.text_draft(preprocessor=tokenizer.to_str().encode())])
    async with serving(load_registry(Store(tmp_path), versions_per_model=1)) as client:
        yield client


@pytest.mark.parametrize(
    ("text", "slices"),
    [
        ("Unaffable!", ["Una", "ffa", "ble", "!"]),
        ("ÉLÉPHANT élephant", ["ÉLÉPHANT", "élephant"]),
        ("e\u0301le\u0301phant c", ["e\u0301le\u0301phant", "c"]),
        ("café \U0001f642 x", ["caf", "é", "\U0001f642", "x"]),
        ("  X\t\nç ", ["X", "ç"]),
        ("\U0001f600" * 30, ["\U0001f600" * 30]),
    ],
)
async def test_tokens_are_slices_of_the_text_with_their_places_in_bytes(
    bert: httpx.AsyncClient, text: str, slices: list[str]
) -> None:
    [[first, *tokens, last]] = (await bert.post("/tokenize", json={"inputs": text})).json()

    assert [token["text"] for token in tokens] == slices
    for token in tokens:
        assert text.encode()[token["start"] : token["stop"]].decode() == token["text"]
        assert token["special"] is False
    assert first == {"id": 1, "text": "[CLS]", "special": True, "start": None, "stop": None}
    assert last == {"id": 2, "text": "[SEP]", "special": True, "start": None, "stop": None}


async def test_a_text_to_be_taken_apart_has_a_limit_of_its_own(client: httpx.AsyncClient) -> None:
    long = await client.post("/tokenize", json={"inputs": ["dog", "a" * 131_073]})
    many = await client.post("/tokenize", json={"inputs": ["dog " * 25_001] * 10})

    assert (long.status_code, many.status_code) == (422, 422)
    assert "inputs[1]: 131073 characters, the limit is 131072" in long.json()["error"]
    assert "ENCODERY_MAX_CHARS_PER_REQUEST" in many.json()["error"]


# What is read before it is refused, so that a mistake in it is told first


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/embed_sparse", {}, 422),
        ("/embed_sparse", {"inputs": "dog"}, 424),
        ("/embed_all", {"inputs": "dog"}, 424),
        ("/embed_all", {"inputs": "dog", "truncate": "yes"}, 422),
        ("/embed_all", {"inputs": "dog", "prompt_name": "query"}, 422),
        ("/rerank", {"texts": ["dog"]}, 422),
        ("/rerank", {"query": "dog", "texts": ["cat"]}, 424),
        ("/predict", {"inputs": []}, 422),
        ("/predict", {"inputs": [["a", "b"]]}, 424),
        ("/predict", {"inputs": 5}, 422),
        ("/predict", {"inputs": "dog", "raw_scores": True, "truncate": None}, 424),
        ("/predict", {"inputs": [["a"], ["a", "b"]], "truncation_direction": "Left"}, 424),
        ("/predict", {"inputs": ["a", "b"]}, 424),
        ("/predict", {"inputs": ["a", "b", "c"]}, 422),
        ("/predict", {"inputs": ["a", ["b"]]}, 422),
        ("/predict", {"inputs": [["a", 5]]}, 422),
        ("/predict", {"inputs": [[]]}, 422),
        ("/predict", {"inputs": [1, 2]}, 422),
        ("/predict", {"inputs": "dog", "raw_scores": "yes"}, 422),
        ("/predict", {"inputs": "dog", "raw_scores": None}, 422),
        ("/rerank", {"query": "dog", "texts": "cat"}, 422),
        ("/rerank", {"query": "dog", "texts": ["cat", 5]}, 422),
        ("/rerank", {"query": "dog", "texts": [["cat"]]}, 422),
        ("/rerank", {"query": ["dog"], "texts": ["cat"]}, 422),
        ("/rerank", {"query": "dog", "texts": ["cat"], "return_text": 1}, 422),
        ("/rerank", {"query": "dog", "texts": ["cat"], "truncation_direction": "up"}, 422),
        ("/rerank", {"query": "dog", "texts": ["cat"], "raw_scores": True, "return_text": True}, 424),
        ("/embed_sparse", {"inputs": ["dog", 5]}, 422),
        ("/embed_sparse", {"inputs": {"a": "b"}}, 422),
        ("/embed_sparse", {"inputs": ["dog", [1, 2]]}, 424),
        ("/embed_sparse", {"inputs": [1, 2]}, 424),
        ("/embed_sparse", {"inputs": ["dog"], "truncation_direction": "up"}, 422),
        ("/embed_all", {"inputs": ["dog", True]}, 422),
        ("/embed_all", {"inputs": [["dog"]]}, 422),
        ("/embed_all", {"inputs": [[1, 2], "dog"]}, 424),
    ],
)
async def test_a_request_to_another_kind_of_model_is_read(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int
) -> None:
    wrong = await client.post(path, content=b"dog", headers={"Content-Type": "application/json"})
    answer = await client.post(path, json=body)

    assert wrong.status_code == 400
    assert answer.status_code == status
    assert answer.json()["error_type"] == ("Backend" if status == 424 else "Validation")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/similarity", {"inputs": "dog"}),
        ("/similarity", {"inputs": {"source_sentence": 1, "sentences": ["a"]}}),
        ("/similarity", {"inputs": PAIR, "parameters": [1]}),
        ("/similarity", {"inputs": PAIR, "parameters": {"truncate": "yes"}}),
        ("/embed", {"inputs": "dog", "truncation_direction": "up"}),
        ("/decode", {"ids": 5}),
        ("/decode", {"ids": [[1], 2]}),
        ("/vertex", {"instances": [{"inputs": {"sentences": ["a"]}}]}),
    ],
)
async def test_messages_name_no_class_of_ours(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await client.post(path, json=body)

    assert answer.status_code == 422
    for name in ("Request", "Sentences", "Cutting", "Texts", "list[", "_"):
        assert name not in answer.json()["error"].replace("source_sentence", "").replace(
            "truncation_direction", ""
        )


async def test_ids_have_a_place_of_their_own_in_the_result_cache(serving: Any, registry: Registry) -> None:
    async with serving(registry, result_cache_bytes=1 << 20) as client:
        texts = ["(9, 10)", "hello world"]
        of_texts = await embedded(client, texts)
        first = await client.post("/embed", json={"inputs": [[9, 10], [4]]})
        again = await client.post("/embed", json={"inputs": [[4], [9, 10]]})

    assert [one.headers["x-embedding-cached"] for one in (first, again)] == ["0", "2"]
    np.testing.assert_allclose(first.json(), again.json()[::-1], atol=SAME)
    np.testing.assert_allclose(first.json()[0], of_texts[1], atol=SAME)


@pytest.mark.parametrize(
    "instances",
    [[{"inputs": "dog"}] * 4, [{"inputs": ["dog", "cat"]}, {"inputs": ["dog", "cat"]}]],
)
async def test_too_many_instances_are_named_as_such(
    serving: Any, registry: Registry, instances: list[dict[str, Any]]
) -> None:
    async with serving(registry, max_items=3) as client:
        answer = await client.post("/vertex", json={"instances": instances})

    assert answer.status_code == 422
    assert answer.json()["error"].startswith("instances: 4 inputs, the limit is 3 (ENCODERY_MAX_ITEMS)")
