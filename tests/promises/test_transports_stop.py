"""A server that is asked to stop is gone within two seconds, whatever it is doing, and takes its workers with it."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import Literal

import anyio
import pytest
from mcp import Client
from mcp import MCPError
from mcp.client.sse import sse_client

Mode = Literal["auto", "legacy"]

_GONE_WITHIN_S = 2.0
_WITHIN_S = 20
_BUSY_S = 0.2
_ENDLESS = "SELECT count(*) FROM range(1000000000000) AS numbers(i) WHERE hash(i) = 7"
"""Keeps a worker at work until somebody stops it."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes where only Linux lists them")


@dataclass(frozen=True, slots=True)
class Worker:
    """A child of the server, held by a descriptor that becomes readable when it ends."""

    process_id: int
    descriptor: int

    def is_gone(self, *, within_s: float) -> bool:
        return bool(select.select([self.descriptor], [], [], within_s)[0])

    def worked_s(self) -> float:
        """Processor time it has used so far."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Running:
    """A server whose standard error is kept."""

    process: subprocess.Popen[str]

    opened: list[Worker] = field(default_factory=list[Worker])

    def workers(self) -> list[Worker]:
        tasks = Path(f"/proc/{self.process.pid}/task")
        children = [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
        found = [Worker(child, os.pidfd_open(child)) for child in children]
        self.opened.extend(found)
        return found

    def wait_until_busy(self) -> None:
        """Return once the workers have used time of the processor since this was called: a query is under way."""
        workers = self.workers()
        deadline_s = time.monotonic() + _WITHIN_S
        before_s = sum(worker.worked_s() for worker in workers)
        while sum(worker.worked_s() for worker in workers) < before_s + _BUSY_S:
            assert time.monotonic() < deadline_s, "no worker got busy"
            assert not any(worker.is_gone(within_s=0.02) for worker in workers)

    def is_stopped_cleanly_by(self, number: signal.Signals) -> None:
        """Send the signal and check everything that was promised for it."""
        workers = self.workers()
        assert workers, "the engine has a process of its own"
        sent_s = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(_WITHIN_S)
        took_s = time.monotonic() - sent_s
        assert [worker.is_gone(within_s=1.0) for worker in workers] == [True] * len(workers)
        assert code == 0
        assert took_s < _GONE_WITHIN_S
        assert self.process.stderr is not None
        assert "Traceback" not in self.process.stderr.read()


@contextmanager
def _started(*arguments: str) -> Generator[Running]:
    """The installed command; whatever happens it is gone at the end, and nothing waits for it longer than bounded."""
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "the project is not installed in this environment"
    pipe = subprocess.PIPE
    with subprocess.Popen([script, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        running = Running(process)
        last_resort = threading.Timer(_WITHIN_S, process.kill)
        last_resort.start()
        try:
            yield running
        finally:
            last_resort.cancel()
            process.kill()
            for worker in running.opened:
                os.close(worker.descriptor)


def _send(running: Running, **message: Any) -> None:
    assert running.process.stdin is not None
    running.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    running.process.stdin.flush()


def _received(running: Running, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    assert running.process.stdout is not None
    for line in running.process.stdout:
        message = json.loads(line)
        if wanted(message):
            return message
    pytest.fail("the server ended before it answered")


def _open(running: Running) -> None:
    client = {"name": "test", "version": "1"}
    told = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    _send(running, id=1, method="initialize", params=told)
    _received(running, lambda message: message.get("id") == 1)
    _send(running, method="notifications/initialized")


def _start_endless_query(running: Running) -> None:
    _send(running, id=2, method="tools/call", params={"name": "list_schemas", "arguments": {}})
    _received(running, lambda message: message.get("id") == 2)  # the engine is up, so what it does next is the query
    _send(running, id=3, method="tools/call", params={"name": "run_query", "arguments": {"query": _ENDLESS}})
    running.wait_until_busy()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stdio_server_that_waits_for_its_client_stops(number: signal.Signals) -> None:
    with _started() as running:
        _open(running)
        running.is_stopped_cleanly_by(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stdio_server_stops_in_the_middle_of_a_query(number: signal.Signals) -> None:
    with _started() as running:
        _open(running)
        _start_endless_query(running)
        running.is_stopped_cleanly_by(number)


def test_a_stdio_server_ends_when_its_client_closes_the_pipe_in_the_middle_of_a_query() -> None:
    with _started() as running:
        _open(running)
        _start_endless_query(running)
        workers = running.workers()
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.process.wait(_WITHIN_S) == 0
        assert [worker.is_gone(within_s=1.0) for worker in workers] == [True] * len(workers)


def test_a_stdio_server_whose_client_does_not_read_stops() -> None:
    """Its answers fill the pipe, so that a write is under way that nobody will ever take."""
    with _started() as running:
        _open(running)
        for number in range(10, 40):
            _send(running, id=number, method="tools/list", params={})
        running.is_stopped_cleanly_by(signal.SIGTERM)


def _listening(running: Running) -> str:
    assert running.process.stderr is not None
    for line in running.process.stderr:
        if found := re.search(r"listening: (http://\S+)/mcp", line):
            return found[1]
    pytest.fail("the server ended before it listened")


def test_an_http_server_without_clients_stops() -> None:
    with _started("serve", "--http", "--port", "0") as running:
        _listening(running)
        running.is_stopped_cleanly_by(signal.SIGINT)


@pytest.mark.anyio
@pytest.mark.parametrize(("transport", "mode"), [("mcp", "auto"), ("mcp", "legacy"), ("sse", "legacy")])
async def test_an_http_server_stops_in_the_middle_of_a_query_with_open_streams(transport: str, mode: Mode) -> None:
    with _started("serve", "--http", "--port", "0", "--legacy-sse") as running:
        address = f"{_listening(running)}/{transport}"

        async def query(client: Client) -> None:
            with contextlib.suppress(MCPError):  # cut off, or told just before
                assert (await client.call_tool("run_query", {"query": _ENDLESS})).is_error

        with anyio.fail_after(_WITHIN_S):
            target = sse_client(address) if transport == "sse" else address
            async with Client(target, mode=mode) as client, anyio.create_task_group() as calling:
                await client.call_tool("list_schemas", {})
                calling.start_soon(query, client)
                await anyio.to_thread.run_sync(running.wait_until_busy)
                await anyio.to_thread.run_sync(running.is_stopped_cleanly_by, signal.SIGTERM)
