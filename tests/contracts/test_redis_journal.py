"""The journal in Redis keeps the contract, on a real server and on one that is simulated, alone and beside others."""

import os
from collections.abc import AsyncGenerator
from collections.abc import AsyncIterator
from collections.abc import Iterator
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakeredis import FakeAsyncRedis

from state.journal import Quota
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.connect import wire_over
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.redis.wire import Wire
from tests.conftest import ManualClock
from tests.contracts.adopting_contract import AdoptingContract
from tests.contracts.journal_contract import SCANT
from tests.contracts.journal_contract import JournalContract
from tests.contracts.journal_contract import draft
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary

OLD_SERVER = os.environ.get("UDS_TEST_OLD_REDIS", "")
"""A redis-server of 6.2, the oldest that serves, for whoever has one: its tests are not even listed otherwise."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if redis_binary() is None:
        pytest.skip("redis-server is not installed")
    yield from _running(tmp_path_factory.mktemp("redis"), "")


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from _running(tmp_path_factory.mktemp("redis62"), OLD_SERVER)


def _running(folder: Path, binary: str) -> Iterator[RedisServer]:
    server = RedisServer(folder, binary=binary)
    server.start()
    yield server
    server.kill()


@asynccontextmanager
async def open_journal(
    wire: Wire, clock: ManualClock, *, origin: str = "here", quota: Quota | None = None
) -> AsyncGenerator[RedisJournal]:
    """Over a wire that is closed with it."""
    journal = RedisJournal(
        wire, keys=Keys(), clock=clock, origin=origin, quota=quota or Quota(), shared_clock=clock, kept_past_s=1_000
    )
    try:
        yield journal
    finally:
        await journal.aclose()
        await wire.aclose()


@asynccontextmanager
async def _emptied(server: RedisServer, clock: ManualClock, quota: Quota | None = None) -> AsyncGenerator[RedisJournal]:
    server.ask("FLUSHALL")
    async with open_journal(open_wire(parse(server.url)), clock, quota=quota) as journal:
        yield journal


class TestRedisJournal(JournalContract, AdoptingContract):
    @pytest.fixture
    async def journal(self, clock: ManualClock, server: RedisServer) -> AsyncIterator[RedisJournal]:
        async with _emptied(server, clock) as journal:
            yield journal

    @pytest.fixture
    async def scant(self, clock: ManualClock, server: RedisServer) -> AsyncIterator[RedisJournal]:
        async with _emptied(server, clock, SCANT) as journal:
            yield journal


if OLD_SERVER:

    class TestRedisJournalOnAnOldServer(JournalContract, AdoptingContract):
        @pytest.fixture
        async def journal(self, clock: ManualClock, old_server: RedisServer) -> AsyncIterator[RedisJournal]:
            async with _emptied(old_server, clock) as journal:
                yield journal

        @pytest.fixture
        async def scant(self, clock: ManualClock, old_server: RedisServer) -> AsyncIterator[RedisJournal]:
            async with _emptied(old_server, clock, SCANT) as journal:
                yield journal


class TestRedisJournalOnASimulatedServer(JournalContract, AdoptingContract):
    @pytest.fixture
    async def journal(self, clock: ManualClock) -> AsyncIterator[RedisJournal]:
        async with open_journal(wire_over(FakeAsyncRedis(), deadline_s=5), clock) as journal:
            yield journal

    @pytest.fixture
    async def scant(self, clock: ManualClock) -> AsyncIterator[RedisJournal]:
        async with open_journal(wire_over(FakeAsyncRedis(), deadline_s=5), clock, quota=SCANT) as journal:
            yield journal


class TestRedisJournalBesideAnother(JournalContract):
    """What another instance wrote has ended before the test begins."""

    @pytest.fixture
    async def journal(self, clock: ManualClock, server: RedisServer) -> AsyncIterator[RedisJournal]:
        async with AsyncExitStack() as stack:
            journal = await stack.enter_async_context(_emptied(server, clock))
            await _wrote_before(stack, server, clock)
            yield journal

    @pytest.fixture
    async def scant(self, clock: ManualClock, server: RedisServer) -> AsyncIterator[RedisJournal]:
        async with AsyncExitStack() as stack:
            journal = await stack.enter_async_context(_emptied(server, clock, SCANT))
            await _wrote_before(stack, server, clock)
            yield journal


async def _wrote_before(stack: AsyncExitStack, server: RedisServer, clock: ManualClock) -> None:
    other = await stack.enter_async_context(open_journal(open_wire(parse(server.url)), clock, origin="there"))
    for session_id in ("s", "before"):
        head = await other.append(session_id, expected=None, drafts=[draft(key="once")], expires_at=clock() + 1)
        await other.append(session_id, expected=head, drafts=[draft()], expires_at=clock())
