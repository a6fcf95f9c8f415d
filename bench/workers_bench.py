"""Calls per second over HTTP: with several workers on one address, and with several servers behind a balancer.

On a machine with few cores this shows the shape, not the scale: clients, balancer and servers share them.
Run: python bench/workers_bench.py [--seconds 1.5] [--clients 16] [--json FILE]
"""

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path

from load import Load
from load import loaded
from shown import Row
from shown import asked
from shown import keep
from shown import row

_COUNTS = (1, 2, 4)
_VERSION = "2026-07-28"
_META = {
    "io.modelcontextprotocol/protocolVersion": _VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_BALANCE = """
import asyncio, sys
from server.balancer import Instance, balancing
async def main():
    async with balancing([Instance(port, int(port)) for port in sys.argv[1:]]) as address:
        print("listening:", address + "/mcp", file=sys.stderr, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def request(tool: str, **arguments: object) -> bytes:
    """One call of a tool, as it is on the wire."""
    params = {"name": tool, "arguments": arguments, "_meta": _META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    head = (
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {_VERSION}\r\n"
        f"Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Wire:
    """The least HTTP client: one connection that is kept, or a new one for each call."""

    def __init__(self, port: int, *, kept: bool) -> None:
        self._port = port
        self._kept = kept
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes) -> bytes:
        if self._open is None:
            self._open = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        reader, writer = self._open
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        found = re.search(rb"content-length: (\d+)", head)
        body = await (reader.readexactly(int(found[1])) if found else reader.readuntil(b"\r\n0\r\n\r\n"))
        assert b'"isError":true' not in body, body
        if not self._kept:
            self.close()
        return body

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


@contextmanager
def running(*command: str, **environ: str) -> Generator[tuple[int, int]]:
    """A process that says where it listens: its port, and its number."""
    started = subprocess.Popen(
        [sys.executable, "-P", *command], stderr=subprocess.PIPE, text=True, env={**os.environ, **environ}
    )
    assert started.stderr is not None
    try:
        found = next(filter(None, (re.search(r"listening: http://[^/]*:(\d+)/mcp", line) for line in started.stderr)))
        yield int(found[1]), started.pid
    finally:
        started.terminate()
        started.wait()
        started.stderr.close()


@contextmanager
def served(state: str, workers: int, behind: int) -> Generator[tuple[int, int]]:
    """`behind` servers behind the balancer, or one with `workers`; the port to call, and the process that serves it."""
    serve = ("-m", "server", "serve", "--http", "--port", "0")
    with ExitStack() as stack:
        if not behind:
            yield stack.enter_context(running(*serve, "--workers", str(workers), UDS_STATE_DIR=state))
            return
        each = [stack.enter_context(running(*serve, "--stateless", UDS_STATE_DIR=state))[0] for _ in range(behind)]
        yield stack.enter_context(running("-c", _BALANCE, *map(str, each)))


async def called(port: int, clients: int, seconds: float, *, kept: bool, writes: bool) -> Load:
    """All clients call as fast as they are answered."""
    wires = [Wire(port, kept=kept) for _ in range(clients)]
    opened = await asyncio.gather(*(wire.ask(request("open_session", goal="bench")) for wire in wires))
    sessions = [found[1].decode() for each in opened if (found := re.search(rb'"session":"([\w-]{22})"', each))]
    assert len(sessions) == clients
    number = itertools.count()

    async def call(client: int, _number: int) -> None:
        about = {"session": sessions[client]}
        if writes:
            about |= {"kind": "finding", "key": f"k{next(number) % 32}", "value": "late in the evening"}
        await wires[client].ask(request("remember" if writes else "recall", **about))

    await loaded(call, writers=clients, seconds=0.3)
    measured = await loaded(call, writers=clients, seconds=seconds)
    for wire in wires:
        wire.close()
    return measured


def spread(parent: int) -> str:
    """Processor time of each worker so far, which tells how the calls were spread. Told by Linux only."""
    task = Path(f"/proc/{parent}/task/{parent}/children")
    if not task.exists():
        return ""
    ticks = [
        Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11]
        for child in task.read_text(encoding="ascii").split()
    ]
    return "each worked " + ", ".join(f"{int(each) / os.sysconf('SC_CLK_TCK'):.1f}" for each in ticks) + " s"


_WAYS = (
    ("recall", True, False),
    ("recall, new connections", False, False),
    ("remember", True, True),
)
"""What is called, whether over connections that are kept, and whether it writes."""


def measure(seconds: float, clients: int) -> list[Row]:
    one: dict[tuple[str, bool], float] = {}
    rows: list[Row] = []
    for behind, count in itertools.product((False, True), _COUNTS):
        what = f"{count} behind the balancer" if behind else f"{count} worker{'s'[: count > 1]}"
        with tempfile.TemporaryDirectory() as state, served(state, count, count if behind else 0) as (port, parent):
            for name, kept, writes in _WAYS:
                load = asyncio.run(called(port, clients, seconds, kept=kept, writes=writes))
                by = spread(parent) if count > 1 and not behind else ""
                versus = f"{by} p50 {load.p50_ms:.1f} ms, p99 {load.p99_ms:.1f} ms; one:"
                reference = one.setdefault((name, behind), load.per_s)
                rows.append(row(f"{what}: {name}", load.per_s, "per s", versus.strip(), reference))
    return rows


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {options.clients} clients; clients and balancer need some of them too")
    keep(measure(options.seconds, options.clients), options.json)


if __name__ == "__main__":
    main()
