"""What becomes of one request in a real server: answers, errors, streams, and clients that leave."""

from __future__ import annotations

import asyncio
import json

import pytest
import structlog
from echoing import echoing
from sockets import GIVE_UP_S, head, post, read_answer, read_head


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_client_that_leaves_ends_the_work_for_it(method: str) -> None:
    """Whether the route is called directly or by FastAPI."""
    async with echoing() as (port, context):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/wait", method=method))
        await asyncio.wait_for(context.started.wait(), GIVE_UP_S)
        writer.close()
        await asyncio.wait_for(context.cancelled.wait(), GIVE_UP_S)
        async with asyncio.timeout(GIVE_UP_S):
            while context.counted(499, "/wait", method) is None:
                await asyncio.sleep(0.01)

    assert context.counted(499, "/wait", method) == 1


async def test_what_is_in_work_when_the_server_waits_no_longer_is_told_so() -> None:
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/wait"))
        await asyncio.wait_for(context.started.wait(), GIVE_UP_S)
        for task in context.tasks:
            task.cancel()
        status, headers, _ = await asyncio.wait_for(read_answer(reader), GIVE_UP_S)
        writer.close()

    assert (status, int(headers["retry-after"]) >= 1) == (503, True)


@pytest.mark.parametrize(("how", "status"), [(b"ours", 422), (b"bug", 500), (b"panic", 500)])
async def test_whatever_is_raised_is_answered_and_tells_no_secret(how: bytes, status: int) -> None:
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/fail", how) + post("/echo", b"next"))
        failed, _, body = await read_answer(reader)
        after = await read_answer(reader)
        writer.close()

    assert failed == status
    assert b"secret" not in body
    assert json.loads(body)["error"]["message"]
    assert after[2] == b"next"
    assert context.counted(status, "/fail") == 1


async def test_a_stream_goes_out_part_by_part_with_its_request_id() -> None:
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/stream", b"", "X-Request-ID: mine"))
        found = await reader.readuntil(b"0\r\n\r\n")
        writer.close()

    assert found.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"x-request-id: mine\r\n" in found
    assert found.endswith(b"4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n")
    assert context.counted(200, "/stream") == 1


async def test_a_line_break_cannot_get_into_a_head() -> None:
    """The answer is an error of the server's; no second answer can be smuggled in."""
    async with echoing() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/broken"))
        status, headers, _ = await read_answer(reader)
        writer.close()

    assert status == 500
    assert "x-name" not in headers


async def test_a_stream_that_breaks_ends_the_connection_and_is_logged_without_its_words() -> None:
    """What came is not passed off as the whole: the last chunk is missing."""
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with structlog.testing.capture_logs() as logs:
            writer.write(post("/breaking"))
            found = await asyncio.wait_for(reader.read(), GIVE_UP_S)
        writer.close()

    assert found.endswith(b"4\r\none\n\r\n")
    assert [entry["error"] for entry in logs if entry["event"] == "bug"] == ["ZeroDivisionError"]
    assert "secret" not in str(logs)
    assert context.counted(200, "/breaking") == 1


async def test_head_is_answered_like_get_without_the_body() -> None:
    """The next answer on the connection follows at once."""
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            head("/hello", method="HEAD") + head("/nowhere", method="HEAD") + head("/hello", method="GET")
        )
        status, headers = await read_head(reader)
        missing, _ = await read_head(reader)
        get = await read_answer(reader)
        writer.close()

    assert (status, missing, get.status) == (200, 404, 200)
    assert get.body == b'{"hello":"you"}'
    assert headers | {"x-request-id": ""} == get.headers | {"x-request-id": ""}
    assert context.counted(200, "/hello", "HEAD") == context.counted(200, "/hello", "GET") == 1


@pytest.mark.parametrize("count", [1, 2, 500])
async def test_what_is_refused_by_its_head_costs_no_task(count: int) -> None:
    """The first of them on the connection's own turn, what is sent behind it without waiting one by one."""
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/busy", b"text") * count + post("/echo", b"next"))
        refused = [await asyncio.wait_for(read_answer(reader), GIVE_UP_S) for _ in range(count)]
        after = await asyncio.wait_for(read_answer(reader), GIVE_UP_S)
        writer.close()

    assert {(status, headers["retry-after"]) for status, headers, _ in refused} == {(429, "3")}
    assert len({headers["x-request-id"] for _, headers, _ in refused}) == count
    assert all(json.loads(body)["error"]["code"] == "overloaded" for _, _, body in refused)
    assert (after[0], after[2]) == (200, b"next")
    assert context.counted(429, "/busy") == count


async def test_a_body_is_read_and_dropped_behind_the_refusal_of_its_head() -> None:
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        whole = post("/busy", b"x" * 50_000)
        writer.write(whole[:100])
        early = await asyncio.wait_for(read_answer(reader), GIVE_UP_S)
        writer.write(whole[100:] + post("/echo", b"next"))
        after = await asyncio.wait_for(read_answer(reader), GIVE_UP_S)
        writer.close()

    assert (early[0], after[0], after[2]) == (429, 200, b"next")
    assert context.counted(429, "/busy") == 1


async def test_who_leaves_before_his_task_begins_takes_no_capacity_with_him() -> None:
    async with echoing() as (port, context):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/left", b"text"))
        await asyncio.wait_for(context.started.wait(), GIVE_UP_S)
        async with asyncio.timeout(GIVE_UP_S):
            while context.arriving:
                await asyncio.sleep(0.01)
        writer.close()

    assert (context.arriving, context.in_work) == ({}, 0)
