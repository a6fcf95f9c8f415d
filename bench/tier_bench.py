"""What the tier behind the memory of results costs and saves.

A server that was just started, with and without the file of an earlier one, in turn; a look and a store in each tier;
and how many loads a herd over four instances makes on Redis.

    python bench/tier_bench.py [--rounds 5] [--json FILE]
"""

import asyncio
import contextlib
import json
import shutil
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row
from shown import unmeasured
from start_bench import Client

from state.cache import Loaded
from state.cache import ResultCache
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.results import RedisResults
from state.resultfile.results import SqliteResults
from state.tier import Fresh
from state.tier import ResultTier
from state.tier import Shared
from state.tier import Wanted
from tests.redis_server import redis_binary
from tests.redis_server import redis_server

ANSWER_BYTES = 8_000
INSTANCES = 4
CALLERS = 64
STALL_BOUND_MS = 20.0
FASTER_LEAST = 3.0
LOOK_BOUND_US = 5_000.0
_TIMES = 300


class Text:
    """Bytes and back, so that the tier alone is measured."""

    def encode(self, value: str) -> bytes:
        return value.encode()

    def decode(self, body: bytes) -> str:
        return body.decode()


def answer(state: Path) -> tuple[float, float, bool]:
    """Of a server that is started now: seconds to the first description, of that the call itself, and where it was."""
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "install the project into this environment first: make test does"
    started_s = time.perf_counter()
    client = Client(["env", f"UDS_STATE_DIR={state}", "STATE_STORE_TYPE=sqlite", script])
    client.open()
    client.ask("tools/call", name="list_schemas", arguments={})
    called_s = time.perf_counter()
    told = client.ask("tools/call", name="describe_schema", arguments={"schema": "flights", "detail": "full"})
    ended_s = time.perf_counter()
    client.close()
    tier = told["structuredContent"]["provenance"].get("tier")
    return ended_s - started_s, ended_s - called_s, tier == "shared"


def starts(rounds: int) -> list[Row]:
    """In turn, after one start that leaves the file and one that only warms the disk cache."""
    with scratch() as kept, scratch() as bare:
        answer(kept)
        seen: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for _ in range(rounds):
            for folder in (kept, bare):
                if folder is bare:
                    for each in folder.glob("results.db*"):
                        each.unlink()
                whole_s, call_s, shared = answer(folder)
                assert shared == (folder is kept)
                seen[shared].append((whole_s, call_s))
        whole, call = (
            {shared: statistics.median(each[place] for each in times) * 1e3 for shared, times in seen.items()}
            for place in (0, 1)
        )
    return [
        row("a full description, of a fresh process", call[True], "ms", "without the file", call[False]),
        row("   how many times faster", call[False] / call[True], "times", least=FASTER_LEAST),
        row("   from the start of the process", whole[True], "ms", "without the file", whole[False]),
    ]


async def costs(name: str, tier: ResultTier, text: str) -> list[Row]:
    """One at a time, as a single client asks."""
    looks: list[float] = []
    stores: list[float] = []
    handed: list[float] = []
    for number in range(_TIMES):
        wanted = Wanted(digest=f"{number:064x}", fingerprint="f")
        look = await tier.look(wanted, bytes.decode)
        assert look.permit is not None
        started = time.perf_counter()
        tier.keep(
            look.permit, Fresh(encode=text.encode, age_s=0.0, size_bytes=len(text), tags=("source:s", "schema:x"))
        )
        handed.append(time.perf_counter() - started)
        await tier.settled()
        stores.append(time.perf_counter() - started)
        started = time.perf_counter()
        found = await tier.look(wanted, bytes.decode)
        looks.append(time.perf_counter() - started)
        assert found.kept is not None
    return [
        row(f"{name}: a look that finds {len(text):,} bytes", _us(looks), "us", bound=LOOK_BOUND_US),
        row(f"{name}: storing, as long as the caller waits", _us(handed), "us"),
        row(f"{name}: storing, until it is there", _us(stores), "us"),
    ]


def _us(times: list[float]) -> float:
    return statistics.median(times) * 1e6


async def herd(caches: list[ResultCache], versus: str) -> Row:
    """Equal calls that arrive at all instances while nobody has the answer yet."""
    loads = 0

    async def load() -> Loaded[str]:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.05)
        return Loaded(value="x", size_bytes=1)

    shared = Shared(place=("herd",), codec=Text())
    await asyncio.gather(
        *(
            caches[number % INSTANCES].get_or_load("k", load, fingerprint="f", shared=shared)
            for number in range(CALLERS)
        )
    )
    alone = float(INSTANCES)
    return row(f"loads for {CALLERS} equal calls over {INSTANCES} instances", loads, "loads", versus, alone, 1)


async def stall(tier: ResultTier, text: str) -> float:
    """Milliseconds that the event loop stood still at most while 20 answers were stored and read; median of ten."""
    gaps = [0.0]
    longest: list[float] = []

    async def heartbeat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    async def one(number: int) -> None:
        wanted = Wanted(digest=f"{number:064x}", fingerprint="stall")
        look = await tier.look(wanted, bytes.decode)
        if look.permit is not None:
            tier.keep(look.permit, Fresh(encode=text.encode, age_s=0.0, size_bytes=1, tags=("t",)))
        await tier.settled()
        await tier.look(wanted, bytes.decode)

    beating = asyncio.get_running_loop().create_task(heartbeat())
    for first in range(0, 200, 20):
        gaps.clear()
        await asyncio.gather(*(one(number) for number in range(first, first + 20)))
        longest.append(max(gaps))
    beating.cancel()
    return statistics.median(longest) * 1e3


async def on_file(folder: Path, text: str) -> list[Row]:
    tier = SqliteResults(folder / "results.db", patience_s=10.0)
    rows = await costs("file", tier, text)
    rows.append(
        row("file: longest stall of the loop, 20 at a time", await stall(tier, text), "ms", bound=STALL_BOUND_MS)
    )
    await tier.aclose()
    return rows


@asynccontextmanager
async def instances(url: str) -> AsyncGenerator[list[RedisResults]]:
    wires = [open_wire(parse(f"{url}?socket_timeout=5")) for _ in range(INSTANCES)]
    tiers = [RedisResults(wire) for wire in wires]
    yield tiers
    for tier, wire in zip(tiers, wires, strict=True):
        with contextlib.suppress(asyncio.CancelledError):
            await tier.aclose()
        await wire.aclose()


async def on_redis(url: str, text: str) -> list[Row]:
    async with instances(url) as tiers:
        rows = await costs("Redis", tiers[0], text)
        caches = [ResultCache(clock=time.monotonic, tier=tier) for tier in tiers]
        rows.append(await herd(caches, "one for each instance"))
    return rows


def text_like_an_answer() -> str:
    attribute: Callable[[int], dict[str, Any]] = lambda number: {  # noqa: E731 - one line of a table
        "name": f"attribute_{number}",
        "type": "VARCHAR",
        "null_share": number / 977,
        "distinct": number * 31,
        "examples": [f"value {number}", "another"],
    }
    return json.dumps([attribute(number) for number in range(200)])[:ANSWER_BYTES]


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    text = text_like_an_answer()
    rows = starts(options.rounds)
    with scratch() as folder:
        rows += asyncio.run(on_file(folder, text))
        if redis_binary() is None:
            rows.append(unmeasured("Redis: a look", "redis-server is not installed"))
        else:
            with redis_server(folder / "redis") as server:
                rows += asyncio.run(on_redis(server.url, text))
    keep(rows, options.json)


if __name__ == "__main__":
    main()
