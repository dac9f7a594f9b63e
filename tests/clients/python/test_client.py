"""Both clients against the fake server: splitting, order, pins, retries, deadlines, errors."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable
from typing import Any, get_args

import httpx2 as httpx
import numpy as np
import pytest

import encodery_client as ec
from encodery_client import Retry
from encodery_client.testing import FakeServer
from encodery_client.wire import Output

Connect = Callable[..., Any]


@pytest.mark.parametrize("wire", ["raw", "base64"])
def test_vectors_come_in_order_whatever_the_wire(server: FakeServer, connect: Connect, wire: str) -> None:
    texts = [f"text {number}" for number in range(25)]

    vectors = connect(server, wire=wire, batch_items=4).call("encode", texts)

    np.testing.assert_array_equal(vectors, server.vectors(texts))
    assert vectors.dtype == np.float32
    assert len(server.requests) == 7


def test_splits_by_bytes_and_sends_a_large_input_alone(server: FakeServer, connect: Connect) -> None:
    texts = ["a" * 40, "b" * 40, "c" * 500, "d"]

    vectors = connect(server, batch_bytes=100, concurrency=1).call("encode", texts)

    assert [request["inputs"] for request in server.requests] == [texts[:2], [texts[2]], [texts[3]]]
    np.testing.assert_array_equal(vectors, server.vectors(texts))


def test_no_inputs_need_no_request(server: FakeServer, connect: Connect) -> None:
    assert connect(server).call("encode", []).shape == (0, 0)
    assert server.requests == []


def test_one_input_gives_one_vector(server: FakeServer, connect: Connect) -> None:
    client = connect(server)

    np.testing.assert_array_equal(client.call("encode_one", "a"), server.vectors(["a"])[0])
    np.testing.assert_array_equal(client.call("encode_one", {"id": "7"}), server.vectors([{"id": "7"}])[0])


@pytest.mark.parametrize("inputs", ["a text", b"bytes", {"id": 1}, 7])
def test_what_is_no_list_of_inputs_is_refused_before_anything_is_sent(
    server: FakeServer, connect: Connect, inputs: Any
) -> None:
    with pytest.raises(TypeError):
        connect(server).call("encode", inputs)
    assert server.requests == []


@pytest.mark.parametrize("item", ["\ud800", {"price": float("inf")}])
def test_what_json_cannot_hold_is_named_before_anything_is_sent(
    server: FakeServer, connect: Connect, item: Any
) -> None:
    with pytest.raises(ValueError, match=r"inputs\[1\]"):
        connect(server).call("encode", ["fine" if isinstance(item, str) else {}, item])
    assert server.requests == []


def test_whatever_json_can_hold_is_left_to_the_server(server: FakeServer, connect: Connect) -> None:
    """A kind of model that this client does not know may take it."""
    inputs = ["a", {"id": 1}, ["b", 2.5], 7, True, None]

    vectors = connect(server).call("encode", inputs)

    np.testing.assert_array_equal(vectors, server.vectors(inputs))
    assert server.requests[0]["inputs"] == inputs


def test_bytes_go_as_base64(server: FakeServer, connect: Connect) -> None:
    """A picture or a sound, alone or in an object."""
    connect(server).call("encode", [b"\xff\xd8", {"image": b"GIF"}])

    assert server.requests[0]["inputs"] == ["/9g=", {"image": "R0lG"}]


@pytest.mark.parametrize("item", [bytearray(b"bytes"), {"id": object()}, {1, 2}])
def test_a_value_that_json_has_no_form_for_is_named_before_anything_is_sent(
    server: FakeServer, connect: Connect, item: Any
) -> None:
    with pytest.raises(TypeError, match=r"inputs\[1\] cannot be written as JSON"):
        connect(server).call("encode", ["fine", item])
    assert server.requests == []


def test_text_of_any_script_arrives(server: FakeServer, connect: Connect) -> None:
    texts = ["naïve", "日本語", "🙂"]

    np.testing.assert_array_equal(connect(server).call("encode", texts), server.vectors(texts))
    assert server.requests[0]["inputs"] == texts


def test_a_call_overrides_the_clients_options(server: FakeServer, connect: Connect) -> None:
    client = connect(server, model="a", truncate="end")

    client.call("encode", ["x"], model="b", dimensions=3, now="2024-01-01")

    expected = {"model": "b", "truncate": "end", "dimensions": 3, "now": "2024-01-01", "inputs": ["x"]}
    assert server.requests == [expected]


def test_an_option_that_does_not_exist_is_refused(server: FakeServer, connect: Connect) -> None:
    with pytest.raises(TypeError, match="no such option: modle"):
        connect(server).call("encode", ["x"], modle="b")


def test_the_first_answer_pins_the_space(server: FakeServer, connect: Connect) -> None:
    client = connect(server)
    client.call("encode", ["a"])
    client.call("encode", ["b"])

    assert [request.get("space") for request in server.requests] == [None, "sp_fake"]
    assert dict(client.client.pins) == {(None, None, None, None): "sp_fake"}


def test_a_server_with_another_model_raises_and_never_mixes(server: FakeServer, connect: Connect) -> None:
    client = connect(server)
    client.call("encode", ["a"])
    server.space = "sp_new"

    with pytest.raises(ec.SpaceChanged, match="sp_new") as caught:
        client.call("encode", ["b"])
    client.client.unpin()

    assert caught.value.status == 412
    np.testing.assert_array_equal(client.call("encode", ["b"]), server.vectors(["b"]))


def test_an_answer_of_another_space_raises_even_if_the_server_does_not(connect: Connect) -> None:
    """A proxy, or a peer that ignores `space`: what counts is what came back."""

    class Careless(FakeServer):
        def _encode(self, body: dict[str, Any], raw: bool) -> httpx.Response:
            return super()._encode(body | {"space": self.space}, raw)

    with pytest.raises(ec.SpaceChanged, match="sp_fake"):
        connect(Careless(), space="sp_mine").call("encode", ["a"])


def test_models_are_pinned_one_by_one(server: FakeServer, connect: Connect) -> None:
    client = connect(server)
    client.call("encode", ["a"], model="one")
    server.space = "sp_two"

    client.call("encode", ["a"], model="two")

    assert sorted(client.client.pins.values()) == ["sp_fake", "sp_two"]


@pytest.mark.parametrize("status", [429, 502, 503])
def test_tries_again_when_the_server_is_busy(server: FakeServer, connect: Connect, status: int) -> None:
    server.fail_next(status)
    server.break_next()

    np.testing.assert_array_equal(connect(server).call("encode", ["a"]), server.vectors(["a"]))
    assert len(server.requests) == 3


def test_waits_as_long_as_the_server_asks(server: FakeServer, connect: Connect) -> None:
    server.fail_next(429, retry_after_s=1)
    client, begun_s = connect(server), time.monotonic()

    client.call("encode", ["a"])

    assert time.monotonic() - begun_s >= 1


def test_does_not_wait_longer_than_the_caller_would(server: FakeServer, connect: Connect) -> None:
    server.fail_next(429, retry_after_s=60)
    client, begun_s = connect(server, timeout_s=30), time.monotonic()

    with pytest.raises(ec.Overloaded) as caught:
        client.call("encode", ["a"])

    assert caught.value.retry_after_s == 60
    assert time.monotonic() - begun_s < 30


def test_gives_up_after_the_last_try(server: FakeServer, connect: Connect) -> None:
    for _ in range(9):
        server.fail_next(503)
    with pytest.raises(ec.Overloaded, match="as asked"):
        connect(server, retry=Retry(attempts=3, base_s=0.001)).call("encode", ["a"])

    assert len(server.requests) == 3


def test_no_connection_says_so(server: FakeServer, connect: Connect) -> None:
    for _ in range(4):
        server.break_next()

    with pytest.raises(ec.ServerUnreachable, match="after 4 tries"):
        connect(server).call("encode", ["a"])


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ec.RequestRefused), (404, ec.RequestRefused), (422, ec.RequestRefused), (500, ec.ServerFailed),
     (504, ec.DeadlineExceeded)],
)  # fmt: skip
def test_what_will_not_get_better_is_not_tried_again(
    server: FakeServer, connect: Connect, status: int, kind: type[Exception]
) -> None:
    server.fail_next(status)

    with pytest.raises(kind, match="as asked"):
        connect(server).call("encode", ["a"])
    assert len(server.requests) == 1


def test_an_error_names_the_input_counted_over_the_whole_call(server: FakeServer, connect: Connect) -> None:
    message = {"message": "inputs[3].x: too long", "param": "inputs[3].x"}
    server.fail_next(422, code="too_long", after=1, **message)

    with pytest.raises(ec.RequestRefused, match=r"inputs\[13\]\.x: too long") as caught:
        connect(server, batch_items=10, concurrency=1).call("encode", [str(number) for number in range(20)])

    assert (caught.value.index, caught.value.param, caught.value.code) == (13, "inputs[13].x", "too_long")


@pytest.mark.parametrize("wire", ["raw", "base64"])
@pytest.mark.parametrize("output", [one for one in get_args(Output) if one != "sparse"])
def test_an_output_type_is_an_array_of_that_type_in_a_space_of_its_own(
    connect: Connect, wire: str, output: Output
) -> None:
    server = FakeServer(dim=16)
    client = connect(server, wire=wire, batch_items=2)

    floats = client.call("encode", ["a", "b", "c"])
    vectors = client.call("encode", ["a", "b", "c"], output=output)
    again = client.call("answer", ["a", "b", "c"], output=output)  # with the pinned space

    assert vectors.dtype == {"binary": "int8", "ubinary": "uint8"}.get(output, output)
    np.testing.assert_array_equal(vectors, server.vectors(["a", "b", "c"], output=output))
    np.testing.assert_array_equal(vectors, again.vectors)
    assert again.space == ("sp_fake" if "float" in output else f"sp_fake+{output}")
    assert client.call("encode", [], output=output).dtype == vectors.dtype
    np.testing.assert_array_equal(floats, server.vectors(["a", "b", "c"]))


def test_sparse_vectors_come_one_object_for_each_input(connect: Connect) -> None:
    """Whatever the wire, and of texts with equally many words as of others, which numpy would stack."""
    server, texts = FakeServer(), ["red lamp", "cat", "blue cat", "dog dog"]
    for wire in ("raw", "base64"):
        client = connect(server, wire=wire, batch_items=3)

        rows = client.call("encode", texts, output="sparse", input_type="query")

        assert rows.shape == (4,)
        for row, expected in zip(rows, server.sparse(texts), strict=True):
            assert isinstance(row, ec.SparseVector)
            np.testing.assert_array_equal(row.indices, expected.indices)
            np.testing.assert_array_equal(row.values, expected.values)
        assert {request["input_type"] for request in server.requests} == {"query"}
        assert client.call("answer", texts, output="sparse").space == "sp_fake+sparse"
        assert client.call("encode", [], output="sparse").shape == (0,)
        assert client.call("encode_one", "red", output="sparse").values.tolist() == [1.0]
        server.requests.clear()


def test_a_type_that_does_not_exist_is_refused_before_anything_is_sent(
    server: FakeServer, connect: Connect
) -> None:
    for call in (
        lambda: connect(server, output="int4"),
        lambda: connect(server).call("encode", ["a"], output="f"),
    ):
        with pytest.raises(ValueError, match="output is one of float32"):
            call()
    assert server.requests == []


def test_an_answer_in_another_type_is_not_misread(connect: Connect) -> None:
    class Careless(FakeServer):
        def _encode(self, body: dict[str, Any], raw: bool) -> httpx.Response:
            return super()._encode(body | {"output": "float32"}, raw)

    with pytest.raises(ec.UnexpectedAnswer):
        connect(Careless()).call("encode", ["a"], output="int8")


def test_a_prompt_is_named_and_put_before_the_texts_by_the_server(connect: Connect) -> None:
    server = FakeServer(prompts={"query": "q: ", "passage": "p: "})
    client = connect(server, prompt="passage")

    assert client.call("prompts") == server.prompts
    for options, text in (({}, "p: a"), ({"prompt": "query"}, "q: a"), ({"prompt": ""}, "a")):
        np.testing.assert_array_equal(client.call("encode", ["a"], **options), server.vectors([text]))
    with pytest.raises(ec.RequestRefused) as caught:
        client.call("encode", ["a"], prompt="other")
    assert caught.value.code == "unknown_prompt"


def test_the_deadline_is_passed_on(server: FakeServer, connect: Connect) -> None:
    connect(server).call("encode", ["a"], timeout_s=60)

    assert 30_000 < int(server.headers[0]["x-request-timeout-ms"]) <= 60_000


def test_an_answer_has_what_the_server_tells(server: FakeServer, connect: Connect) -> None:
    answer = connect(server, batch_items=1).call("answer", ["a b", "c"])

    assert (answer.space, answer.model, answer.version, answer.tokens) == ("sp_fake", "fake", "1", 3)
    np.testing.assert_array_equal(answer.vectors, server.vectors(["a b", "c"]))


TRUNCATED = [{"field": "text", "length": 9, "limit": 4, "unit": "tokens"}]


def test_a_warning_has_whatever_the_server_tells_by_name(server: FakeServer, connect: Connect) -> None:
    server.warnings = [{"index": 0, "truncated": TRUNCATED, "blurred": True}]

    warnings = connect(server, batch_items=1).call("answer", ["a b", "c"]).warnings

    assert [warning.index for warning in warnings] == [0, 1]
    assert warnings[0].details == {"truncated": TRUNCATED, "blurred": True}
    assert (warnings[0].truncated, warnings[0].blurred) == (TRUNCATED, True)


def test_what_a_warning_does_not_tell_is_false_and_empty() -> None:
    warning = ec.InputWarning(3, {"unknown": ["text"]})

    assert not warning.empty_history
    assert list(warning.truncated) == []


def test_a_warning_cannot_be_changed_but_copied_and_pickled() -> None:
    warning = ec.InputWarning(3, {"unknown": ["text"]})

    with pytest.raises(AttributeError):
        warning.index = 4
    with pytest.raises(TypeError):
        warning.details["unknown"] = []
    assert pickle.loads(pickle.dumps(warning)) == copy.deepcopy(warning) == warning


@pytest.mark.parametrize("warnings", [[{"unknown": ["text"]}], ["cut"], [{"index": None}]])
def test_a_warning_of_another_form_is_no_answer(
    server: FakeServer, connect: Connect, warnings: list[Any]
) -> None:
    server.warnings = warnings

    with pytest.raises(ec.UnexpectedAnswer):
        connect(server).call("answer", ["a"])


def test_blocks_are_read_ahead_by_no_more_than_the_bound(server: FakeServer, connect: Connect) -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield f"text {taken}"

    client = connect(server, batch_items=5, concurrency=2)
    if hasattr(client, "runner"):

        async def first() -> Any:
            async for block in client.client.encode_iter(endless()):
                return block

        block = client.runner.run(first())
    else:
        block = next(client.client.encode_iter(endless()))

    np.testing.assert_array_equal(block, server.vectors([f"text {number}" for number in range(1, 6)]))
    assert taken <= 5 * 4  # two on their way, one in hand, one being filled


def test_what_is_no_encodery_server_is_named(connect: Connect) -> None:
    class Page(FakeServer):
        def _encode(self, body: dict[str, Any], raw: bool) -> httpx.Response:
            return httpx.Response(200, text="<html>hello</html>")

    with pytest.raises(ec.UnexpectedAnswer, match="text/plain"):
        connect(Page()).call("encode", ["a"])


def test_models_are_listed(server: FakeServer, connect: Connect) -> None:
    assert [model["name"] for model in connect(server).call("models")] == ["fake"]


def test_a_model_has_its_manifests(server: FakeServer, connect: Connect) -> None:
    [manifest] = connect(server).call("model", "fake")["versions"]

    assert (manifest["name"], manifest["kind"]) == ("fake", "text")


def test_a_models_schema_has_examples(server: FakeServer, connect: Connect) -> None:
    client = connect(server)

    examples = client.call("schema", "fake")["examples"]

    assert client.call("encode", examples).shape == (len(examples), server.dim)


def test_a_key_is_sent_as_a_bearer_token(server: FakeServer, connect: Connect) -> None:
    connect(server, api_key="k").call("encode", ["a"])

    assert server.headers[0]["authorization"] == "Bearer k"


def test_candidates_are_ranked(server: FakeServer, connect: Connect) -> None:
    client = connect(server)
    found = client.call("score", "a query", ["one", "a query", "another"], top_k=2)

    assert found.results[0].index == 1
    assert found.results[0].score == pytest.approx(1.0)
    assert len(found.results) == 2
    assert (found.model, found.candidates_model, found.space) == ("fake", "fake", "sp_fake")
    assert server.requests[-1] == {
        "query": "a query",
        "candidates": ["one", "a query", "another"],
        "top_k": 2,
    }


def test_candidates_may_be_vectors_of_a_pinned_space(server: FakeServer, connect: Connect) -> None:
    client = connect(server)
    vectors = client.call("encode", ["one", "two", "three"])
    found = client.call("score", "two", vectors)

    assert found.results[0].index == 1
    assert found.candidates_model is None
    assert server.requests[-1]["space"] == "sp_fake"


def test_vectors_without_a_space_are_refused_before_anything_is_sent(
    server: FakeServer, connect: Connect
) -> None:
    with pytest.raises(ValueError, match="vectors as candidates need `space`"):
        connect(server).call("score", "two", np.ones((2, 6), np.float32))
    assert server.requests == []


def test_ranking_keeps_to_the_pinned_space(server: FakeServer, connect: Connect) -> None:
    client = connect(server)
    client.call("encode", ["one"])
    server.space = "sp_other"

    with pytest.raises(ec.SpaceChanged):
        client.call("score", "one", ["two"])


def test_ranking_is_tried_again_while_the_server_is_busy(server: FakeServer, connect: Connect) -> None:
    server.fail_next(429, retry_after_s=0)

    assert connect(server).call("score", "one", ["two"]).results[0].index == 0
    assert len(server.requests) == 2


def test_option_of_a_ranking_that_does_not_exist_is_named(server: FakeServer, connect: Connect) -> None:
    with pytest.raises(TypeError, match="no such option: output"):
        connect(server).call("score", "one", ["two"], output="int8")


def test_clients_options_hold_for_rankings(server: FakeServer, connect: Connect) -> None:
    connect(server, truncate="end", version="1").call("score", "one", ["two"])

    assert (server.requests[-1]["truncate"], server.requests[-1]["version"]) == ("end", "1")


@pytest.mark.parametrize("kind", [ec.Client, ec.AsyncClient])
@pytest.mark.parametrize("url", ["127.0.0.1:8000", "localhost:8000", "", "ftp://here"])
def test_what_is_no_url_is_said_at_once(kind: Any, url: str) -> None:
    with pytest.raises(ValueError, match=r"a URL begins with http:// or https://"):
        kind(url)
