"""The small balancer: whose turn it is, what it changes of a message, and that it never hides a broken answer."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.balancer import Instance
from server.balancer import Turns
from server.balancer import balancing
from server.balancer_heads import BODY_BYTES_MOST
from server.balancer_heads import Garbled
from server.balancer_heads import Head
from server.balancer_heads import has_own_end
from server.balancer_heads import is_whole
from server.balancer_heads import parsed
from server.balancer_heads import request_body_bytes
from server.balancer_heads import to_client
from server.balancer_heads import to_instance
from server.balancer_heads import wants_close

_WITHIN_S = 10
_ASKED = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _answer(text: bytes, *, length: int | None = None) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text) if length is None else length, text)


@asynccontextmanager
async def _instance(
    name: str, answer: bytes, *, left: asyncio.Event | None = None, port: int = 0
) -> AsyncGenerator[Instance]:
    """Sends `answer` to whoever asks, and closes; with `left`, it sets that once the other side has gone."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if left is not None:
            await reader.read()
            left.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as listening:
        yield Instance(name, listening.sockets[0].getsockname()[1])


async def _connected(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes = _ASKED
) -> tuple[Head, bytes]:
    async with asyncio.timeout(_WITHIN_S):
        writer.write(sent)
        head = parsed(await reader.readuntil(b"\r\n\r\n"))
        return head, await reader.readexactly(int(head.field(b"content-length") or 0))


async def _asked_once(address: str, sent: bytes = _ASKED) -> tuple[Head, bytes]:
    reader, writer = await _connected(address)
    try:
        return await _asked(reader, writer, sent)
    finally:
        writer.close()


def test_each_instance_has_its_turn() -> None:
    one, two, three = (Instance(name, 1) for name in "abc")
    turns = Turns([one, two, three])
    assert [turns.next()[0] for _ in range(4)] == [one, two, three, one]
    assert turns.next() == (two, three, one)


def test_an_instance_that_takes_no_connection_is_tried_last_for_a_second() -> None:
    clock = Clock()
    one, two = Instance("a", 1), Instance("b", 2)
    turns = Turns([one, two], clock=clock)
    turns.rest(one)
    assert [turns.next() for _ in range(2)] == [(two, one)] * 2
    clock.now_s = 1.5
    assert {turns.next()[0] for _ in range(2)} == {one, two}


@pytest.mark.parametrize(
    "raw", [b"\r\n\r\n", b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET / HTTP/1.1\r\n a: b\r\n\r\n"]
)
def test_what_is_no_head_is_refused(raw: bytes) -> None:
    with pytest.raises(Garbled):
        parsed(raw)


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        (b"", 0),
        (b"Content-Length: 12\r\n", 12),
        (b"Content-Length: 12\r\nContent-Length: 12\r\n", 12),
        (b"Content-Length: 12\r\nContent-Length: 13\r\n", None),
        (b"Content-Length: +1\r\n", None),
        (b"Transfer-Encoding: chunked\r\n", None),
        (b"Content-Length: %d\r\n" % (BODY_BYTES_MOST + 1), None),
    ],
)
def test_a_request_says_once_how_long_its_body_is(fields: bytes, length: int | None) -> None:
    """Two readers that disagree about where a request ends are how one is smuggled past a balancer."""
    head = parsed(b"POST /mcp HTTP/1.1\r\n" + fields + b"\r\n")
    if length is None:
        with pytest.raises(Garbled):
            request_body_bytes(head)
    else:
        assert request_body_bytes(head) == length


def test_an_instance_gets_the_request_as_it_is_and_closes_afterwards() -> None:
    head = parsed(b"POST /mcp HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nMcp-Name: recall\r\n\r\n")
    assert to_instance(head) == b"POST /mcp HTTP/1.1\r\nhost: h\r\nmcp-name: recall\r\nconnection: close\r\n\r\n"


def test_a_client_hears_who_answered_and_nobody_else_can_say_so() -> None:
    head = parsed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nX-UDS-Instance: forged\r\nContent-Length: 2\r\n\r\n")
    assert to_client(head, "one") == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-uds-instance: one\r\n\r\n"


def test_the_connection_is_closed_when_nothing_else_ends_the_answer() -> None:
    assert b"connection: close" in to_client(parsed(b"HTTP/1.1 200 OK\r\n\r\n"), "one")
    assert has_own_end(parsed(b"HTTP/1.1 304 Not Modified\r\n\r\n"))


