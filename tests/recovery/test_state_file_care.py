"""The file with the state is checked, saved, copied, moved and emptied without losing a word that was kept."""

import asyncio
import json
import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from state.chain import Link
from state.errors import InvalidValue
from state.errors import StateError
from state.errors import StateUnavailable
from state.journal import Draft
from state.journal import Event
from state.limits import Limits
from state.sessions import Sessions
from state.sqlite.anchors import heads_path
from state.sqlite.anchors import read_heads
from state.sqlite.archive import export_sessions
from state.sqlite.archive import import_sessions
from state.sqlite.archive import lines_of
from state.sqlite.backup import back_up
from state.sqlite.backup import manifest_path
from state.sqlite.backup import restore
from state.sqlite.file import ForeignFile
from state.sqlite.forget import forget
from state.sqlite.journal import SqliteJournal
from state.sqlite.listing import listed
from state.sqlite.listing import timeline
from state.sqlite.lock import InUse
from state.sqlite.lock import share
from state.sqlite.records import Kept
from state.sqlite.records import Record
from state.sqlite.records import Row
from state.sqlite.records import count_again
from state.sqlite.records import following
from state.sqlite.records import put
from state.sqlite.salvage import Salvage
from state.sqlite.salvage import salvage
from state.sqlite.verify import Verification
from state.sqlite.verify import verify_against
from state.sqlite.verify import verify_file
from state.sqlite.visits import changing
from state.sqlite.visits import transaction
from tests.conftest import ManualClock

_NOW = 1_000.0
_RIDDLE = "the-riddle-of-the-sphinx"
_Histories = dict[str, tuple[Event | None, ...]]


