"""Processes that share a file learn what others wrote, once, whatever becomes of rows, their numbers or the file."""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path

import anyio
import pytest

from state.changes import Change
from state.changes import Changes
from state.changes import Missed
from state.changes import ResultsOutdated
from state.changes import SessionMoved
from state.journal import Head
from state.sqlite.changes import SqliteChanges
from state.sqlite.file import open_file
from state.sqlite.forget import forget
from state.sqlite.journal import SqliteJournal
from state.sqlite.tail import MOVED_MOST
from state.tier import News
from tests.conftest import ManualClock
from tests.contracts.changes_contract import ChangesContract
from tests.contracts.changes_contract import Ear
from tests.contracts.journal_contract import NOTHING
from tests.contracts.journal_contract import draft
from tests.contracts.journal_contract import folded
from tests.contracts.journal_contract import went_on
from tests.contracts.journal_contract import written

pytestmark = pytest.mark.anyio
_ROOT = Path(__file__).parents[2]
_NEVER_S = 3_600.0
"""Between two looks, where a test looks itself."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "journal.db"
    open_file(place)
    return place


@pytest.fixture
async def changes(path: Path, clock: ManualClock) -> AsyncIterator[SqliteChanges]:
    async with aclosing(SqliteChanges(path, every_s=_NEVER_S, clock=clock)) as changes:
        yield changes


@pytest.fixture
async def other(path: Path, clock: ManualClock) -> AsyncIterator[SqliteJournal]:
    """What another process writes with."""
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        yield journal


@pytest.fixture
async def brief(path: Path, clock: ManualClock) -> AsyncIterator[SqliteJournal]:
    """As `other`, and keeps nothing of what has ended."""
    async with aclosing(SqliteJournal(path, clock=clock, kept_past_s=0)) as journal:
        yield journal


class TestSqliteChanges(ChangesContract):
    @pytest.fixture
    async def changes(self, path: Path) -> AsyncIterator[Changes]:
        async with aclosing(SqliteChanges(path, every_s=_NEVER_S)) as changes:
            yield changes


def moved(session_id: str, version: int) -> SessionMoved:
    return SessionMoved(session_id=session_id, version=version)


def put(path: Path, place: Path) -> None:
    path.rename(place)


async def listening(changes: SqliteChanges) -> Ear:
    """Somebody who listens, when the first look is over."""
    ear = Ear(changes)
    for _ in range(2):  # and so is the one with which listening begins
        await changes.look()
    assert ear.heard == []
    return ear


async def heard(changes: SqliteChanges, ear: Ear) -> list[Change]:
    """What another look brings; a further one brings nothing."""
    for _ in range(2):
        await changes.look()
    told, ear.heard = ear.heard, []
    return told


async def test_what_others_wrote_is_told_once_for_each_session_in_the_order_of_writing(
    changes: SqliteChanges, other: SqliteJournal, clock: ManualClock
) -> None:
    before = await written(other, clock, "before")
    ear = await listening(changes)
    assert await heard(changes, ear) == []
    head = await written(other, clock, "s", {}, {})
    await written(other, clock, "t")
    head = await went_on(other, clock, "s", head, {})
    await went_on(other, clock, "before", before, {}, {})
    assert await heard(changes, ear) == [moved("t", 1), moved("s", 3), moved("before", 3)]
    clock.advance(60)
    await went_on(other, clock, "s", head)
    assert await heard(changes, ear) == [moved("s", 4)]


async def test_the_first_events_of_a_file_are_told(
    changes: SqliteChanges, other: SqliteJournal, clock: ManualClock
) -> None:
    ear = await listening(changes)
    await written(other, clock, "s")
    assert await heard(changes, ear) == [moved("s", 1)]


async def test_what_this_process_wrote_is_told_at_once_and_not_again(
    changes: SqliteChanges, other: SqliteJournal, clock: ManualClock
) -> None:
    ear = await listening(changes)
    head = await written(other, clock, "s", {}, {})
    changes.publish(moved("s", 2))
    assert ear.heard == [moved("s", 2)]
    assert await heard(changes, ear) == [moved("s", 2)]
    await went_on(other, clock, "s", head)
    assert await heard(changes, ear) == [moved("s", 3)]
    changes.publish(moved("s", 3))  # the look came first
    assert ear.heard == []


async def test_a_write_of_others_behind_ones_own_is_told(
    changes: SqliteChanges, other: SqliteJournal, clock: ManualClock
) -> None:
    ear = await listening(changes)
    head = await written(other, clock, "s", {}, {})
    await went_on(other, clock, "s", head)
    changes.publish(moved("s", 2))
    assert await heard(changes, ear) == [moved("s", 2), moved("s", 3)]


async def test_an_id_that_is_used_again_is_told_from_its_first_event_on(
    changes: SqliteChanges, other: SqliteJournal, clock: ManualClock
) -> None:
    await written(other, clock, "stays")
    ear = await listening(changes)
    head = await written(other, clock, "s", {}, {}, {})
    assert await heard(changes, ear) == [moved("s", 3)]
    await other.append("s", expected=head, drafts=[draft()], expires_at=clock())
    assert await heard(changes, ear) == [moved("s", 4)]
    await written(other, clock, "s")
    assert await heard(changes, ear) == [moved("s", 1)]


@pytest.mark.parametrize("past", ["kept", "deleted at once"])
async def test_that_a_session_ended_is_told(
    changes: SqliteChanges, other: SqliteJournal, brief: SqliteJournal, clock: ManualClock, past: str
) -> None:
    journal = other if past == "kept" else brief
    await written(journal, clock, "stays")
    head = await written(journal, clock, "s", {}, {})
    ear = await listening(changes)
    await written(journal, clock, "t")
    await journal.append("s", expected=head, drafts=[draft()], expires_at=clock())
    assert sorted(map(str, await heard(changes, ear))) == sorted(map(str, [moved("t", 1), moved("s", 3)]))


async def test_compaction_neither_hides_nor_repeats_anything(
    changes: SqliteChanges, other: SqliteJournal, clock: ManualClock
) -> None:
    first = await written(other, clock, "s", {}, {}, {})
    await written(other, clock, "t")
    ear = await listening(changes)
    head = await other.compact("s", expected=first, checkpoint=folded(first), draft=draft())
    assert await heard(changes, ear) == [moved("s", 4)]
    await other.compact("s", expected=head, checkpoint=folded(head), draft=draft())
    await written(other, clock, "u")
    assert await heard(changes, ear) == [moved("s", 5), moved("u", 1)]


async def test_rows_that_are_numbered_anew_are_neither_hidden_nor_told_again(
    changes: SqliteChanges, other: SqliteJournal, brief: SqliteJournal, path: Path, clock: ManualClock
) -> None:
    gone = await written(brief, clock, "long gone", *[{"n": n} for n in range(100)])
    await written(other, clock, "forgotten")
    await written(other, clock, "s", {}, {})
    await brief.append("long gone", expected=gone, drafts=[draft()], expires_at=clock())
    ear = await listening(changes)
    forget(path, session="forgotten", now=clock())
    assert await heard(changes, ear) == [moved("forgotten", 2)]
    await written(other, clock, "t")
    assert await heard(changes, ear) == [moved("t", 1)]


async def test_what_was_written_last_may_be_discarded(
    changes: SqliteChanges, other: SqliteJournal, clock: ManualClock
) -> None:
    await written(other, clock, "s")
    ear = await listening(changes)
    head = await written(other, clock, "t", {}, {})
    assert await heard(changes, ear) == [moved("t", 2)]
    await other.discard("t", expected=head)
    await written(other, clock, "u")
    assert await heard(changes, ear) == [moved("t", 3), moved("u", 1)]


async def test_that_nothing_is_left_of_what_was_seen_is_said(
    changes: SqliteChanges, other: SqliteJournal, clock: ManualClock
) -> None:
    head = await written(other, clock, "s")
    ear = await listening(changes)
    await other.discard("s", expected=head)
    await written(other, clock, "t")
    assert await heard(changes, ear) == [Missed()]
    await written(other, clock, "u")
    assert await heard(changes, ear) == [moved("u", 1)]


async def test_so_many_sessions_that_telling_each_would_take_long_are_told_as_one(
    changes: SqliteChanges, other: SqliteJournal, clock: ManualClock
) -> None:
    ear = await listening(changes)
    async with anyio.create_task_group() as tasks:
        for number in range(MOVED_MOST + 1):
            opening = draft(actor=f"owner {number % 7}")
            tasks.start_soon(partial(other.append, f"s{number}", expected=None, drafts=[opening], expires_at=9e9))
    assert await heard(changes, ear) == [Missed()]
    await written(other, clock, "t")
    assert await heard(changes, ear) == [moved("t", 1)]


async def test_another_file_in_its_place_is_said_once_and_then_looked_at(
    changes: SqliteChanges, path: Path, clock: ManualClock
) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await written(journal, clock, "s")
    ear = await listening(changes)
    new = path.with_name("new.db")
    async with aclosing(SqliteJournal(new, clock=clock)) as journal:
        await written(journal, clock, "t")
    put(new, path)
    assert await heard(changes, ear) == [Missed()]
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await written(journal, clock, "u")
    assert await heard(changes, ear) == [moved("u", 1)]


async def test_a_file_that_cannot_be_read_is_said_once_and_nothing_is_lost_meanwhile(
    changes: SqliteChanges, path: Path, other: SqliteJournal, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    await written(other, clock, "s")
    ear = await listening(changes)
    away = path.with_name("away.db")
    put(path, away)
    assert await heard(changes, ear) == [Missed()]
    assert await heard(changes, ear) == []
    assert caplog.text.count("cannot be seen") == 1
    await written(other, clock, "t")
    put(away, path)
    assert await heard(changes, ear) == [moved("t", 1)]
    put(path, away)
    assert await heard(changes, ear) == [Missed()]
    put(away, path)


async def test_a_file_that_is_no_database_is_said_once(changes: SqliteChanges, path: Path, clock: ManualClock) -> None:
    ear = await listening(changes)
    damaged = path.with_name("damaged.db")
    damaged.write_bytes(b"no database" * 1_000)
    put(damaged, path)
    assert await heard(changes, ear) == [Missed()]
    assert await heard(changes, ear) == []
    put(path, damaged)
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        assert await heard(changes, ear) == [Missed()]
        await written(journal, clock, "s")
        assert await heard(changes, ear) == [moved("s", 1)]


async def test_a_file_that_is_not_there_when_listening_begins_is_said(tmp_path: Path, clock: ManualClock) -> None:
    async with aclosing(SqliteChanges(tmp_path / "none.db", every_s=_NEVER_S, clock=clock)) as changes:
        ear = Ear(changes)
        assert await heard(changes, ear) == [Missed()]


async def test_news_of_results_are_told_from_the_first_look_on(path: Path) -> None:
    asked: list[str | None] = []
    waiting: list[ResultsOutdated] = []

    async def news(after: str | None) -> News:
        asked.append(after)
        outdated = tuple(waiting)
        waiting.clear()
        return News(position=str(len(asked)), outdated=outdated)

    async with aclosing(SqliteChanges(path, every_s=_NEVER_S, news=news)) as changes:
        ear = await listening(changes)
        one, two = ResultsOutdated(tags=("source:a",)), ResultsOutdated(pattern="schema:*")
        waiting += [one, two]
        assert await heard(changes, ear) == [one, two]
    assert asked == [None, *(str(number) for number in range(1, len(asked)))]


async def test_who_looks_does_so_only_while_somebody_listens(
    path: Path, other: SqliteJournal, clock: ManualClock
) -> None:
    alone = asyncio.all_tasks()
    async with aclosing(SqliteChanges(path, every_s=0.001)) as changes:
        assert asyncio.all_tasks() == alone
        first, second = Ear(changes), Ear(changes)
        await changes.look()
        await written(other, clock, "s")
        for ear in (first, second):
            await ear.until(moved("s", 1))
        first.leave()
        await written(other, clock, "t")
        await second.until(moved("t", 1))
        second.leave()
        with anyio.fail_after(5):
            while asyncio.all_tasks() != alone:
                await anyio.lowlevel.checkpoint()
        await written(other, clock, "unheard")
        third = Ear(changes)
        await changes.look()
        await written(other, clock, "u")
        await third.until(moved("u", 1))
        assert (first.heard, third.heard) == ([moved("s", 1)], [moved("u", 1)])


async def test_closing_in_the_middle_of_a_look_leaves_no_task_and_no_connection(
    path: Path, other: SqliteJournal, clock: ManualClock
) -> None:
    alone = asyncio.all_tasks()
    for _ in range(20):
        changes = SqliteChanges(path, every_s=0.0)
        Ear(changes)
        await written(other, clock, f"s{clock()}")
        clock.advance(1)
        await anyio.lowlevel.checkpoint()
        await changes.aclose()
        assert asyncio.all_tasks() == alone
    await other.aclose()
    assert not path.with_name("journal.db-wal").exists(), "somebody still has the file open"


_WRITER = """
import asyncio, pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from state.journal import Draft
from state.sqlite.journal import SqliteJournal

