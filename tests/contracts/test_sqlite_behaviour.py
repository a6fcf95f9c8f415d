"""What the journal in a SQLite file does beyond the contract: shared, kept after the end, and honest about faults."""

import sqlite3
from collections.abc import AsyncIterator
from collections.abc import Callable
from contextlib import AsyncExitStack
from contextlib import aclosing
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from state.chain import Link
from state.errors import OverLimit
from state.errors import StateBusy
from state.errors import StateUnavailable
from state.journal import Head
from state.journal import Past
from state.journal import Quota
from state.journal import VersionMoved
from state.sqlite import writer
from state.sqlite.anchors import heads_path
from state.sqlite.anchors import keep_heads
from state.sqlite.anchors import read_heads
from state.sqlite.endings import STEP_SESSIONS
from state.sqlite.journal import SqliteJournal
from tests.conftest import ManualClock
from tests.contracts.journal_contract import LIFE_S
from tests.contracts.journal_contract import draft
from tests.contracts.journal_contract import folded
from tests.contracts.journal_contract import found
from tests.contracts.journal_contract import went_on
from tests.contracts.journal_contract import written

pytestmark = pytest.mark.anyio
_DAY_S = 86_400.0

Opened = Callable[..., SqliteJournal]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
async def opened(path: Path, clock: ManualClock) -> AsyncIterator[Opened]:
    """Opens journals on one file and closes them in the end."""
    async with AsyncExitStack() as stack:
        waiting: list[SqliteJournal] = []

        def open_(**arguments: object) -> SqliteJournal:
            journal = SqliteJournal(path, clock=clock, **arguments)  # pyright: ignore[reportArgumentType]
            waiting.append(journal)
            return journal

        yield open_
        for journal in waiting:
            await stack.enter_async_context(aclosing(journal))


