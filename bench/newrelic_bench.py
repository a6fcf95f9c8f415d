"""A first look at a New Relic account of 200 event types x 120 attributes, through our simulator of NerdGraph.

Every answer of the simulator, which is a process of its own, waits 150 ms. The neighbour is the walk that assistants
make by hand: the names, then one request for the attributes and one for the rows of each event type, 25 at a time,
which is all that New Relic allows. Both are made twice, and the second time counts: the simulator knows them then.

Run: python bench/newrelic_bench.py [--types 200] [--attributes 120] [--latency-ms 150] [--json FILE]
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from mcp import Client
from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row

from server.mcp_server import build_server
from server.parts import Parts
from server.parts import open_parts
from server.settings import read_settings
from server.simulator.app import KEY

_AT_ONCE = 25
_TEXT = "query($q: Nrql!) { actor { account(id: 1) { nrql(query: $q) { results } } } }"


@dataclass(frozen=True)
class Far:
    """The simulator's process."""

    url: str
    process: "subprocess.Popen[str]"

    def counted(self) -> tuple[int, int]:
        """Requests and statements since the last time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("counted\n")
        self.process.stdin.flush()
        requests, statements = json.loads(self.process.stdout.readline())
        return requests, statements


@contextlib.contextmanager
def simulated(types: int, attributes: int, latency_s: float) -> Generator[Far]:
    command = [sys.executable, str(Path(__file__).with_name("newrelic_account.py"))]
    arguments = [str(types), str(attributes), str(latency_s)]
    with subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Far(process.stdout.readline().strip(), process)
        assert process.stdin is not None
        process.stdin.close()


@contextlib.asynccontextmanager
async def server(far: Far, folder: Path) -> AsyncGenerator[tuple[Parts, Client]]:
    """A server that knows nothing yet."""
    told = {"NEW_RELIC_API_KEY": KEY, "NEW_RELIC_ACCOUNT_ID": "1", "NEW_RELIC_REGION": far.url}
    settings = read_settings(told | {"STATE_STORE_TYPE": "memory", "UDS_STATE_DIR": str(folder)})
    async with open_parts(settings) as parts, Client(build_server(parts, settings)) as client:
        await client.list_tools()
        yield parts, client


async def timed(client: Client, tool: str, arguments: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    began_s = time.perf_counter()
    answered = await client.call_tool(tool, arguments)
    took_s = time.perf_counter() - began_s
    assert not answered.is_error, answered.content
    assert answered.structured_content is not None
    return took_s, answered.structured_content


async def look(far: Far, folder: Path) -> dict[str, float]:
    """The ranked list by a server that knows nothing, then a description; and a description by another such server."""
    far.counted()
    async with server(far, folder) as (parts, client):
        list_s, listed = await timed(client, "list_schemas", {"search": "type 007"})
        await parts.ports.vocabulary.settled()
        requests, statements = far.counted()
        describe_s, described = await timed(client, "describe_schema", {"schema": "Type007"})
        describe_requests, _ = far.counted()
    async with server(far, folder) as (_, client):
        cold_s, _ = await timed(client, "describe_schema", {"schema": "Type008"})
        cold_requests, _ = far.counted()
    assert listed["schemas"][0]["schema"] == "Type007", listed
    assert len(described["attributes"]) > 1, described
    return {
        "list_s": list_s,
        "requests": requests,
        "statements": statements,
        "describe_s": describe_s,
        "describe_requests": describe_requests,
        "cold_s": cold_s,
        "cold_requests": cold_requests,
    }


async def by_hand(far: Far, types: int) -> tuple[float, int]:
    """Seconds and requests of the walk without UDS."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(client: httpx.AsyncClient, nrql: str) -> None:
        async with gate:
            told = {"query": _TEXT, "variables": {"q": nrql}}
            answer = await client.post(far.url, json=told, headers={"Api-Key": KEY})
            assert "errors" not in answer.json(), answer.text[:300]

    began_s = time.perf_counter()
    async with httpx.AsyncClient(timeout=120) as client:
        await ask(client, "SHOW EVENT TYPES SINCE 1 day ago")
        names = [f"Type{number:03}" for number in range(types)]
        asking = [f"SELECT {what} FROM {name} SINCE 1 day ago" for name in names for what in ("keyset()", "count(*)")]
        await asyncio.gather(*(ask(client, nrql) for nrql in asking))
    took_s = time.perf_counter() - began_s
    return took_s, far.counted()[0]


def measure(folder: Path, types: int, attributes: int, latency_s: float) -> list[Row]:
    with simulated(types, attributes, latency_s) as far:
        asyncio.run(look(far, folder))
        found = asyncio.run(look(far, folder))
        asyncio.run(by_hand(far, types))
        hand_s, hand_requests = asyncio.run(by_hand(far, types))
    name = f"{types} event types x {attributes}"
    by_hand_told = f"by hand, {_AT_ONCE} at a time:"
    return [
        row(f"{name}: requests of a first look", found["requests"], "requests", by_hand_told, hand_requests, bound=12),
        row(f"{name}: statements in them", found["statements"], "each"),
        row(f"{name}: ranked list", found["list_s"], "s", by_hand_told, hand_s, bound=2.5),
        row(
            f"{name}: then a description", found["describe_s"], "s", f"{found['describe_requests']} requests", bound=1.5
        ),
        row(f"{name}: a description at once", found["cold_s"], "s", f"{found['cold_requests']} requests", bound=1.5),
    ]


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--types", type=int, default=200)
    parser.add_argument("--attributes", type=int, default=120)
    parser.add_argument("--latency-ms", type=float, default=150.0)
    options = parser.parse_args()
    with scratch() as folder:
        rows = measure(folder, options.types, options.attributes, options.latency_ms / 1_000)
        keep(rows, options.json)


if __name__ == "__main__":
    main()
