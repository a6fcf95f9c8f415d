"""Next steps can be called as they stand, and lead from the goal to the values it is about."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio


async def test_steps_lead_from_schemas_to_the_attributes_of_the_goal(ask: Any, modern: Any) -> None:
    opened = await ask("open_session", goal="departure delay of flights by carrier")
    handle = opened["session"]
    (first, *_) = opened["next_steps"]
    assert (first["tool"], first["arguments"]["schema"]) == ("describe_schema", "flights")
    for schema in ("flights", "airlines", "airports", "planes", "weather"):
        await ask("describe_schema", schema=schema, session=handle)
    steps = (await ask("recall", session=handle))["next_steps"]
    assert steps
    assert {step["tool"] for step in steps} == {"profile_attribute"}
    assert {step["arguments"]["attribute"] for step in steps} & {"dep_delay", "arr_delay", "carrier"}
    for step in steps:
        assert not (await modern.call_tool(step["tool"], step["arguments"])).is_error


async def test_without_a_goal_every_schema_is_worth_a_look(ask: Any, modern: Any) -> None:
    steps = (await ask("open_session"))["next_steps"]
    assert len(steps) == 3
    for step in steps:
        assert not (await modern.call_tool(step["tool"], step["arguments"])).is_error


async def test_a_goal_that_names_nothing_starts_with_the_list(ask: Any) -> None:
    steps = (await ask("open_session", goal="zebra"))["next_steps"]
    assert [step["tool"] for step in steps] == ["list_schemas"]