async def _fill(path: Path, clock: ManualClock) -> dict[str, str]:
    """A live session, a closed one, a compacted one, one of another principal, and one of some length."""
    journal = SqliteJournal(path, clock=clock)
    sessions = Sessions(journal, clock=clock, limits=Limits(events=20))
    try:
        live = await sessions.open(principal="ann", goal="find out why", label="live one", idempotency_key="k1")
        for number in range(3):
            await sessions.remember(live.handle, principal="ann", kind="finding", key=None, value=f"finding {number}")
        closed = await sessions.open(principal="ann", label="closed one")
        await sessions.remember(closed.handle, principal="ann", kind="context", key="where", value="here")
        await sessions.close(closed.handle, principal="ann")
        compacted = await sessions.open(principal="ann", goal="go on for long")
        for number in range(40):
            await sessions.remember(compacted.handle, principal="ann", kind="context", key="n", value=number)
        other = await sessions.open(principal="bob", goal=_RIDDLE, idempotency_key=_RIDDLE)
        for number in range(12):
            value = f"{_RIDDLE} {number} " * (300 if number % 4 == 0 else 20)  # some lie on pages of their own
            await sessions.remember(other.handle, principal="bob", kind="finding", key=None, value=value)
        long = await sessions.open(principal="ann", label="long one")
        for number in range(16):
            await sessions.remember(
                long.handle,
                principal="ann",
                kind="finding",
                key=None,
                value=f"{number} " * (3_000 if number % 4 == 0 else 90),
            )
    finally:
        await journal.aclose()
    return {
        "live": live.handle,
        "closed": closed.handle,
        "compacted": compacted.handle,
        "other": other.handle,
        "long": long.handle,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A file that no test changes."""
    path = tmp_path_factory.mktemp("filled") / "journal.db"
    return path, asyncio.run(_fill(path, ManualClock(_NOW)))


@pytest.fixture
def handles(path: Path, filled: tuple[Path, dict[str, str]]) -> dict[str, str]:
    shutil.copytree(filled[0].parent, path.parent)
    return filled[1]


def _histories(path: Path) -> _Histories:
    listing = listed(path, now=_NOW, past=True)
    return {each.session: tuple(e.event for e in timeline(path, each.session).events) for each in listing.sessions}


def _lines(path: Path, **how: object) -> list[bytes]:
    written: list[bytes] = []
    export_sessions(path, lambda line: written.append(line.encode()), **how)  # pyright: ignore[reportArgumentType]
    return written


def _change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        changed = connection.execute(statement, values).rowcount
    assert changed, "the test has changed nothing"


async def _goes_on(path: Path, handle: str, principal: str = "ann") -> str:
    """Write to a session through the journal; returns what its last finding says."""
    clock = ManualClock(_NOW)
    journal = SqliteJournal(path, clock=clock)
    try:
        sessions = Sessions(journal, clock=clock)
        await sessions.remember(handle, principal=principal, kind="finding", key=None, value="it goes on")
        return (await sessions.get(handle, principal=principal)).findings[-1].value
    finally:
        await journal.aclose()


def _owners(path: Path) -> dict[str, tuple[int, int, int]]:
    with closing(sqlite3.connect(path)) as connection:
        return {owner: tuple(rest) for owner, *rest in connection.execute("SELECT * FROM owners")}


def _owners_counted(path: Path) -> dict[str, tuple[int, int, int]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT owner, count(*), sum(version - compacted_version), sum(size_bytes) FROM sessions "
            "WHERE ended_at IS NULL GROUP BY owner"
        )
        return {owner: tuple(rest) for owner, *rest in rows}


# Verify


def test_a_file_as_the_product_leaves_it_is_good(path: Path, handles: dict[str, str]) -> None:
    verification = verify_file(path)
    assert verification.wrong == ()
    assert (verification.sessions, verification.anchored, verification.forgotten) == (5, 5, 0)
    assert verification.events == sum(map(len, _histories(path).values()))
    assert all(verify_file(path, session=each).ok for each in handles.values())


_ONE_MORE = "INSERT INTO events SELECT n, 5, nonce, salt, content, digest, link FROM events WHERE n = ? AND version = 4"


@pytest.mark.parametrize(
    ("statement", "version"),
    [
        ("UPDATE events SET content = replace(content, 'finding 1', 'finding 7') WHERE n = ? AND version = 3", 3),
        ("UPDATE events SET content = NULL, salt = NULL WHERE n = ? AND version = 2", 2),
        ("UPDATE events SET nonce = 'other' WHERE n = ? AND version = 2", 2),
        ("UPDATE events SET version = 9 WHERE n = ? AND version = 4", 4),
        ("DELETE FROM events WHERE n = ? AND version = 2", 2),
        ("DELETE FROM events WHERE n = ? AND version = 4", 4),
        ("DELETE FROM events WHERE n = ?", 1),
        (_ONE_MORE, 5),
        ("UPDATE sessions SET id = 'another-name-altogether' WHERE n = ?", 1),
        ("UPDATE sessions SET owner = 'eve' WHERE n = ?", 1),
        ("DELETE FROM sessions WHERE n = ?", 1),
    ],
)
def test_every_tampering_with_the_file_names_session_and_event(
    path: Path, handles: dict[str, str], statement: str, version: int
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (n,) = connection.execute("SELECT n FROM sessions WHERE id = ?", (handles["live"],)).fetchone()
    _change(path, statement, n)
    verification = verify_file(path)
    assert (handles["live"], version) in [(each.session, each.version) for each in verification.wrong] or (
        "another-name-altogether" in statement and verification.wrong[0].version == version
    )
    assert {each.session for each in verification.wrong} <= {handles["live"], "another-name-altogether", None}


def test_cutting_off_the_end_is_found_even_if_all_rows_agree(path: Path, handles: dict[str, str]) -> None:
    _change(path, "DELETE FROM events WHERE version > 3 AND n = (SELECT n FROM sessions WHERE id = ?)", handles["live"])
    _change(
        path,
        "UPDATE sessions SET (version, nonce, link, size_bytes) = (SELECT 3, nonce, link, (SELECT "
        "sum(length(CAST(content AS BLOB))) FROM events e WHERE e.n = sessions.n) FROM events e "
        "WHERE e.n = sessions.n AND version = 3) WHERE id = ?",
        handles["live"],
    )
    (wrong,) = verify_file(path).wrong
    assert (wrong.session, wrong.version) == (handles["live"], 4)
    assert "event 4 was acknowledged" in wrong.fault
    assert not verify_file(path, session=handles["live"][:8]).ok
    assert verify_file(path, session=handles["other"]).ok


def test_an_older_file_in_place_of_the_newer_is_found(path: Path, handles: dict[str, str], tmp_path: Path) -> None:
    older = tmp_path / "older.db"
    older.write_bytes(path.read_bytes())
    asyncio.run(_goes_on(path, handles["live"]))
    path.write_bytes(older.read_bytes())
    (wrong,) = verify_file(path).wrong
    assert (wrong.session, wrong.version) == (handles["live"], 5)


def test_a_session_that_is_gone_with_its_anchor_leaves_orphans(path: Path, handles: dict[str, str]) -> None:
    _change(path, "DELETE FROM sessions WHERE id = ?", handles["live"])
    _change(heads_path(path), "DELETE FROM heads WHERE id = ?", handles["live"])
    (wrong,) = verify_file(path).wrong
    assert "belong to a session that is gone" in wrong.fault


@pytest.mark.usefixtures("handles")
def test_a_file_that_is_no_database_any_more_is_told_not_raised(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1_000)
    assert "not a database" in verify_file(path).wrong[0].fault


@pytest.mark.usefixtures("handles")
def test_anchors_that_cannot_be_read_are_told(path: Path) -> None:
    heads_path(path).write_bytes(b"nothing" * 1_000)
    assert "anchors" in verify_file(path).wrong[0].fault


def test_a_name_may_be_cut_if_it_stays_clear(path: Path, handles: dict[str, str]) -> None:
    assert timeline(path, handles["live"][:6]).session == handles["live"]
    for name in (handles["live"][:5], "no-such-session"):
        with pytest.raises(InvalidValue):
            verify_file(path, session=name)
    with pytest.raises(StateUnavailable, match="no state"):
        verify_file(path.with_name("nothing.db"))


def test_a_session_that_was_deleted_meanwhile_is_no_loss(path: Path, handles: dict[str, str]) -> None:
    """As a server deletes: the anchor first, so one that is still there after a second look tells of a loss."""
    gone = {"deleted-meanwhile": Link(version=3, link=b"x")}
    anchors = read_heads(path) | gone
    assert verify_against(path, anchors, lambda: read_heads(path)).wrong == ()
    (wrong,) = verify_against(path, anchors, lambda: anchors).wrong
    assert (wrong.session, wrong.version) == ("deleted-meanwhile", 1)
    assert handles["live"] in anchors


def test_checking_while_others_write_raises_no_false_alarm(path: Path, handles: dict[str, str]) -> None:
    async def scenario() -> None:
        clock = ManualClock(_NOW)
        journal = SqliteJournal(path, clock=clock)
        sessions = Sessions(journal, clock=clock)
        written = 0

        async def write() -> None:
            nonlocal written
            while True:
                await sessions.remember(handles["live"], principal="ann", kind="context", key="k", value=written)
                fresh = await sessions.open(principal="ann", ttl_s=60)
                await sessions.close(fresh.handle, principal="ann")
                written += 1

        writing = asyncio.create_task(write())
        checks: list[Verification] = []
        async with asyncio.timeout(30):
            while written < 30:
                checks.append(await asyncio.to_thread(verify_file, path))
        writing.cancel()
        await asyncio.wait([writing])
        await journal.aclose()
        assert [each.wrong for each in checks] == [()] * len(checks)
        assert len({each.events for each in checks}) > 3, "writes and checks have not met"

    asyncio.run(scenario())


# Salvage


def _ruined(path: Path, ruin: Callable[[bytearray], object]) -> None:
    raw = bytearray(path.read_bytes())
    ruin(raw)
    path.write_bytes(raw)


def _zero(start: int, end: int) -> Callable[[bytearray], object]:
    def ruin(raw: bytearray) -> None:
        raw[start:end] = bytes(len(raw[start:end]))

    return ruin


def _check_salvage(path: Path, before: _Histories, saved: Salvage) -> None:
    """The new file is good, holds beginnings of what was, and every session that is not whole is told."""
    assert verify_file(path).wrong == ()
    assert _owners(path) == _owners_counted(path)
    after = _histories(path)
    lost = {each.session: each for each in saved.lost}
    for session, events in before.items():
        now = after.get(session, ())
        if session not in lost:
            assert now == events
            continue
        told = lost[session]
        if not told.after:
            assert now == ()
            continue
        *kept, word = now
        assert tuple(kept) == events[: len(kept)]
        assert word is not None
        assert (word.kind, word.actor) == ("salvaged", "operator")
        said = {"from": saved.aside.name, "lost_after": told.after, "lost": told.events}
        assert word.body | said == word.body
    assert set(after) <= set(before)
    assert saved.aside.exists()
    assert not list(path.parent.glob("*.salvaging*"))
    assert not list(path.parent.glob("*.wreck*"))


@pytest.mark.usefixtures("handles")
def test_a_file_whose_beginning_is_destroyed_is_carried_over_whole(path: Path) -> None:
    before = _histories(path)
    anchors = read_heads(path)
    _ruined(path, _zero(0, 4_096))
    damaged = path.read_bytes()
    saved = salvage(path, now=_NOW)
    assert (saved.sessions, saved.lost) == (5, ())
    _check_salvage(path, before, saved)
    assert saved.aside.read_bytes() == damaged
    assert saved.aside.name == "journal.db.damaged-19700101T001640Z"
    assert read_heads(path) == anchors
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_turned_bit_costs_the_session_only_what_is_behind_it(path: Path, handles: dict[str, str]) -> None:
    before = _histories(path)
    _ruined(path, lambda raw: raw.__setitem__(raw.index(b"finding 1"), ord("F")))
    saved = salvage(path, now=_NOW)
    (lost,) = saved.lost
    assert (lost.session, lost.after, lost.events) == (handles["live"], 2, 2)
    assert "not what was written" in lost.fault
    _check_salvage(path, before, saved)
    assert asyncio.run(_goes_on(path, handles["live"])) == "it goes on"
    assert verify_file(path).ok


def test_nothing_readable_leaves_an_empty_file_and_a_list_of_what_is_lost(path: Path, handles: dict[str, str]) -> None:
    heads = read_heads(path)
    path.write_bytes(b"not a database at all" * 1_000)
    saved = salvage(path, now=_NOW)
    assert saved.sessions == 0
    assert {each.session: each.events for each in saved.lost} == {
        handle: heads[handle].version for handle in handles.values()
    }
    assert "5 sessions are lost" in saved.told
    assert saved.aside.name in saved.told
    assert verify_file(path).wrong == ()
    assert list(path.parent.glob("journal.heads.db.damaged-*"))


def test_whatever_page_is_destroyed_only_what_was_on_it_is_lost(
    path: Path, handles: dict[str, str], tmp_path: Path
) -> None:
    before = _histories(path)
    raw, heads = path.read_bytes(), heads_path(path).read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    whole = 0
    for start in range(0, len(raw), page_bytes):
        place = tmp_path / f"page-{start // page_bytes}" / "journal.db"
        place.parent.mkdir()
        place.write_bytes(raw)
        heads_path(place).write_bytes(heads)
        _ruined(place, _zero(start, start + page_bytes))
        saved = salvage(place, now=_NOW)
        _check_salvage(place, before, saved)
        assert {each.session for each in saved.lost} <= set(handles.values())
        assert saved.sessions >= len(handles) - 3, "more is lost than the beginnings that share a page"
        whole += not saved.lost
    assert 0 < whole < len(raw) // page_bytes


def _long_compacted(number: int) -> Record:
    """A session that begins with a checkpoint, and rests on a page of the checkpoints' own."""
    session, state = f"session-number-{number:04}", b"state " * 100
    base = Link(version=5, link=bytes(32))
    event = following(base, Draft(at=_NOW, kind="compacted", actor="ann", body={"through": 5}))
    row = Row(
        id=session,
        owner="ann",
        opened_key=None,
        opened_at=_NOW,
        accessed_at=_NOW,
        expires_at=2 * _NOW,
        ended_at=None,
        version=6,
        nonce=event.nonce,
        link=event.link,
        size_bytes=len(event.content or b""),
        compacted_version=5,
        compacted_link=base.link,
    )
    kept = Kept(version=5, nonce="n", state=state, digest=sha256(state).digest())
    return Record(row=row, events=(event,), checkpoints=(kept,))


def test_without_any_way_through_the_tables_all_is_read_off_the_pages(path: Path, handles: dict[str, str]) -> None:
    """The first page of each table leads to all others."""
    with changing(path) as journal, transaction(journal):
        for number in range(60):
            put(journal, _long_compacted(number))
        count_again(journal, ["ann"])
    before = _histories(path)
    with closing(sqlite3.connect(path)) as connection:
        asked = "SELECT rootpage FROM sqlite_schema WHERE name IN ('sessions', 'events', 'checkpoints')"
        roots = [root for (root,) in connection.execute(asked)]
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    raw = path.read_bytes()
    for page in roots:
        assert raw[(page - 1) * page_bytes] in {0x02, 0x05}, "a table fits on one page, so this shows nothing"
    for page in (1, *roots):
        _ruined(path, _zero((page - 1) * page_bytes, page * page_bytes))
    saved = salvage(path, now=_NOW)
    _check_salvage(path, before, saved)
    # A checkpoint lies on each page that leads to others, and is gone with it: only that session is lost.
    assert saved.sessions >= len(handles) + 60 - 15
    assert all("number" in (each.session or "") for each in saved.lost)


@pytest.mark.parametrize("share_kept", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_saved_as_far_as_it_goes(
    path: Path, handles: dict[str, str], share_kept: float
) -> None:
    before = _histories(path)
    os.truncate(path, int(path.stat().st_size * share_kept))
    saved = salvage(path, now=_NOW)
    _check_salvage(path, before, saved)
    assert {each.session for each in saved.lost} <= set(handles.values())
    assert saved.lost


def test_what_is_only_in_the_log_is_saved_too(path: Path, handles: dict[str, str], tmp_path: Path) -> None:
    """As a process leaves it that was killed: the newest events are in the `-wal` alone."""
    copy = tmp_path / "killed" / "journal.db"
    copy.parent.mkdir()

    async def scenario() -> None:
        clock = ManualClock(_NOW)
        journal = SqliteJournal(path, clock=clock)
        sessions = Sessions(journal, clock=clock)
        await sessions.remember(handles["live"], principal="ann", kind="finding", key=None, value="the newest")
        for each in path.parent.iterdir():
            copy.with_name(each.name).write_bytes(each.read_bytes())
        await journal.aclose()

    asyncio.run(scenario())
    assert b"the newest" not in copy.read_bytes()
    before = _histories(path)
    _ruined(copy, _zero(0, 100))
    saved = salvage(copy, now=_NOW)
    _check_salvage(copy, before, saved)
    assert saved.lost == ()
    assert b"the newest" in saved.aside.with_name(f"{saved.aside.name}-wal").read_bytes()


@pytest.mark.usefixtures("handles")
def test_salvage_waits_for_nobody_and_overwrites_nothing(path: Path) -> None:
    hold = share(path)
    with pytest.raises(InUse):
        salvage(path, now=_NOW)
    hold.release()
    path.with_name("journal.db.salvaging").write_bytes(b"left by one that died")
    first, second = salvage(path, now=_NOW), salvage(path, now=_NOW)
    assert first.aside != second.aside
    assert (first.lost, second.lost, second.sessions) == ((), (), 5)


def test_a_salvaged_session_can_be_forgotten_and_salvaged_again(path: Path, handles: dict[str, str]) -> None:
    _ruined(path, lambda raw: raw.__setitem__(raw.index(b"finding 1"), ord("F")))
    salvage(path, now=_NOW)
    forget(path, session=handles["live"], now=_NOW)
    assert verify_file(path).ok
    assert salvage(path, now=_NOW).lost == ()
    assert verify_file(path).forgotten == 1


# Backup and restore


def test_a_backup_made_while_others_write_is_one_moment_and_can_be_restored(
    path: Path, handles: dict[str, str], tmp_path: Path
) -> None:
    to = tmp_path / "copy.db"

    async def scenario() -> None:
        clock = ManualClock(_NOW)
        journal = SqliteJournal(path, clock=clock)
        sessions = Sessions(journal, clock=clock)
        copying = asyncio.create_task(asyncio.to_thread(back_up, path, to, now=_NOW))
        while not copying.done():
            await sessions.remember(handles["live"], principal="ann", kind="context", key="k", value="v")
        await copying
        with pytest.raises(InUse):
            restore(path, to, now=_NOW)
        await journal.aclose()

    asyncio.run(scenario())
    assert verify_file(to).wrong == ()
    assert {each.name for each in tmp_path.iterdir()} == {"copy.db", "copy.db.manifest.json", "state"}
    for made in (to, manifest_path(to)):
        assert stat.S_IMODE(made.stat().st_mode) == 0o600
    manifest = json.loads(manifest_path(to).read_text())
    assert (manifest["sessions"], manifest["size_bytes"]) == (5, to.stat().st_size)
    then = _histories(to)
    latest = _histories(path)
    restored = restore(path, to, now=_NOW)
    assert restored.manifest is not None
    assert _histories(path) == then
    assert verify_file(path).wrong == ()
    assert set(read_heads(path)) == set(handles.values())
    assert restored.aside is not None
    assert _histories(restored.aside) == latest
    assert asyncio.run(_goes_on(path, handles["live"])) == "it goes on"


@pytest.mark.usefixtures("handles")
def test_a_backup_overwrites_nothing_and_leaves_nothing_behind(path: Path, tmp_path: Path) -> None:
    to = tmp_path / "copy.db"
    back_up(path, to, now=_NOW)
    first = to.read_bytes()
    with pytest.raises(InvalidValue, match="nothing is overwritten"):
        back_up(path, to, now=_NOW)
    assert to.read_bytes() == first
    with pytest.raises(InvalidValue, match="no folder"):
        back_up(path, tmp_path / "nowhere" / "copy.db", now=_NOW)


def test_what_is_not_as_it_was_written_is_not_backed_up(path: Path, handles: dict[str, str], tmp_path: Path) -> None:
    _change(path, "UPDATE events SET nonce = 'x' WHERE version = 2")
    with pytest.raises(StateUnavailable, match=handles["live"]):
        back_up(path, tmp_path / "copy.db", now=_NOW)
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


@pytest.mark.usefixtures("handles")
def test_a_backup_that_changed_is_not_restored(path: Path, tmp_path: Path) -> None:
    to = tmp_path / "copy.db"
    back_up(path, to, now=_NOW)
    before = _histories(path)
    whole = to.read_bytes()
    _ruined(to, lambda raw: raw.__setitem__(raw.index(b"finding 1"), ord("F")))
    with pytest.raises(InvalidValue, match="SHA-256"):
        restore(path, to, now=_NOW)
    manifest = manifest_path(to)
    kept = manifest.read_text()
    manifest.unlink()
    with pytest.raises(StateUnavailable, match="not as it was written"):
        restore(path, to, now=_NOW)
    to.write_bytes(whole)
    manifest.write_text(kept.replace('"heads": "', '"heads": "0'))
    with pytest.raises(InvalidValue, match="histories"):
        restore(path, to, now=_NOW)
    assert _histories(path) == before
    assert not list(path.parent.glob("*before-restore*"))
    manifest.write_text("{}")
    with pytest.raises(InvalidValue, match="manifest"):
        restore(path, to, now=_NOW)


def test_only_a_journal_is_restored(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(ForeignFile):
        restore(path, other, now=_NOW)
    with pytest.raises(InvalidValue, match="no backup"):
        restore(path, tmp_path / "none.db", now=_NOW)
    assert not path.exists()


def test_a_backup_is_restored_where_nothing_was(path: Path, handles: dict[str, str], tmp_path: Path) -> None:
    to, new = tmp_path / "copy.db", tmp_path / "new" / "deep" / "journal.db"
    back_up(path, to, now=_NOW)
    assert restore(new, to, now=_NOW).aside is None
    assert _histories(new) == _histories(path)
    assert stat.S_IMODE(new.parent.stat().st_mode) == 0o700
    assert asyncio.run(_goes_on(new, handles["live"])) == "it goes on"


# Export and import


def test_what_was_exported_comes_in_elsewhere_as_it_was(path: Path, handles: dict[str, str], tmp_path: Path) -> None:
    forget(path, session=handles["other"], now=_NOW)
    new = tmp_path / "new" / "journal.db"
    lines = _lines(path, past=True)
    imported = import_sessions(new, lines, now=_NOW)
    assert set(imported.added) == set(handles.values())
    assert imported.refused == ()
    assert _histories(new) == _histories(path)
    assert verify_file(new).wrong == ()
    assert verify_file(new).forgotten == 1
    assert read_heads(new) == read_heads(path)
    assert _owners(new) == _owners_counted(new) == _owners(path)
    assert asyncio.run(_goes_on(new, handles["compacted"])) == "it goes on"
    again = import_sessions(new, lines, now=_NOW)
    assert (set(again.known), again.added, again.extended) == (set(handles.values()), (), ())


def test_an_export_holds_what_was_asked_for(path: Path, handles: dict[str, str]) -> None:
    def named(**how: object) -> set[str]:
        parts = [json.loads(line) for line in _lines(path, **how)]
        return {part["id"] for part in parts if part["uds"] == "session"}

    assert named() == set(handles.values()) - {handles["closed"]}
    assert named(owner="bob") == {handles["other"]}
    assert named(sessions=[handles["closed"][:7]]) == {handles["closed"]}
    assert named(sessions=[handles["closed"]], owner="bob") == set()
    with pytest.raises(InvalidValue):
        _lines(path, sessions=["nobody-knows-it"])
    assert all(line.isascii() for line in _lines(path, past=True))


def test_a_bad_session_is_not_exported(path: Path, handles: dict[str, str]) -> None:
    _change(path, "UPDATE events SET nonce = 'x' WHERE version = 2 AND n = 1")
    done = export_sessions(path, lambda _: None, past=True)
    assert [each.session for each in done.refused] == [handles["live"]]
    assert done.sessions == 4


def test_a_session_goes_on_where_its_beginning_was(path: Path, handles: dict[str, str], tmp_path: Path) -> None:
    new = tmp_path / "new" / "journal.db"
    import_sessions(new, _lines(path), now=_NOW)
    asyncio.run(_goes_on(path, handles["live"]))
    imported = import_sessions(new, _lines(path), now=_NOW)
    assert imported.extended == (handles["live"],)
    assert _histories(new)[handles["live"]] == _histories(path)[handles["live"]]
    assert verify_file(new).wrong == ()
    assert import_sessions(path, _lines(new), now=_NOW).refused == ()
    asyncio.run(_goes_on(new, handles["live"]))
    asyncio.run(_goes_on(path, handles["live"]))
    parted = import_sessions(new, _lines(path), now=_NOW)
    assert [each.session for each in parted.refused] == [handles["live"]]
    assert "another history" in parted.refused[0].why
    asyncio.run(_goes_on(path, handles["live"]))
    longer = import_sessions(new, _lines(path), now=_NOW)
    assert [each.session for each in longer.refused] == [handles["live"]]
    assert _owners(new) == _owners_counted(new)


def test_what_was_forgotten_there_is_forgotten_here(path: Path, handles: dict[str, str], tmp_path: Path) -> None:
    new = tmp_path / "new" / "journal.db"
    import_sessions(new, _lines(path), now=_NOW)
    earlier = _lines(path)
    forget(path, session=handles["other"], now=_NOW)
    with closing(sqlite3.connect(new)) as other:  # somebody else has it open, so the log stays
        other.execute("SELECT count(*) FROM sessions").fetchone()
        assert handles["other"] in import_sessions(new, _lines(path, past=True), now=_NOW).extended
        assert _traces(new) == []
    assert verify_file(new).forgotten == 1
    assert handles["other"] in import_sessions(new, earlier, now=_NOW).known
    assert _traces(new) == []


def test_sessions_whose_time_has_come_come_in_as_ended(path: Path, handles: dict[str, str], tmp_path: Path) -> None:
    new = tmp_path / "new" / "journal.db"
    lines = _lines(path, past=True)
    import_sessions(new, lines, now=1e9)
    listing = listed(new, now=1e9, past=True)
    assert {each.session for each in listing.sessions} == set(handles.values())
    assert {each.ended_at for each in listing.sessions} == {1e9}
    assert listed(new, now=1e9).sessions == ()


def _replaced(line: bytes, **parts: object) -> bytes:
    return (json.dumps(json.loads(line) | parts) + "\n").encode()


_SPOILT: list[tuple[Callable[[list[bytes]], object], int]] = [
    (lambda lines: lines.__setitem__(3, b"not json\n"), 4),
    (lambda lines: lines.__setitem__(3, b"[1]\n"), 4),
    (lambda lines: lines.__setitem__(3, b'{"uds": "event", "version": 1e999}\n'), 4),
    (lambda lines: lines.__setitem__(3, b"[" * 100_000), 4),
    (lambda lines: lines.__setitem__(3, b'{"uds": "riddle"}\n'), 4),
    (lambda lines: lines.__setitem__(3, b"x" * (64 * 2**20 + 1)), 4),
    (lambda lines: lines.__setitem__(2, _replaced(lines[2], link="00")), 3),
    (lambda lines: lines.__setitem__(2, _replaced(lines[2], version=True)), 3),
    (lambda lines: lines.__setitem__(2, _replaced(lines[2], nonce="\ud800")), 3),
    (lambda lines: lines.__setitem__(2, _replaced(lines[2], content="{}")), 1),
    (lambda lines: lines.__setitem__(2, _replaced(lines[2], version=2**70)), 3),
    (lambda lines: lines.pop(2), 1),
    (lambda lines: lines.insert(3, lines[2]), 1),
    (lambda lines: lines.__setitem__(0, _replaced(lines[0], owner="eve")), 1),
    (lambda lines: lines.__setitem__(0, _replaced(lines[0], format=2)), 1),
    (lambda lines: lines.__setitem__(0, _replaced(lines[0], checkpoints=7)), 1),
    (lambda lines: lines.__setitem__(0, _replaced(lines[0], expires_at="soon")), 1),
    (lambda lines: lines.__setitem__(0, _replaced(lines[0], id="")), 1),
    (lambda lines: lines.__setitem__(0, b'{"uds": "session"}\n'), 1),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "line"), _SPOILT)
def test_a_bad_line_refuses_its_session_and_no_other(
    path: Path, handles: dict[str, str], tmp_path: Path, spoil: Callable[[list[bytes]], object], line: int
) -> None:
    new = tmp_path / "new" / "journal.db"
    lines = _lines(path)
    assert json.loads(lines[0])["id"] == handles["live"]
    spoil(lines)
    imported = import_sessions(new, lines, now=_NOW)
    (refused,) = imported.refused
    assert refused.line == line
    assert len(refused.why) < 300
    assert set(imported.added) == {handles["compacted"], handles["other"], handles["long"]}
    assert verify_file(new).wrong == ()
    assert handles["live"] not in _histories(new)


def test_an_archive_without_a_header_is_refused_once(path: Path) -> None:
    imported = import_sessions(path, [b'{"a": 1}\n'] * 5, now=_NOW)
    assert [each.line for each in imported.refused] == [1]


def test_lines_are_read_in_bounded_pieces(tmp_path: Path) -> None:
    place = tmp_path / "lines"
    place.write_bytes(b"one\n" + b"x" * (64 * 2**20 + 100) + b"\nthree")
    with place.open("rb") as stream:
        one, two, three = lines_of(stream)
    assert (one, three) == (b"one\n", b"three")
    assert len(two) == 64 * 2**20 + 1


def test_a_key_that_opened_a_session_here_is_not_taken_from_it(path: Path, tmp_path: Path, clock: ManualClock) -> None:
    here, there = path, tmp_path / "there" / "journal.db"
    ours = asyncio.run(_fill(here, clock))
    asyncio.run(_fill(there, clock))
    assert import_sessions(here, _lines(there), now=_NOW).refused == ()

    async def opened_again() -> str:
        journal = SqliteJournal(here, clock=clock)
        try:
            sessions = Sessions(journal, clock=clock)
            return (await sessions.open(principal="ann", idempotency_key="k1")).handle
        finally:
            await journal.aclose()

    assert asyncio.run(opened_again()) == ours["live"]


# Forget


def _traces(path: Path) -> list[str]:
    """The files in the state directory that hold a word of the secret."""
    return [each.name for each in path.parent.iterdir() if _RIDDLE.encode() in each.read_bytes()]


def test_nothing_of_a_forgotten_session_is_left_in_any_file(path: Path, handles: dict[str, str]) -> None:
    assert _traces(path) == ["journal.db"]
    forgotten = forget(path, session=handles["other"][:8], now=_NOW)
    assert (forgotten.sessions, forgotten.events, forgotten.lingering) == ((handles["other"],), 13, False)
    assert _traces(path) == []
    verification = verify_file(path)
    assert (verification.wrong, verification.forgotten) == ((), 1)
    *emptied, word = timeline(path, handles["other"]).events
    assert [each.event for each in emptied] == [None] * 13
    assert word.event is not None
    assert (word.event.kind, word.event.body) == ("forgotten", {"events": 13})
    assert "bob" not in _owners(path)
    assert forget(path, session=handles["other"], now=_NOW).sessions == ()
    assert _owners(path) == _owners_counted(path)


@pytest.mark.parametrize("seed", range(3))
def test_no_copy_is_left_where_rows_were_moved_to_and_fro(path: Path, seed: int) -> None:
    """SQLite overwrites what it deletes, but not what it leaves behind when it moves rows to another page."""
    dice = random.Random(seed)  # noqa: S311 - it only has to be varied

    async def scenario() -> None:
        clock = ManualClock(_NOW)
        journal = SqliteJournal(path, clock=clock)
        sessions = Sessions(journal, clock=clock, limits=Limits(events=12))
        owners = ["ann", "bob"] * 5
        handles = [(await sessions.open(principal=each)).handle for each in owners]
        for _ in range(400):
            place = dice.randrange(len(owners))
            word = _RIDDLE if owners[place] == "bob" else "known to all"
            value = f"{word} " * dice.choice([1, 3, 30, 100])
            await sessions.remember(handles[place], principal=owners[place], kind="context", key="k", value=value)
        forgotten = await asyncio.to_thread(forget, path, principal="bob", now=_NOW)
        assert not forgotten.lingering
        await journal.aclose()

    asyncio.run(scenario())
    assert _traces(path) == []
    assert b"bob" not in path.read_bytes()
    assert verify_file(path).wrong == ()


def test_a_session_is_forgotten_under_a_running_server(path: Path, handles: dict[str, str]) -> None:
    async def scenario() -> None:
        clock = ManualClock(_NOW)
        journal = SqliteJournal(path, clock=clock)
        sessions = Sessions(journal, clock=clock)
        handle = handles["other"]
        await sessions.remember(handle, principal="bob", kind="finding", key=None, value=f"{_RIDDLE}, again")
        forgotten = await asyncio.to_thread(forget, path, session=handle, now=_NOW)
        assert not forgotten.lingering
        assert _traces(path) == []
        with pytest.raises(StateError, match="no open session"):
            await sessions.get(handle, principal="bob")
        chapter = await journal.read_past(handle)
        assert chapter is not None
        assert [each.kind for each in chapter.events] == ["forgotten"]
        fresh = await sessions.open(principal="bob", idempotency_key=_RIDDLE[:5])
        assert fresh.handle != handle
        await journal.aclose()

    asyncio.run(scenario())
    assert verify_file(path).wrong == ()


def test_a_principal_is_forgotten_with_all_sessions_and_the_name(path: Path, handles: dict[str, str]) -> None:
    forgotten = forget(path, principal="ann", now=_NOW)
    assert set(forgotten.sessions) == set(handles.values()) - {handles["other"]}
    owners = {each.owner for each in listed(path, now=_NOW, past=True).sessions}
    (alias,) = owners - {"bob"}
    assert alias.startswith("forgotten-")
    assert len(alias) == len("forgotten-") + 12
    assert verify_file(path).wrong == ()
    assert verify_file(path).forgotten == 4
    assert _owners(path) == _owners_counted(path)
    assert set(_owners(path)) == {"bob"}
    assert b"find out why" not in path.read_bytes()


@pytest.fixture
def reader(path: Path, handles: dict[str, str]) -> Iterator[sqlite3.Connection]:
    """Somebody who looks at an old state of the file and does not let go."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM sessions WHERE id = ?", (handles["other"],)).fetchall()
        yield connection


def test_copies_that_linger_because_of_a_reader_are_told(
    path: Path, handles: dict[str, str], reader: sqlite3.Connection
) -> None:
    forgotten = forget(path, session=handles["other"], now=_NOW, patience_s=0.1)
    assert forgotten.lingering
    reader.execute("COMMIT")
    assert not forget(path, session=handles["other"], now=_NOW).lingering
    assert _traces(path) == []


# Listing


def test_a_list_says_what_sessions_are_about(path: Path, handles: dict[str, str]) -> None:
    by_name = {each.session: each for each in listed(path, now=_NOW, past=True).sessions}
    assert by_name[handles["live"]].label == "live one"
    assert by_name[handles["live"]].goal == "find out why"
    assert by_name[handles["compacted"]].goal == "go on for long"
    assert by_name[handles["closed"]].ended_at == _NOW
    assert {each.session for each in listed(path, now=_NOW, owner="bob").sessions} == {handles["other"]}
    cut = listed(path, now=_NOW, limit=1)
    assert (len(cut.sessions), cut.more) == (1, 3)
    assert listed(path, now=1e9).sessions == ()
