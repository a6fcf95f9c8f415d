"""The source over one's own history keeps what every source promises, and never holds more than the history does."""

import asyncio
import contextlib
import json
import os
import sqlite3
import stat
import tempfile
from collections.abc import AsyncGenerator
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.own_history import OwnHistories
from sources.duckdb.source import DuckDBSource
from sources.errors import QuotaSpent
from sources.errors import SourceUnreachable
from sources.errors import UnknownAttribute
from sources.errors import UnknownSchema
from sources.history.mirrors import Mirrors
from sources.history.records import SCHEMAS
from sources.protocol import Source
from state import checkpoint
from state.errors import StateUnavailable
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Head
from state.journal import Journal
from state.memory import MemoryJournal
from state.sessions import Sessions
from state.sqlite.forget import forget
from state.sqlite.journal import SqliteJournal
from tests.conftest import ManualClock

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.5
NOW_SHOWN = "2023-11-14T22:13:20.5"
WITHIN_S = 20.0


class House:
    """Sessions over a journal, and the histories on them."""

    def __init__(self, journal: Journal, clock: ManualClock, mirrors: Mirrors | None) -> None:
        self.clock = clock
        self.journal = journal
        self.sessions = Sessions(self.journal, clock=self.clock, ttl_s=3_600.0)
        self.histories = OwnHistories(self.journal, self.sessions, mirrors=mirrors)

    def source(self, principal: str = "ann") -> Source:
        (source,) = self.histories.of(principal)
        return source

    async def opened(self, principal: str = "ann", goal: str | None = None, label: str | None = None) -> str:
        return (await self.sessions.open(principal=principal, goal=goal, label=label)).handle

    async def found(self, handle: str, value: object, *, key: str | None = None, principal: str = "ann") -> None:
        await self.sessions.remember(handle, principal=principal, kind="finding", key=key, value=value, evidence="seen")

    async def many_events(self, name: str, count: int, after: Head | None = None) -> Head:
        """Events that nobody has to decide on, in one append."""
        opening = Draft(at=NOW, kind="opened", actor="ann", body={"handle": name, "ttl_s": 60.0})
        drafts = [
            Draft(at=NOW + n, kind="context", actor="ann", body={"key": f"k{n % 7}", "value": f"{n} " * 100})
            for n in range(count)
        ]
        first = [] if after is not None else [opening]
        return await self.journal.append(name, expected=after, drafts=[*first, *drafts], expires_at=NOW + 9e9)


@asynccontextmanager
async def opened_house(mirrors: Mirrors | None = None) -> AsyncGenerator[House]:
    clock = ManualClock(NOW)
    async with kept(House(MemoryJournal(clock), clock, mirrors)) as house:
        yield house


@asynccontextmanager
async def kept(house: House) -> AsyncGenerator[House]:
    try:
        async with asyncio.timeout(60):
            yield house
    finally:
        await house.histories.aclose()


@asynccontextmanager
async def on_disk(path: Path, *, kept_past_s: float) -> AsyncGenerator[House]:
    clock = ManualClock(NOW)
    journal = SqliteJournal(path, clock=clock, kept_past_s=kept_past_s)
    try:
        async with kept(House(journal, clock, None)) as house:
            yield house
    finally:
        await journal.aclose()


@pytest.fixture(params=["memory", "sqlite"])
async def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    if request.param == "memory":
        async with opened_house() as made:
            yield made
    else:
        async with on_disk(tmp_path_factory.mktemp("state") / "journal.db", kept_past_s=0.0) as made:
            yield made


