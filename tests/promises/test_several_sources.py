"""Files and New Relic accounts in one server: whose schema is meant, in which language, and what is ranked first."""

from collections.abc import AsyncGenerator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from server.mcp_server import build_server
from server.parts import open_parts
from server.settings import read_settings
from server.simulator.accounts import Account
from sources.nrdb.local import LocalNrdb
from tests.nerdgraph_server import Simulated
from tests.nerdgraph_server import simulated

pytestmark = pytest.mark.anyio

_ORDERS = "SELECT i AS id, 'c' || (i % 7) AS customer, i * 1.5 AS total FROM range(50) t(i)"
_CALLS = "SELECT i AS id, CASE WHEN i % 3 = 0 THEN 'slow' ELSE 'fast' END AS kind FROM range(30) t(i)"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    rows = "\n".join(f"{number},2026-01-{number:02} 00:00:00,{number * 2}" for number in range(1, 21))
    (tmp_path / "data" / "stock.csv").write_text(f"id,counted_at,pieces\n{rows}\n")
    return tmp_path / "data"


@pytest.fixture
async def far() -> AsyncGenerator[Simulated]:
    shop, works = LocalNrdb(tables={"Order": _ORDERS, "Call": _CALLS}), LocalNrdb(tables={"Call": _CALLS})
    try:
        async with simulated([Account(id=11, nrdb=shop), Account(id=22, nrdb=works)]) as found:
            yield found
    finally:
        shop.close()
        works.close()


