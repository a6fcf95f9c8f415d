"""The journal in a Redis Cluster: its scripts name keys of their own, in one slot, also while that slot moves on."""

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from state.errors import StateBusy
from state.journal import Chapter
from state.journal import Head
from state.journal import Origin
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.redis.slots import slot_of
from tests.conftest import ManualClock
from tests.contracts.journal_contract import draft
from tests.contracts.journal_contract import folded
from tests.contracts.journal_contract import found
from tests.contracts.journal_contract import went_on
from tests.contracts.journal_contract import written
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.redis_topologies import Ring
from tests.redis_topologies import ring_of_nodes

_SLOT = slot_of(Keys().log)


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    if redis_binary() is None:
        pytest.skip("redis-server is not installed")
    with ring_of_nodes(tmp_path, replicated=_SLOT) as ring:
        yield ring


@pytest.fixture
async def journal(ring: Ring, clock: ManualClock) -> AsyncIterator[RedisJournal]:
    wire = open_wire(parse(f"{ring.url}?socket_timeout=1"))
    journal = RedisJournal(wire, keys=Keys(), clock=clock, origin="here", shared_clock=clock)
    yield journal
    await journal.aclose()
    await wire.aclose()


async def _soon(ask: Callable[[], Awaitable[Chapter | None]]) -> Chapter | None:
    """Once the cluster answers again."""
    with anyio.fail_after(20):
        while True:
            try:
                return await ask()
            except StateBusy:
                await asyncio.sleep(0.05)


async def _lived(journal: RedisJournal, clock: ManualClock) -> Head:
    """A session `s` that has seen everything; others came and went."""
    base = await written(journal, clock, "s", {}, {})
    head = await journal.compact("s", expected=base, checkpoint=folded(base), draft=draft())
    journal.keep_checkpoint("s", folded(head))
    ended = await written(journal, clock, "ended")
    await journal.append("ended", expected=ended, drafts=[draft()], expires_at=clock())
    await journal.adopt("adopted", Origin(owner="bob", key="k", checkpoint=folded(base), expires_at=2e9))
    await journal.discard("adopted", expected=base)
    await journal.touch("s", expires_at=clock() + 500)
    assert await journal.checkpoint("s") == folded(head)
    return head


async def _good(journal: RedisJournal, head: Head) -> None:
    assert (await found(journal, "s")).head == head
    verdict = await journal.verify("s")
    assert verdict is not None
    assert verdict.ok
    assert (await journal.sessions("ann"), await journal.past("ann")) == (("s",), ("ended",))
    assert sorted(await journal.held()) == ["ended", "s"]


@pytest.mark.slow
@pytest.mark.anyio
async def test_sessions_in_a_cluster_outlive_the_node_they_are_on(
    ring: Ring, journal: RedisJournal, clock: ManualClock
) -> None:
    head = await _lived(journal, clock)
    await _good(journal, head)
    with anyio.fail_after(10):
        while not ring.replicated(_SLOT):  # noqa: ASYNC110 - servers do it among themselves
            await asyncio.sleep(0.02)
    ring.owner(_SLOT).kill()
    await _soon(lambda: journal.read("s"))
    await _good(journal, head)
    await went_on(journal, clock, "s", head)


@pytest.mark.slow
@pytest.mark.anyio
async def test_while_the_slot_moves_to_another_node_nothing_is_half_written(
    ring: Ring, journal: RedisJournal, clock: ManualClock
) -> None:
    head = await _lived(journal, clock)
    source = ring.owner(_SLOT)
    target = next(node for node in ring.nodes if node is not source)
    target.ask("CLUSTER", "SETSLOT", str(_SLOT), "IMPORTING", ring.name(source))
    source.ask("CLUSTER", "SETSLOT", str(_SLOT), "MIGRATING", ring.name(target))
    keys = _keys(source)
    for key in keys:
        clock.advance(2)
        await journal.touch("s", expires_at=clock() + 500)
        clock.advance(2)  # so that whoever writes tells of the touch first
        journal.keep_checkpoint("s", folded(head))
        for act in (
            lambda: journal.checkpoint("s"),
            lambda: journal.read("s"),
            lambda: journal.sessions("ann"),
            lambda: went_on(journal, clock, "s", head),
            lambda: written(journal, clock, "t"),
            lambda: journal.append("s", expected=head, drafts=[draft()], expires_at=clock()),
        ):
            with pytest.raises(StateBusy):
                await act()
        assert source.ask("MIGRATE", "127.0.0.1", str(target.port), key, "0", "1000").startswith(b"+OK"), key
    ring.move(_SLOT, target)
    await _soon(lambda: journal.read("s"))
    await _good(journal, head)
    await went_on(journal, clock, "s", head)


def _keys(server: RedisServer) -> list[str]:
    return sorted(each for each in server.ask("KEYS", "uds*").decode().split("\r\n") if each.startswith("uds"))
