"""A failover loses what Redis had acknowledged: whoever was told so brings it back."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.invariants import converged
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.redis_topologies import Watched
from tests.redis_topologies import until
from tests.redis_topologies import watched_by_sentinels
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


async def _kept(server: Caller, session: str, value: str) -> bool:
    """Whether a finding was acknowledged, and not only by this machine."""
    told = await server.call("remember", session=session, kind="finding", value=value)
    assert told.answer is not None, told
    return told.degraded is None


async def _set(server: Caller, session: str, key: str, value: str) -> None:
    await server.ask("remember", session=session, kind="context", key=key, value=value)


async def _everything(server: Caller, session: str) -> tuple[list[str], dict[str, str]]:
    told = await server.whole(session)
    assert told.answer is not None, told
    return sorted(each["value"] for each in told.answer["findings"]), told.answer["context"]


def _cut_off_the_replica(redis: Watched) -> None:
    """From now on the master acknowledges what the replica never hears of."""
    redis.replica.freeze()
    redis.master.ask("CLIENT", "KILL", "TYPE", "replica")


def _fail_over(redis: Watched) -> None:
    redis.master.kill()
    redis.replica.thaw()
    until(redis.promoted, within_s=_WITHIN_S)


async def test_writes_that_a_failover_lost_are_brought_back_by_those_who_acknowledged_them(tmp_path: Path) -> None:
    with watched_by_sentinels(tmp_path / "redis") as redis:
        environ = {"STATE_STORE_TYPE": "redis", "REDIS_URL": redis.url}
        servers = [UdsProcess(tmp_path / f"server-{number}", environ) for number in range(2)]
        addresses = [each.address for each in servers]
        with uds_processes(servers):
            async with callers(addresses, within_s=10.0) as clients:
                session = (await clients[0].ask("open_session"))["session"]
                assert await _kept(clients[1], session, "replicated")
                until(lambda: _offset(redis.master) == _offset(redis.replica))
                _cut_off_the_replica(redis)
                told = [await _kept(clients[number % 2], session, f"lost {number}") for number in range(6)]
                await _set(clients[0], session, "k", "first")
                await _set(clients[1], session, "k", "second")
                assert all(told), "Redis was to acknowledge these"
                await asyncio.to_thread(_fail_over, redis)
                await converged(addresses, [session], within_s=_WITHIN_S)
                wanted = sorted(["replicated", *(f"lost {number}" for number in range(6))])
                for client in clients:
                    assert await _everything(client, session) == (wanted, {"k": "second"})
                assert (await clients[0].ask("session_history", session=session))["verified"]


def _offset(server: RedisServer) -> bytes:
    """How much of the stream of writes it has."""
    lines = server.ask("INFO", "replication").splitlines()
    told = dict(line.split(b":", 1) for line in lines if b":" in line)
    return told.get(b"slave_repl_offset") or told[b"master_repl_offset"]
