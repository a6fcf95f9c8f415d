"""Discovery through a client: everything measured, with provenance, on the bundled sample."""

import re
from datetime import UTC
from datetime import datetime
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

PROVENANCE = {"source", "queries", "rows_inspected", "method", "as_of", "cached", "age_s", "truncated", "took_ms"}


def _check_provenance(answer: dict[str, Any]) -> None:
    provenance = answer["provenance"]
    assert provenance.keys() >= PROVENANCE
    assert isinstance(answer["hints"], list)
    assert datetime.fromisoformat(provenance["as_of"]).tzinfo == UTC


async def test_every_schema_of_the_sample_is_listed_with_its_size(ask: Any) -> None:
    answer = await ask("list_schemas")
    _check_provenance(answer)
    listed = {entry["schema"]: entry for entry in answer["schemas"] if entry["source"] == "duckdb"}
    assert set(listed) == {"airlines", "airports", "flights", "planes", "weather"}
    assert answer["total"] == 5 + 3, "with the schemas of the history"
    assert listed["airlines"]["rows"] == 16
    assert listed["flights"]["attributes"] == 19
    assert answer["sources"][0] == {
        "name": "duckdb",
        "kind": "duckdb",
        "status": "ok",
        "origin": answer["sources"][0]["origin"],
    }
    assert [source["name"] for source in answer["sources"]] == ["duckdb", "uds"]


async def test_a_search_ranks_and_filters_schemas(ask: Any) -> None:
    answer = await ask("list_schemas", search="wind speed and temperature")
    assert answer["schemas"][0]["schema"] == "weather"
    assert answer["schemas"][0]["relevance"] == 1.0


async def test_a_search_without_a_match_is_explained(ask: Any) -> None:
    answer = await ask("list_schemas", search="flihgts")
    assert answer["schemas"] == []
    assert 'Did you mean "flights"?' in answer["hints"][0]


async def test_a_list_is_paged_by_its_cursor(ask: Any) -> None:
    first = await ask("list_schemas", limit=2, source="duckdb")
    second = await ask("list_schemas", limit=2, source="duckdb", cursor=first["next_cursor"])
    third = await ask("list_schemas", limit=2, source="duckdb", cursor=second["next_cursor"])
    names = [entry["schema"] for page in (first, second, third) for entry in page["schemas"]]
    assert names == ["airlines", "airports", "flights", "planes", "weather"]
    assert "next_cursor" not in third


async def test_the_described_numbers_are_those_of_plain_sql(ask: Any) -> None:
    described = await ask("describe_schema", schema="flights")
    _check_provenance(described)
    names = [attribute["name"] for attribute in described["attributes"]]
    counted = await ask(
        "run_query",
        query="select " + ", ".join(f'count("{n}"), count(distinct "{n}")' for n in names) + ", count(*) from flights",
    )
    (row,) = counted["rows"]
    rows = row[-1]
    assert described["rows"] == rows
    for place, attribute in enumerate(described["attributes"]):
        nonnull, distinct = row[2 * place], row[2 * place + 1]
        assert attribute["null_share"] == pytest.approx(1 - nonnull / rows, abs=1e-6), attribute["name"]
        assert attribute["distinct_is_exact"]
        assert attribute["distinct"] == distinct, attribute["name"]


async def test_every_number_can_be_traced_to_a_query(ask: Any) -> None:
    described = await ask("describe_schema", schema="airlines")
    assert described["provenance"]["queries"]
    assert described["provenance"]["rows_inspected"] >= 16
    assert described["provenance"]["method"] in {"exact", "metadata"}


async def test_named_attributes_alone_are_described_in_the_order_asked(ask: Any) -> None:
    answer = await ask("describe_schema", schema="flights", attributes=["tailnum", "carrier"])
    assert [attribute["name"] for attribute in answer["attributes"]] == ["tailnum", "carrier"]


async def test_a_list_sent_as_text_is_understood(ask: Any) -> None:
    answer = await ask("describe_schema", schema="flights", attributes='["carrier"]')
    assert [attribute["name"] for attribute in answer["attributes"]] == ["carrier"]


async def test_an_attribute_is_profiled_in_full(ask: Any) -> None:
    answer = await ask("profile_attribute", schema="flights", attribute="dep_delay", top=3)
    _check_provenance(answer)
    assert answer["min"] < answer["quantiles"]["p50"] < answer["max"]
    assert set(answer["quantiles"]) == {"p01", "p05", "p25", "p50", "p75", "p95", "p99"}
    assert len(answer["top_values"]) == 3
    assert answer["top_values"][0]["rows"] >= answer["top_values"][1]["rows"]
    (row,) = (await ask("run_query", query="select count(dep_delay), avg(dep_delay) from flights"))["rows"]
    assert sum(bucket["rows"] for bucket in answer["histogram"]) == row[0]
    assert answer["mean"] == pytest.approx(row[1])


async def test_text_has_formats(ask: Any) -> None:
    answer = await ask("profile_attribute", schema="flights", attribute="tailnum")
    assert answer["formats"]
    assert all(0 < entry["share"] <= 1 for entry in answer["formats"])


