"""A Redis that comes back without its data is given everything again by the servers that know it."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos_scene import scene
from tests.invariants import converged
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.uds_process import Caller
from tests.uds_process import callers

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


async def _everything(server: Caller, session: str) -> tuple[list[str], dict[str, str]]:
    told = await server.whole(session)
    assert told.answer is not None, told
    return sorted(each["value"] for each in told.answer["findings"]), told.answer["context"]


@pytest.mark.parametrize("servers", [1, 2])
async def test_a_redis_that_comes_back_empty_is_given_everything_again(tmp_path: Path, servers: int) -> None:
    with scene(tmp_path, servers=servers) as running:
        async with callers(running.addresses, within_s=10.0) as clients:
            session = (await clients[0].ask("open_session", goal="stay"))["session"]
            wanted: list[str] = []
            for life in range(3):
                wanted += await _written(clients, session, f"life {life}")
                running.redis.kill()
                _burn(running.redis)
                running.redis.start()
                await converged(running.addresses, [session], within_s=_WITHIN_S)
                for client in clients:
                    assert await _everything(client, session) == (sorted(wanted), {})
            recalled = await clients[-1].ask("recall", session=session)
    assert [each["text"] for each in recalled["goals"]] == ["stay"]


async def _written(clients: Sequence[Caller], session: str, name: str) -> list[str]:
    values = [f"{name} {number}" for number in range(2 * len(clients))]
    for number, value in enumerate(values):
        assert await _kept(clients[number % len(clients)], session, value)
    return values


def _burn(redis: RedisServer) -> None:
    """All that it had on disk."""
    for each in redis.folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        elif each.name != "log.txt":
            each.unlink()
