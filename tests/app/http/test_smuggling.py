"""Requests that two programs could read in two ways: each is read as RFC 9112 says, or refused and the end.

Behind every one stands another request. It is answered only where the framing says that it is one, and
however the bytes are cut into packets. The cases are those that RFC 9110 and 9112 decide with a MUST.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import uvloop
from echoing import echoing
from hypothesis import given, settings
from hypothesis import strategies as st
from sockets import GIVE_UP_S, chunked, head, post

NEXT = head("/hello", "X-Request-ID: the-next", method="GET")
GET, POST, HOST = "GET /hello HTTP/1.1", "POST /echo HTTP/1.1", "Host: a"
CHUNKED = "Transfer-Encoding: chunked"


def lines(*given: str, body: str = "") -> bytes:
    """A request as it is written here, byte by byte."""
    return ("\r\n".join([*given, "", ""]) + body).encode("latin-1")


def by_length(length: str, body: str = "hello", *others: str) -> bytes:
    return lines(POST, HOST, f"Content-Length:{length}", *others, body=body)


def by_coding(coding: str, version: str = "1.1") -> bytes:
    return lines(f"POST /echo HTTP/{version}", HOST, f"Transfer-Encoding:{coding}", body="0\r\n\r\n")


def in_chunks(body: str) -> bytes:
    return lines(POST, HOST, CHUNKED, body=body)


REFUSED = {
    "line: no version": b"GET /hello\r\n\r\n",
    "line: version 0.9": lines("GET /hello HTTP/0.9", HOST),
    "line: version 1.2": lines("GET /hello HTTP/1.2", HOST),
    "line: version 2.0": lines("GET /hello HTTP/2.0", HOST),
    "line: version 3.0": lines("GET /hello HTTP/3.0", HOST),
    "line: version 1.10": lines("GET /hello HTTP/1.10", HOST),
    "line: version 01.1": lines("GET /hello HTTP/01.1", HOST),
    "line: space in version": lines("GET /hello HTTP/ 1.1", HOST),
    "line: version in lower case": lines("GET /hello http/1.1", HOST),
    "line: preface of HTTP/2": lines("PRI * HTTP/2.0", body="SM\r\n\r\n"),
    "line: no target": lines("GET HTTP/1.1", HOST),
    "line: tabs": lines("GET\t/hello\tHTTP/1.1", HOST),
    "line: a space behind it": lines("GET /hello HTTP/1.1 ", HOST),
    "line: a space before it": lines(" GET /hello HTTP/1.1", HOST),
    "line: method in lower case": lines("get /hello HTTP/1.1", HOST),
    "line: unknown method": lines("FOO /hello HTTP/1.1", HOST),
    "line: CONNECT": lines("CONNECT a:80 HTTP/1.1", HOST),
    "target: space": lines("GET /he llo HTTP/1.1", HOST),
    "target: control byte": lines("GET /he\x01llo HTTP/1.1", HOST),
    "target: NUL": lines("GET /he\x00llo HTTP/1.1", HOST),
    "target: 8 bits": lines("GET /he\xffllo HTTP/1.1", HOST),
    "target: fragment": lines("GET /hello#x HTTP/1.1", HOST),
    "target: relative": lines("GET hello HTTP/1.1", HOST),
    "target: authority": lines("GET a:80 HTTP/1.1", HOST),
    "target: asterisk": lines("GET * HTTP/1.1", HOST),
    "target: URL without a host": lines("GET http:///hello HTTP/1.1", HOST),
    "target: URL of another scheme": lines("GET ftp://a/hello HTTP/1.1", HOST),
    "target: URL with a user": lines("GET http://u:p@a/hello HTTP/1.1", HOST),
    "target: too long": lines(f"GET /hello?{'x' * 9000} HTTP/1.1", HOST),
    "host: none": lines(GET),
    "host: two": lines(GET, HOST, "Host: b"),
    "host: the same twice": lines(GET, HOST, HOST),
    "host: two words": lines(GET, "Host: a b"),
    "host: two names": lines(GET, "Host: a, b"),
    "host: user": lines(GET, "Host: u@a"),
    "host: path": lines(GET, "Host: a/b"),
    "host: query": lines(GET, "Host: a?b"),
    "host: port of letters": lines(GET, "Host: a:x"),
    "host: two ports": lines(GET, "Host: a:1:2"),
    "host: half an address": lines(GET, "Host: [::1"),
    "host: 8 bits": lines(GET, "Host: \xe4"),
    "header: space before the colon": lines(GET, "Host : a"),
    "header: tab before the colon": lines(GET, HOST, "X\t: a"),
    "header: space before the first": lines(GET, " Host: a"),
    "header: space in the name": lines(GET, HOST, "X Y: a"),
    "header: no colon": lines(GET, HOST, "X"),
    "header: no name": lines(GET, HOST, ": a"),
    "header: bracket in the name": lines(GET, HOST, "X(y): a"),
    "header: NUL in the name": lines(GET, HOST, "X\x00: a"),
    "header: 8 bits in the name": lines(GET, HOST, "X\xff: a"),
    "header: NUL": lines(GET, HOST, "X: a\x00b"),
    "header: control byte": lines(GET, HOST, "X: a\x01b"),
    "header: DEL": lines(GET, HOST, "X: a\x7fb"),
    "header: folded": lines(GET, HOST, "X: a", " b"),
    "header: folded by a tab": lines(GET, HOST, "X: a", "\tb"),
    "header: folded length": lines(POST, HOST, "Content-Length: ", " 5", body="hello"),
    "header: too many": lines(GET, HOST, *["X: a"] * 70),
    "header: too large": lines(GET, HOST, "X: " + "a" * 20_000),
    "end: LF for every CRLF": b"GET /hello HTTP/1.1\nHost: a\n\n",
    "end: LF behind the first line": b"GET /hello HTTP/1.1\nHost: a\r\n\r\n",
    "end: LF behind a header": b"GET /hello HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "end: LF behind the head": b"GET /hello HTTP/1.1\r\nHost: a\r\n\n",
    "end: CR behind the first line": b"GET /hello HTTP/1.1\rHost: a\r\n\r\n",
    "end: CR behind a header": b"GET /hello HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "end: CR in a value": lines(GET, HOST, "X: a\rb"),
    "length: and a coding": by_length(" 5", "0\r\n\r\n", CHUNKED),
    "length: behind a coding": lines(POST, HOST, CHUNKED, "Content-Length: 5", body="0\r\n\r\n"),
    "length: and another": by_length(" 5", "hello", "Content-Length: 3"),
    "length: twice": by_length(" 5", "hello", "Content-Length: 5"),
    "length: none": by_length("", ""),
    "length: space": by_length(" ", ""),
    **{
        f"length: {value}": by_length(f" {value}")
        for value in (
            *("5, 5", "5,3", "+5", "-5", "0x5", "1_0", "5 5"),
            *("5.0", "5;", '"5"', "\x0b5", "5\xa0", "x"),
        )
    },
    "length: over 64 bits": by_length(" 18446744073709551621"),
    "coding: space before the colon": lines(POST, HOST, "Transfer-Encoding : chunked", body="0\r\n\r\n"),
    "coding: twice": lines(POST, HOST, CHUNKED, CHUNKED, body="0\r\n\r\n"),
    "coding: another before": lines(POST, HOST, "Transfer-Encoding: gzip", CHUNKED, body="0\r\n\r\n"),
    "coding: another behind": lines(POST, HOST, CHUNKED, "Transfer-Encoding: x", body="0\r\n\r\n"),
    "coding: of HTTP/1.0": by_coding(" chunked", "1.0"),
    **{
        f"coding: {value}": by_coding(f" {value}")
        for value in (
            *("", "identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", ", chunked"),
            *("xchunked", "chunkedx", "chunked;q=1", '"chunked"', "\x0bchunked", "chunked\xa0", "chunked,"),
        )
    },
    **{
        f"chunk: size {value!r}": in_chunks(f"{value}\r\nhello\r\n0\r\n\r\n")
        for value in (
            *("+5", "-5", "0x5", "0_5", " 5", "5 ", "5\t", "\t5", "5 5", "", "G", "5."),
            *(";a", "\x005", "5\x0b", "10000000000000005", "5;", "5;a\rb", "5 ;a=b", "5;a=\x00", '5;a="b'),
        )
    },
    "chunk: no end": in_chunks("5\r\nhello0\r\n\r\n"),
    "chunk: longer than its size": in_chunks("5\r\nhello!\r\n0\r\n\r\n"),
    "chunk: LF behind the size": in_chunks("5\nhello\r\n0\r\n\r\n"),
    "chunk: LF behind the data": in_chunks("5\r\nhello\n0\r\n\r\n"),
    "chunk: CR behind the data": in_chunks("5\r\nhello\r0\r\n\r\n"),
    "chunk: LF behind an extension": in_chunks("5;a\nhello\r\n0\r\n\r\n"),
    "chunk: LF behind the last": in_chunks("5\r\nhello\r\n0\n\n"),
    "chunk: LF at the end": in_chunks("5\r\nhello\r\n0\r\n\n"),
    "chunk: extensions without an end": in_chunks(f"5;{'a' * 100_000}\r\nhello\r\n0\r\n\r\n"),
    "chunk: an extension with each": in_chunks(f"1;{'a' * 500}\r\nx\r\n" * 200 + "0\r\n\r\n"),
    **{
        f"trailer: {line}": in_chunks(f"5\r\nhello\r\n0\r\n{line}\r\n\r\n")
        for line in (
            *("Connection: close", "Connection: upgrade", "Content-Length: 10", CHUNKED, "X", "X : a"),
            *("X: a\r\n b", "X: \x00", "X: a\nY: b", "X: " + "a" * 100_000, "\r\n".join(["X: y"] * 10_000)),
        )
    },
}
READ = {  # and the body of the answer
    "host: empty": (lines(GET, "Host:"), b'{"hello":"you"}'),
    "host: port": (lines(GET, "Host: a.b-c_d.local:80"), b'{"hello":"you"}'),
    "host: address": (lines(GET, "Host: [::1]:80"), b'{"hello":"you"}'),
    "target: URL": (lines("GET http://b:80/hello?x HTTP/1.1", HOST), b'{"hello":"you"}'),
    "line: empty lines before it": (b"\r\n\r\n" + lines(GET, HOST), b'{"hello":"you"}'),
    "header: empty": (lines(GET, "X:", HOST, "Y: "), b'{"hello":"you"}'),
    "header: tab and 8 bits": (lines(GET, HOST, "X: a\tb\xff"), b'{"hello":"you"}'),
    "header: underscores": (by_length(" 5", "hello", "Transfer_Encoding: chunked"), b"hello"),
    "length: spaces around": (by_length("\t 5 \t"), b"hello"),
    "length: zeros before": (by_length(" 005"), b"hello"),
    "length: of a GET": (lines(GET, HOST, f"Content-Length: {len(NEXT)}") + NEXT, b'{"hello":"you"}'),
    "coding: of a GET": (chunked("/hello", NEXT).replace(b"POST", b"GET"), b'{"hello":"you"}'),
    "coding: upper case": (by_coding(" CHUNKED"), b""),
    "coding: named by Connection": (
        lines(POST, HOST, CHUNKED, "Connection: Transfer-Encoding", body="0\r\n\r\n"),
        b"",
    ),
    "body: a request": (post("/echo", NEXT), NEXT),
    "body: a request in chunks": (chunked("/echo", NEXT, size=7), NEXT),
    "body: a request that nobody reads": (post("/stream", NEXT), b"one\ntwo\n"),
    "body: none": (lines(POST, HOST), b""),
    "chunk: zeros before the size": (in_chunks("0" * 40 + "5\r\nhello\r\n0\r\n\r\n"), b"hello"),
    "chunk: size in letters": (in_chunks("A\r\n0123456789\r\n00\r\n\r\n"), b"0123456789"),
    "chunk: extensions": (in_chunks('5;a=b;c\r\nhello\r\n0;d="e;\\"f"\r\n\r\n'), b"hello"),
    "trailer: any other": (in_chunks("5\r\nhello\r\n0\r\nKind: x\r\nExpect: 100-continue\r\n\r\n"), b"hello"),
    "expect: something else": (by_length(" 5", "hello", "Expect: 200-ok"), b"hello"),
}


class Server:
    """A server on a loop of its own, which runs while a client of the test asks."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)  # as it is run
        self._running = echoing(body_timeout_s=5)
        self._port, _ = self._runner.run(self._running.__aenter__())

    def ask(self, sent: bytes, cuts: list[int] | None = None) -> bytes:
        """All that comes back, until the server closes."""
        return self._runner.run(self._asked(sent, sorted(cuts or [])))

    async def _asked(self, sent: bytes, cuts: list[int]) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            writer.write(sent[start:end])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(), GIVE_UP_S)
        finally:
            writer.close()
            await asyncio.sleep(0)

    def end(self) -> None:
        self._runner.run(self._running.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.end()


class Answer(NamedTuple):
    status: int
    closes: bool
    body: bytes


def answers(received: bytes) -> list[Answer]:
    """What came back, each answer by its own framing."""
    found: list[Answer] = []
    while received:
        start, _, received = received.partition(b"\r\n\r\n")
        fields = start.lower()
        if b"content-length: " in fields:
            length = int(fields.split(b"content-length: ")[1].split()[0])
            body, received = received[:length], received[length:]
        else:
            whole, _, received = received.partition(b"0\r\n\r\n")
            body = b"".join(whole.split(b"\r\n")[1::2])
        found.append(Answer(int(start.split()[1]), b"connection: close" in fields, body))
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_answered(
    server: Server, name: str
) -> None:
    found = answers(server.ask(REFUSED[name] + NEXT))

    assert len(found) == 1
    assert found[0].status in {400, 431}
    assert found[0].closes


@pytest.mark.parametrize("name", READ)
def test_what_can_be_read_in_one_way_is_answered_and_so_is_the_request_behind_it(
    server: Server, name: str
) -> None:
    request, body = READ[name]
    received = server.ask(request + NEXT)

    assert answers(received) == [Answer(200, False, body), Answer(200, False, b'{"hello":"you"}')]
    assert received.count(b"x-request-id: the-next") == 1


PLAIN = [request for request, _ in READ.values()] + [
    post("/nowhere", NEXT),
    post("/hello", NEXT),
    post("/fail", b"ours"),
    chunked("/fail", b"bug", size=1),
    chunked("/nowhere", NEXT * 3, size=11),
    post("/echo", b"\r\n\r\n" * 700),
    post("/echo", NEXT, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
    chunked("/echo", NEXT, "Connection: upgrade", "Upgrade: websocket", size=5),
]


@settings(max_examples=150)
@given(
    plain=st.lists(st.sampled_from(PLAIN), max_size=6),
    last=st.sampled_from([b"", NEXT, post("/echo", NEXT, "Connection: close"), *REFUSED.values()]),
    data=st.data(),
)
def test_packets_do_not_change_what_is_answered(
    server: Server, plain: list[bytes], last: bytes, data: st.DataObject
) -> None:
    sent = b"".join(plain) + last + NEXT
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=12))
    whole, cut = answers(server.ask(sent)), answers(server.ask(sent, cuts))

    count = len(plain)
    assert [one.status for one in cut[:count]] == [one.status for one in whole[:count]]
    assert [one.body for one in cut[:count] if one.status == 200] == [
        one.body for one in whole[:count] if one.status == 200
    ]
    assert count <= len(whole) <= count + 2
    assert [one.status for one in cut[count:] if one.status < 400] == [
        one.status for one in whole[count:] if one.status < 400
    ]
