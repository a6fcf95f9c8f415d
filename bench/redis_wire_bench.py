"""What a call to Redis costs through our wire: calls each second and how long each takes, for 1, 16 and 64 callers.

On loopback, a server of its own. Beside it in the same run: redis-py with its usual pool and with the one that blocks,
and redis-benchmark, a client in C that has nothing else to do, with as many connections as there are callers.
Run: python bench/redis_wire_bench.py [--seconds 1.0] [--rounds 3] [--json FILE]
"""

import asyncio
import contextlib
import statistics
import subprocess
import sys
from collections.abc import AsyncGenerator
from collections.abc import Awaitable
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import cast

from load import Load
from load import loaded
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis
from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row
from shown import unmeasured

sys.path.insert(0, str(Path(__file__).parents[1]))

from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.wire import Script
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.redis_server import redis_server

CALLERS = (1, 16, 64)
PER_S_LEAST = 10_000
TIMES_POOL_LEAST = 1.5
P99_BOUND_MS = 25.0
_SCRIPT = Script("bump", "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('INCR', KEYS[2])")
_VALUE = "v" * 2_048
_KEY = "uds:{s}:v"
_COUNT = "uds:{s}:n"
_POOLED = 10

Ask = Callable[[], Awaitable[Any]]
Asking = contextlib.AbstractAsyncContextManager[dict[str, Ask]]


@contextlib.asynccontextmanager
async def ours(server: RedisServer) -> AsyncGenerator[dict[str, Ask]]:
    wire = open_wire(parse(f"{server.url}?socket_timeout=5"), pool_size=_POOLED)
    try:
        yield {
            "GET": lambda: wire.call("GET", _KEY, key=_KEY),
            "script": lambda: wire.run(_SCRIPT, [_KEY, _COUNT], [_VALUE], again=False),
        }
    finally:
        await wire.aclose()


@contextlib.asynccontextmanager
async def plain(server: RedisServer) -> AsyncGenerator[dict[str, Ask]]:
    """redis-py as it comes."""
    async with Redis(host="127.0.0.1", port=server.port, protocol=2) as client:
        yield _asked_of(client)


@contextlib.asynccontextmanager
async def blocking(server: RedisServer) -> AsyncGenerator[dict[str, Ask]]:
    """redis-py with as many connections as ours; callers wait for one."""
    pool = BlockingConnectionPool(host="127.0.0.1", port=server.port, protocol=2, max_connections=_POOLED)
    async with Redis(connection_pool=pool) as client:
        yield _asked_of(client)
    await pool.disconnect()


def _asked_of(client: Any) -> dict[str, Ask]:
    return {
        "GET": lambda: client.execute_command("GET", _KEY),
        "script": lambda: client.execute_command("EVALSHA", _SCRIPT.digest, 2, _KEY, _COUNT, _VALUE),
    }


CLIENTS: dict[str, Callable[[RedisServer], Asking]] = {"ours": ours, "plain": plain, "blocking": blocking}


async def measured(server: RedisServer, client: str, command: str, callers: int, seconds: float) -> Load:
    async with CLIENTS[client](server) as asks:
        ask = asks[command]
        await asyncio.gather(*(ask() for _ in range(callers)))  # connections are there before it counts

        async def call(_caller: int, _number: int) -> Any:
            return await ask()

        return await loaded(call, writers=callers, seconds=seconds)


def by_benchmark(server: RedisServer, command: str, callers: int) -> float:
    """Calls each second by redis-benchmark."""
    words = ["GET", _KEY] if command == "GET" else ["EVALSHA", _SCRIPT.digest, "2", _KEY, _COUNT, _VALUE]
    options = ["-p", str(server.port), "-c", str(callers), "-n", str(20_000 if callers == 1 else 60_000), "--csv"]
    program = redis_binary("redis-benchmark") or "redis-benchmark"
    told = subprocess.run([program, *options, *words], check=True, capture_output=True, text=True).stdout
    return float(told.splitlines()[-1].split('","')[1].strip('"'))


def compared(server: RedisServer, command: str, callers: int, rounds: int, seconds: float) -> list[Row]:
    """All take turns, so that whatever else the machine does meets each of them."""
    loads: dict[str, list[Load]] = {client: [] for client in CLIENTS}
    native: list[float] = []
    for _ in range(rounds):
        for client, seen in loads.items():
            seen.append(asyncio.run(measured(server, client, command, callers, seconds)))
        if redis_binary("redis-benchmark"):
            native.append(by_benchmark(server, command, callers))
    name = f"{command}, {callers} caller{'s' * (callers > 1)}"
    many = callers == CALLERS[-1]
    per_s = statistics.median(each.per_s for each in loads["ours"])
    shown = [
        row(name, per_s, "per s", "redis-benchmark", statistics.median(native), least=PER_S_LEAST if many else None)
        if native
        else row(name, per_s, "per s", least=PER_S_LEAST if many else None),
        row(f"   each, p50, {name}", _middle(loads["ours"], "p50_ms"), "ms"),
        row(f"   each, p99, {name}", _middle(loads["ours"], "p99_ms"), "ms", bound=P99_BOUND_MS if many else None),
    ]
    for client, title in (("plain", "redis-py's pool"), ("blocking", "redis-py's blocking pool")):
        pairs = zip(loads["ours"], loads[client], strict=True)
        times = statistics.median(mine.per_s / theirs.per_s for mine, theirs in pairs)
        per_s, p50_ms, p99_ms = (_middle(loads[client], field) for field in ("per_s", "p50_ms", "p99_ms"))
        versus = f"{per_s:,.0f} per s, p50 {p50_ms:.3g} ms, p99 {p99_ms:.3g} ms"
        shown.append(row(f"   times {title}", times, "x", versus, least=TIMES_POOL_LEAST if many else None))
    return shown


def _middle(loads: list[Load], field: str) -> float:
    return statistics.median(cast("float", getattr(load, field)) for load in loads)


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if redis_binary() is None:
        keep([unmeasured("calls to Redis", "redis-server is not installed")], options.json)
        return
    rows: list[Row] = []
    with scratch() as folder, redis_server(folder) as server:
        server.ask("SET", _KEY, _VALUE)
        server.ask("SCRIPT", "LOAD", _SCRIPT.text)
        for command in ("GET", "script"):
            for callers in CALLERS:
                rows += compared(server, command, callers, options.rounds, options.seconds)
    keep(rows, options.json)


if __name__ == "__main__":
    main()
