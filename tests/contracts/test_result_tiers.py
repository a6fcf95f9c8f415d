"""The tiers of results against their contract; what each has of its own is tested beside it."""

from collections.abc import AsyncIterator
from collections.abc import Iterator
from pathlib import Path

import fakeredis
import pytest

from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.connect import wire_over
from state.redis.results import RedisResults
from state.resultfile.results import SqliteResults
from tests.contracts.tier_contract import Pair
from tests.contracts.tier_contract import TierContract
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.redis_server import redis_server

pytestmark = pytest.mark.anyio


class TestSqliteResults(TierContract):
    @pytest.fixture
    async def pair(self, tmp_path: Path) -> AsyncIterator[Pair]:
        path = tmp_path / "results.db"
        pair = SqliteResults(path, patience_s=5.0), SqliteResults(path, patience_s=5.0)
        yield pair
        for tier in pair:
            await tier.aclose()


class TestRedisResultsOverAFake(TierContract):
    @pytest.fixture
    async def pair(self) -> AsyncIterator[Pair]:
        server = fakeredis.FakeServer()
        wires = [wire_over(fakeredis.FakeAsyncRedis(server=server), deadline_s=5.0) for _ in range(2)]
        pair = RedisResults(wires[0]), RedisResults(wires[1])
        yield pair
        for tier, wire in zip(pair, wires, strict=True):
            await tier.aclose()
            await wire.aclose()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed")
class TestRedisResults(TierContract):
    @pytest.fixture
    async def pair(self, server: RedisServer) -> AsyncIterator[Pair]:
        server.ask("FLUSHALL")
        address = parse(f"{server.url}?socket_timeout=5")
        wires = [open_wire(address) for _ in range(2)]
        pair = RedisResults(wires[0]), RedisResults(wires[1])
        yield pair
        for tier, wire in zip(pair, wires, strict=True):
            await tier.aclose()
            await wire.aclose()
