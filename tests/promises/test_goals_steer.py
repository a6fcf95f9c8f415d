"""A goal changes what discovery returns, and tells how far it is."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from mcp import Client

from tests.promises.conftest import Serve
from tests.promises.conftest import asking

pytestmark = pytest.mark.anyio

TURNS_MOST = 200


async def listed_once_words_are_read(ask: Any, **arguments: Any) -> dict[str, Any]:
    """Words are read behind the first answers, so the first ones may be ranked by names alone."""
    for _ in range(TURNS_MOST):
        answer = await ask("list_schemas", **arguments)
        if answer["schemas"] and answer["schemas"][0].get("relevance"):
            return answer
    raise AssertionError(f"nothing is relevant to {arguments}")


async def test_a_value_is_found_by_what_is_in_the_schemas(ask: Any) -> None:
    found = await listed_once_words_are_read(ask, search="embraer")
    assert [entry["schema"] for entry in found["schemas"]] == ["planes"]
    none = await ask("list_schemas", search="xylophone")
    assert none["schemas"] == []
    assert none["hints"][0].startswith('No name or sampled value matches "xylophone".')


async def test_words_of_like_meaning_find_names(ask: Any) -> None:
    for search, schema in (("aircraft", "planes"), ("lateness", "flights"), ("time zone of airports", "airports")):
        assert (await ask("list_schemas", search=search))["schemas"][0]["schema"] == schema


async def test_the_goal_ranks_all_schemas_and_ones_own_history_comes_last(ask: Any) -> None:
    handle = (await ask("open_session", goal="events and findings: which sessions of late flights?"))["session"]
    listed = (await ask("list_schemas", session=handle))["schemas"]
    assert listed[0]["schema"] == "flights"
    own = [entry for entry in listed if entry["source"] == "uds"]
    assert listed[len(listed) - len(own) :] == own
    assert all("relevance" not in entry for entry in own)


async def test_a_description_names_what_the_goal_is_about_beside_the_same_cached_answer(ask: Any) -> None:
    handle = (await ask("open_session", goal="departure delay by carrier"))["session"]
    plain = await ask("describe_schema", schema="flights")
    steered = await ask("describe_schema", schema="flights", session=handle)
    assert "relevant" not in plain
    assert steered["relevant"][0] == "dep_delay"
    assert "carrier" in steered["relevant"]
    assert len(steered["relevant"]) <= 8
    assert steered["provenance"]["cached"]
    assert steered["attributes"] == plain["attributes"]
    without_goal = (await ask("open_session"))["session"]
    assert "relevant" not in await ask("describe_schema", schema="flights", session=without_goal)


async def test_a_goal_says_what_it_needs_and_progress_follows_what_was_verified(ask: Any) -> None:
    text = "airlines with the worst departure delays and a zebra"
    handle = (await ask("open_session"))["session"]
    goal = (await ask("set_goal", session=handle, goal=text))["goals"][0]
    assert goal["progress"] == 0
    assert [(need["term"], need["met_by"]) for need in goal["needs"]] == [
        ("airlines", "airlines"),
        ("departure delays", "flights.dep_delay"),
    ]
    assert goal["unmet"] == ["zebra"]
    await ask("describe_schema", schema="airlines", session=handle)
    half = (await ask("set_goal", session=handle, goal=text))["goals"][0]
    assert (half["progress"], [need["verified"] for need in half["needs"]]) == (0.5, [True, False])
    await ask("profile_attribute", schema="flights", attribute="dep_delay", session=handle)
    for goals in (
        (await ask("set_goal", session=handle, goal=text))["goals"],
        (await ask("recall", session=handle))["goals"],
    ):
        assert goals[0]["progress"] == 0.95
    done = (await ask("set_goal", session=handle, status="done"))["goals"][0]
    assert done["progress"] == 1
    assert "needs" not in done


async def test_a_query_alone_verifies_nothing_but_what_a_finding_tells(ask: Any) -> None:
    text = "departure delays"
    handle = (await ask("open_session", goal=text))["session"]
    await ask("run_query", query="select avg(dep_delay) from flights", session=handle)
    assert (await ask("set_goal", session=handle, goal=text))["goals"][0]["progress"] == 0
    await ask("remember", session=handle, kind="finding", value="12.6 minutes", evidence="avg(dep_delay)")
    assert (await ask("set_goal", session=handle, goal=text))["goals"][0]["progress"] == 0.95


async def test_only_the_newest_active_goals_list_their_needs(ask: Any) -> None:
    handle = (await ask("open_session"))["session"]
    for text in ("seats of planes", "wind speed", "airline names"):
        answer = await ask("set_goal", session=handle, goal=text)
    assert ["needs" in goal for goal in answer["goals"]] == [False, True, True]
    assert len(json.dumps(answer)) < 4_000


async def test_words_follow_the_files(serve: Serve, tmp_path: Path) -> None:
    def write(value: str) -> None:
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT '{value}' AS label FROM range(3)) TO '{tmp_path}/things.parquet' (FORMAT parquet)"
            )

    write("zebra")
    async with serve({"UDS_DATA": str(tmp_path), "STATE_STORE_TYPE": "memory"}) as server, Client(server) as client:
        ask = asking(client)
        await listed_once_words_are_read(ask, search="zebra")
        write("giraffe of another length")
        await listed_once_words_are_read(ask, search="giraffe")
        assert (await ask("list_schemas", search="zebra"))["schemas"] == []
