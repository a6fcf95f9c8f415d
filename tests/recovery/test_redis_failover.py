"""A wire finds whoever is the master now: after sentinels chose another, after a cluster did, after slots moved."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from pathlib import Path

import pytest

from state.redis.address import parse
from state.redis.connect import RedisWire
from state.redis.connect import open_wire
from state.redis.slots import slot_of
from state.redis.wire import Away
from state.redis.wire import Script
from state.redis.wire import Wire
from tests.redis_server import redis_binary
from tests.redis_topologies import ring_of_nodes
from tests.redis_topologies import watched_by_sentinels

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed"),
]

_COUNT = Script("count", "return redis.call('INCR', KEYS[1])")
_STATE = "uds:{s}:n"
_AGREED_WITHIN_S = 20.0
"""Servers find out by themselves that one is gone, and agree on another."""


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncGenerator[Wire]:
    wire = open_wire(parse(f"{url}?socket_timeout=1"))
    try:
        yield wire
    finally:
        await wire.aclose()


async def counted_again(wire: Wire) -> int:
    """The first count after the wire came back."""
    deadline = time.monotonic() + _AGREED_WITHIN_S
    while True:
        try:
            return await wire.run(_COUNT, [_STATE], [], again=False)
        except Away:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(_AGREED_WITHIN_S):
        while not true():  # noqa: ASYNC110 - servers agree among themselves and tell nobody
            await asyncio.sleep(0.02)


async def test_after_sentinels_chose_another_master_it_is_used(tmp_path: Path) -> None:
    with watched_by_sentinels(tmp_path) as watched:
        async with opened(watched.url) as wire:
            assert await wire.run(_COUNT, [_STATE], [], again=False) == 1
            async with contextlib.aclosing(wire.messages("uds:{s}:changes")) as listening:
                assert await anext(listening) == b""
                await until(watched.replicated)
                watched.master.kill()
                with pytest.raises(Away):
                    await anext(listening)
            assert await counted_again(wire) == 2
            assert watched.promoted()
            async with contextlib.aclosing(wire.messages("uds:{s}:changes")) as listening:
                assert await anext(listening) == b""
                assert await wire.call("PUBLISH", "uds:{s}:changes", "m", key=_STATE) == 1
                assert await anext(listening) == b"m"


async def test_a_master_that_hangs_is_replaced_and_not_believed_when_it_wakes(tmp_path: Path) -> None:
    with watched_by_sentinels(tmp_path) as watched:
        async with opened(watched.url) as wire:
            assert await wire.run(_COUNT, [_STATE], [], again=False) == 1
            await until(watched.replicated)
            watched.master.freeze()
            assert await counted_again(wire) == 2
            watched.master.thaw()
            await until(watched.demoted)
            assert await counted_again(wire) == 3


async def test_dead_sentinels_do_not_keep_anybody_from_the_master(tmp_path: Path) -> None:
    with watched_by_sentinels(tmp_path, count=1) as watched:
        url = watched.url.replace("redis+sentinel://", "redis+sentinel://127.0.0.1:1,127.0.0.1:2,")
        async with opened(url) as wire:
            assert await wire.run(_COUNT, [_STATE], [], again=False) == 1
        async with opened(watched.url.rpartition("/")[0] + "/unknown") as wire:
            with pytest.raises(Away, match="unknown"):
                await wire.run(_COUNT, [_STATE], [], again=False)


async def test_a_cluster_is_one_store_whatever_its_nodes_do(tmp_path: Path) -> None:
    keys = [f"uds:r:{number}" for number in range(300)]
    with ring_of_nodes(tmp_path, replicated=slot_of(_STATE)) as ring:
        async with opened(ring.url) as wire:
            await asyncio.gather(*(wire.call("SET", key, key, key=key) for key in keys))
            assert await asyncio.gather(*(wire.call("GET", key, key=key) for key in keys)) == [k.encode() for k in keys]
            assert {ring.owner(slot_of(key)).port for key in keys} == {node.port for node in ring.nodes}

            moving = next(key for key in keys if ring.owner(slot_of(key)) is ring.nodes[0])
            await wire.call("DEL", moving, key=moving)
            ring.move(slot_of(moving), ring.nodes[1])
            assert await wire.call("SET", moving, "moved", key=moving) == b"OK"
            assert ring.nodes[1].ask("GET", moving).startswith(b"$5\r\nmoved")

            assert await wire.run(_COUNT, [_STATE], [], again=False) == 1
            await until(lambda: ring.replicated(slot_of(_STATE)))
            assert isinstance(wire, RedisWire)
            before = wire.connections
            ring.owner(slot_of(_STATE)).kill()
            assert await counted_again(wire) == 2
            assert wire.connections > before, "another node answers for state"
            assert b"role:master" in ring.replica.ask("INFO", "replication")
            async with contextlib.aclosing(wire.messages("uds:{s}:changes")) as listening:
                assert await anext(listening) == b""
                await wire.call("PUBLISH", "uds:{s}:changes", "m", key=_STATE)
                assert await anext(listening) == b"m"


async def test_keys_that_are_on_their_way_to_another_node_are_followed(tmp_path: Path) -> None:
    with ring_of_nodes(tmp_path, replicated=0) as ring:
        slot = slot_of("uds:r:1")
        source = ring.owner(slot)
        target = next(node for node in ring.nodes if node is not source)
        async with opened(ring.url) as wire:
            assert await wire.call("GET", "uds:r:1", key="uds:r:1") is None
            target.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", ring.name(source))
            source.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", ring.name(target))
            assert await wire.call("SET", "uds:r:1", "there", key="uds:r:1") == b"OK"
            assert await wire.call("GET", "uds:r:1", key="uds:r:1") == b"there"
            assert source.ask("CLUSTER", "COUNTKEYSINSLOT", str(slot)) == b":0\r\n"
            assert target.ask("CLUSTER", "COUNTKEYSINSLOT", str(slot)) == b":1\r\n"
            with pytest.raises(Away) as away:  # a script may touch keys that are still where they were
                await wire.run(_COUNT, ["uds:r:1"], [], again=True)
            assert not away.value.sent
            ring.move(slot, target)
            assert await wire.run(Script("there", "return redis.call('GET', KEYS[1])"), ["uds:r:1"], [], again=True)
