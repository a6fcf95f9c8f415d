"""The key is seen by New Relic only: not in errors, logs, values or whatever a failure leaves behind."""

import asyncio
import logging
import pickle
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import hpack
import httpx
import pytest

from sources.errors import SourceError
from sources.errors import SourceUnreachable
from sources.newrelic.client import NerdGraph
from sources.newrelic.redaction import NOT_SHOWN
from sources.newrelic.redaction import Secret
from sources.newrelic.regions import endpoint
from tests.nerdgraph_wire import KEY
from tests.nerdgraph_wire import Reply
from tests.nerdgraph_wire import answer
from tests.nerdgraph_wire import echoed
from tests.nerdgraph_wire import nerdgraph

pytestmark = pytest.mark.anyio

_AT = ["actor", "a0", "nrql"]
FAULTS: list[Reply] = [
    *(
        answer({"errors": [{"message": f"the key {KEY} is bad", "path": _AT}]}, status)
        for status in (200, 400, 401, 403, 500)
    ),
    answer({"errors": [{"message": f"key {KEY}", "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}]}),
    answer({"error": {"title": f"Invalid API key {KEY}"}}, 401),
    answer({"errors": [{"message": f"not authorized for account region with {KEY}"}]}),
    answer({"errors": [{"message": f"not authorized to query account with {KEY}", "path": _AT}]}),
    answer({"errors": [{"message": f"Error at line 1 position 1, unexpected '{KEY}'", "path": _AT}]}),
    answer({"errors": [{"message": f"x{' ' * 590}{KEY}", "path": _AT}]}),
    httpx.Response(200, text=f"<html>{KEY}</html>"),
    httpx.Response(302, headers={"Location": f"https://elsewhere.example/{KEY}"}),
    httpx.ConnectError(f"no route with {KEY}"),
    httpx.LocalProtocolError(f"Illegal header value {KEY.encode()!r}"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[str(number) for number in range(len(FAULTS))])
async def test_no_failure_shows_the_key(fault: Reply, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with nerdgraph(lambda _asked: fault) as far:
        with pytest.raises(SourceError) as told:
            await far.graph.nrql(1, "SELECT 1 FROM X", within_s=30)
        seen = [str(told.value), repr(told.value), repr(vars(told.value)), getattr(told.value, "remedy", "")]
        seen += traceback.format_exception(told.value)
        seen += [repr(far.graph), repr(vars(far.graph)), repr(far.graph.statistics()), caplog.text]
    assert not [text for text in seen if KEY in text or KEY[5:15] in text]


async def test_a_remark_beside_rows_does_not_show_the_key() -> None:
    remark = {"message": f"This field is deprecated! {KEY}", "path": _AT}
    async with nerdgraph(lambda asked: echoed(asked, errors=[remark])) as far:
        found = await far.graph.nrql(1, "SELECT 1 FROM X", within_s=30)
    assert found.warnings == (f"This field is deprecated! {NOT_SHOWN}",)


async def test_libraries_that_write_headers_to_logs_are_kept_from_it(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("hpack", "hpack.hpack", "hpack.table", "h2"):  # as they are in a fresh process
        caplog.set_level(logging.DEBUG, logger=name)
    encoder = hpack.Encoder()
    encoder.encode([("api-key", KEY)])
    assert caplog.records, "this library no longer writes what it encodes: nothing is left to prove"
    async with nerdgraph() as far:
        await far.graph.nrql(1, "SELECT 1 FROM X", within_s=30)
        caplog.clear()
        encoder.encode([("api-key", KEY)])
    assert [record for record in caplog.records if record.name.startswith(("hpack", "h2"))] == []


@pytest.mark.parametrize("key", ["", "NRAK-A B", "NRAK-A\n", "NRAK-\u00e4", "NRAK-A\x00"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="NEW_RELIC_API_KEY") as told:
        NerdGraph(endpoint=endpoint("US"), key=key)
    assert not key.strip() or key.strip() not in str(told.value)


def test_a_secret_shows_and_keeps_nothing() -> None:
    secret = Secret(KEY)
    assert f"{secret} {secret!r} {secret!s}" == f"{NOT_SHOWN} {NOT_SHOWN} {NOT_SHOWN}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_keys_of_others_in_messages_are_not_shown_either() -> None:
    shown = Secret(KEY).without("of NRAK-ABCDEFGH1234 and NRII-0123456789abc")
    assert shown == f"of {NOT_SHOWN} and {NOT_SHOWN}"


@asynccontextmanager
async def _behaving(content: bytes, *, reset: bool) -> AsyncGenerator[str]:
    """A server on this machine that answers every request with these bytes, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        await writer.drain()
        if reset:
            writer.transport.abort()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/graphql"


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
async def test_a_connection_that_breaks_is_told_as_that(
    content: bytes, *, reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with _behaving(content, reset=reset) as url:
        graph = NerdGraph(endpoint=endpoint(url), key=KEY, chance=lambda: 0.0)
        try:
            with pytest.raises(SourceUnreachable) as told:
                await graph.nrql(1, "SELECT 1 FROM X", within_s=10)
        finally:
            await graph.aclose()
    assert graph.statistics().requests == 4
    assert KEY not in caplog.text + str(told.value)


async def test_nobody_listening_is_told_before_the_deadline() -> None:
    async with _behaving(b"", reset=False) as url:
        pass  # and gone
    graph = NerdGraph(endpoint=endpoint(url), key=KEY, chance=lambda: 0.0)
    try:
        with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1"):
            await graph.nrql(1, "SELECT 1 FROM X", within_s=10)
    finally:
        await graph.aclose()