def _asked(path: Path, query: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


def _changed(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def _log_bytes(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def _content(path: Path) -> bytes:
    return path.read_bytes()


async def _closed(journal: SqliteJournal, clock: ManualClock, session_id: str, head: Head) -> Head:
    return await journal.append(session_id, expected=head, drafts=[draft()], expires_at=clock())


async def _swept(journal: SqliteJournal, clock: ManualClock, steps: int = 1) -> None:
    """Each write ends and deletes some of what is due."""
    for _ in range(steps):
        head = await journal.append("sweeper", expected=None, drafts=[draft(actor="zed")], expires_at=clock() + 1)
        await _closed(journal, clock, "sweeper", head)


async def test_what_was_written_is_there_after_a_restart(opened: Opened, clock: ManualClock) -> None:
    journal = opened()
    head = await written(journal, clock, "s", {"n": 1})
    before = await found(journal, "s")
    await journal.aclose()
    again = opened()
    assert await found(again, "s") == before
    assert await again.sessions("ann") == ("s",)
    await went_on(again, clock, "s", head)


async def test_journals_on_one_file_see_what_the_others_wrote_at_once(opened: Opened, clock: ManualClock) -> None:
    one, other = opened(), opened()
    head = await written(one, clock, "s", {"n": 0})
    for number in range(1, 20):
        writer, reader = (one, other) if number % 2 else (other, one)
        with pytest.raises(VersionMoved):
            await went_on(reader, clock, "s", Head(version=head.version, nonce="another"))
        head = await went_on(writer, clock, "s", head, {"n": number})
        chapter = await found(reader, "s", after=number)
        assert (chapter.head, [event.body for event in chapter.events]) == (head, [{"n": number}])
        assert reader.statistics() == writer.statistics()
    await _closed(other, clock, "s", head)
    assert await one.read("s") is None
    assert await one.sessions("ann") == ()


async def test_each_owner_has_one_quota_over_all_who_use_the_file(opened: Opened, clock: ManualClock) -> None:
    one, other = (opened(quota=Quota(sessions=2)) for _ in range(2))
    await written(one, clock, "a")
    await written(other, clock, "b")
    for journal in (one, other):
        with pytest.raises(OverLimit):
            await written(journal, clock, "c")


async def test_a_touch_outlives_the_process_and_is_seen_by_others(opened: Opened, clock: ManualClock) -> None:
    one, other = opened(), opened()
    await written(one, clock, "s")
    clock.advance(60)
    await one.touch("s", expires_at=clock() + LIFE_S)
    await one.aclose()
    chapter = await found(other, "s")
    assert (chapter.accessed_at, chapter.expires_at) == (clock(), clock() + LIFE_S)


async def test_a_touch_shortly_before_the_end_is_written_at_once(opened: Opened, clock: ManualClock) -> None:
    one, other = opened(), opened()
    await written(one, clock, "s")
    clock.advance(LIFE_S - 1)
    await one.touch("s", expires_at=clock() + LIFE_S)
    await written(one, clock, "t")
    clock.advance(LIFE_S - 1)
    assert await other.read("s") is not None


async def test_an_older_touch_undoes_nothing_that_another_process_did_since(opened: Opened, clock: ManualClock) -> None:
    one, other = opened(), opened()
    head = await written(one, clock, "s")
    gone = await written(one, clock, "gone")
    clock.advance(10)
    await one.touch("s", expires_at=clock() + LIFE_S)
    await one.touch("gone", expires_at=clock() + LIFE_S)
    clock.advance(10)
    await other.append("s", expected=head, drafts=[draft()], expires_at=clock() + 3 * LIFE_S)
    await _closed(other, clock, "gone", gone)
    for journal, then in ((one, one.aclose), (other, other.aclose)):
        chapter = await found(journal, "s")
        assert (chapter.accessed_at, chapter.expires_at) == (clock(), clock() + 3 * LIFE_S)
        assert await journal.read("gone") is None
        await then()


async def test_an_older_append_of_another_process_does_not_undo_a_touch(opened: Opened, clock: ManualClock) -> None:
    one, other = opened(), opened()
    head = await written(one, clock, "s")
    clock.advance(10)
    await one.touch("s", expires_at=clock() + 2 * LIFE_S)
    end = clock() + 2 * LIFE_S
    clock.advance(-5)
    await went_on(other, clock, "s", head)
    clock.advance(5)
    assert (await found(one, "s")).expires_at == end
    await one.aclose()
    assert (await found(other, "s")).expires_at == end


async def test_a_touch_that_comes_late_does_not_raise_what_another_process_had_ended_before_it(
    opened: Opened, clock: ManualClock
) -> None:
    one, other = opened(), opened()
    await written(one, clock, "s")
    clock.advance(10)
    await one.touch("s", expires_at=clock() + LIFE_S)
    clock.advance(-5)
    await other.touch("s", expires_at=clock() + 1)
    await other.aclose()
    clock.advance(10)
    await one.aclose()
    assert await opened().read("s") is None


async def test_many_touches_cost_one_write(opened: Opened, path: Path, clock: ManualClock) -> None:
    journal = opened()
    await written(journal, clock, "s")
    before = _log_bytes(path)
    for _ in range(1_000):
        clock.advance(0.01)
        await journal.touch("s", expires_at=clock() + LIFE_S)
    assert _log_bytes(path) - before < 100 * 4_096
    await journal.aclose()
    assert _asked(path, "SELECT accessed_at FROM sessions") == [(clock(),)]


async def test_ended_sessions_can_be_looked_at_for_as_long_as_they_are_kept(opened: Opened, clock: ManualClock) -> None:
    journal = opened(kept_past_s=_DAY_S)
    assert isinstance(journal, Past)
    await written(journal, clock, "expires", {"n": 1})
    head = await written(journal, clock, "closed", {"n": 2})
    live = await written(journal, clock, "live")
    clock.advance(10)
    await _closed(journal, clock, "closed", head)
    assert await journal.past("ann") == ("closed",)
    clock.advance(LIFE_S - 20)
    await went_on(journal, clock, "live", live)
    clock.advance(20)
    assert await journal.past("ann") == ("expires", "closed")
    chapter = await journal.read_past("closed")
    assert chapter is not None
    assert [event.version for event in chapter.events] == [1, 2]
    assert [await journal.read_past(each) for each in ("live", "nobody")] == [None, None]
    assert await journal.past("bob") == ()
    clock.advance(_DAY_S - 30)
    assert await journal.past("ann") == ("live", "expires")
    assert await journal.read_past("closed") is None


async def test_what_was_kept_long_enough_is_really_deleted(opened: Opened, path: Path, clock: ManualClock) -> None:
    journal = opened(kept_past_s=_DAY_S)
    head = await written(journal, clock, "s", {"text": "a secret of ann"})
    journal.keep_checkpoint("s", folded(head, "a secret of ann"))
    await _closed(journal, clock, "s", head)
    clock.advance(_DAY_S)
    await _swept(journal, clock)
    assert _asked(path, "SELECT id FROM sessions WHERE id = 's'") == []
    assert _asked(path, "SELECT count(*) FROM checkpoints") == [(0,)]
    assert set(read_heads(path)) == {"sweeper"}
    await journal.aclose()
    assert b"a secret of ann" not in _content(path)


async def test_nothing_of_an_ended_session_is_kept_if_that_is_the_wish(
    opened: Opened, path: Path, clock: ManualClock
) -> None:
    journal = opened(kept_past_s=0)
    head = await written(journal, clock, "closed")
    await written(journal, clock, "expired")
    await _closed(journal, clock, "closed", head)
    clock.advance(LIFE_S)
    assert await journal.past("ann") == ()
    assert await journal.read_past("expired") is None
    await _swept(journal, clock)
    for table in ("sessions", "events", "owners"):
        assert _asked(path, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert read_heads(path) == {}


async def test_of_ended_sessions_beyond_the_bound_the_oldest_go_first(
    opened: Opened, path: Path, clock: ManualClock
) -> None:
    journal = opened(past_bytes=3_500)
    for number in range(5):
        head = await written(journal, clock, f"s{number}", {"text": "x" * 1_000})
        clock.advance(1)
        await _closed(journal, clock, f"s{number}", head)
    await journal.append("other", expected=None, drafts=[draft(actor="bob")], expires_at=clock() + LIFE_S)
    assert await journal.past("ann") == ("s4", "s3", "s2")
    assert sorted(read_heads(path)) == ["other", "s2", "s3", "s4"]


async def test_an_id_that_is_used_again_has_no_past(opened: Opened, clock: ManualClock) -> None:
    journal = opened()
    head = await written(journal, clock, "s", {"old": True})
    await _closed(journal, clock, "s", head)
    assert await journal.past("ann") == ("s",)
    again = await written(journal, clock, "s", {"new": True})
    assert await journal.past("ann") == ()
    await _closed(journal, clock, "s", again)
    chapter = await journal.read_past("s")
    assert chapter is not None
    assert chapter.events[0].body == {"new": True}


async def test_expired_sessions_are_ended_in_steps_with_the_writes_that_come(
    opened: Opened, clock: ManualClock
) -> None:
    journal = opened(quota=Quota(sessions=10_000))
    count = 3 * STEP_SESSIONS + 1
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(written, journal, clock, f"s{number}")
    assert journal.statistics().sessions == count
    clock.advance(LIFE_S)
    await _swept(journal, clock, steps=4)
    assert journal.statistics().sessions == 0
    assert len(await journal.past("ann")) == count


async def test_expired_sessions_are_ended_although_nobody_writes(opened: Opened, clock: ManualClock) -> None:
    journal = opened()
    await written(journal, clock, "s")
    clock.advance(LIFE_S)
    with anyio.fail_after(10):
        while journal.statistics().sessions:
            await anyio.lowlevel.checkpoint()
    assert await journal.past("ann") == ("s",)


async def test_the_end_of_each_history_is_anchored_before_its_write_is_acknowledged(
    opened: Opened, path: Path, clock: ManualClock
) -> None:
    journal = opened()
    head = await written(journal, clock, "s", {}, {})
    await written(journal, clock, "t")
    for version in range(3, 6):
        head = await went_on(journal, clock, "s", head)
        ((link,),) = _asked(path, "SELECT link FROM sessions WHERE id = 's'")
        assert read_heads(path)["s"] == Link(version=version, link=bytes(link))  # pyright: ignore[reportArgumentType]
    assert set(read_heads(path)) == {"s", "t"}


async def test_an_anchor_only_moves_on(opened: Opened, path: Path, clock: ManualClock) -> None:
    journal = opened()
    await written(journal, clock, "s", {}, {})
    kept = read_heads(path)
    keep_heads(path, {"s": Link(version=1, link=b"older")})
    assert read_heads(path) == kept
    keep_heads(path, {"s": Link(version=3, link=b"newer")})
    assert read_heads(path) == {"s": Link(version=3, link=b"newer")}


async def test_anchors_that_cannot_be_written_fail_no_write_and_are_made_up_for(
    opened: Opened, path: Path, clock: ManualClock
) -> None:
    journal = opened()
    heads_path(path).mkdir()
    head = await written(journal, clock, "s")
    told = journal.fault()
    assert told is not None
    assert "journal.heads.db cannot be written" in told
    heads_path(path).rmdir()
    await written(journal, clock, "t")
    assert journal.fault() is None
    assert {each: at.version for each, at in read_heads(path).items()} == {"s": head.version, "t": 1}


async def test_a_writer_that_waits_too_long_for_others_is_told_so_and_the_next_one_succeeds(
    opened: Opened, path: Path, clock: ManualClock
) -> None:
    journal = opened(busy_s=0.05)
    head = await written(journal, clock, "s")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateBusy, match="nothing was written") as refused:
            await went_on(journal, clock, "s", head)
        assert refused.value.retry_after_s > 0
        assert journal.fault() is not None
        assert (await found(journal, "s")).head == head, "reading waits for no writer"
        other.execute("ROLLBACK")
    head = await went_on(journal, clock, "s", head)
    assert journal.fault() is None
    assert head.version == 2


async def test_a_fault_is_over_when_writing_works_again_although_nobody_writes(
    opened: Opened, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "TICK_S", 0.01)
    journal = opened(busy_s=0.01)
    head = await written(journal, clock, "s")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateBusy):
            await went_on(journal, clock, "s", head)
        with anyio.move_on_after(0.2):  # ten times as long as it takes to look again
            while journal.fault() is not None:
                await anyio.lowlevel.checkpoint()
        assert journal.fault() is not None
        other.execute("ROLLBACK")
    with anyio.fail_after(10):
        while journal.fault() is not None:
            await anyio.lowlevel.checkpoint()


async def test_who_goes_away_before_the_answer_takes_nobody_along(opened: Opened, clock: ManualClock) -> None:
    journal = opened()
    heads = {name: await written(journal, clock, name) for name in ("gone", "stays")}
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def leave() -> None:
                with scope:
                    await went_on(journal, clock, "gone", heads["gone"])

            tasks.start_soon(leave)
            tasks.start_soon(went_on, journal, clock, "stays", heads["stays"])
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert (await found(journal, "stays")).head.version == 2


async def test_of_writers_in_one_batch_those_who_are_refused_stop_nobody(opened: Opened, clock: ManualClock) -> None:
    journal = opened(quota=Quota(sessions=20, size_bytes=20_000))
    head = await written(journal, clock, "s")
    outcomes: dict[str, object] = {}

    async def write(name: str, expected: Head | None, text: str = "") -> None:
        try:
            drafts = [draft({"text": text})]
            outcomes[name] = await journal.append(name, expected=expected, drafts=drafts, expires_at=clock() + LIFE_S)
        except (VersionMoved, OverLimit) as refusal:
            outcomes[name] = type(refusal)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, "a", None)
        tasks.start_soon(write, "b", head)
        tasks.start_soon(write, "c", None, "x" * 30_000)
        tasks.start_soon(write, "s", head)
    assert outcomes["b"] is VersionMoved
    assert outcomes["c"] is OverLimit
    assert set(await journal.sessions("ann")) == {"a", "s"}
    assert journal.statistics().events == 3


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE events SET content = replace(content, 'two', 'TWO') WHERE version = 2", "content of event 2"),
        ("UPDATE events SET nonce = 'another' WHERE version = 2", "Event 2 does not follow"),
        ("DELETE FROM events WHERE version = 2", "Event 2 is missing"),
        ("DELETE FROM events WHERE version = 3", "Event 3 and all after it are missing"),
        ("UPDATE events SET link = x'00' WHERE version = 3", "Event 3 does not follow"),
    ],
)
async def test_events_that_are_not_what_was_written_are_never_read(
    opened: Opened, path: Path, clock: ManualClock, statement: str, told: str
) -> None:
    journal = opened()
    await written(journal, clock, "session-1", {"n": "one"}, {"n": "two"}, {"n": "three"})
    await written(journal, clock, "other")
    _changed(path, f"{statement} AND n = (SELECT n FROM sessions WHERE id = 'session-1')")
    with pytest.raises(StateUnavailable, match=told) as refused:
        await journal.read("session-1")
    assert "sessio" in str(refused.value)
    assert journal.fault() == str(refused.value)
    seen = await journal.verify("session-1")
    assert seen is not None
    assert not seen.ok
    assert await journal.read("other") is not None


