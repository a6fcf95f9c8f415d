"""`uds-mcp cluster-demo`: two servers behind a balancer share what they are told, through kills and a Redis that stops.

Everything runs on this machine and is gone afterwards. Every number is a time that was measured meanwhile.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client
from mcp import MCPError

from server.balancer import Instance
from server.balancer import balancing
from server.cluster_programs import Program
from server.cluster_programs import Redis
from server.cluster_programs import Server
from server.cluster_scenes import Cluster
from server.cluster_scenes import a_server_is_killed
from server.cluster_scenes import explore
from server.cluster_scenes import history
from server.cluster_scenes import redis_is_away
from server.demo import console
from server.demo import told_of
from server.demo_calls import Caller
from server.demo_calls import DemoFailed
from server.demo_shown import Screen


def show_cluster(store: str) -> bool:
    """Play it; False when anything was lost or did not work, which is then told on stderr. `store`: redis or sqlite."""
    failure: str | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="uds-cluster-demo-") as folder:
            asyncio.run(_play(Screen(console()), store, Path(folder)))
    except* (DemoFailed, MCPError, OSError, KeyError) as failed:
        failure = told_of(failed)
    if failure is not None:
        print(f"uds-mcp cluster-demo: {failure}", file=sys.stderr)  # noqa: T201 - said to the person who runs it
    return failure is None


async def _play(screen: Screen, store: str, folder: Path) -> None:
    started_s = time.perf_counter()
    shared = "Redis" if store == "redis" else "one file"
    screen.title(
        "UDS: two servers, one memory", f"They share {shared}; a balancer sends each request to the other one."
    )
    async with _started(screen, store, folder) as cluster:
        await explore(cluster)
        await a_server_is_killed(cluster)
        if cluster.redis is not None:
            await redis_is_away(cluster, cluster.redis)
        await history(cluster)
    screen.gap()
    took = f"Done in {time.perf_counter() - started_s:.1f} s: nothing was lost."
    screen.title(took, "compose.yaml runs the same in containers, with a balancer for people.")


@asynccontextmanager
async def _started(screen: Screen, store: str, folder: Path) -> AsyncGenerator[Cluster]:
    """Everything runs; taken down at the end, also when something fails."""
    async with AsyncExitStack() as stack:
        redis = Redis(folder) if store == "redis" else None
        if redis is not None:
            await _start(screen, stack, redis)
        one, two = (Server(name, _settings(name, redis, folder)) for name in ("one", "two"))
        await asyncio.gather(_start(screen, stack, one), _start(screen, stack, two))
        answered: list[Instance] = []
        balancer = balancing([one.instance, two.instance], answered=answered.append)
        address = await stack.enter_async_context(balancer)
        began_s = time.perf_counter()
        client = await stack.enter_async_context(Client(f"{address}/mcp"))
        await client.list_tools()
        call = Caller(client, client.protocol_version, (time.perf_counter() - began_s) * 1000)
        screen.line(f"balancer on {address}/mcp; MCP {call.protocol}; first answer after {call.started_ms:,.0f} ms")
        yield Cluster((one, two), redis, call, screen, answered)


async def _start(screen: Screen, stack: AsyncExitStack, program: Program) -> None:
    stack.push_async_callback(program.end)
    took_ms = await program.start()
    named = program.name if isinstance(program, Redis) else f"server {program.name}"
    screen.line(f"{named} is ready after {took_ms:,.0f} ms")


def _settings(name: str, redis: Redis | None, folder: Path) -> dict[str, str]:
    if redis is None:
        return {"STATE_STORE_TYPE": "sqlite", "UDS_STATE_DIR": str(folder / "shared")}
    return {"STATE_STORE_TYPE": "redis", "REDIS_URL": redis.url, "UDS_STATE_DIR": str(folder / name)}