@pytest.mark.parametrize(
    ("fields", "body_bytes", "last", "whole"),
    [
        (b"content-length: 7\r\n", 7, b"uvwxy", True),
        (b"content-length: 7\r\n", 6, b"uvwxy", False),
        (b"transfer-encoding: chunked\r\n", 30, b"0\r\n\r\n", True),
        (b"transfer-encoding: chunked\r\n", 30, b"abc\r\n", False),
    ],
)
def test_an_answer_that_broke_off_is_told_from_a_whole_one(
    fields: bytes,
    body_bytes: int,
    last: bytes,
    whole: bool,  # noqa: FBT001
) -> None:
    assert is_whole(parsed(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n"), body_bytes=body_bytes, last=last) is whole


@pytest.mark.parametrize(
    ("raw", "closes"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
def test_a_client_says_whether_it_asks_again(raw: bytes, closes: bool) -> None:  # noqa: FBT001
    assert wants_close(parsed(raw)) is closes


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    try:
        request_body_bytes(parsed(raw))
    except Garbled:
        pass
    else:
        assert b"HTTP/1." in raw


@pytest.mark.anyio
async def test_requests_of_one_connection_are_spread_over_all_instances() -> None:
    heard: list[Instance] = []
    async with (
        _instance("one", _answer(b"1")) as one,
        _instance("two", _answer(b"2")) as two,
        balancing([one, two], answered=heard.append) as address,
    ):
        reader, writer = await _connected(address)
        told = [await _asked(reader, writer) for _ in range(4)]
        writer.close()
    assert [body for _, body in told] == [b"1", b"2", b"1", b"2"]
    assert [head.field(b"x-uds-instance") for head, _ in islice(told, 2)] == [b"one", b"two"]
    assert heard == [one, two, one, two]


@pytest.mark.anyio
async def test_an_instance_that_is_gone_is_left_out_and_nothing_is_lost() -> None:
    async with _instance("gone", b"") as gone:
        pass
    async with _instance("two", _answer(b"2")) as two, balancing([gone, two], clock=Clock()) as address:
        reader, writer = await _connected(address)
        assert [(await _asked(reader, writer))[1] for _ in range(2)] == [b"2"] * 2
        async with _instance("back", _answer(b"1"), port=gone.port):  # it is asked last, although it is its turn
            assert [(await _asked(reader, writer))[1] for _ in range(2)] == [b"2"] * 2
        writer.close()


@pytest.mark.anyio
async def test_a_request_that_may_have_been_carried_out_is_not_sent_to_another_instance() -> None:
    heard: list[Instance] = []
    async with (
        _instance("broken", b"") as broken,
        _instance("two", _answer(b"2")) as two,
        balancing([broken, two], answered=heard.append) as address,
    ):
        head, body = await _asked_once(address)
    assert head.first.startswith(b"HTTP/1.1 502")
    assert b"not known" in body
    assert heard == []


@pytest.mark.anyio
async def test_an_answer_that_broke_off_breaks_the_connection_of_the_client_too() -> None:
    async with _instance("one", _answer(b"half", length=8)) as one, balancing([one]) as address:
        reader, writer = await _connected(address)
        async with asyncio.timeout(_WITHIN_S):
            writer.write(_ASKED)
            assert (await reader.read()).endswith(b"half")
        writer.close()


@pytest.mark.anyio
async def test_without_any_instance_the_client_is_told_to_try_again() -> None:
    async with _instance("gone", b"") as gone:
        pass
    async with balancing([gone]) as address:
        head, _ = await _asked_once(address)
    assert head.first.startswith(b"HTTP/1.1 503")
    assert head.field(b"retry-after") == b"1"


@pytest.mark.anyio
async def test_a_client_that_leaves_an_open_stream_ends_it_at_the_instance() -> None:
    left = asyncio.Event()
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"
    async with _instance("one", endless, left=left) as one, balancing([one]) as address:
        reader, writer = await _connected(address)
        async with asyncio.timeout(_WITHIN_S):
            writer.write(_ASKED)
            await reader.readuntil(b"one\r\n")
            writer.close()
            await left.wait()


@pytest.mark.anyio
async def test_what_is_no_request_is_answered_with_400() -> None:
    async with balancing([]) as address:
        head, _ = await _asked_once(address, sent=b"what is this\r\n\r\n")
    assert head.first.startswith(b"HTTP/1.1 400")