async def test_a_tail_is_bound_to_the_event_before_it(opened: Opened, path: Path, clock: ManualClock) -> None:
    journal = opened()
    await written(journal, clock, "s", {}, {}, {})
    _changed(path, "UPDATE events SET link = x'00' WHERE version = 2")
    with pytest.raises(StateUnavailable, match="Event 3 does not follow"):
        await journal.read("s", after=2)


async def test_a_checkpoint_that_is_not_what_was_put_in_is_passed_over(
    opened: Opened, path: Path, clock: ManualClock
) -> None:
    journal = opened()
    first = await written(journal, clock, "s")
    journal.keep_checkpoint("s", folded(first))
    second = await went_on(journal, clock, "s", first)
    journal.keep_checkpoint("s", folded(second))
    await went_on(journal, clock, "s", second)
    _changed(path, "UPDATE checkpoints SET state = x'00' WHERE version = 2")
    assert await journal.checkpoint("s") == folded(first)


async def test_only_a_few_checkpoints_are_kept(opened: Opened, path: Path, clock: ManualClock) -> None:
    journal = opened()
    head = await written(journal, clock, "s")
    for _ in range(6):
        journal.keep_checkpoint("s", folded(head))
        head = await went_on(journal, clock, "s", head)
    assert _asked(path, "SELECT version FROM checkpoints") == [(5,), (6,)]


async def test_a_journal_that_was_closed_says_so(opened: Opened, clock: ManualClock) -> None:
    journal = opened()
    head = await written(journal, clock, "s")
    await journal.aclose()
    await journal.aclose()
    for call in (
        journal.read("s"),
        journal.touch("s", expires_at=clock() + 1),
        journal.sessions("ann"),
        journal.verify("s"),
        journal.checkpoint("s"),
        journal.past("ann"),
        journal.read_past("s"),
        went_on(journal, clock, "s", head),
        journal.compact("s", expected=head, checkpoint=folded(head), draft=draft()),
    ):
        with pytest.raises(StateUnavailable, match="stopping"):
            await call
    journal.keep_checkpoint("s", folded(head))
    assert journal.statistics().sessions in (0, 1)


async def test_writes_that_wait_when_the_journal_is_closed_are_written(opened: Opened, clock: ManualClock) -> None:
    journal = opened()
    heads: list[Head] = []

    async def write(name: str) -> None:
        heads.append(await written(journal, clock, name))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(write, f"s{number}")
        await anyio.lowlevel.checkpoint()
        await journal.aclose()
    assert len(heads) == 50
    assert len(await opened().sessions("ann")) == 50
