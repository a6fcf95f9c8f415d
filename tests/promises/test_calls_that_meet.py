"""Calls that meet each other, are given up, or find the files changed under them, through a client."""

import asyncio
import csv
import os
import signal
from collections.abc import AsyncIterator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.server import MCPServer

from server.mcp_server import build_server
from server.parts import Parts
from server.parts import open_parts
from server.settings import read_settings

pytestmark = pytest.mark.anyio

LONG = "select count(*) from range(100000) a(i), range(3000000) b(j) where (i * 7 + j) % 13 = 5"
Served = tuple[Parts, MCPServer, Path]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A server of its own over one CSV file."""
    path = tmp_path / "orders.csv"
    _write(path, 10)
    settings = read_settings({"UDS_DATA": str(tmp_path)})
    async with open_parts(settings) as parts:
        yield parts, build_server(parts, settings), path


def _write(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "country"])
        writer.writerows([number, "NL" if number % 3 else "DE"] for number in range(rows))


async def _until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not true():
            await anyio.lowlevel.checkpoint()


async def test_a_thousand_equal_cold_calls_measure_once(served: Served) -> None:
    parts, server, _ = served
    async with Client(server) as client:
        await client.call_tool("list_schemas", {})
        asked = [client.call_tool("describe_schema", {"schema": "orders"}) for _ in range(1_000)]
        answers = await asyncio.gather(*asked)
    assert not any(answer.is_error for answer in answers)
    statistics = parts.cache.statistics()
    assert statistics.loads == 1
    assert statistics.misses > 1, "the calls did not meet: each came after the other"


async def test_a_changed_file_is_never_answered_from_the_old_result(served: Served) -> None:
    _, server, path = served
    async with Client(server) as client:
        for rows in (10, 11, 12):
            _write(path, rows)
            for cached in (False, True):
                described = await client.call_tool("describe_schema", {"schema": "orders"})
                counted = await client.call_tool("run_query", {"query": "select count(*) from orders"})
                assert _content(described)["rows"] == rows
                assert _content(counted)["rows"] == [[rows]]
                assert _content(described)["provenance"]["cached"] is cached


async def test_cancelling_the_call_stops_the_query(served: Served) -> None:
    parts, server, _ = served
    engine = parts.embedded
    assert engine is not None
    async with Client(server) as client:
        await client.call_tool("list_schemas", {})
        calling = asyncio.ensure_future(client.call_tool("run_query", {"query": LONG}))
        await _until(lambda: _busy(engine) == 1)
        calling.cancel()
        await _until(lambda: _busy(engine) == 0)
        answer = await client.call_tool("run_query", {"query": "select 1"})
        assert _content(answer)["rows"] == [[1]]


async def test_one_of_two_equal_callers_may_leave(served: Served) -> None:
    parts, server, _ = served
    slow = "select count(*) from range(20000) a(i), range(20000) b(j) where (i * 7 + j) % 13 = 5"
    async with Client(server) as client:
        await client.call_tool("list_schemas", {})
        leaving = asyncio.ensure_future(client.call_tool("run_query", {"query": slow}))
        staying = asyncio.ensure_future(client.call_tool("run_query", {"query": slow}))
        await _until(lambda: parts.cache.statistics().misses == 2)
        leaving.cancel()
        with anyio.fail_after(30):
            assert _content(await staying)["row_count"] == 1
    assert parts.cache.statistics().loads == 1


async def test_a_killed_worker_fails_only_its_own_call(served: Served) -> None:
    parts, server, _ = served
    async with Client(server) as client:
        await client.call_tool("list_schemas", {})
        calling = asyncio.ensure_future(client.call_tool("run_query", {"query": LONG}))
        await _until(lambda: _busy(parts.embedded) == 1)
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        failed = await calling
        assert failed.is_error
        assert _text(failed).split(":")[0] in {"too_large", "source_unreachable"}
        answer = await client.call_tool("run_query", {"query": "select count(*) from orders"})
        assert _content(answer)["rows"] == [[10]]


async def test_a_timeout_is_told_with_what_to_do(served: Served) -> None:
    _, server, _ = served
    async with Client(server) as client:
        answer = await client.call_tool("run_query", {"query": LONG, "timeout_s": 0.3})
    assert answer.is_error
    assert _text(answer).startswith("query_timeout: ")
    assert "aggregate" in _text(answer)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_long_scan_reports_progress(served: Served, mode: Any) -> None:
    _, server, _ = served
    seen: list[float] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        assert total == 1.0
        assert message
        seen.append(progress)

    async with Client(server, mode=mode) as client:
        await client.call_tool("run_query", {"query": LONG, "timeout_s": 1.5}, progress_callback=told)
    assert seen
    assert seen == sorted(set(seen))


async def test_a_write_to_a_session_is_heard_by_who_listens(served: Served) -> None:
    _, server, _ = served
    async with Client(server) as client:
        handle = _content(await client.call_tool("open_session", {}))["session"]
        uri = f"uds://sessions/{handle}"
        async with client.listen(resource_subscriptions=[uri]) as events:
            await client.call_tool("remember", {"session": handle, "kind": "finding", "value": "x"})
            with anyio.fail_after(5):
                event = await anext(aiter(events))
    assert getattr(event, "uri", None) == uri


def _busy(engine: Any) -> int:
    started = engine.statistics()
    return 0 if started is None else started.busy


def _children() -> list[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    if not listed.exists():
        pytest.skip("this system does not list the children of a process in /proc")
    return [int(pid) for pid in listed.read_text().split()]


def _content(result: Any) -> dict[str, Any]:
    assert not result.is_error, _text(result)
    return result.structured_content


def _text(result: Any) -> str:
    return result.content[0].text