class Host:
    """A client of a server with both."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def answer(self, tool: str, **arguments: Any) -> dict[str, Any]:
        with anyio.fail_after(30):
            answered = await self._client.call_tool(tool, arguments)
        assert not answered.is_error, answered.content
        assert answered.structured_content is not None
        return answered.structured_content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        with anyio.fail_after(30):
            answered = await self._client.call_tool(tool, arguments)
        assert answered.is_error
        return str(getattr(answered.content[0], "text", ""))


def _told(far: Simulated, state: Path, accounts: str, more: Mapping[str, str]) -> dict[str, str]:
    return {
        "NEW_RELIC_API_KEY": far.key,
        "NEW_RELIC_ACCOUNT_ID": accounts,
        "NEW_RELIC_REGION": far.url,
        "STATE_STORE_TYPE": "memory",
        "UDS_STATE_DIR": str(state),
        **more,
    }


@pytest.fixture
async def host(files: Path, far: Simulated, tmp_path: Path) -> AsyncGenerator[Host]:
    settings = read_settings(_told(far, tmp_path, "11,22", {"UDS_DATA": str(files)}))
    async with open_parts(settings) as parts, Client(build_server(parts, settings)) as client:
        yield Host(client)


async def test_every_source_is_listed_and_those_far_away_are_asked_together(host: Host, far: Simulated) -> None:
    listed = await host.answer("list_schemas")
    assert [each["name"] for each in listed["sources"]] == ["duckdb", "newrelic-11", "newrelic-22", "uds"]
    found = {(each["source"], each["schema"]): each.get("rows") for each in listed["schemas"]}
    assert found["duckdb", "stock"] == 20
    assert {key for key in found if key[1] == "Call"} == {("newrelic-11", "Call"), ("newrelic-22", "Call")}
    asked = [{text for text in each.texts if text.startswith("SHOW EVENT TYPES")} for each in far.received]
    both = [each for each, texts in zip(far.received, asked, strict=True) if texts]
    assert len(both) == 1
    assert sum(text.startswith("SHOW EVENT TYPES") for text in both[0].texts) == 2


async def test_a_listing_says_what_counted_it_and_is_kept_for_a_while(host: Host, far: Simulated) -> None:
    first = (await host.answer("list_schemas", source="newrelic-11"))["provenance"]
    assert any("FACET eventType()" in query for query in first["queries"])
    asked = len(far.received)
    again = (await host.answer("list_schemas", source="newrelic-11"))["provenance"]
    assert len(far.received) == asked
    assert again["as_of"] == first["as_of"]
    await host.answer("cache", action="invalidate", source="newrelic-11")
    anew = (await host.answer("list_schemas", source="newrelic-11"))["provenance"]
    assert len(far.received) > asked
    assert anew["as_of"] > first["as_of"]


async def test_a_schema_is_found_in_whichever_source_has_it(host: Host) -> None:
    assert (await host.answer("describe_schema", schema="stock"))["provenance"]["source"] == "duckdb"
    assert (await host.answer("describe_schema", schema="Order"))["provenance"]["source"] == "newrelic-11"
    told = await host.refusal("describe_schema", schema="Call")
    assert told == 'invalid_argument: several sources have a schema "Call": pass source="newrelic-11" or "newrelic-22".'
    there = await host.answer("describe_schema", schema="Call", source="newrelic-22")
    assert there["provenance"]["source"] == "newrelic-22"
    assert 'Did you mean "Order"?' in await host.refusal("describe_schema", schema="Ordr")


async def test_a_query_says_which_source_or_language_it_is_for(host: Host) -> None:
    assert "name the source: one of duckdb, newrelic-11, newrelic-22" in await host.refusal(
        "run_query", query="SELECT 1"
    )
    told = await host.refusal("run_query", query="SELECT count(*) FROM Call", dialect="nrql")
    assert "name the source: one of newrelic-11, newrelic-22" in told
    sql = await host.answer("run_query", query="SELECT sum(pieces) FROM stock", dialect="sql")
    assert (sql["rows"], sql["provenance"]["source"]) == ([["420"]], "duckdb") or sql["rows"] == [[420]]
    nrql = await host.answer("run_query", query="SELECT max(total) FROM Order", source="newrelic-11")
    assert nrql["rows"] == [[73.5]]
    told = await host.refusal("run_query", query="SELECT 1", source="newrelic-11", dialect="sql")
    assert 'source "newrelic-11" speaks nrql, not sql' in told


async def test_who_asks_new_relic_for_their_own_history_is_told_where_it_is(far: Simulated, tmp_path: Path) -> None:
    settings = read_settings(_told(far, tmp_path, "11", {}))
    async with open_parts(settings) as parts, Client(build_server(parts, settings)) as client:
        told = await Host(client).refusal("run_query", query="SELECT count(*) FROM findings")
    assert 'To ask your own history, pass source="uds"' in told


async def test_files_answer_nrql_and_refuse_by_name_what_they_cannot(host: Host) -> None:
    asked = "SELECT sum(pieces), count(*) FROM stock WHERE id > 10"
    answer = await host.answer("run_query", query=asked, source="duckdb", dialect="nrql")
    assert answer["rows"] == [[310, 10]]
    days = "SELECT count(*) FROM stock SINCE '2026-01-05 00:00:00' UNTIL '2026-01-08 00:00:00'"
    assert (await host.answer("run_query", query=days, source="duckdb", dialect="nrql"))["rows"] == [[3]]
    refused = "SELECT cdfPercentage(pieces, 4) FROM stock"
    assert "cdfPercentage()" in await host.refusal("run_query", query=refused, source="duckdb", dialect="nrql")


async def test_one_answer_is_not_taken_for_another_of_the_same_text_in_another_language(host: Host) -> None:
    text = "SELECT count(*) FROM stock"
    near = await host.answer("run_query", query=text, source="duckdb")
    far = await host.answer("run_query", query=text, source="duckdb", dialect="nrql")
    assert (near["columns"][0]["name"], far["columns"][0]["name"]) == ("count_star()", "count")


async def test_a_statement_is_asked_once_however_it_is_written(host: Host, far: Simulated) -> None:
    first = await host.answer(
        "run_query", source="newrelic-11", query="select COUNT(*) from Order where id>3 since 1 day ago"
    )
    again = await host.answer(
        "run_query", source="newrelic-11", query="FROM `Order` SELECT count(*) SINCE 1 DAY AGO WHERE id > 3"
    )
    assert (first["provenance"]["cached"], again["provenance"]["cached"]) == (False, True)
    assert first["rows"] == again["rows"]
    assert sum("id > 3" in text for text in far.statements) == 1


async def test_what_looks_at_the_last_minutes_is_always_asked_anew(host: Host, far: Simulated) -> None:
    for _ in range(2):
        answer = await host.answer(
            "run_query", source="newrelic-11", query="SELECT count(*) FROM Order SINCE 30 minutes ago"
        )
        assert not answer["provenance"]["cached"]
    assert sum("30 minutes" in text for text in far.statements) == 2


async def test_an_estimate_is_told_to_be_one(host: Host) -> None:
    answer = await host.answer("run_query", source="newrelic-11", query="SELECT median(total) FROM Order")
    assert answer["hints"][0] == "Percentiles are estimates."


async def test_what_the_caller_asked_about_before_is_ranked_first_where_that_may_be_read(
    far: Simulated, tmp_path: Path
) -> None:
    """The first server's queries are the history that the second reads."""
    for allowed, expected in (("off", ["Call", "Order"]), ("on", ["Order", "Call"])):
        settings = read_settings(_told(far, tmp_path, "11", {"NEW_RELIC_QUERY_HISTORY": allowed}))
        async with open_parts(settings) as parts, Client(build_server(parts, settings)) as client:
            host = Host(client)
            listed = await host.answer("list_schemas", source="newrelic")
            assert [each["schema"] for each in listed["schemas"]] == expected
            for limit in (1, 2, 3):
                await host.answer("run_query", query=f"SELECT id FROM Order SINCE 1 day ago LIMIT {limit}")
    assert listed["schemas"][0]["asked"] >= 3
    assert any("queryHistory" in each.document for each in far.received)
