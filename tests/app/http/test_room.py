"""The bodies of all requests together are bounded: over it requests are refused, and told when to try."""

from __future__ import annotations

import asyncio

import pytest
from echoing import echoing
from running import until_async
from sockets import GIVE_UP_S, chunked, head, post, read_answer

from app.http.room import SLOW_S, Room

LIMIT, SIZE = 50_000, 30_000  # the second body does not fit beside the first


async def asked(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = await read_answer(reader)
    rest = await asyncio.wait_for(reader.read(), GIVE_UP_S) if answer.status != 200 else b""
    writer.close()
    assert rest == b""
    return answer.status, answer.headers, answer.body


@pytest.mark.parametrize(
    "second",
    [post("/echo", b"a" * SIZE), chunked("/echo", b"a" * SIZE), head("/echo", length=SIZE)],
    ids=["whole", "in chunks", "by its head alone"],
)
async def test_what_has_no_room_is_refused_at_once(second: bytes) -> None:
    """And has it as soon as the first is answered; what fits is answered meanwhile."""
    async with echoing(max_bodies_bytes=LIMIT) as (port, context):
        first = asyncio.create_task(asked(port, post("/later", b"a" * SIZE)))
        await context.started.wait()
        status, headers, body = await asked(port, second)
        small, _, _ = await asked(port, post("/echo", b"a" * (LIMIT - SIZE)))
        context.released.set()
        answered, _, _ = await first
        again, _, _ = await asked(port, post("/echo", b"a" * SIZE))

        assert (status, headers["retry-after"], headers["connection"]) == (429, "1", "close")
        assert b"ENCODERY_MAX_BODIES_BYTES" in body
        assert (small, answered, again) == (200, 200, 200)
        assert context.room.taken == 0


async def test_a_request_alone_may_have_more_than_there_is() -> None:
    """Or a small limit would refuse it for ever."""
    async with echoing(max_bodies_bytes=100) as (port, context):
        assert (await asked(port, post("/echo", b"a" * SIZE)))[0] == 200
        assert (await asked(port, chunked("/echo", b"a" * SIZE)))[0] == 200
        assert context.room.taken == 0


async def test_who_announces_much_and_sends_little_takes_little() -> None:
    async with echoing(max_bodies_bytes=LIMIT) as (port, context):
        writers = []
        for _ in range(10):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head("/echo", length=SIZE) + b"a" * 10)
            writers.append(writer)
        await until_async(lambda: context.room.taken == 10 * 10)

        assert (await asked(port, post("/echo", b"a" * SIZE)))[0] == 200
        for writer in writers:
            writer.close()
        await until_async(lambda: context.room.taken == 0)


@pytest.mark.parametrize("end", ["left", "fails", "too large", "wrong type"])
async def test_however_a_request_ends_its_room_is_free(end: str) -> None:
    async with echoing(max_bodies_bytes=LIMIT) as (port, context):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        match end:
            case "left":
                writer.write(head("/echo", length=SIZE) + b"a" * 1000)
                await until_async(lambda: context.room.taken == 1000)
            case "fails":
                writer.write(post("/fail", b"bug"))
            case "too large":
                writer.write(chunked("/echo", b"a" * 200_000))
            case _:
                writer.write(post("/echo", b"a", "Content-Encoding: gzip"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()

        await until_async(lambda: context.room.taken == 0)
        assert (await asked(port, post("/echo", b"a")))[0] == 200


@pytest.mark.parametrize("is_old", [True, False])
async def test_bodies_that_take_long_give_up_their_room_when_it_is_needed(is_old: bool) -> None:
    """The oldest first, and no more of them than needed; those that came just now keep theirs."""
    now_s = [100.0]
    async with echoing(max_bodies_bytes=LIMIT) as (port, context):
        context.room = Room(LIMIT, clock=lambda: now_s[0])
        slow = []
        for number in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head("/echo", length=SIZE) + b"a" * 20_000)
            await until_async(lambda: context.room.taken == 20_000 * (number + 1))  # noqa: B023
            slow.append((reader, writer))
            now_s[0] += 0.1
        now_s[0] += 2 * SLOW_S * is_old

        status, _, _ = await asked(port, post("/echo", b"a" * SIZE))
        assert status == (200 if is_old else 429)
        if is_old:
            answer = await asyncio.wait_for(read_answer(slow[0][0]), GIVE_UP_S)
            assert (answer.status, b"ENCODERY_MAX_BODIES_BYTES" in answer.body) == (408, True)
            assert context.room.taken == 20_000
        slow[1][1].write(b"a" * 10_000)
        assert (await asyncio.wait_for(read_answer(slow[1][0]), GIVE_UP_S)).status == 200
        for _, writer in slow:
            writer.close()
        await until_async(lambda: context.room.taken == 0)


async def test_nobody_is_given_up_in_vain() -> None:
    """Who cannot have room even so is refused, and the others go on."""
    now_s = [100.0]
    async with echoing(max_bodies_bytes=LIMIT) as (port, context):
        context.room = Room(LIMIT, clock=lambda: now_s[0])
        held = asyncio.create_task(asked(port, post("/later", b"a" * SIZE)))
        await context.started.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/echo", length=20_000) + b"a" * 10_000)
        await until_async(lambda: context.room.taken == SIZE + 10_000)
        now_s[0] += 2 * SLOW_S

        assert (await asked(port, post("/echo", b"a" * SIZE)))[0] == 429
        writer.write(b"a" * 10_000)
        assert (await asyncio.wait_for(read_answer(reader), GIVE_UP_S)).status == 200
        context.released.set()
        assert (await held)[0] == 200
        writer.close()
