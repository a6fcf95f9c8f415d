"""Servers on a Redis Cluster: one history through both, also while the node that has it dies and another takes over."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.invariants import converged
from tests.redis_server import redis_binary
from tests.redis_topologies import Ring
from tests.redis_topologies import ring_of_nodes
from tests.redis_topologies import until
from tests.uds_process import Caller
from tests.uds_process import UdsProcess
from tests.uds_process import callers
from tests.uds_process import uds_processes

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed"),
    pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL"),
]
_WITHIN_S = 30.0
_STATE_SLOT = 3_828
"""Of all keys with the tag `{s}`."""


async def _found(server: Caller, session: str) -> list[str]:
    told = await server.whole(session)
    assert told.answer is not None, told
    return sorted(each["value"] for each in told.answer["findings"])


async def _told(servers: list[Caller], session: str, name: str, many: int) -> list[str]:
    values = [f"{name} {number}" for number in range(many)]
    for number, value in enumerate(values):
        await servers[number % 2].ask("remember", session=session, kind="finding", value=value)
    return values


def _lose_the_node(ring: Ring) -> None:
    until(lambda: ring.replicated(_STATE_SLOT))
    dying = ring.owner(_STATE_SLOT)
    dying.kill()


async def test_what_two_servers_are_told_outlives_the_node_of_a_cluster_that_kept_it(tmp_path: Path) -> None:
    with ring_of_nodes(tmp_path / "redis", replicated=_STATE_SLOT) as ring:
        environ = {"STATE_STORE_TYPE": "redis", "REDIS_URL": ring.url}
        servers = [UdsProcess(tmp_path / f"server-{number}", environ) for number in range(2)]
        addresses = [each.address for each in servers]
        with uds_processes(servers):
            async with callers(addresses, within_s=10.0) as clients:
                session = (await clients[0].ask("open_session", goal="stay"))["session"]
                await clients[1].ask("recall", session=session)
                wanted = await _told(clients, session, "before", 6)
                assert await _found(clients[1], session) == sorted(wanted)
                await asyncio.to_thread(_lose_the_node, ring)
                wanted += await _told(clients, session, "meanwhile", 6)
                await converged(addresses, [session], within_s=_WITHIN_S)
                wanted += await _told(clients, session, "after", 2)
                for client in clients:
                    assert await _found(client, session) == sorted(wanted)
                assert (await clients[0].ask("session_history", session=session))["verified"]
