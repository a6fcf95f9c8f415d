"""The file with kept answers: deleted, damaged, foreign, newer, locked or full, it costs speed and nothing else."""

import logging
import secrets
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from state.changes import ResultsOutdated
from state.outdated import EVERYTHING
from state.resultfile.results import SqliteResults
from state.tier import LIFE_S
from state.tier import Fresh
from state.tier import Look
from state.tier import Wanted
from tests.conftest import ManualClock
from tests.contracts.tier_contract import HERE
from tests.contracts.tier_contract import THERE
from tests.contracts.tier_contract import fresh
from tests.contracts.tier_contract import looked
from tests.contracts.tier_contract import permit_of
from tests.contracts.tier_contract import settled
from tests.contracts.tier_contract import stored
from tests.contracts.tier_contract import value_of

pytestmark = pytest.mark.anyio

Make = Callable[..., SqliteResults]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "results.db"


@pytest.fixture
async def make(path: Path) -> AsyncIterator[Make]:
    """Tiers over the one file, closed at the end; patient, since the machine may be busy."""
    made: list[SqliteResults] = []

    def another(**options: object) -> SqliteResults:
        tier = SqliteResults(path, **{"patience_s": 10.0, **options})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - by name
        made.append(tier)
        return tier

    yield another
    for tier in made:
        await tier.aclose()


def _remove(path: Path, *endings: str) -> None:
    for ending in endings:
        Path(f"{path}{ending}").unlink(missing_ok=True)


async def test_nothing_is_made_before_somebody_asks_and_then_it_is_private(make: Make, path: Path) -> None:
    tier = make()
    assert not path.parent.exists()
    await stored(tier)
    seen = {place.name: stat.S_IMODE(place.stat().st_mode) for place in path.parent.iterdir()}
    assert seen.pop("results.db.lock", 0o600) == 0o600
    assert set(seen) <= {"results.db", "results.db-wal", "results.db-shm"}
    assert set(seen.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_what_was_stored_outlives_the_process(make: Make) -> None:
    first = make()
    await stored(first)
    await first.aclose()
    assert await value_of(make()) == "value"


@pytest.mark.parametrize("endings", [("",), ("", "-wal", "-shm"), ("", "-wal")])
async def test_a_file_that_is_deleted_while_it_is_open_is_made_anew_by_whoever_notices(
    make: Make, path: Path, endings: tuple[str, ...]
) -> None:
    pair = make(), make()
    await stored(pair[0])
    assert await value_of(pair[1]) == "value"
    _remove(path, *endings)
    assert await value_of(pair[1]) is None
    await stored(pair[0], "anew")
    for tier in (*pair, make()):
        assert await value_of(tier) == "anew"
        assert tier.fault is None


async def test_a_folder_that_is_deleted_is_made_anew(make: Make, path: Path) -> None:
    tier = make()
    await stored(tier)
    for place in path.parent.iterdir():
        place.unlink()
    path.parent.rmdir()
    await stored(tier, "anew")
    assert await value_of(make()) == "anew"


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _garbage(path: Path) -> None:
    path.write_bytes(secrets.token_bytes(20_000))


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5_000])


