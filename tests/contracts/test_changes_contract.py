"""Whoever carries changes keeps the contract: within the process, over a real Redis, and over one in memory."""

from collections.abc import AsyncIterator
from collections.abc import Iterator

import anyio
import fakeredis
import pytest

from state.changes import Changes
from state.local_changes import LocalChanges
from state.redis.address import parse
from state.redis.changes import RedisChanges
from state.redis.connect import open_wire
from state.redis.connect import wire_over
from state.redis.keys import Keys
from state.redis.wire import Wire
from tests.contracts.changes_contract import WITHIN_S
from tests.contracts.changes_contract import ChangesContract
from tests.contracts.changes_contract import SharedChangesContract
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.redis_server import redis_server


class TestLocalChanges(ChangesContract):
    @pytest.fixture
    def changes(self) -> LocalChanges:
        return LocalChanges()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if redis_binary() is None:
        pytest.skip("redis-server is not installed")
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


async def _opened(wire: Wire, origin: str) -> AsyncIterator[RedisChanges]:
    changes = RedisChanges(wire, keys=Keys(), origin=origin, every_s=0.05)
    try:
        assert await changes.begun(WITHIN_S)
        yield changes
    finally:
        with anyio.CancelScope(shield=True):
            await changes.aclose()
            await wire.aclose()


class TestRedisChanges(ChangesContract, SharedChangesContract):
    @pytest.fixture
    async def changes(self, redis: RedisServer) -> AsyncIterator[Changes]:
        async for opened in _opened(open_wire(parse(redis.url)), "one"):
            yield opened

    @pytest.fixture
    async def other(self, redis: RedisServer) -> AsyncIterator[Changes]:
        async for opened in _opened(open_wire(parse(redis.url)), "other"):
            yield opened


class TestRedisChangesInMemory(ChangesContract, SharedChangesContract):
    @pytest.fixture
    def memory(self) -> fakeredis.FakeServer:
        return fakeredis.FakeServer()

    @pytest.fixture
    async def changes(self, memory: fakeredis.FakeServer) -> AsyncIterator[Changes]:
        async for opened in _opened(wire_over(fakeredis.FakeAsyncRedis(server=memory)), "one"):
            yield opened

    @pytest.fixture
    async def other(self, memory: fakeredis.FakeServer) -> AsyncIterator[Changes]:
        async for opened in _opened(wire_over(fakeredis.FakeAsyncRedis(server=memory)), "other"):
            yield opened
