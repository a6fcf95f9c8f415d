"""Statements of a caller over the wire: the client, and the product's simulator, which runs them on rows."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.simulator.accounts import Account
from server.simulator.accounts import Entity
from server.simulator.entities import made_guid
from sources.errors import QueryRejected
from sources.newrelic.client import NerdGraph
from sources.newrelic.regions import endpoint
from sources.newrelic.source import NewRelicSource
from sources.nrdb.local import LocalNrdb
from sources.protocol import Table
from tests.nerdgraph_server import simulated

pytestmark = pytest.mark.anyio

GUID = made_guid(1, "APM", "APPLICATION", "1")
TABLES = {
    "Transaction": """
        SELECT now()::TIMESTAMP - to_minutes(1 + i % 1200) AS time, 'app' || (i % 15) AS appName, (i % 100) / 10.0
            AS duration, CASE WHEN i % 7 = 0 THEN '500' ELSE '200' END AS "response.status", i % 10 = 0 AS error
        FROM range(3000) numbers(i)""",
    "Span": f"""
        SELECT now()::TIMESTAMP - to_minutes(1 + i % 1200) AS time, '{GUID}' AS entityGuid, 't' || i AS traceId,
            CASE WHEN i > 999 THEN 'x' END AS "trace.id"
        FROM range(500) numbers(i)""",
}
Values = dict[str, Any]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def source(anyio_backend: str) -> AsyncIterator[NewRelicSource]:
    assert anyio_backend
    nrdb = LocalNrdb(tables=TABLES, clock=lambda: time.time() - 120)
    account = Account(
        id=1,
        nrdb=nrdb,
        entities=(Entity(guid=GUID, name="Shop"),),
        ghost_attributes={"Span": {"trace.id": "string"}},
    )
    try:
        async with simulated([account]) as far:
            graph = NerdGraph(endpoint=endpoint(far.url), key=far.key)
            made = NewRelicSource(graph=graph, account=1, window_s=2 * 86_400)
            yield made
            await made.aclose()
            await graph.aclose()
    finally:
        nrdb.close()


async def asked(source: NewRelicSource, text: str, *, limit: int = 100, offset: int = 0) -> Table:
    return await source.query(text, limit=limit, offset=offset, within_s=20)


def only(table: Table) -> Values:
    assert len(table.rows) == 1
    return dict(zip([column.name for column in table.columns], table.rows[0], strict=True))


async def test_aggregates_come_as_one_row_of_plain_values(source: NewRelicSource) -> None:
    text = "SELECT count(*), filter(count(*), WHERE error IS TRUE), percentage(count(*), WHERE error IS TRUE)"
    table = await asked(source, f"{text}, percentile(duration, 50, 95), apdex(duration, t: 0.5) AS a FROM Transaction")
    row = only(table)
    assert row["count"] == 3000
    assert row["filter(count(*), WHERE error IS TRUE)"] == 300
    assert row["percentage(count(*), WHERE error IS TRUE)"] == 10
    assert (row["a.s"], row["a.count"]) == (180, 3000)
    assert row["percentile.duration.50"] == pytest.approx(4.95, abs=0.2)
    assert table.provenance.rows_inspected == 3000
    assert (table.diagnosis, table.remarks) == (None, ("Percentiles are estimates.",))


async def test_facets_are_all_there_page_by_page(source: NewRelicSource) -> None:
    text = "SELECT count(*) FROM Transaction FACET appName"
    pages = [await asked(source, text, limit=6, offset=offset) for offset in (0, 6, 12)]
    assert [page.more for page in pages] == [True, True, False]
    rows = [row for page in pages for row in page.rows]
    assert sorted(rows) == sorted((f"app{number}", 200) for number in range(15))


async def test_facets_beyond_a_limit_are_told_and_sums_are_honest(source: NewRelicSource) -> None:
    table = await asked(source, "SELECT count(*) FROM Transaction FACET appName LIMIT 3")
    assert [row[1] for row in table.rows] == [200, 200, 200]
    assert table.remarks == (
        "Beyond the first 3 facet values, all others together have count 2,400; all values together have count 3,000.",
    )


async def test_empty_buckets_have_no_average(source: NewRelicSource) -> None:
    table = await asked(source, "SELECT average(duration), count(*) FROM Transaction TIMESERIES 1 day")
    assert [column.name for column in table.columns] == ["begin", "end", "inspected", "average.duration", "count"]
    assert sum(int(str(row[2])) for row in table.rows) == 3000
    assert all((row[3] is None) == (row[2] == 0) and row[2] == row[4] for row in table.rows)


async def test_values_of_one_thing_are_rows(source: NewRelicSource) -> None:
    uniques = await asked(source, "SELECT uniques(appName) FROM Transaction")
    assert {str(row[0]) for row in uniques.rows} == {f"app{number}" for number in range(15)}
    histogram = await asked(source, "SELECT histogram(duration, 10, 5) FROM Transaction")
    assert histogram.rows == ((0, 2, 600), (2, 4, 600), (4, 6, 600), (6, 8, 600), (8, None, 600))
    assert {str(row[0]) for row in (await asked(source, "SHOW EVENT TYPES")).rows} == set(TABLES)


async def test_a_status_that_is_text_is_told_when_it_is_compared_with_a_number(source: NewRelicSource) -> None:
    table = await asked(source, "SELECT count(*) FROM Transaction WHERE response.status >= 500")
    assert table.rows == ((0,),)
    assert table.diagnosis is not None
    assert "write numeric(response.status) >= 500" in table.diagnosis
    assert "`response.status >= 500` alone removes all 3,000" in table.diagnosis
    assert only(await asked(source, "SELECT count(*) FROM Transaction WHERE numeric(response.status) >= 500"))["count"]


async def test_the_value_that_was_meant_is_near(source: NewRelicSource) -> None:
    table = await asked(source, "SELECT count(*) FROM Transaction WHERE appName = 'App3' AND duration > 2")
    assert table.diagnosis is not None
    assert "`appName = 'App3'` alone removes all 3,000" in table.diagnosis
    assert "Frequent values of `appName` are 'app3'," in table.diagnosis


async def test_an_attribute_that_is_listed_and_empty_is_told_beside_the_one_that_is_filled(
    source: NewRelicSource,
) -> None:
    table = await asked(source, "SELECT count(*) FROM Span WHERE trace.id = 't1'")
    assert table.diagnosis is not None
    assert "`trace.id` is listed but has no value in any of these 500 events; `traceId` has 500." in table.diagnosis


async def test_a_window_without_events_says_where_they_are(source: NewRelicSource) -> None:
    table = await asked(source, "SELECT count(*) FROM Span SINCE 3 weeks ago UNTIL 2 weeks ago")
    assert table.diagnosis is not None
    assert table.diagnosis.startswith("There are no events of Span in this window; the newest came at 20")


async def test_a_service_is_found_by_its_name(source: NewRelicSource) -> None:
    table = await asked(source, "SELECT count(*) FROM Span WHERE entityName = 'Shop'")
    assert table.rows == ((500,),)
    assert table.remarks[0].startswith("Span has no entityName: 'Shop' was looked up (1 entity: APM APPLICATION)")


async def test_what_the_service_refuses_reaches_the_caller(source: NewRelicSource) -> None:
    with pytest.raises(QueryRejected):
        await asked(source, "SELECT count(*) FROM Transaction TIMESERIES 1 minute SINCE 5 days ago UNTIL 1 day ago")