async def test_a_query_joins_schemas(ask: Any) -> None:
    answer = await ask(
        "run_query",
        query="select name, count(*) as flights from flights join airlines using (carrier) group by 1 order by 2 desc",
    )
    _check_provenance(answer)
    assert [column["name"] for column in answer["columns"]] == ["name", "flights"]
    assert answer["row_count"] == len(answer["rows"]) > 5


async def test_a_large_result_comes_in_pages_without_a_gap(ask: Any) -> None:
    query = "select tailnum, year, seats from planes order by tailnum"
    seen: list[Any] = []
    answer = await ask("run_query", query=query, limit=1000)
    seen += answer["rows"]
    while "next_cursor" in answer:
        answer = await ask("run_query", query=query, limit=1000, cursor=answer["next_cursor"])
        seen += answer["rows"]
    (row,) = (await ask("run_query", query="select count(*) from planes"))["rows"]
    assert len(seen) == row[0]
    assert seen == sorted(seen, key=lambda each: each[0])


async def test_a_wide_result_is_cut_to_what_fits_and_says_so(ask: Any) -> None:
    answer = await ask("run_query", query="select * from flights")
    assert answer["row_count"] < 100
    assert answer["provenance"]["truncated"]
    assert any("next_cursor" in hint for hint in answer["hints"])


async def test_an_empty_result_names_the_predicate_that_emptied_it(ask: Any) -> None:
    answer = await ask("run_query", query="select * from flights where carrier = 'ZZ' and month = 1")
    assert answer["rows"] == []
    assert "carrier" in answer["diagnosis"]
    assert "ZZ" in answer["diagnosis"]


async def test_a_repeated_call_is_served_from_the_cache_and_says_so(ask: Any) -> None:
    first = await ask("profile_attribute", schema="weather", attribute="temp")
    second = await ask("profile_attribute", schema="weather", attribute="temp")
    assert not first["provenance"]["cached"]
    assert second["provenance"]["cached"]
    assert second["provenance"]["tier"] == "memory"
    assert second["provenance"]["age_s"] >= 0
    del first["provenance"], second["provenance"]
    assert first == second


async def test_what_depends_on_the_clock_is_never_served_from_the_cache(ask: Any) -> None:
    answers = [await ask("run_query", query="select now() as n, count(*) from airlines") for _ in range(2)]
    assert [answer["provenance"]["cached"] for answer in answers] == [False, False]


@pytest.mark.parametrize(
    ("tool", "arguments", "pattern"),
    [
        ("describe_schema", {"schema": "flihgts"}, r'^unknown_schema: .*Did you mean "flights".*list_schemas'),
        ("describe_schema", {"schema": "flights", "attributes": ["carier"]}, r'^unknown_attribute: .*"carrier"'),
        ("describe_schema", {"schema": "flights", "source": "nope"}, r'^unknown_source: .*"duckdb"'),
        ("describe_schema", {"schema": "flights", "session": "nope"}, r"^unknown_session: "),
        ("describe_schema", {"schema": "flights", "cursor": "nope"}, r"^invalid_argument: cursor"),
        ("describe_schema", {"schema": "flights", "attributes": []}, r"^invalid_argument: attributes is empty"),
        ("describe_schema", {"schemas": "flights"}, r'^invalid_argument: .*"schemas".*"schema"'),
        ("describe_schema", {}, r"^invalid_argument: schema is required"),
        ("profile_attribute", {"schema": "flights", "attribute": "DEP_DELAYS"}, r'^unknown_attribute: .*"dep_delay"'),
        ("profile_attribute", {"schema": "flights", "attribute": "carrier", "top": 1000}, r"^invalid_argument: top"),
        ("run_query", {"query": "select * from flihgts"}, r"^query_rejected: .*flights"),
        ("run_query", {"query": "select carier from flights"}, r"^query_rejected: .*carrier"),
        ("run_query", {"query": "drop table flights"}, r"^query_rejected: "),
        ("run_query", {"query": "select 1; select 2"}, r"^query_rejected: "),
        ("run_query", {"query": "select 1", "dialect": "nrql"}, r"^query_rejected: FROM is missing.*\n *\^\nAdd FROM"),
        ("run_query", {"query": "select 1", "limit": 0}, r"^invalid_argument: limit"),
        ("run_query", {"query": "x" * 100_001}, r"^invalid_argument: query"),
        ("list_schemas", {"limit": "many"}, r"^invalid_argument: limit"),
    ],
)
async def test_a_wrong_call_is_told_what_to_do(
    refusal: Any, tool: str, arguments: dict[str, Any], pattern: str
) -> None:
    text = await refusal(tool, **arguments)
    assert re.search(pattern, text, re.DOTALL), text
    assert len(text) <= 2_000


async def test_both_eras_get_the_same_answers(client: Any) -> None:
    result = await client.call_tool("describe_schema", {"schema": "airlines"})
    assert result.structured_content["rows"] == 16
