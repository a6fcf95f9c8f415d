"""The engine under stress: deadlines, cancelled callers, killed workers, a killed server; and what it answers.

Promise: bad input never hangs; a killed worker is replaced and only its own call fails.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from sources.duckdb.engine import Answer
from sources.duckdb.engine import Engine
from sources.duckdb.limits import EngineLimits
from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import QuotaSpent
from sources.errors import SourceUnreachable
from sources.errors import TooLarge
from sources.protocol import Json

pytestmark = pytest.mark.anyio
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
ROOT = Path(__file__).resolve().parents[2]

LONG = "SELECT count(*) FROM range(100000000000)"
LONG_SCALAR = "SELECT list_reduce(range(50000000), lambda x, y: x + y)"
Made = Callable[..., Engine]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "flights.parquet"
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            "COPY (SELECT i AS id, ['UA', 'AA', 'DL'][i % 3 + 1] AS carrier,"
            f" TIMESTAMP '2024-01-01' + to_hours(i) AS seen FROM range(3000) t(i)) TO '{made}'"
        )
    return made


@pytest.fixture
async def make(data: Path) -> AsyncIterator[Made]:
    engines: list[Engine] = []

    def made(*, workers: int = 1, limits: EngineLimits | None = None) -> Engine:
        engine = Engine(mount=_view(data), readable=(str(data),), workers=workers, limits=limits)
        engines.append(engine)
        return engine

    yield made
    for engine in engines:
        await engine.aclose()


def _view(data: Path) -> dict[str, Json]:
    return {"statements": [f"CREATE VIEW flights AS FROM read_parquet('{data}')"]}


async def _asked(engine: Engine, sql: str, *, limit: int = 10, offset: int = 0, within_s: float = 5) -> Answer:
    return await engine.run_untrusted(sql, limit=limit, offset=offset, within_s=within_s)


def _children(parent: int) -> dict[int, str]:
    """Worker processes of a process, with their states (Z is a zombie)."""
    found: dict[int, str] = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, above = (place / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            if int(above) == parent and b"sources.duckdb.worker" in (place / "cmdline").read_bytes():
                found[int(place.name)] = state
        except OSError:
            continue
    return found


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - other processes set no events
            await asyncio.sleep(0.005)


async def _busy(engine: Engine) -> None:
    await _until(lambda: engine.statistics().busy > 0)


async def _raised(work: Awaitable[object]) -> BaseException | None:
    return (await asyncio.gather(work, return_exceptions=True))[0]  # type: ignore[return-value] - only faults are asked


async def test_rows_come_with_names_types_and_whether_there_are_more(make: Made) -> None:
    engine = make()
    answer = await _asked(engine, "SELECT id, carrier, seen FROM flights ORDER BY id DESC", limit=2, offset=1)
    assert answer.rows.columns == (("id", "BIGINT"), ("carrier", "VARCHAR"), ("seen", "TIMESTAMP"))
    assert answer.rows.rows == ((2998, "AA", "2024-05-04T22:00:00"), (2997, "UA", "2024-05-04T21:00:00"))
    assert answer.rows.more
    assert answer.schemas == ("flights",)
    assert not (await _asked(engine, "FROM flights", limit=10, offset=2990)).rows.more


VALUES = {
    "nothing": ("NULL", None),
    "hugeint": ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
    "2^63": ("9223372036854775808::UBIGINT", "9223372036854775808"),
    "nan": ("'nan'::DOUBLE", "NaN"),
    "infinity": ("'-inf'::FLOAT", "-Infinity"),
    "decimal": ("1.10::DECIMAL(5,2)", 1.1),
    "wide decimal": ("1.2345678901234567890123::DECIMAL(38,22)", "1.2345678901234567890123"),
    "date": ("DATE '2024-02-29'", "2024-02-29"),
    "date of infinity": ("'infinity'::DATE", "infinity"),
    "date far away": ("DATE '5881580-07-10'", "5881580-07-10"),
    "date before the era": ("DATE '0044-03-15 (BC)'", "0044-03-15 (BC)"),
    "timestamp far away": ("TIMESTAMP '290000-01-01'", "290000-01-01T00:00:00"),
    "nanoseconds": ("'1992-01-01 00:00:00.123456789'::TIMESTAMP_NS", "1992-01-01T00:00:00.123456789"),
    "with a zone": ("TIMESTAMPTZ '2024-01-01 03:00+01'", "2024-01-01T02:00:00Z"),
    "time": ("TIME '01:02:03'", "01:02:03"),
    "time with a zone": ("'01:02:03+02'::TIMETZ", "01:02:03+02:00"),
    "interval": ("INTERVAL '1 year 2 days 00:30:00'", "P1Y2DT30M"),
    "blob": ("'\\xAA\\x00'::BLOB", "0xaa00"),
    "uuid": ("UUID '00000000-0000-0000-0000-000000000001'", "00000000-0000-0000-0000-000000000001"),
    "enum": ("'a'::ENUM('a', 'b')", "a"),
    "bits": ("'101'::BIT", "101"),
    "list": ("[1, NULL]", [1, None]),
    "list of zoned": ("[TIMESTAMPTZ '2024-01-01']", ["2024-01-01 00:00:00+00"]),
    "struct": ("{'a': 1, 'b': {'c': 'x'}}", {"a": 1, "b": {"c": "x"}}),
    "struct with a date": ("{'a': DATE '2024-01-01', 'b': 2::HUGEINT ** 2}", {"a": "2024-01-01", "b": 4}),
    "map": ("MAP {'a': 1}", {"a": 1}),
    "map of lists": ("MAP {[1]: 2}", {"key": [[1]], "value": [2]}),
    "union": ("union_value(k := 1)", 1),
    "json": ("'{\"a\": 1}'::JSON", '{"a": 1}'),
    "variant": ("1::VARIANT", 1),
    "array": ("[1, 2]::INT[2]", [1, 2]),
    "controls": ("'a' || chr(27) || 'b' || chr(10)", "ab\n"),
    "emoji": ("'😀'", "😀"),
}


async def test_every_kind_of_value_survives_the_way(make: Made) -> None:
    engine = make()
    wrong: dict[str, Json] = {}
    for name, (expression, expected) in VALUES.items():
        answer = await _asked(engine, f"SELECT {expression} AS v")
        if answer.rows.rows != ((expected,),):
            wrong[name] = answer.rows.rows[0][0]
    assert wrong == {}


async def test_awkward_but_right_texts_run(make: Made) -> None:
    engine = make()
    for sql in (
        "SELECT count(*) FROM flights; -- done",
        "SELECT count(*) FROM flights /* ; */ ;;",
        "SELECT count(*) AS n FROM flights -- no end of line",
        "FROM flights SELECT count(*)",
        "WITH a AS (FROM flights) SELECT count(*) FROM a ORDER BY 1 LIMIT 1;",
    ):
        assert (await _asked(engine, sql)).rows.rows == ((3000,),)
    assert [row[0] for row in (await _asked(engine, "DESCRIBE flights;")).rows.rows] == ["id", "carrier", "seen"]
    assert (await _asked(engine, "SHOW TABLES")).rows.rows == (("flights",),)
    twice = await _asked(engine, "SELECT 1 AS a, 2 AS a")
    assert len({name for name, _ in twice.rows.columns}) == 2


async def test_faults_of_the_query_name_the_remedy(make: Made) -> None:
    engine = make()
    with pytest.raises(QueryRejected, match="carrier") as unknown:
        await _asked(engine, "SELECT carier FROM flights")
    assert "DESCRIBE" in unknown.value.remedy
    with pytest.raises(QueryRejected, match="Conversion") as conversion:
        await _asked(engine, "SELECT carrier::INT FROM flights")
    assert "TRY_CAST" in conversion.value.remedy
    with pytest.raises(QueryRejected, match="offset"):
        await _asked(engine, "FROM flights", offset=10_000_000)


async def test_a_vanished_file_is_told_without_its_folder(make: Made, data: Path) -> None:
    engine = make()
    await engine.ready()
    await asyncio.to_thread(data.unlink)
    with pytest.raises(SourceUnreachable) as gone:
        await _asked(engine, "FROM flights")
    assert "cannot be opened" in str(gone.value)
    assert str(data.parent) not in str(gone.value)
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)


async def test_answers_are_bounded_in_bytes_and_say_so(make: Made) -> None:
    engine = make(limits=EngineLimits(answer_bytes=10_000, cell_chars=50))
    answer = await _asked(engine, "SELECT repeat('x', 1000) FROM range(1000)", limit=1000)
    assert answer.rows.more
    assert answer.rows.cut
    assert 150 < len(answer.rows.rows) < 200
    assert answer.rows.bytes <= 10_000
    with pytest.raises(TooLarge, match="one row"):
        await _asked(engine, f"SELECT {', '.join(['repeat(1::VARCHAR, 49)'] * 300)}")


@pytest.mark.parametrize("sql", [LONG, LONG_SCALAR])
async def test_a_query_over_its_deadline_is_stopped_in_time(make: Made, sql: str) -> None:
    engine = make()
    await engine.ready()
    started = time.monotonic()
    with pytest.raises(QueryTimeout):
        await _asked(engine, sql, within_s=0.4)
    assert time.monotonic() - started < 0.8
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)


async def test_sleeping_is_stopped_in_time(make: Made) -> None:
    engine = make()
    await engine.ready()
    started = time.monotonic()
    with pytest.raises(QueryTimeout):
        await engine.run("SELECT sleep_ms(3000)", within_s=0.3)
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)
    assert time.monotonic() - started < 1.5


async def test_a_scalar_loop_that_ignores_interrupts_costs_its_worker(make: Made) -> None:
    engine = make()
    await engine.ready()
    with pytest.raises(QueryTimeout):
        await _asked(engine, LONG_SCALAR, within_s=0.3)
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)
    assert engine.statistics().spawned == 2


async def test_an_interrupted_query_does_not_cost_its_worker(make: Made) -> None:
    engine = make()
    await engine.ready()
    with pytest.raises(QueryTimeout):
        await _asked(engine, LONG, within_s=0.3)
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)
    assert engine.statistics().spawned == 1


@LINUX
@pytest.mark.parametrize("sql", [LONG, LONG_SCALAR])
async def test_a_cancelled_caller_stops_the_query_at_once(make: Made, sql: str) -> None:
    engine = make()
    await engine.ready()
    (pid,) = _children(os.getpid())
    call = asyncio.create_task(_asked(engine, sql, within_s=60))
    await _busy(engine)
    started = time.monotonic()
    call.cancel()
    assert isinstance(await _raised(call), asyncio.CancelledError)
    assert time.monotonic() - started < 0.2
    await _until(lambda: engine.statistics().busy == 0)
    assert time.monotonic() - started < 1
    assert _is_idle_or_gone(pid)
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)


def _is_idle_or_gone(pid: int) -> bool:
    def ticks() -> int:
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(words[11]) + int(words[12])

    try:
        before = ticks()
        time.sleep(0.2)  # processor time is counted in hundredths of a second
        return ticks() - before <= 5
    except OSError:
        return True


@LINUX
async def test_a_killed_worker_fails_only_its_own_call_and_is_replaced(make: Made) -> None:
    engine = make(workers=2)
    await engine.ready()
    (pid,) = _children(os.getpid())
    doomed = asyncio.create_task(_asked(engine, LONG, within_s=60))
    await _busy(engine)
    neighbour = asyncio.create_task(_asked(engine, "SELECT sum(i) FROM range(1000000) t(i)", within_s=10))
    os.kill(pid, signal.SIGKILL)
    assert isinstance(await _raised(doomed), TooLarge)
    assert (await neighbour).rows.rows == ((499999500000,),)
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)


@LINUX
async def test_a_worker_killed_while_idle_is_not_noticed_by_the_next_call(make: Made) -> None:
    engine = make()
    await engine.ready()
    (pid,) = _children(os.getpid())
    os.kill(pid, signal.SIGKILL)
    await _until(lambda: engine.statistics().killed == 1)
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)


SERVER = """
import asyncio, sys
sys.path.insert(0, {root!r})
from sources.duckdb.engine import Engine
async def main():
    engine = Engine(mount={{"statements": []}}, readable=(), workers=1)
    await engine.ready()
    print("ready", flush=True)
    await engine.run({sql!r}, within_s=60)
