"""The journals in memory and in a SQLite file adopt sessions; what is in the file stays provable and outlives all."""

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Iterable
from contextlib import AsyncExitStack
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from state.checkpoint import encoded
from state.journal import Checkpoint
from state.journal import Head
from state.journal import Origin
from state.journal import Quota
from state.journal import VersionMoved
from state.ledger import HistoryRewritten
from state.ledger import Ledger
from state.memory import MemoryJournal
from state.sessions import Sessions
from state.sqlite.anchors import Anchors
from state.sqlite.anchors import keep_heads
from state.sqlite.anchors import read_heads
from state.sqlite.archive import export_sessions
from state.sqlite.archive import import_sessions
from state.sqlite.desk import Desk
from state.sqlite.file import open_file
from state.sqlite.forget import forget
from state.sqlite.journal import SqliteJournal
from state.sqlite.overlay import Overlay
from state.sqlite.salvage import salvage
from state.sqlite.verify import verify_file
from state.sqlite.visits import changing
from state.sqlite.visits import looking
from state.sqlite.wishes import Adopt
from state.sqlite.wishes import Discard
from tests.conftest import ManualClock
from tests.contracts.adopting_contract import BEHIND
from tests.contracts.adopting_contract import AdoptingContract
from tests.contracts.adopting_contract import AdoptingJournal
from tests.contracts.adopting_contract import origin
from tests.contracts.journal_contract import LIFE_S
from tests.contracts.journal_contract import SCANT
from tests.contracts.journal_contract import draft
from tests.contracts.journal_contract import folded
from tests.contracts.journal_contract import found
from tests.contracts.journal_contract import went_on
from tests.contracts.journal_contract import written


class TestMemoryJournalAdopts(AdoptingContract):
    @pytest.fixture
    def journal(self, clock: ManualClock) -> AdoptingJournal:
        return MemoryJournal(clock)

    @pytest.fixture
    def scant(self, clock: ManualClock) -> AdoptingJournal:
        return MemoryJournal(clock, quota=SCANT)


