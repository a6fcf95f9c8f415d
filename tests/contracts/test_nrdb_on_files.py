"""NRQL on files, through the source: the answers, the walls, and the words when there is nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pytest

from sources.abilities import SpeaksNrql
from sources.duckdb.source import DuckDBSource
from sources.duckdb.source import bundled_sample
from sources.errors import QueryRejected
from sources.errors import TooLarge
from sources.protocol import Table

pytestmark = pytest.mark.anyio

NOW_S = 1_700_000_000.0


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled sample and a table of odd values."""
    made = tmp_path_factory.mktemp("files")
    for file in bundled_sample().glob("*.parquet"):
        (made / file.name).write_bytes(file.read_bytes())
    with duckdb.connect() as connection:
        odd = (
            "SELECT 9007199254740993 AS big, 'a' || chr(7) || 'b' AS bell, NULL AS nothing, i AS n FROM range(300) t(i)"
        )
        connection.execute(f"COPY ({odd}) TO '{made / 'odd name.parquet'}'")
    return made


@pytest.fixture(scope="module")
async def source(folder: Path) -> AsyncIterator[DuckDBSource]:
    found = DuckDBSource(paths=(folder,), clock=lambda: NOW_S)
    yield found
    await found.aclose()


async def _asked(source: DuckDBSource, text: str, limit: int = 100, offset: int = 0) -> Table:
    return await source.query_nrql(text, limit=limit, offset=offset, within_s=30)


async def test_files_speak_nrql(source: DuckDBSource) -> None:
    assert isinstance(source, SpeaksNrql)


@pytest.mark.parametrize(
    ("nrql", "sql"),
    [
        ("SELECT count(*) FROM flights", "SELECT count(*) FROM flights"),
        (
            "SELECT count(*), average(dep_delay) FROM flights FACET carrier",
            "SELECT carrier, count(*), avg(dep_delay) FROM flights GROUP BY ALL ORDER BY 2 DESC",
        ),
        (
            "SELECT max(distance), uniqueCount(tailnum) FROM flights WHERE origin = 'JFK' AND dest LIKE 's%'",
            "SELECT max(distance), count(DISTINCT tailnum) FROM flights WHERE origin = 'JFK' AND dest ILIKE 's%'",
        ),
        (
            "SELECT count(*) FROM flights SINCE '2013-01-05' UNTIL '2013-01-06'",
            "SELECT count(*) FROM flights WHERE time_hour >= '2013-01-05' AND time_hour < '2013-01-06'",
        ),
        (
            "SELECT name FROM airlines WHERE carrier IN (FROM flights SELECT uniques(carrier) WHERE distance > 2500)",
            "SELECT name FROM airlines WHERE carrier IN (SELECT carrier FROM flights WHERE distance > 2500)",
        ),
    ],
)
async def test_nrql_and_sql_agree_on_the_same_files(source: DuckDBSource, nrql: str, sql: str) -> None:
    found = await _asked(source, nrql)
    expected = await source.query(sql, limit=100, within_s=30)
    assert [[_rounded(cell) for cell in row] for row in found.rows] == [
        [_rounded(cell) for cell in row] for row in expected.rows
    ]


def _rounded(cell: object) -> object:
    return round(cell, 9) if isinstance(cell, float) else cell


async def test_buckets_of_time_have_their_begin_and_end(source: DuckDBSource) -> None:
    text = "SELECT count(*) FROM flights TIMESERIES 1 day SINCE '2013-01-05' UNTIL '2013-01-07'"
    table = await _asked(source, text)
    assert [column.name for column in table.columns] == ["begin", "end", "count"]
    assert [row[0] for row in table.rows] == ["2013-01-05T00:00:00Z", "2013-01-06T00:00:00Z"]
    assert table.provenance.window == "2013-01-05T00:00:00Z to 2013-01-07T00:00:00Z"
    assert table.repeatable
    assert table.schemas == ("flights",)


