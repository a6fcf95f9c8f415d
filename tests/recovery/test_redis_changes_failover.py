"""Another server in the place of the one that is gone may have lost what was acknowledged: everyone is told."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from state.changes import Missed
from state.changes import ResourceMoved
from state.redis.address import parse
from state.redis.changes import RedisChanges
from state.redis.connect import open_wire
from state.redis.keys import Keys
from tests.contracts.changes_contract import Ear
from tests.redis_server import redis_binary
from tests.redis_topologies import ring_of_nodes
from tests.redis_topologies import watched_by_sentinels

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed"),
]

_STATE_SLOT = 3_828
"""Of all keys with the tag `{s}`."""
_AGREED_WITHIN_S = 20.0
"""Servers find out by themselves that one is gone, and agree on another."""


@asynccontextmanager
async def _instances(url: str) -> "AsyncGenerator[list[RedisChanges]]":
    async with AsyncExitStack() as stack:
        instances: list[RedisChanges] = []
        for origin in ("here", "there"):
            wire = open_wire(parse(url))
            stack.push_async_callback(wire.aclose)
            changes = RedisChanges(wire, keys=Keys(), origin=origin, every_s=0.2)
            stack.push_async_callback(changes.aclose)
            assert await changes.begun(_AGREED_WITHIN_S)
            instances.append(changes)
        yield instances


async def _until(reached: Callable[[], bool]) -> None:
    with anyio.fail_after(_AGREED_WITHIN_S):
        while not reached():  # noqa: ASYNC110 - nobody tells it
            await anyio.sleep(0.02)


async def _told_of(kill: Callable[[], None], replicated: Callable[[], bool], url: str) -> None:
    before, meanwhile, after = (ResourceMoved(uri=name) for name in ("before", "meanwhile", "after"))
    async with _instances(url) as (here, there):
        ears = [Ear(here), Ear(there)]
        here.publish(before)
        await ears[1].until(before)
        await _until(replicated)
        kill()
        here.publish(meanwhile)
        await _until(lambda: all(Missed() in ear.heard for ear in ears))
        await _until(lambda: here.statistics().waiting == 0)
        there.publish(after)
        await ears[0].until(after)
        assert ears[0].heard == [before, meanwhile, Missed(), after]
        assert ears[1].heard.count(Missed()) == 1
        assert ears[1].heard.count(meanwhile) <= 1


async def test_a_failover_of_sentinels_is_told_once_and_listening_goes_on(tmp_path: Path) -> None:
    with watched_by_sentinels(tmp_path) as watched:
        await _told_of(watched.master.kill, watched.replicated, watched.url)


async def test_a_failover_within_a_cluster_is_told_once_and_listening_goes_on(tmp_path: Path) -> None:
    with ring_of_nodes(tmp_path, replicated=_STATE_SLOT) as ring:
        kill = ring.owner(_STATE_SLOT).kill
        await _told_of(kill, lambda: ring.replicated(_STATE_SLOT), ring.url)