asyncio.run(main())
"""


@LINUX
@pytest.mark.parametrize("sql", [LONG, LONG_SCALAR])
async def test_a_killed_server_leaves_no_worker_behind(sql: str) -> None:
    script = SERVER.format(root=str(ROOT), sql=sql)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as server:  # noqa: ASYNC220
        assert server.stdout is not None
        await asyncio.to_thread(server.stdout.readline)
        (pid,) = _children(server.pid)
        server.kill()
        server.wait()
    await _until(lambda: not Path(f"/proc/{pid}").exists())


async def test_two_queries_really_run_at_the_same_time(make: Made) -> None:
    engine = make(workers=2)
    await engine.ready()
    long = asyncio.create_task(_asked(engine, LONG, within_s=60))
    await _busy(engine)
    short = await _asked(engine, "SELECT 1", within_s=5)
    assert short.rows.rows == ((1,),)
    assert not long.done()
    long.cancel()
    await _raised(long)


async def test_callers_wait_in_turn_and_are_sent_away_when_their_time_is_over(make: Made) -> None:
    engine = make()
    await engine.ready()
    long = asyncio.create_task(_asked(engine, LONG, within_s=0.8))
    await _busy(engine)
    order: list[str] = []

    async def noted(name: str) -> None:
        await _asked(engine, "SELECT 1", within_s=5)
        order.append(name)

    waiting = [asyncio.create_task(noted(name)) for name in ("first", "second", "third")]
    with pytest.raises(QuotaSpent) as spent:
        await _asked(engine, "SELECT 1", within_s=0.1)
    assert spent.value.retry_after_s > 0
    assert isinstance(await _raised(long), QueryTimeout)
    await asyncio.gather(*waiting)
    assert order == ["first", "second", "third"]


async def test_a_caller_that_leaves_the_queue_takes_no_worker_with_it(make: Made) -> None:
    engine = make()
    await engine.ready()
    long = asyncio.create_task(_asked(engine, LONG, within_s=0.3))
    await _busy(engine)
    leaving = asyncio.create_task(_asked(engine, "SELECT 1", within_s=5))
    await asyncio.sleep(0)
    leaving.cancel()
    await _raised(leaving)
    await _raised(long)
    assert (await _asked(engine, "SELECT 2")).rows.rows == ((2,),)
    assert engine.statistics().busy == 0


async def test_a_second_worker_is_started_on_demand_and_stopped_when_idle(make: Made) -> None:
    engine = make(workers=2, limits=EngineLimits(idle_s=0.05))
    await engine.ready()
    assert engine.statistics().workers == 1
    long = asyncio.create_task(_asked(engine, LONG, within_s=1))
    await _busy(engine)
    await _asked(engine, "SELECT 1")
    await _raised(long)
    await _until(lambda: engine.statistics().workers == 1)
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)


async def test_a_server_that_waits_ends_even_its_last_worker_and_starts_one_when_asked(make: Made) -> None:
    engine = make(workers=2, limits=EngineLimits(idle_s=0.02, rest_s=0.02))
    await engine.ready()
    await _until(lambda: engine.statistics().workers == 0)
    assert (await _asked(engine, "SELECT 1")).rows.rows == ((1,),)


async def test_progress_of_a_long_scan_is_told(make: Made) -> None:
    engine = make()
    told: list[float] = []
    scan = "SELECT count(*) FROM range(100000) a(i), range(300000) b(j) WHERE (i * 7 + j) % 13 = 5"
    with pytest.raises(QueryTimeout):
        await engine.run_untrusted(
            scan, limit=1, offset=0, within_s=1.5, progress=lambda share, _text: told.append(share)
        )
    assert told
    assert all(0 <= share <= 1 for share in told)


async def test_a_remount_serves_the_new_files_while_running_calls_end_on_the_old(make: Made, data: Path) -> None:
    engine = make(workers=2)
    await engine.ready()
    running = asyncio.create_task(_asked(engine, "SELECT sum(id % 7) FROM flights, range(20000)", within_s=20))
    await _busy(engine)
    plan: dict[str, Json] = {"statements": [f"CREATE VIEW renamed AS FROM read_parquet('{data}')"]}
    await engine.remount(plan, (str(data),))
    assert (await _asked(engine, "SELECT count(*) FROM renamed")).rows.rows == ((3000,),)
    with pytest.raises(QueryRejected, match="no schema named"):
        await _asked(engine, "FROM flights")
    assert len((await running).rows.rows) == 1


async def test_a_mount_that_fails_is_told_and_can_be_mended(make: Made, data: Path) -> None:
    engine = make()
    await engine.ready()
    with pytest.raises(SourceUnreachable, match="did not start"):
        await engine.remount({"statements": ["CREATE VIEW broken AS FROM nothing"]}, ())
    with pytest.raises(SourceUnreachable):
        await _asked(engine, "SELECT 1")
    await engine.remount(_view(data), (str(data),))
    assert (await _asked(engine, "SELECT count(*) FROM flights")).rows.rows == ((3000,),)


def test_an_engine_started_before_there_is_a_loop_serves_in_one(data: Path) -> None:
    engine = Engine(mount=_view(data), readable=(str(data),))
    engine.prestart()
    assert engine.statistics().spawned == 1

    async def served() -> Json:
        try:
            return (await _asked(engine, "SELECT count(*) FROM flights")).rows.rows[0][0]
        finally:
            await engine.aclose()

    assert asyncio.run(served()) == 3000
    assert engine.statistics().spawned == 1


async def test_closing_ends_running_calls_and_leaves_no_process(make: Made) -> None:
    engine = make(workers=2)
    await engine.ready()
    long = asyncio.create_task(_asked(engine, LONG, within_s=60))
    await _busy(engine)
    started = time.monotonic()
    await engine.aclose()
    assert time.monotonic() - started < 1
    assert isinstance(await _raised(long), TooLarge | SourceUnreachable)
    if sys.platform == "linux":
        assert _children(os.getpid()) == {}
    with pytest.raises(SourceUnreachable):
        await _asked(engine, "SELECT 1")


async def test_calls_leave_nothing_behind_for_the_next(make: Made) -> None:
    engine = make()
    for sql in ("CREATE TEMP TABLE kept AS SELECT 1", "SET VARIABLE kept = 1", "CREATE TEMP MACRO kept() AS 1"):
        with pytest.raises(QueryRejected):
            await _asked(engine, sql)
    for sql in ("FROM kept", "SELECT getvariable('kept')", "SELECT kept()"):
        with pytest.raises(QueryRejected):
            await _asked(engine, sql)


DIAGNOSES = {
    "SELECT * FROM flights WHERE carrier = 'dl' AND id > 5": ("carrier = 'dl'", "3,000", "'DL'"),
    "SELECT * FROM flights WHERE id < 10 AND id > 20": ("together", "keeps 10", "keeps 2,979"),
    "SELECT count(*) FROM flights WHERE id > 5000": ("id > 5000", "3,000"),
    "SELECT * FROM flights WHERE seen > TIMESTAMP '2030-01-01' AND (carrier = 'UA' OR id = 1)": (
        "2030",
        "alone removes",
    ),
    "WITH x AS (SELECT * FROM flights WHERE id < 100) SELECT * FROM x WHERE id = 200": ("id = 200", "100 rows"),
    "SELECT carrier, count(*) FROM flights WHERE id > 5 GROUP BY 1 HAVING count(*) > 5000": ("HAVING", "2,994"),
    "SELECT * FROM (SELECT * FROM flights WHERE id < 0)": ("even without WHERE",),
}


async def test_an_empty_result_is_explained_by_measuring_its_conditions(make: Made) -> None:
    engine = make()
    for sql, parts in DIAGNOSES.items():
        diagnosis = (await _asked(engine, sql)).diagnosis
        assert diagnosis is not None, sql
        assert all(part in diagnosis for part in parts), diagnosis
    assert "offset 5000" in str((await _asked(engine, "FROM flights", offset=5000)).diagnosis)


async def test_nothing_is_said_about_a_result_that_needs_no_explanation(make: Made) -> None:
    engine = make()
    for sql in ("SELECT * FROM flights WHERE id = 5", "SELECT count(*) FROM flights", "SELECT 1 WHERE false"):
        assert (await _asked(engine, sql)).diagnosis is None


async def test_explaining_never_takes_longer_than_the_call_may(make: Made) -> None:
    engine = make()
    await engine.ready()
    started = time.monotonic()
    heavy = "SELECT * FROM flights a, flights b, flights c, flights d WHERE false AND a.id = b.id"
    answer = await _asked(engine, heavy, within_s=1)
    assert answer.rows.rows == ()
    assert answer.diagnosis is None
    assert time.monotonic() - started < 1.2
