"""Writers that meet: several services, as in several processes, over one journal that lets others in between."""

import asyncio
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from state.chain import Verdict
from state.errors import Conflict
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Head
from state.journal import JournalStatistics
from state.journal import VersionMoved
from state.memory import MemoryJournal
from state.session import Session
from state.sessions import Sessions
from state.turns import Turns
from tests.conftest import ManualClock

pytestmark = pytest.mark.anyio
_WRITERS = 64


class DistantJournal:
    """A real journal that is a round trip away: every call gives way to the other tasks, and refusals are counted."""

    def __init__(self, near: MemoryJournal) -> None:
        self._near = near
        self.refusals = 0
        self.appends = 0

    async def append(
        self,
        session_id: str,
        *,
        expected: Head | None,
        drafts: Sequence[Draft],
        expires_at: float,
        nonce: str | None = None,
    ) -> Head:
        self.appends += 1
        await anyio.lowlevel.checkpoint()
        try:
            return await self._near.append(
                session_id, expected=expected, drafts=drafts, expires_at=expires_at, nonce=nonce
            )
        except VersionMoved:
            self.refusals += 1
            raise

    async def read(self, session_id: str, *, after: int = 0) -> Chapter | None:
        await anyio.lowlevel.checkpoint()
        return await self._near.read(session_id, after=after)

    async def touch(self, session_id: str, *, expires_at: float) -> None:
        await anyio.lowlevel.checkpoint()
        await self._near.touch(session_id, expires_at=expires_at)

    async def sessions(self, owner: str) -> tuple[str, ...]:
        await anyio.lowlevel.checkpoint()
        return await self._near.sessions(owner)

    async def verify(self, session_id: str) -> Verdict | None:
        await anyio.lowlevel.checkpoint()
        return await self._near.verify(session_id)

    async def checkpoint(self, session_id: str, *, most: int | None = None) -> Checkpoint | None:
        await anyio.lowlevel.checkpoint()
        return await self._near.checkpoint(session_id, most=most)

    def keep_checkpoint(self, session_id: str, checkpoint: Checkpoint) -> None:
        self._near.keep_checkpoint(session_id, checkpoint)

    async def compact(self, session_id: str, *, expected: Head, checkpoint: Checkpoint, draft: Draft) -> Head:
        await anyio.lowlevel.checkpoint()
        return await self._near.compact(session_id, expected=expected, checkpoint=checkpoint, draft=draft)

    def statistics(self) -> JournalStatistics:
        return self._near.statistics()


@pytest.fixture
def journal(clock: ManualClock) -> DistantJournal:
    return DistantJournal(MemoryJournal(clock))


def _services(journal: DistantJournal, clock: ManualClock, count: int) -> list[Sessions]:
    return [Sessions(journal, clock=clock) for _ in range(count)]


@pytest.mark.parametrize("processes", [1, 4, _WRITERS])
async def test_writers_of_different_fields_all_win(journal: DistantJournal, clock: ManualClock, processes: int) -> None:
    services = _services(journal, clock, processes)
    opened = await services[0].open(principal="ann")

    async def write(number: int) -> None:
        await services[number % processes].remember(
            opened.handle, principal="ann", kind="context", key=f"k{number}", value=number, expect=opened.etag
        )

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(_WRITERS):
                tasks.start_soon(write, number)
    for service in services:
        seen = await service.get(opened.handle, principal="ann")
        assert {key: kept.value for key, kept in seen.context.items()} == {f"k{n}": n for n in range(_WRITERS)}
        assert seen.version == 1 + _WRITERS
    assert (journal.refusals > 0) == (processes > 1), "writers of one process queue, those of several must have met"


async def test_of_guarded_writers_of_one_field_exactly_one_wins(journal: DistantJournal, clock: ManualClock) -> None:
    services = _services(journal, clock, 8)
    opened = await services[0].open(principal="ann")
    for service in services:
        await service.get(opened.handle, principal="ann")
    won: list[int] = []
    lost: list[Conflict] = []

    async def write(number: int) -> None:
        try:
            await services[number].remember(
                opened.handle, principal="ann", kind="context", key="k", value=number, expect=opened.etag
            )
        except Conflict as refusal:
            lost.append(refusal)
        else:
            won.append(number)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(write, number)
    seen = await services[0].get(opened.handle, principal="ann")
    assert [seen.context["k"].value] == won
    assert [(each.fields, each.etag) for each in lost] == [(("context.k",), seen.etag)] * 7
    assert journal.refusals > 0


@pytest.mark.parametrize("processes", [1, 20])
async def test_one_idempotency_key_makes_one_event_however_many_ask_at_once(
    journal: DistantJournal, clock: ManualClock, processes: int
) -> None:
    services = _services(journal, clock, processes)
    results: list[tuple[str, str, object]] = []

    async def open_and_write(number: int) -> None:
        service = services[number % processes]
        opened = await service.open(principal="ann", idempotency_key="open")
        wrote = await service.remember(
            opened.handle, principal="ann", kind="finding", key=None, value=number, idempotency_key="write"
        )
        results.append((wrote.handle, wrote.etag, wrote.findings))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(open_and_write, number)
    assert len(results) == 20
    assert len(set(results)) == 1
    assert (journal.statistics().sessions, journal.statistics().events) == (1, 2)


