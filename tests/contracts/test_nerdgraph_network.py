"""The client of NerdGraph over real connections: those that break, those that are kept, and those that are given up."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from collections.abc import Awaitable
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from sources.errors import SourceUnreachable
from sources.newrelic.client import NerdGraph
from sources.newrelic.regions import endpoint
from tests.nerdgraph_wire import KEY

pytestmark = pytest.mark.anyio

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_ANSWER = json.dumps({"data": {"actor": {"a0": {"nrql": {"results": [{"n": 1}]}}}}}).encode()


@asynccontextmanager
async def listening(serve: Serve) -> AsyncGenerator[NerdGraph]:
    """A server on this machine that treats each connection so, and a client of it."""
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/graphql"
    graph = NerdGraph(endpoint=endpoint(url), key=KEY, chance=lambda: 0.0)
    try:
        yield graph
    finally:
        await graph.aclose()
        server.close()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)


async def _request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))


@pytest.mark.parametrize(
    ("content", "reset"),
    [
        (b"", False),
        (b"", True),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data": {"act', False),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data": {"act', True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", False),
        (b"this is no HTTP\r\n\r\n", False),
    ],
)
async def test_a_connection_that_breaks_is_tried_again_and_then_told(
    content: bytes, *, reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(content)
        await writer.drain()
        if reset:
            writer.transport.abort()

    async with listening(serve) as graph:
        with pytest.raises(SourceUnreachable) as told:
            await graph.nrql(1, "SELECT 1 FROM X", within_s=10)
    assert graph.statistics().requests == 4
    assert KEY not in caplog.text + str(told.value)


async def test_nobody_listening_is_told_before_the_deadline() -> None:
    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        pytest.fail("nobody may come")

    async with listening(serve) as gone:
        url = gone.endpoint.url
    graph = NerdGraph(endpoint=endpoint(url), key=KEY, chance=lambda: 0.0)
    try:
        with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1"):
            await graph.nrql(1, "SELECT 1 FROM X", within_s=10)
    finally:
        await graph.aclose()


async def test_a_connection_serves_one_request_after_the_other() -> None:
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        while True:
            await _request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_ANSWER) + _ANSWER)
            await writer.drain()

    async with listening(serve) as graph:
        for number in range(5):
            answered = await graph.nrql(1, f"SELECT {number} FROM X", within_s=10)
            assert answered.container["results"] == [{"n": 1}]
    assert len(connections) == 1


async def test_plain_http_to_this_machine_goes_to_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_ANSWER) + _ANSWER)
        await writer.drain()

    async with listening(serve) as graph:
        answered = await graph.nrql(1, "SELECT 1 FROM X", within_s=10)
    assert answered.container["results"] == [{"n": 1}]


async def test_a_request_that_is_given_up_is_given_up_for_new_relic_too() -> None:
    reached = asyncio.Event()
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        reached.set()
        assert await reader.read() == b""
        left.set()

    async with listening(serve) as graph:
        caller = asyncio.create_task(graph.nrql(1, "SELECT 1 FROM X", within_s=60))
        await asyncio.wait_for(reached.wait(), 5)
        caller.cancel()
        await asyncio.wait_for(left.wait(), 5)
        assert graph.statistics().under_way == 0
