"""Next steps can be called as they stand, settle what a goal needs, and are not offered twice."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.promises.conftest import Serve
from tests.promises.conftest import asking

pytestmark = pytest.mark.anyio

GOAL = "Which airlines have the worst departure delays from JFK?"


async def took(modern: Any, step: dict[str, Any]) -> None:
    result = await modern.call_tool(step["tool"], step["arguments"])
    assert not result.is_error, (step, result.content)


def name_of(step: dict[str, Any]) -> str:
    return " ".join([step["tool"], *(str(value) for key, value in step["arguments"].items() if key != "session")])


async def test_steps_lead_from_the_goal_to_its_end_and_none_is_offered_twice(ask: Any, modern: Any) -> None:
    handle = (await ask("open_session", goal=GOAL))["session"]
    taken: list[str] = []
    for _ in range(12):
        steps = (await ask("next_steps", session=handle, limit=1))["steps"]
        if not steps:
            break
        (step,) = steps
        await took(modern, step)
        assert name_of(step) not in taken
        taken.append(name_of(step))
        if step["tool"] == "run_query":
            query = step["arguments"]["query"]
            await ask("remember", session=handle, kind="finding", value="dep_delay from JFK", evidence=query)
    kinds = [name.split()[0] for name in taken]
    assert list(dict.fromkeys(kinds)) == ["describe_schema", "profile_attribute", "run_query", "set_goal"]
    assert taken[:2] == ["describe_schema flights", "describe_schema airlines"]
    assert taken[-1] == "set_goal g1 done"
    goal = (await ask("recall", session=handle))["goals"][0]
    assert (goal["status"], goal["progress"]) == ("done", 1.0)


async def test_every_offered_step_can_be_called_as_it_stands(ask: Any, modern: Any) -> None:
    for goal in (None, GOAL, "wind and temperature at LGA", "manufacturer and seats of planes by year", "zebra"):
        handle = (await ask("open_session", **({} if goal is None else {"goal": goal})))["session"]
        for _ in range(3):
            steps = (await ask("next_steps", session=handle, limit=20))["steps"]
            for step in steps:
                assert set(step) == {"tool", "arguments", "why"}
                await took(modern, step)


async def test_a_query_groups_what_the_goal_measures_by_what_it_names(ask: Any) -> None:
    handle = (await ask("open_session", goal=GOAL))["session"]
    for schema in ("flights", "airlines"):
        await ask("describe_schema", schema=schema, session=handle)
    steps = (await ask("next_steps", session=handle))["steps"]
    query = next(step["arguments"]["query"] for step in steps if step["tool"] == "run_query")
    answer = await ask("run_query", query=query, session=handle)
    assert [column["name"] for column in answer["columns"]] == ["carrier", "row_count", "mean", "highest"]
    assert """"origin" = 'JFK'""" in query
    means = [row[2] for row in answer["rows"]]
    assert means == sorted(means, reverse=True)
    again = (await ask("next_steps", session=handle))["steps"]
    assert query not in [step["arguments"].get("query") for step in again]


async def test_the_schema_that_settles_most_comes_first(ask: Any) -> None:
    handle = (await ask("open_session", goal="seats of planes, their manufacturer, and airline names"))["session"]
    first, second, *_ = (await ask("next_steps", session=handle))["steps"]
    assert (first["arguments"]["schema"], second["arguments"]["schema"]) == ("planes", "airlines")
    assert "seats" in first["why"]


async def test_without_a_goal_every_schema_is_worth_a_look_once(ask: Any) -> None:
    opened = await ask("open_session")
    assert len(opened["next_steps"]) == 3
    handle = opened["session"]
    for _ in range(5):
        (step,) = (await ask("next_steps", session=handle, limit=1))["steps"]
        await ask(step["tool"], **step["arguments"])
    assert (await ask("next_steps", session=handle))["steps"] == []


async def test_a_goal_that_names_nothing_starts_with_the_list(ask: Any) -> None:
    steps = (await ask("open_session", goal="zebra"))["next_steps"]
    assert [step["tool"] for step in steps] == ["list_schemas"]


async def test_an_open_conflict_comes_first_and_its_step_settles_it(ask: Any) -> None:
    parent = (await ask("open_session", goal=GOAL))["session"]
    child = (await ask("open_session", parent=parent))["session"]
    await ask("remember", session=child, kind="context", key="region", value="east")
    await ask("remember", session=parent, kind="context", key="region", value="west")
    await ask("close_session", session=child, merge="manual")
    step = (await ask("next_steps", session=parent))["steps"][0]
    assert (step["tool"], step["arguments"]["value"], step["arguments"]["key"]) == ("remember", "west", "region")
    assert "east" in step["why"]
    await ask(step["tool"], **step["arguments"])
    assert (await ask("next_steps", session=parent))["steps"][0]["tool"] == "describe_schema"


async def test_names_and_values_that_need_quoting_make_steps_that_can_be_called(serve: Serve, tmp_path: Path) -> None:
    from mcp import Client  # noqa: PLC0415 - kept beside its only use

    path = tmp_path / "Bob's odd sales.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            'COPY (SELECT \'O\'\'Brien "& Co"\' AS "customer ""name""", i * 1.5 AS "Total; amount" '
            f"FROM range(30) AS t(i)) TO '{str(path).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)"
        )
    async with serve({"UDS_DATA": str(tmp_path), "STATE_STORE_TYPE": "memory"}) as server, Client(server) as client:
        ask = asking(client)
        handle = (await ask("open_session", goal="""amount of sales for "O'Brien" by customer name"""))["session"]
        for _ in range(3):
            for step in (await ask("next_steps", session=handle, limit=20))["steps"]:
                await took(client, step)


async def test_steps_name_the_attributes_of_a_wide_schema(serve: Serve, tmp_path: Path) -> None:
    from mcp import Client  # noqa: PLC0415 - kept beside its only use

    columns = ", ".join(f"i AS column_{each}" for each in range(60))
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT {columns}, 1.5 AS discount FROM range(9) AS t(i)) TO '{tmp_path}/wide.parquet'"
        )
    async with serve({"UDS_DATA": str(tmp_path), "STATE_STORE_TYPE": "memory"}) as server, Client(server) as client:
        ask = asking(client)
        handle = (await ask("open_session", goal="average discount"))["session"]
        (step,) = (await ask("next_steps", session=handle))["steps"]
        assert step["arguments"]["attributes"] == ["discount"]
        await took(client, step)
        tools = [step["tool"] for step in (await ask("next_steps", session=handle))["steps"]]
        assert tools == ["run_query"]


async def test_when_no_step_is_left_a_hint_says_what_is(ask: Any) -> None:
    handle = (await ask("open_session"))["session"]
    for schema in ("airlines", "airports", "flights", "planes", "weather"):
        await ask("describe_schema", schema=schema, session=handle)
    left = await ask("next_steps", session=handle)
    assert (left["steps"], "No goal is active" in left["hints"][0]) == ([], True)
    await ask("set_goal", session=handle, goal="airports")
    left = await ask("next_steps", session=handle)
    assert (left["steps"], "run_query" in left["hints"][0]) == ([], True)
    await ask("remember", session=handle, kind="finding", value="there are some")
    done = await ask("next_steps", session=handle)
    assert [step["tool"] for step in done["steps"]] == ["set_goal"]
    assert done["hints"] == []