async def test_another_process_sees_what_was_just_written(journal: DistantJournal, clock: ManualClock) -> None:
    one, other = _services(journal, clock, 2)
    opened = await one.open(principal="ann")
    await other.get(opened.handle, principal="ann")
    for number in range(3):
        wrote = await one.set_goal(opened.handle, principal="ann", goal=f"goal {number}")
        seen = await other.get(opened.handle, principal="ann")
        assert (seen.goals, seen.etag) == (wrote.goals, wrote.etag)
    await one.close(opened.handle, principal="ann")
    assert await other.of(principal="ann", limit=10) == ()


async def test_a_cancelled_writer_leaves_the_way_free_for_the_next(journal: DistantJournal, clock: ManualClock) -> None:
    sessions = Sessions(journal, clock=clock)
    opened = await sessions.open(principal="ann")

    async def write(value: int) -> None:
        await sessions.remember(opened.handle, principal="ann", kind="context", key="k", value=value)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, 1)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await write(2)
    assert (await sessions.get(opened.handle, principal="ann")).context["k"].value == 2


async def test_a_session_that_moves_while_it_is_closed_is_still_closed(
    journal: DistantJournal, clock: ManualClock
) -> None:
    one, other = _services(journal, clock, 2)
    opened = await one.open(principal="ann")
    await other.get(opened.handle, principal="ann")

    async def close() -> None:
        closed = await one.close(opened.handle, principal="ann")
        assert (closed.session.version, len(closed.session.findings)) == (3, 1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(close)
            await anyio.lowlevel.checkpoint()  # it has asked how the session stands, and has not been told yet
            await other.remember(opened.handle, principal="ann", kind="finding", key=None, value=1)
    assert journal.refusals == 1
    assert journal.statistics().sessions == 0


async def test_writers_of_one_process_share_an_append(journal: DistantJournal, clock: ManualClock) -> None:
    sessions = Sessions(journal, clock=clock)
    opened = await sessions.open(principal="ann")
    before = journal.appends
    left = dict[int, Session]()

    async def write(number: int) -> None:
        left[number] = await sessions.remember(
            opened.handle, principal="ann", kind="finding", key=None, value=number, evidence=None
        )

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(_WRITERS):
                tasks.start_soon(write, number)
    assert journal.appends == before + 2, "one for the first who came, one for all who came meanwhile"
    for number, session in left.items():
        assert session.findings[-1].value == number, "each is answered with the session as its own write left it"
        assert len(session.findings) == session.version - 1
        chapter = await journal.read(opened.handle, after=session.version - 1)
        assert chapter is not None
        assert session.etag == f"{session.version}-{chapter.events[0].nonce}"


async def test_in_a_shared_append_one_refused_command_takes_nobody_with_it(
    journal: DistantJournal, clock: ManualClock
) -> None:
    sessions = Sessions(journal, clock=clock)
    opened = await sessions.open(principal="ann")
    refused: list[Conflict] = []

    async def write(key: str, expect: str | None) -> None:
        try:
            await sessions.remember(
                opened.handle, principal="ann", kind="context", key=key, value=1, expect=expect, idempotency_key=None
            )
        except Conflict as conflict:
            refused.append(conflict)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for key, expect in (("a", None), ("b", None), ("b", opened.etag), ("c", opened.etag)):
                tasks.start_soon(write, key, expect)
    seen = await sessions.get(opened.handle, principal="ann")
    assert set(seen.context) == {"a", "b", "c"}
    assert [each.fields for each in refused] == [("context.b",)]


async def test_a_caller_that_is_cancelled_while_it_waits_for_its_turn_takes_nobody_with_it(
    journal: DistantJournal, clock: ManualClock
) -> None:
    sessions = Sessions(journal, clock=clock)
    opened = await sessions.open(principal="ann")
    scopes: dict[str, anyio.CancelScope] = {}

    async def write(key: str) -> None:
        with anyio.CancelScope() as scopes[key]:
            await sessions.remember(opened.handle, principal="ann", kind="context", key=key, value=1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for key in ("a", "b", "c"):
                tasks.start_soon(write, key)
            await anyio.lowlevel.checkpoint()
            scopes["a"].cancel()
            scopes["b"].cancel()
    seen = await sessions.get(opened.handle, principal="ann")
    assert "c" in seen.context
    await write("d")
    assert "d" in (await sessions.get(opened.handle, principal="ann")).context


async def test_when_the_one_who_serves_is_cancelled_nobody_waits_for_ever_and_the_next_is_served() -> None:
    began, gate = (anyio.Event(), anyio.Event()), anyio.Event()
    servers: list[asyncio.Task[object] | None] = []

    async def serve(_key: str, wishes: Sequence[int]) -> Sequence[int]:
        servers.append(asyncio.current_task())
        if len(servers) <= 2:
            began[len(servers) - 1].set()
            await gate.wait()
        return wishes

    turns = Turns(serve)
    with anyio.fail_after(5):
        first = asyncio.create_task(turns.take("k", 1))
        await began[0].wait()
        second = asyncio.create_task(turns.take("k", 2))
        await asyncio.sleep(0)
        first.cancel()
        await began[1].wait()
        third = asyncio.create_task(turns.take("k", 3))
        await asyncio.sleep(0)
        serving = servers[1]
        assert serving is not None
        serving.cancel()
        await asyncio.wait([first, second, third])
        assert [task.cancelled() for task in (first, second, third)] == [True, True, True]
        assert await turns.take("k", 4) == 4