def _scribbled(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    for page in range(4_096, len(whole), 4_096):
        whole[page : page + 64] = secrets.token_bytes(64)
    path.write_bytes(whole)


def _older(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")


@pytest.mark.parametrize("damage", [_garbage, _emptied, _cut, _scribbled, _older])
async def test_a_damaged_file_is_replaced(make: Make, path: Path, damage: Callable[[Path], None]) -> None:
    first = make()
    await stored(first)
    await stored(first, "there", wanted=THERE)
    await first.aclose()
    damage(path)
    tier = make()
    assert await value_of(tier) is None
    await settled(tier)
    await stored(tier, "anew")
    assert tier.fault is None
    assert await value_of(make()) == "anew"


async def test_a_flipped_bit_in_a_value_is_noticed_and_the_result_dropped(make: Make, path: Path) -> None:
    tier = make()
    await stored(tier, "value")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (value,) = connection.execute("SELECT value FROM results").fetchone()
        connection.execute("UPDATE results SET value = ?", (value[:-1] + bytes([value[-1] ^ 1]),))
    assert await value_of(tier) is None
    await settled(tier)
    assert tier.statistics().unreadable == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (0,)


async def _is_off(tier: SqliteResults, caplog: pytest.LogCaptureFixture, why: str) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await looked(tier) == Look()
        tier.outdate(ResultsOutdated())
        await settled(tier)
    assert [why in line for line in caplog.messages] == [True]
    assert tier.fault is not None
    assert tier.statistics().misses == 3


async def test_a_database_of_something_else_is_left_alone(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = _bytes(path)
    await _is_off(make(), caplog, "not a file of cached answers")
    assert _bytes(path) == before


async def test_a_file_of_a_newer_release_is_left_alone(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = make()
    await stored(first)
    await first.aclose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = _bytes(path)
    await _is_off(make(), caplog, "newer release")
    assert _bytes(path) == before


async def test_a_place_where_no_file_can_be_is_not_asked_again(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.write_text("no folder")
    await _is_off(make(), caplog, "kept in memory only")


async def test_a_locked_file_costs_a_look_and_a_result_that_is_not_stored(make: Make, path: Path) -> None:
    first = make()
    await stored(first)
    await first.aclose()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        tier = make()
        assert await looked(tier) == Look()
        assert tier.statistics().errors == 1
    assert await value_of(tier) == "value"


async def test_what_was_outdated_while_the_file_was_locked_is_not_served_and_told_later(make: Make, path: Path) -> None:
    tier = make()
    await stored(tier, "value", "t")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        tier.outdate(ResultsOutdated(tags=("t",)))
        await settled(tier)
        assert await value_of(tier) is None
        assert await value_of(make()) == "value"
    await stored(tier, "other", wanted=THERE)
    assert await value_of(make()) is None


async def test_results_end_with_their_life_and_age_by_the_wall_clock(make: Make) -> None:
    clock = ManualClock(1e9)
    await stored(make(clock=clock))
    clock.advance(LIFE_S - 1)
    look = await looked(make(clock=clock))
    assert look.kept is not None
    assert look.kept.age_s == LIFE_S - 1
    clock.advance(2)
    assert await value_of(make(clock=clock)) is None
    clock.advance(-2 * LIFE_S)
    assert await value_of(make(clock=clock)) is None, "nobody can tell the age of what comes from the future"


async def test_the_file_stays_within_its_bound_and_keeps_what_is_used(make: Make, path: Path) -> None:
    clock = ManualClock(1e9)
    most = 2 * 2**20
    tier = make(clock=clock, max_bytes=most)
    for number in range(60):
        clock.advance(LIFE_S / 10 if number % 10 == 0 else 1)
        wanted = Wanted(digest=f"{number:064x}", fingerprint="f")
        value = secrets.token_hex(60_000)
        tier.keep(await permit_of(tier, wanted), Fresh(encode=value.encode, age_s=0, size_bytes=1, tags=("t",)))
        await settled(tier)
        if number:
            assert await value_of(tier, Wanted(digest=f"{0:064x}", fingerprint="f")) is not None or number > 55
            await settled(tier)
    assert tier.statistics().stored == 60
    assert sum(place.stat().st_size for place in path.parent.iterdir()) < 2 * most + 5 * 2**20
    kept = [await value_of(tier, Wanted(digest=f"{number:064x}", fingerprint="f")) for number in range(60)]
    assert kept[59] is not None
    assert kept[1] is None


async def test_what_is_too_large_is_not_stored(make: Make) -> None:
    tier = make(max_bytes=2**20)
    tier.keep(await permit_of(tier), fresh(secrets.token_hex(200_000)))
    await settled(tier)
    assert (tier.statistics().stored, tier.statistics().dropped) == (0, 1)


async def test_other_processes_hear_what_was_outdated_in_order(make: Make, path: Path) -> None:
    here, there = make(), make()
    start = (await there.news(None)).position
    assert (await there.news(start)).outdated == ()
    changes = (ResultsOutdated(tags=("a", "b")), ResultsOutdated(pattern="schema:*"), ResultsOutdated())
    for change in changes:
        here.outdate(change)
    await settled(here)
    heard = await there.news(start)
    assert heard.outdated == changes
    assert (await there.news(heard.position)).outdated == ()
    assert (await there.news("7-unknown")).outdated == (EVERYTHING,)
    _remove(path, "", "-wal", "-shm")
    assert (await there.news(heard.position)).outdated == (EVERYTHING,)


async def test_nothing_is_packed_read_or_written_on_the_thread_of_the_event_loop(make: Make) -> None:
    tier = make()
    seen: list[int] = []

    def encode() -> bytes:
        seen.append(threading.get_ident())
        return b"value"

    def decode(body: bytes) -> str:
        seen.append(threading.get_ident())
        return body.decode()

    tier.keep(await permit_of(tier), Fresh(encode=encode, age_s=0.0, size_bytes=1, tags=()))
    await settled(tier)
    assert (await tier.look(HERE, decode)).kept is not None
    assert len(seen) == 2
    assert threading.get_ident() not in seen


async def test_a_look_that_hangs_is_a_miss_and_after_three_the_file_is_not_asked_again(make: Make) -> None:
    tier = make(patience_s=0.01)
    await stored(make())
    go_on = threading.Event()

    def hanging(body: bytes) -> str:
        go_on.wait(10)
        return body.decode()

    for _ in range(3):
        assert tier.fault is None
        assert await tier.look(HERE, hanging) == Look()
    go_on.set()
    assert tier.fault is not None
    assert "too long" in tier.fault
