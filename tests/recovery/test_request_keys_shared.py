"""Instances that share Redis come to seal with the same key, also those that started while it was away."""

from collections.abc import AsyncGenerator
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp.server.request_state import InvalidRequestState

from server.request_keys import KeyRing
from server.request_keys_shared import kept_shared
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.keys import Keys
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary

_WITHIN_S = 30

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed"),
]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    running = RedisServer(tmp_path)
    running.start()
    yield running
    running.kill()


class Watched(KeyRing):
    """Tells when keys arrive."""

    came = anyio.Event()

    def use(self, keys: Sequence[str]) -> None:
        super().use(keys)
        Watched.came.set()
        Watched.came = anyio.Event()


@asynccontextmanager
async def _instance(redis: RedisServer, key: str) -> AsyncGenerator[KeyRing]:
    """An instance whose own key is `key`."""
    ring = Watched([key * 64])
    wire = open_wire(parse(redis.url), pool_size=2, retries=1)
    try:
        async with kept_shared(ring, wire, Keys(), every_s=0.05):
            yield ring
    finally:
        await wire.aclose()


def _reads(ring: KeyRing, token: str) -> bool:
    try:
        return ring.unseal(token) == b"round one"
    except InvalidRequestState:
        return False


async def test_what_one_instance_sealed_another_finishes(redis: RedisServer) -> None:
    async with _instance(redis, "a") as one, _instance(redis, "b") as two:
        assert _reads(two, one.seal(b"round one"))
        assert _reads(one, two.seal(b"round one"))


async def test_an_instance_that_started_without_redis_takes_part_once_it_is_there(redis: RedisServer) -> None:
    async with _instance(redis, "a") as one:
        redis.kill()
        async with _instance(redis, "b") as two:
            alone = two.seal(b"round one")
            assert not _reads(two, one.seal(b"round one"))
            redis.start()
            with anyio.fail_after(_WITHIN_S):
                # Redis has lost the key too, so that it is made anew by whoever comes first.
                while not (_reads(two, one.seal(b"round one")) and _reads(one, two.seal(b"round one"))):
                    await Watched.came.wait()
            assert _reads(two, alone)  # what was sealed alone is still good where it was sealed


async def test_nothing_is_shared_without_redis() -> None:
    ring = KeyRing(["a" * 64])
    async with kept_shared(ring, None, None):
        assert _reads(ring, ring.seal(b"round one"))
