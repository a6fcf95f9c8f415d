"""NRDB in this process: what it is filled with, how that lies in time, and how it answers many threads."""

from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from sources.duckdb.source import bundled_sample
from sources.nrdb.events import Column
from sources.nrdb.local import LocalNrdb
from sources.nrdb.refused import NotTranslated
from sources.nrql.errors import NrqlError

NOW_S = 1_700_000_000
Opened = Callable[..., LocalNrdb]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens one on a clock that stands still; closed at the end."""
    found: list[LocalNrdb] = []

    def made(folder: Path | None = None, *, tables: dict[str, str] | None = None, **more: bool) -> LocalNrdb:
        nrdb = LocalNrdb(folder, tables=tables, clock=lambda: float(NOW_S), **more)
        found.append(nrdb)
        return nrdb

    yield made
    for nrdb in found:
        nrdb.close()


def test_a_folder_of_files_is_event_types_with_attributes(opened: Opened) -> None:
    nrdb = opened(bundled_sample())
    assert nrdb.event_types() == ("airlines", "airports", "flights", "planes", "weather")
    assert nrdb.keyset("airlines") == (
        Column(name="timestamp", kind="numeric"),
        Column(name="carrier", kind="string"),
        Column(name="name", kind="string"),
    )
    assert nrdb.keyset("nothing") == ()


def test_the_newest_row_of_all_is_of_now_and_distances_stay(opened: Opened) -> None:
    tables = {
        "Early": "SELECT TIMESTAMP '2013-01-01 10:00:00' AS at, 1 AS n",
        "Late": "SELECT TIMESTAMP '2013-01-01 10:30:00' AS at, 2 AS n",
    }
    nrdb = opened(tables=tables)
    rows = nrdb.run("SELECT timestamp, n FROM Early, Late")["results"]
    assert [NOW_S * 1000 - row["timestamp"] for row in rows] == [1, 30 * 60_000 + 1]


def test_rows_without_a_time_are_spread_over_the_last_day(opened: Opened) -> None:
    nrdb = opened(tables={"Plain": "SELECT range AS n FROM range(24)"})
    assert nrdb.run("SELECT count(*) FROM Plain SINCE 1 day ago")["results"] == [{"count": 24}]
    assert nrdb.run("SELECT uniques(n) FROM Plain SINCE 3 hours ago")["results"] == [{"uniques.n": [0, 1, 2]}]


def test_nothing_is_moved_when_it_is_not_to_be_fitted(opened: Opened) -> None:
    nrdb = opened(tables={"Old": "SELECT TIMESTAMP '2013-01-01 10:00:00' AS at"}, fit=False)
    assert nrdb.run("SELECT count(*) FROM Old")["results"] == [{"count": 0}]
    assert nrdb.run("SELECT count(*) FROM Old SINCE '2013-01-01' UNTIL '2013-01-02'")["results"] == [{"count": 1}]


def test_other_instants_of_a_row_move_with_it(opened: Opened) -> None:
    select = "SELECT TIMESTAMP '2013-01-01 10:00:00' AS created_at, TIMESTAMP '2013-01-01 09:00:00' AS ordered_end"
    (row,) = opened(tables={"Order": select}).run("SELECT timestamp - ordered_end AS apart FROM `Order`")["results"]
    assert row == {"apart": 3_600_000}


@pytest.mark.parametrize(("approximate", "is_exact"), [(True, False), (False, True)])
def test_many_distinct_values_are_estimated_as_nrdb_does(opened: Opened, *, approximate: bool, is_exact: bool) -> None:
    tables = {"Few": "SELECT range AS n FROM range(256)", "Many": "SELECT range AS n FROM range(50000)"}
    nrdb = opened(tables=tables, approximate=approximate)
    assert nrdb.run("SELECT uniqueCount(n) FROM Few SINCE 2 days ago")["results"] == [{"uniqueCount.n": 256}]
    (row,) = nrdb.run("SELECT uniqueCount(n) FROM Many SINCE 2 days ago")["results"]
    assert (row["uniqueCount.n"] == 50_000) is is_exact
    assert row["uniqueCount.n"] == pytest.approx(50_000, rel=0.1)


def test_what_is_no_nrql_and_what_is_not_run_here_are_told_apart(opened: Opened) -> None:
    nrdb = opened(tables={"T": "SELECT 1 AS n"})
    with pytest.raises(NrqlError):
        nrdb.run("SELECT count(* FROM T")
    with pytest.raises(NotTranslated):
        nrdb.run("SELECT cdfPercentage(n, 1) FROM T")
    with pytest.raises(NotTranslated, match="local engine"):
        nrdb.run("SELECT max(n * 999999999999999999 * 99) FROM T SINCE 2 days ago")


def test_tables_that_cannot_be_read_say_so_at_once() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        LocalNrdb(tables={"T": "SELECT * FROM nowhere"})


def test_many_threads_may_ask_at_once(opened: Opened) -> None:
    nrdb = opened(bundled_sample())
    text = "SELECT count(*), max(distance) FROM flights FACET carrier SINCE 60 days ago LIMIT MAX"
    expected = nrdb.run(text)["results"]
    with ThreadPoolExecutor(8) as pool:
        answers = [answer["results"] for answer in pool.map(nrdb.run, [text] * 24)]
    assert len(expected) == 16
    assert all(answer == expected for answer in answers)


def test_answers_are_those_of_sql_on_the_same_files(opened: Opened) -> None:
    nrdb = opened(bundled_sample())
    where = "WHERE origin = 'JFK' SINCE 60 days ago"
    rows = nrdb.run(f"SELECT count(*), average(dep_delay) FROM flights FACET carrier LIMIT MAX {where}")
    found = {row["facet"]: (row["count"], pytest.approx(row["average.dep_delay"])) for row in rows["results"]}
    with duckdb.connect() as connection:
        asked = connection.execute(
            "SELECT carrier, count(*), avg(dep_delay) FROM read_parquet(?) WHERE origin = 'JFK' GROUP BY carrier",
            [str(bundled_sample() / "flights.parquet")],
        )
        assert found == {carrier: (count, average) for carrier, count, average in asked.fetchall()}