async def write():
    journal = SqliteJournal(pathlib.Path(sys.argv[2]), clock=time.time)
    head = None
    for line in sys.stdin:
        draft = Draft(at=0.0, kind="noted", actor="ann", body={})
        head = await journal.append("theirs", expected=head, drafts=[draft], expires_at=time.time() + 600)
    await journal.aclose()

asyncio.run(write())
"""


async def test_what_another_process_writes_is_heard_soon(path: Path) -> None:
    command = [sys.executable, "-P", "-c", _WRITER, str(_ROOT), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as writer:  # noqa: ASYNC220 - it starts at once
        assert writer.stdin is not None
        async with aclosing(SqliteChanges(path, every_s=0.01)) as changes:
            ear = await listening(changes)
            for version in range(1, 4):
                writer.stdin.write("go\n")
                writer.stdin.flush()
                await ear.until(moved("theirs", version))
        writer.stdin.close()
        await anyio.to_thread.run_sync(writer.wait)
    assert ear.heard == [moved("theirs", version) for version in range(1, 4)]


class _Random:
    """Others that do whatever can be done to a file, and what a listener has to have heard of it."""

    def __init__(self, seed: int, path: Path, journals: list[SqliteJournal], clock: ManualClock) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a test that can be repeated
        self._path = path
        self._journals = journals
        self._clock = clock
        self._heads: dict[str, Head] = {}
        self.due: dict[str, int] = {}
        """The newest version of each session that moved since the last look; 0: it was taken away."""

    async def act(self) -> None:
        journal = self._random.choice(self._journals)
        session_id = f"session{self._random.randrange(6)}"
        head = self._heads.get(session_id)
        if head is None:
            self._moved(
                session_id, await written(journal, self._clock, session_id, *[NOTHING] * self._random.randint(1, 5))
            )
        elif self._random.random() < 0.03:
            forget(self._path, session=session_id, now=self._clock())
            self._gone(session_id, 0)
        else:
            act = self._random.choice([self._write, self._write, self._end, self._compact, self._discard])
            await act(journal, session_id, head)

    def looked(self) -> dict[str, int]:
        due, self.due = self.due, {}
        return due

    def _moved(self, session_id: str, head: Head) -> None:
        self._heads[session_id] = head
        self.due[session_id] = head.version

    def _gone(self, session_id: str, version: int) -> None:
        del self._heads[session_id]
        self.due[session_id] = version

    async def _write(self, journal: SqliteJournal, session_id: str, head: Head) -> None:
        self._moved(session_id, await went_on(journal, self._clock, session_id, head))

    async def _end(self, journal: SqliteJournal, session_id: str, head: Head) -> None:
        await journal.append(session_id, expected=head, drafts=[draft()], expires_at=self._clock())
        self._gone(session_id, 0)

    async def _compact(self, journal: SqliteJournal, session_id: str, head: Head) -> None:
        compacted = await journal.compact(session_id, expected=head, checkpoint=folded(head), draft=draft())
        self._moved(session_id, compacted)

    async def _discard(self, journal: SqliteJournal, session_id: str, head: Head) -> None:
        await journal.discard(session_id, expected=head)
        self._gone(session_id, 0)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_others_do_the_newest_of_every_session_is_told_or_that_it_cannot_be(
    path: Path, seed: int, clock: ManualClock, other: SqliteJournal, brief: SqliteJournal
) -> None:
    others = _Random(seed, path, [other, brief], clock)
    told_of = 0
    async with aclosing(SqliteChanges(path, every_s=_NEVER_S, clock=clock)) as changes:
        ear = await listening(changes)
        for _ in range(40):
            for _ in range(1 + seed % 4):
                await others.act()
                clock.advance(0.01)
            told = await heard(changes, ear)
            told_of += len(told)
            if Missed() in told:
                others.looked()
                continue
            newest = {each.session_id: each.version for each in told if isinstance(each, SessionMoved)}
            for session_id, version in others.looked().items():
                assert newest.get(session_id) == version or version == 0, (session_id, version, told)
    assert told_of > 20