async def test_without_since_all_rows_are_read_and_that_is_said(source: DuckDBSource) -> None:
    table = await _asked(source, "SELECT count(*) FROM flights")
    assert table.rows == ((27004,),)
    assert table.provenance.window is None
    assert any("no window" in remark for remark in table.remarks)


async def test_pages_follow_each_other(source: DuckDBSource) -> None:
    text = "SELECT count(*) FROM flights FACET carrier"
    whole = await _asked(source, text)
    first, second = await _asked(source, text, limit=4), await _asked(source, text, limit=4, offset=4)
    assert (first.more, whole.more) == (True, False)
    assert (*first.rows, *second.rows) == whole.rows[:8]


async def test_whole_numbers_stay_exact_and_text_is_made_safe(source: DuckDBSource) -> None:
    table = await _asked(source, "SELECT latest_big, bell FROM `odd name` WITH big AS latest_big LIMIT 1")
    assert table.rows == (("9007199254740993", "ab"),)


async def test_an_unknown_event_type_is_refused_with_the_nearest(source: DuckDBSource) -> None:
    with pytest.raises(QueryRejected, match="flights") as refusal:
        await _asked(source, "SELECT count(*) FROM flihts")
    assert str(refusal.value).splitlines()[-1] == " " * 21 + "^"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT count(*) FORM flights", "FORM"),
        ("SELECT cdfPercentage(distance, 1) FROM flights", "cdfPercentage()"),
        ("SELECT count(*) FROM airlines SINCE 1 day ago", "airlines"),
        ("SELECT count(*) FROM flights TIMESERIES", "window"),
        ("SELECT latest(name) FROM airlines", "latest()"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_a_caret(source: DuckDBSource, text: str, told: str) -> None:
    with pytest.raises(QueryRejected, match="\\^") as refusal:
        await _asked(source, text)
    assert told in str(refusal.value)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT count(*) FROM flights WHERE carrier = 'XX'", "`carrier = 'XX'` alone removes all 27,004 rows"),
        ("SELECT count(*) FROM flights WHERE carier = 'UA'", "Did you mean carrier?"),
        ("SELECT count(*) FROM flights WHERE carrier = 'UA' AND dest = 'HNL' AND origin = 'LGA'", "keeps 62"),
        ("SELECT count(*) FROM flights SINCE 1 day ago", "2013-02-01"),
        ("SELECT * FROM flights WHERE distance > '100'", "removes all"),
    ],
)
async def test_nothing_is_explained_by_what_was_measured(source: DuckDBSource, text: str, told: str) -> None:
    assert told in str((await _asked(source, text)).diagnosis)


async def test_a_window_that_moves_is_not_repeatable(source: DuckDBSource) -> None:
    assert not (await _asked(source, "SELECT count(*) FROM flights SINCE 20 years ago")).repeatable


async def test_no_text_of_nrql_reaches_behind_the_walls(source: DuckDBSource) -> None:
    for text in (
        "SELECT count(*) FROM `flights\"; COPY flights TO '/tmp/stolen'; --`",
        "SELECT count(*) FROM flights WHERE origin = 'x\\'; DROP VIEW flights; --'",
        'SELECT `x"; DROP VIEW flights; --` FROM flights LIMIT 1',
        "SELECT read_text('/etc/passwd') FROM flights",
        "SELECT count(*) FROM `read_text('/etc/passwd')`",
        "SELECT capture(origin, r'(') FROM flights LIMIT 1",
    ):
        try:
            table = await _asked(source, text)
        except QueryRejected:
            continue
        assert not table.rows or table.rows[0][0] in (0, None)
    assert (await _asked(source, "SELECT count(*) FROM flights")).rows == ((27004,),)


async def test_a_histogram_that_the_wire_would_cut_is_refused(source: DuckDBSource) -> None:
    with pytest.raises((QueryRejected, TooLarge)):
        await _asked(source, "SELECT histogram(n, 300, 300) FROM `odd name`")