@pytest.fixture
async def keeping(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """With a journal that keeps ended sessions for a day."""
    async with on_disk(tmp_path_factory.mktemp("state") / "journal.db", kept_past_s=86_400.0) as made:
        yield made


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


async def rows(source: Source, text: str) -> tuple[tuple[object, ...], ...]:
    return (await source.query(text, limit=100, within_s=WITHIN_S)).rows


async def value(source: Source, text: str) -> object:
    return (await rows(source, text))[0][0]


async def counts(source: Source) -> dict[str, int | None]:
    return {schema.name: schema.rows for schema in await source.schemas()}


def held(folder: Path) -> Iterator[bytes]:
    return (path.read_bytes() for path in folder.rglob("*") if path.is_file())


def inside(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def parts(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("part_*")}


async def test_a_history_without_anything_is_described_and_queried_with_its_types(house: House) -> None:
    source = house.source()
    assert await counts(source) == {"events": 0, "findings": 0, "sessions": 0}
    for name, attributes in SCHEMAS.items():
        assert await source.attributes(name) == attributes
        table = await source.query(f"SELECT * FROM {name}", limit=5, within_s=WITHIN_S)
        assert (table.columns, table.rows) == (attributes, ())
        described = await source.describe(name, [each.name for each in attributes], exact=True, within_s=WITHIN_S)
        assert (described.rows, len(described.attributes)) == (0, len(attributes))
        profile = await source.profile(name, attributes[-1].name, top=3, within_s=WITHIN_S)
        assert (profile.rows, profile.top_values) == (0, ())


async def test_sessions_events_and_findings_are_rows(house: House) -> None:
    handle = await house.opened(goal="Which carrier is late?", label="2024-01-01")
    house.clock.advance(10)
    await house.found(handle, {"late": [1, 2]}, key="carrier")
    await house.sessions.note_explored(handle, principal="ann", source="duckdb", schema="flights")
    child = (await house.sessions.open(principal="ann", parent=handle)).handle
    source = house.source()
    assert await counts(source) == {"events": 5, "findings": 1, "sessions": 2}
    told = await rows(source, "SELECT session, label, goal, status, parent, level, events, findings FROM sessions")
    assert sorted(told, key=str) == sorted(
        [
            (handle, "2024-01-01", "Which carrier is late?", "open", None, 1, 4, 1),
            (child, None, "Which carrier is late?", "open", handle, 2, 1, 0),
        ],
        key=str,
    )
    lives = await rows(
        source, f"SELECT opened_at, epoch(expires_at), ended_at, bytes > 100 FROM sessions WHERE session = '{handle}'"
    )
    assert lives == ((NOW_SHOWN, NOW + 10 + 3_600, None, True),)
    happened = await rows(
        source,
        "SELECT version, round(epoch(happened_at), 3), kind, key, schema, summary"
        f" FROM events WHERE session = '{handle}' ORDER BY version",
    )
    assert [row[:5] for row in happened] == [
        (1, NOW, "opened", None, None),
        (2, NOW + 10, "finding", "carrier", None),
        (3, NOW + 10, "explored", None, "flights"),
        (4, NOW + 10, "child_opened", None, None),
    ]
    assert "carrier" in str(happened[1][5])
    body = await value(source, "SELECT body FROM events WHERE kind = 'finding'")
    assert json.loads(str(body)) == {"key": "carrier", "value": {"late": [1, 2]}, "evidence": "seen"}
    assert await rows(source, "SELECT session, label, id, key, value, evidence, version FROM findings") == (
        (handle, "2024-01-01", "f2", "carrier", '{"late":[1,2]}', "seen", 2),
    )


async def test_texts_stay_texts_whatever_they_look_like(house: House) -> None:
    handle = await house.opened(label="2024-01-01")
    await house.found(handle, "17", key="2024-01-01T00:00:00Z")
    table = await house.source().query("SELECT label, key, value FROM findings", limit=5, within_s=WITHIN_S)
    assert [column.type for column in table.columns] == ["VARCHAR"] * 3
    assert table.rows == (("2024-01-01", "2024-01-01T00:00:00Z", "17"),)


async def test_long_values_and_bodies_are_cut(house: House) -> None:
    handle = await house.opened()
    await house.found(handle, "x" * 10_000)
    source = house.source()
    for text in ("SELECT length(value), value[-1] FROM findings", "SELECT max(length(body)), '…' FROM events"):
        assert await rows(source, text) == ((4_000, "…"),)


async def test_what_is_described_and_counted_agrees_with_plain_queries(house: House) -> None:
    await house.many_events("s", 300)
    source = house.source()
    described = await source.describe("events", ["kind", "happened_at"], exact=True, within_s=WITHIN_S)
    assert (described.rows, described.time_attribute) == (301, "happened_at")
    assert (described.provenance.source, described.attributes[0].distinct) == ("uds", 2)
    profile = await source.profile("events", "key", top=2, within_s=WITHIN_S)
    assert [(top.value, top.rows) for top in profile.top_values] == [("k0", 43), ("k1", 43)]
    assert profile.top_values[0].rows == await value(source, "SELECT count(*) FROM events WHERE key = 'k0'")


async def test_the_next_answer_holds_what_just_happened(house: House) -> None:
    handle = await house.opened()
    source = house.source()
    for number in range(1, 4):
        await house.found(handle, f"value {number}")
        assert await value(source, "SELECT count(*) FROM findings") == number
        assert await value(source, "SELECT count(*) FROM events") == number + 1
        assert (await counts(source))["findings"] == number
    await house.found(handle, "superseding", key="k")
    await house.found(handle, "superseded by this", key="k")
    assert await value(source, "SELECT value FROM findings WHERE key = 'k'") == "superseded by this"
    assert await value(source, "SELECT count(*) FROM events WHERE key = 'k'") == 2


async def test_a_fingerprint_changes_with_the_history_and_with_nothing_else(house: House) -> None:
    handle = await house.opened()
    source = house.source()

    async def tokens() -> list[str]:
        return [await source.fingerprint(name) for name in (None, *SCHEMAS)]

    first = await tokens()
    assert await tokens() == first
    await house.opened("ben")
    assert await tokens() == first
    house.clock.advance(1)
    await house.sessions.get(handle, principal="ann")
    used = await tokens()
    assert [now == before for now, before in zip(used, first, strict=True)] == [False, True, True, False]
    await house.found(handle, "new")
    written = await tokens()
    assert all(now != before for now, before in zip(written, used, strict=True))
    await house.sessions.close(handle, principal="ann")
    assert all(now != before for now, before in zip(await tokens(), written, strict=True))


async def test_unknown_names_come_with_suggestions(house: House) -> None:
    source = house.source()
    for asked in (source.attributes("event"), source.fingerprint("event"), source.vocabulary("event")):
        with pytest.raises(UnknownSchema) as unknown:
            await asked
        assert unknown.value.suggestions[0] == "events"
    with pytest.raises(UnknownSchema):
        await source.describe("event", ["kind"], exact=True, within_s=WITHIN_S)
    with pytest.raises(UnknownAttribute) as attribute:
        await source.profile("events", "kinds", top=1, within_s=WITHIN_S)
    assert attribute.value.suggestions[0] == "kind"


async def test_what_a_session_said_is_in_no_file_once_it_is_gone(places: Path, house: House) -> None:
    kept, gone = await house.opened(), await house.opened()
    await house.found(kept, "to be kept")
    await house.found(gone, "to be forgotten")
    source = house.source()
    assert await value(source, "SELECT count(*) FROM findings") == 2
    assert any(b"to be forgotten" in file for file in held(places))
    await house.sessions.close(gone, principal="ann")
    assert await rows(source, "SELECT value FROM findings") == (("to be kept",),)
    assert await counts(source) == {"events": 2, "findings": 1, "sessions": 1}
    assert not any(b"to be forgotten" in file for file in held(places))
    assert any(b"to be kept" in file for file in held(places))


async def test_events_that_were_compacted_are_in_no_file(places: Path, house: House) -> None:
    handle = await house.opened(label="long")
    for kept_value in ("early value", "late value"):
        await house.sessions.remember(handle, principal="ann", kind="context", key="k", value=kept_value)
    source = house.source()
    assert await value(source, "SELECT count(*) FROM events") == 3
    session = await house.sessions.get(handle, principal="ann")
    head = Head(version=session.version, nonce=session.etag.partition("-")[2])
    through = Checkpoint(version=head.version, nonce=head.nonce, state=checkpoint.encoded(session))
    compacting = Draft(at=house.clock(), kind="compacted", actor="ann", body={"through": head.version})
    await house.journal.compact(handle, expected=head, checkpoint=through, draft=compacting)
    assert await rows(source, "SELECT version, kind FROM events") == ((4, "compacted"),)
    assert await rows(source, "SELECT label, events FROM sessions") == (("long", 1),)
    assert await counts(source) == {"events": 1, "findings": 0, "sessions": 1}
    assert not any(b"early value" in file for file in held(places))


async def test_files_are_private_and_none_is_left_behind(places: Path) -> None:
    async with opened_house() as house:
        await house.opened()
        await house.source().schemas()
        await house.source().fingerprint()
        assert inside(places) == [], "what is not measured needs no file"
        await value(house.source(), "SELECT count(*) FROM sessions")
        (folder,) = inside(places)
        if os.name == "posix":
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert inside(places) == []


async def test_a_long_history_is_complete_and_grows(places: Path, house: House) -> None:
    head = await house.many_events("long", 12_000)
    await house.many_events("other", 3_000)
    source = house.source()
    whole = "SELECT count(*), count(DISTINCT (session, version)), sum(version) FROM events"
    assert await rows(source, whole) == ((15_002, 15_002, sum(range(12_002)) + sum(range(3_002))),)
    before = parts(places)
    await house.many_events("long", 10, head)
    assert await rows(source, whole) == ((15_012, 15_012, sum(range(12_012)) + sum(range(3_002))),)
    assert len(before) >= 3
    assert before.items() <= parts(places).items(), "what was written once is not written again"
    assert await value(source, "SELECT count(*) FROM sessions") == 2


@pytest.mark.parametrize("patience_s", [0, 0.03, 0.1])
async def test_a_caller_who_gives_up_harms_no_later_one(house: House, patience_s: float) -> None:
    await house.many_events("long", 2_000)
    source = house.source()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(rows(source, "SELECT count(*) FROM events"), patience_s)
    await house.many_events("second", 10)
    assert await value(source, "SELECT count(*) FROM events") == 2_012


async def test_questions_asked_at_once_each_see_a_whole_history(house: House) -> None:
    await house.many_events("first", 10)
    source = house.source()

    async def asked() -> set[object]:
        return {row[1] for row in await rows(source, "SELECT session, count(*) FROM events GROUP BY 1")}

    asking = [asyncio.create_task(asked()) for _ in range(6)]
    for number in range(5):
        await house.many_events(f"more{number}", 10)
        await asyncio.sleep(0)
    assert [await each for each in asking] == [{11}] * 6
    assert len(await rows(source, "SELECT * FROM sessions")) == 6


async def test_ended_sessions_stay_as_long_as_they_are_kept(places: Path, keeping: House) -> None:
    source = keeping.source()
    closed, expired = await keeping.opened(goal="First?", label="one"), await keeping.opened(label="two")
    await keeping.found(closed, "what was closed")
    await keeping.found(expired, "what expired")
    assert await counts(source) == {"events": 4, "findings": 2, "sessions": 2}
    assert await value(source, "SELECT count(*) FROM findings") == 2
    keeping.clock.advance(60)
    await keeping.sessions.close(closed, principal="ann")
    listed = "SELECT label, status, epoch(ended_at), events, findings FROM sessions ORDER BY label"
    assert await rows(source, listed) == (("one", "ended", NOW + 60, 3, 1), ("two", "open", None, 2, 1))
    keeping.clock.advance(3_600)
    await keeping.opened(label="three")
    assert [row[:2] for row in await rows(source, listed)] == [("one", "ended"), ("three", "open"), ("two", "ended")]
    assert await rows(source, "SELECT kind FROM events WHERE version = 3") == (("closed",),)
    assert await value(source, "SELECT count(DISTINCT (session, version)) FROM events") == 6
    assert await value(source, "SELECT count(*) FROM findings") == 2
    assert await counts(source) == {"events": 6, "findings": 2, "sessions": 3}
    keeping.clock.advance(86_400 - 3_600 + 1)
    assert [row[0] for row in await rows(source, listed)] == ["three", "two"]
    assert not any(b"what was closed" in file for file in held(places))


async def test_a_history_that_ended_before_the_start_is_there(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with on_disk(path, kept_past_s=86_400.0) as house:
        handle = await house.opened(label="earlier")
        await house.found(handle, "then")
        await house.sessions.close(handle, principal="ann")
    async with on_disk(path, kept_past_s=86_400.0) as house:
        source = house.source()
        assert await counts(source) == {"events": 3, "findings": 1, "sessions": 1}
        assert await rows(source, "SELECT label, value FROM findings") == (("earlier", "then"),)


async def test_what_was_forgotten_from_outside_is_forgotten_here(places: Path, keeping: House) -> None:
    source = keeping.source()
    kept_handle, gone = await keeping.opened(), await keeping.opened()
    await keeping.found(kept_handle, "to be kept")
    await keeping.found(gone, "to be forgotten")
    await keeping.sessions.close(gone, principal="ann")
    assert await value(source, "SELECT count(*) FROM findings") == 2
    assert isinstance(keeping.journal, SqliteJournal)
    await asyncio.to_thread(forget, keeping.journal.path, session=gone, now=keeping.clock())
    assert await rows(source, "SELECT value FROM findings") == (("to be kept",),)
    assert not any(b"to be forgotten" in file for file in held(places))
    assert await rows(source, f"SELECT kind FROM events WHERE session = '{gone}'") == (("forgotten",),)
    assert await rows(source, f"SELECT status, findings FROM sessions WHERE session = '{gone}'") == (("ended", 0),)


async def test_what_another_process_writes_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with on_disk(path, kept_past_s=0.0) as one, on_disk(path, kept_past_s=0.0) as other:
        handle = await one.opened()
        assert await value(one.source(), "SELECT count(*) FROM events") == 1
        await other.found(handle, "from over there")
        assert await rows(one.source(), "SELECT value FROM findings") == (("from over there",),)


async def test_a_damaged_session_hides_no_other(keeping: House) -> None:
    good, bad = await keeping.opened(label="good"), await keeping.opened(label="bad")
    await keeping.found(good, "good")
    await keeping.found(bad, "bad")
    assert isinstance(keeping.journal, SqliteJournal)
    with contextlib.closing(sqlite3.connect(keeping.journal.path)) as file, file:
        file.execute(
            'UPDATE events SET content = \'[1, "opened", "ann", {}, null]\' '
            "WHERE n = (SELECT n FROM sessions WHERE id = ?)",
            (bad,),
        )
    async with kept(House(keeping.journal, keeping.clock, None)) as fresh:
        told = await rows(fresh.source(), "SELECT session, label, findings FROM sessions ORDER BY label NULLS LAST")
        assert told == ((good, "good", 1), (bad, None, 0))
        assert await rows(fresh.source(), "SELECT DISTINCT session FROM events") == ((good,),)


async def test_few_histories_are_mirrored_at_a_time_and_the_longest_unused_makes_room(places: Path) -> None:
    mirrors = Mirrors(most=2)
    async with opened_house(mirrors) as house:
        for principal in ("ann", "ben", "ann", "cy"):
            await house.opened(principal)
            assert int(str(await value(house.source(principal), "SELECT count(*) FROM sessions"))) >= 1
        assert mirrors.open == ("ann", "cy")
        assert len(inside(places)) == 2
        assert await value(house.source("ben"), "SELECT count(*) FROM sessions") == 1
        assert await value(house.source("ann"), "SELECT count(*) FROM sessions") == 2


async def test_a_history_in_use_is_not_closed_for_another_one(places: Path) -> None:
    mirrors = Mirrors(most=1)
    in_use, done = asyncio.Event(), asyncio.Event()

    async def wait(inner: DuckDBSource, _left_s: float) -> tuple[tuple[object, ...], ...]:
        in_use.set()
        await done.wait()
        return await rows(inner, "SELECT session FROM sessions")

    async with opened_house(mirrors) as house:
        handle = await house.opened("ann")
        await value(house.source("ann"), "SELECT 1")

        def unneeded() -> None:
            raise AssertionError("ann has a mirror")

        asking = asyncio.create_task(mirrors.asked("ann", unneeded, wait, within_s=WITHIN_S))  # pyright: ignore[reportArgumentType]
        await in_use.wait()
        with pytest.raises(QuotaSpent):
            await value(house.source("ben"), "SELECT count(*) FROM sessions")
        done.set()
        assert await asking == ((handle,),)
        assert await value(house.source("ben"), "SELECT count(*) FROM sessions") == 0
        assert len(inside(places)) == 1


async def test_a_history_nobody_asks_any_more_leaves_no_files(places: Path) -> None:
    mirrors = Mirrors(idle_s=0.0)
    async with opened_house(mirrors) as house:
        await house.opened()
        assert await value(house.source(), "SELECT count(*) FROM sessions") == 1
        for _ in range(10):
            await asyncio.sleep(0)
        assert mirrors.open == ()
        await mirrors.aclose()
        assert inside(places) == []
        assert await value(house.source(), "SELECT count(*) FROM sessions") == 1


class Broken(MemoryJournal):
    """A journal whose disk went away."""

    is_away = False

    async def sessions(self, owner: str) -> tuple[str, ...]:
        if self.is_away:
            raise StateUnavailable("the disk is gone. Plug it in again.")
        return await super().sessions(owner)


async def test_state_that_cannot_be_read_is_a_source_that_does_not_answer() -> None:
    clock = ManualClock(NOW)
    journal = Broken(clock)
    async with kept(House(journal, clock, None)) as house:
        await house.opened()
        source = house.source()
        assert await value(source, "SELECT count(*) FROM sessions") == 1
        journal.is_away = True
        for asked in (source.schemas(), source.fingerprint(), value(source, "SELECT 1")):
            with pytest.raises(SourceUnreachable, match="Plug it in"):
                await asked
        journal.is_away = False
        assert await value(source, "SELECT count(*) FROM sessions") == 1