class TestSqliteJournalAdopts(AdoptingContract):
    @pytest.fixture
    async def journal(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[AdoptingJournal]:
        async with aclosing(SqliteJournal(tmp_path / "journal.db", clock=clock)) as journal:
            yield journal
        _check_good(tmp_path / "journal.db")

    @pytest.fixture
    async def scant(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[AdoptingJournal]:
        async with aclosing(SqliteJournal(tmp_path / "scant.db", clock=clock, quota=SCANT)) as journal:
            yield journal
        _check_good(tmp_path / "scant.db")


class TestSqliteJournalThatKeepsNoPastAdopts(TestSqliteJournalAdopts):
    @pytest.fixture
    async def journal(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[AdoptingJournal]:
        async with aclosing(SqliteJournal(tmp_path / "journal.db", clock=clock, kept_past_s=0)) as journal:
            yield journal
        _check_good(tmp_path / "journal.db")


def _check_good(path: Path) -> None:
    verification = verify_file(path)
    assert verification.ok, verification.wrong
    with looking(path) as file:
        counted = file.execute("SELECT owner, sessions, events, size_bytes FROM owners ORDER BY owner").fetchall()
        kept = file.execute(
            "SELECT owner, count(*), sum(version - compacted_version), sum(size_bytes) FROM sessions "
            "WHERE ended_at IS NULL GROUP BY owner ORDER BY owner"
        ).fetchall()
        assert counted == kept
        of_nobody = "SELECT count(*) FROM {} WHERE n NOT IN (SELECT n FROM sessions)"
        for table in ("events", "checkpoints"):
            assert file.execute(of_nobody.format(table)).fetchone() == (0,)


def _lies_beside(path: Path, secret: bytes) -> list[Path]:
    """The files of the journal that hold it."""
    return [each for each in path.parent.iterdir() if secret in each.read_bytes()]


async def _wrote(journal: SqliteJournal, clock: ManualClock, session_id: str, outcomes: list[bool]) -> None:
    try:
        await went_on(journal, clock, session_id, BEHIND)
    except VersionMoved:
        outcomes.append(False)
    else:
        outcomes.append(True)


async def _discarded(journal: SqliteJournal, session_id: str, outcomes: list[bool]) -> None:
    """Again and again, as whoever gives a session back would; whether it was still as it came is noted."""
    expected: Head | None = BEHIND
    while expected is not None:
        try:
            await journal.discard(session_id, expected=expected)
        except VersionMoved as moved:
            expected = moved.head
        else:
            outcomes.append(expected == BEHIND)
            return


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.mark.anyio
async def test_an_adopted_session_outlives_its_process_and_is_anchored(path: Path, clock: ManualClock) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await journal.adopt("s", origin(clock, key="once"))
        assert read_heads(path)["s"].version == BEHIND.version
        head = await went_on(journal, clock, "s", BEHIND, {"n": 6})
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        chapter = await found(journal, "s", after=3)
        assert (chapter.head, [event.body for event in chapter.events]) == (head, [{"n": 6}])
        assert await journal.checkpoint("s") == folded(BEHIND)
        assert await journal.held() == ("s",)
    verification = verify_file(path)
    assert (verification.ok, verification.sessions, verification.events, verification.anchored) == (True, 1, 1, 1)


@pytest.mark.anyio
async def test_an_adopted_session_whose_time_has_come_is_ended_with_the_next_write(
    path: Path, clock: ManualClock
) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        for session_id in ("a", "b"):
            await journal.append(session_id, expected=None, drafts=[draft()], expires_at=clock() + 9 * LIFE_S)
        await journal.adopt("s", origin(clock))
        clock.advance(LIFE_S)
        await written(journal, clock, "c")
        assert journal.statistics().sessions == 3
        assert await journal.past("ann") == ("s",)


@pytest.mark.anyio
async def test_a_session_that_was_touched_to_its_end_gives_way_in_the_same_instant(
    path: Path, clock: ManualClock
) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await written(journal, clock, "s")
        await journal.touch("s", expires_at=clock())
        assert await journal.adopt("s", origin(clock))
        chapter = await found(journal, "s")
        assert (chapter.head, chapter.expires_at) == (BEHIND, clock() + LIFE_S)


@pytest.mark.anyio
async def test_what_is_discarded_leaves_no_row_and_no_anchor(path: Path, clock: ManualClock) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await journal.adopt("s", origin(clock, key="once", text="a secret"))
        head = await went_on(journal, clock, "s", BEHIND, {"text": "another secret"})
        await journal.discard("s", expected=head)
        assert read_heads(path) == {}
        with looking(path) as file:
            for table in ("sessions", "events", "checkpoints", "owners"):
                assert file.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert not _lies_beside(path, b"secret")
    assert verify_file(path).ok


@pytest.mark.anyio
async def test_a_session_adopted_again_at_an_earlier_version_is_good(path: Path, clock: ManualClock) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await journal.adopt("s", origin(clock, head=Head(version=50, nonce="late")))
        await journal.discard("s", expected=Head(version=50, nonce="late"))
        await journal.adopt("s", origin(clock))
    assert read_heads(path)["s"].version == BEHIND.version
    assert verify_file(path).ok


@pytest.mark.anyio
async def test_an_ended_session_is_held_until_it_is_discarded(path: Path, clock: ManualClock) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await journal.adopt("s", origin(clock))
        last = await journal.append("s", expected=BEHIND, drafts=[draft()], expires_at=clock())
        assert (await journal.read("s"), await journal.held()) == (None, ("s",))
        with pytest.raises(VersionMoved) as refused:
            await journal.discard("s", expected=BEHIND)
        assert refused.value.head == last
        await journal.discard("s", expected=last)
        assert (await journal.held(), await journal.past("ann")) == ((), ())


@pytest.mark.anyio
async def test_two_journals_of_one_file_write_and_discard_and_leave_it_good(path: Path, clock: ManualClock) -> None:
    wrote, discarded = list[bool](), list[bool]()
    sessions = [f"s{number}" for number in range(40)]
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(aclosing(SqliteJournal(path, clock=clock))) for _ in range(2)]
        for session_id in sessions:
            await one.adopt(session_id, origin(clock))
        with anyio.fail_after(20):
            for session_id in sessions:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_wrote, one, clock, session_id, wrote)
                    tasks.start_soon(_discarded, two, session_id, discarded)
        assert await one.held() == await two.held() == ()
    assert len(discarded) == len(wrote) == len(sessions)
    assert sum(discarded) + sum(wrote) == len(sessions), "each was discarded as it came, or written on before"
    assert read_heads(path) == {}, "an anchor outlived its session"
    _check_good(path)


class _Slow(Anchors):
    """Lets something happen before the next anchors are kept, or after the next are dropped."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.before_kept: Callable[[], object] | None = None
        self.after_dropped: Callable[[], object] | None = None

    def keep(self, heads: Iterable[tuple[str, int, bytes]]) -> None:
        happens, self.before_kept = self.before_kept, None
        if happens is not None:
            happens()
        super().keep(heads)

    def drop(self, session_ids: Iterable[str]) -> None:
        gone = list(session_ids)
        super().drop(gone)
        if gone and self.after_dropped is not None:
            happens, self.after_dropped = self.after_dropped, None
            happens()


def _desk(path: Path, clock: ManualClock) -> tuple[Desk, _Slow]:
    desk = Desk(open_file(path), Overlay(), clock=clock, quota=Quota(), kept_past_s=100, past_bytes=10**6)
    desk.anchors = slow = _Slow(path)
    return desk, slow


@pytest.mark.anyio
@pytest.mark.parametrize("late", ["keep", "drop"])
async def test_an_anchor_that_is_noted_late_does_not_outlive_a_session_that_another_process_discards(
    path: Path, clock: ManualClock, late: str
) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await journal.adopt("s", origin(clock))
        head = await went_on(journal, clock, "s", BEHIND)
    (writer, slow), (other, others) = _desk(path, clock), _desk(path, clock)
    noted = read_heads(path)
    loop = asyncio.get_running_loop()
    discard = Discard(session_id="s", expected=head, touch=None, answer=loop.create_future())
    if late == "keep":  # whoever wrote last notes the end of the session when it is gone
        adopt = Adopt(session_id="t", origin=origin(clock), at=clock(), touch=None, answer=loop.create_future())
        gone = Discard(session_id="t", expected=BEHIND, touch=None, answer=loop.create_future())
        slow.before_kept = lambda: other.carry_out([gone], flush=False)
        writer.carry_out([adopt], flush=False)
    else:  # and here while it goes
        others.after_dropped = lambda: keep_heads(path, noted)
    other.carry_out([discard], flush=False)
    for each in (writer, other):
        each.close()
    assert read_heads(path) == {}
    assert verify_file(path).ok


@pytest.mark.anyio
async def test_an_adopted_session_is_exported_and_imported(path: Path, clock: ManualClock, tmp_path: Path) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        for session_id in ("as it came", "written on"):
            await journal.adopt(session_id, origin(clock))
        await went_on(journal, clock, "written on", BEHIND, {"n": 6})
    lines: list[str] = []
    exported = export_sessions(path, lines.append)
    assert (exported.sessions, exported.refused) == (2, ())
    other = tmp_path / "other.db"
    imported = import_sessions(other, [line.encode() for line in lines], now=clock())
    assert (len(imported.added), imported.refused) == (2, ())
    assert verify_file(other).ok


@pytest.mark.anyio
async def test_an_adopted_session_is_salvaged(path: Path, clock: ManualClock) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        for session_id in ("as it came", "written on"):
            await journal.adopt(session_id, origin(clock))
        await went_on(journal, clock, "written on", BEHIND, {"n": 6}, {"n": 7})
    with changing(path) as file:
        file.execute("UPDATE events SET content = 'changed' WHERE version = 7")
    saved = salvage(path, now=clock())
    assert (saved.sessions, [each.after for each in saved.lost]) == (2, [6])
    assert verify_file(path).ok


@pytest.mark.anyio
@pytest.mark.parametrize("bodies", [(), ({"n": 6},)], ids=["as it came", "written on"])
async def test_an_adopted_session_is_forgotten(path: Path, clock: ManualClock, bodies: tuple[dict[str, int]]) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await journal.adopt("session", origin(clock, text="a secret"))
        if bodies:
            await went_on(journal, clock, "session", BEHIND, *bodies)
    done = forget(path, session="session", now=clock())
    assert (done.sessions, done.events) == (("session",), len(bodies))
    assert forget(path, session="session", now=clock()).sessions == ()
    assert not _lies_beside(path, b"secret")
    assert verify_file(path).ok


@pytest.mark.anyio
@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM checkpoints",
        "UPDATE checkpoints SET state = CAST('other' AS BLOB)",
        "UPDATE checkpoints SET nonce = 'another'",
        "UPDATE sessions SET compacted_link = zeroblob(32)",
        "UPDATE sessions SET link = zeroblob(32)",
        "DELETE FROM events",
    ],
)
async def test_an_adopted_session_that_is_tampered_with_is_found_out(
    path: Path, clock: ManualClock, tampering: str
) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        await journal.adopt("s", origin(clock))
        await went_on(journal, clock, "s", BEHIND)
    with changing(path) as file:
        file.execute(tampering)
    assert not verify_file(path).ok


@pytest.mark.anyio
async def test_a_history_whose_beginning_is_cut_off_does_not_pass_for_an_adopted_one(
    path: Path, clock: ManualClock
) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        head = await written(journal, clock, "s", {"n": 1})
        journal.keep_checkpoint("s", folded(head))
        await went_on(journal, clock, "s", head, {"n": 2})
    assert verify_file(path).ok
    with changing(path) as file:
        ((link,),) = file.execute("SELECT link FROM events WHERE version = 1").fetchall()
        file.execute("DELETE FROM events WHERE version = 1")
        file.execute(
            "UPDATE sessions SET compacted_version = 1, compacted_link = ?, "
            "size_bytes = (SELECT length(CAST(content AS BLOB)) FROM events)",
            (link,),
        )
    (wrong,) = verify_file(path).wrong
    assert "no event says that they were compacted" in wrong.fault


@pytest.mark.anyio
async def test_the_history_of_an_adopted_session_is_read_on_and_not_again(path: Path, clock: ManualClock) -> None:
    async with aclosing(SqliteJournal(path, clock=clock)) as journal:
        session = await Sessions(MemoryJournal(clock), clock=clock).open(principal="ann")
        version, _, nonce = session.etag.partition("-")
        known = Checkpoint(version=int(version), nonce=nonce, state=encoded(session))
        behind = Head(version=known.version, nonce=nonce)
        ends = clock() + LIFE_S
        came = Origin(owner="ann", key=None, checkpoint=known, expires_at=ends)
        assert await journal.adopt(session.handle, came)
        reader = Ledger(journal, Sessions(journal, clock=clock).histories, "ann").reader()
        read: list[list[int]] = []
        for _ in range(2):
            read += [[row.version for row in each.events] async for each in reader.entries()]
        head = await went_on(journal, clock, session.handle, behind, {"n": 1})
        for _ in range(2):
            read += [[row.version for row in each.events] async for each in reader.entries()]
        await journal.discard(session.handle, expected=head)
        with pytest.raises(HistoryRewritten):
            _ = [each async for each in reader.entries()]
    assert read == [[], [], [2], []]
