"""State through a client: what is remembered, who may see it, and what conflicts."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

UNKNOWN = "unknown_session: "


async def test_a_session_remembers_its_goal_findings_and_what_was_explored(ask: Any) -> None:
    opened = await ask("open_session", goal="Which carriers are late?", label="late")
    handle = opened["session"]
    assert len(handle) >= 22
    assert opened["goal"] == "Which carriers are late?"
    await ask("describe_schema", schema="flights", attributes=["carrier", "dep_delay"], session=handle)
    await ask("remember", session=handle, kind="finding", value="EV is late most", evidence="select 1")
    await ask("remember", session=handle, kind="context", key="month", value={"year": 2013, "month": 1})
    await ask("remember", session=handle, kind="preference", key="units", value="minutes")
    recalled = await ask("recall", session=handle)
    assert [goal["text"] for goal in recalled["goals"]] == ["Which carriers are late?"]
    assert recalled["findings"][0]["value"] == "EV is late most"
    assert recalled["findings"][0]["evidence"] == "select 1"
    assert recalled["context"] == {"month": {"year": 2013, "month": 1}}
    assert recalled["preferences"] == {"units": "minutes"}
    (explored,) = recalled["explored"]
    assert (explored["schema"], explored["attributes"]) == ("flights", ["carrier", "dep_delay"])


async def test_every_next_step_can_be_called_as_it_stands(ask: Any, modern: Any) -> None:
    opened = await ask("open_session", goal="wind and temperature")
    assert opened["next_steps"]
    step = opened["next_steps"][0]
    assert (step["tool"], step["arguments"]["schema"]) == ("describe_schema", "weather")
    assert not (await modern.call_tool(step["tool"], step["arguments"])).is_error
    recalled = await ask("recall", session=opened["session"])
    assert step not in recalled["next_steps"]


async def test_the_goal_ranks_what_is_listed(ask: Any) -> None:
    handle = (await ask("open_session", goal="manufacturer and seats of planes"))["session"]
    listed = await ask("list_schemas", session=handle)
    assert listed["schemas"][0]["schema"] == "planes"
    assert len(listed["schemas"]) == 5 + 3, "with the schemas of the history"


async def test_a_described_schema_is_listed_as_explored(ask: Any) -> None:
    handle = (await ask("open_session"))["session"]
    await ask("describe_schema", schema="airlines", session=handle)
    listed = await ask("list_schemas", session=handle)
    assert {entry["schema"]: entry["explored"] for entry in listed["schemas"]}["airlines"]


async def test_own_sessions_are_found_again_without_a_handle(ask: Any) -> None:
    handle = (await ask("open_session", label="find me", goal="zebra crossing"))["session"]
    listed = await ask("recall", about="zebra")
    assert [entry["session"] for entry in listed["sessions"]] == [handle]


async def test_unknown_closed_and_made_up_handles_answer_alike(ask: Any, refusal: Any) -> None:
    closed = (await ask("open_session"))["session"]
    assert (await ask("close_session", session=closed))["closed"] is True
    texts = {await refusal("recall", session=handle) for handle in (closed, "A" * 22, "", "é")}
    assert len(texts) == 1
    (text,) = texts
    assert text.startswith(UNKNOWN)
    assert "open_session" in text


async def test_a_goal_moves_through_its_states(ask: Any, refusal: Any) -> None:
    handle = (await ask("open_session", goal="first"))["session"]
    done = await ask("set_goal", session=handle, status="done")
    assert [(goal["text"], goal["status"]) for goal in done["goals"]] == [("first", "done")]
    assert done["goals"][0]["closed_at"]
    both = await ask("set_goal", session=handle, goal="second")
    assert [goal["status"] for goal in both["goals"]] == ["done", "active"]
    assert (await refusal("set_goal", session=handle)).startswith("invalid_argument: ")


async def test_an_etag_refuses_a_write_only_if_its_field_moved(ask: Any, refusal: Any) -> None:
    handle = (await ask("open_session"))["session"]
    first = await ask("remember", session=handle, kind="context", key="a", value=1)
    await ask("remember", session=handle, kind="context", key="b", value=1)
    second = await ask("remember", session=handle, kind="context", key="a", value=2, expect=first["etag"])
    text = await refusal("remember", session=handle, kind="context", key="a", value=3, expect=first["etag"])
    assert text.startswith("conflict: ")
    assert second["etag"] in text
    assert "a" in text.split("changed since")[0]


async def test_the_same_idempotency_key_has_one_effect(ask: Any) -> None:
    handle = (await ask("open_session"))["session"]
    for _ in range(3):
        await ask("remember", session=handle, kind="finding", value="once", idempotency_key="k1")
    assert len((await ask("recall", session=handle))["findings"]) == 1
    twice = [(await ask("open_session", idempotency_key="open-1"))["session"] for _ in range(2)]
    assert twice[0] == twice[1]


async def test_a_call_sent_again_by_the_host_has_one_effect(ask: Any, modern: Any) -> None:
    handle = (await ask("open_session"))["session"]
    arguments = {"session": handle, "kind": "finding", "value": "once"}
    for _ in range(2):
        await modern.call_tool("remember", arguments, meta={"claudecode/toolUseId": "toolu_1"})
    assert len((await ask("recall", session=handle))["findings"]) == 1


async def test_a_key_is_required_where_a_value_needs_a_name(ask: Any, refusal: Any) -> None:
    handle = (await ask("open_session"))["session"]
    text = await refusal("remember", session=handle, kind="context", value=1)
    assert text.startswith("invalid_argument: key is required")


async def test_long_values_are_cut_in_recall_and_whole_in_the_resource(ask: Any, modern: Any) -> None:
    handle = (await ask("open_session"))["session"]
    await ask("remember", session=handle, kind="context", key="long", value="x" * 10_000)
    recalled = await ask("recall", session=handle)
    assert len(recalled["context"]["long"]) < 700
    resource = await modern.read_resource(f"uds://sessions/{handle}")
    assert "x" * 10_000 in resource.contents[0].text


async def test_a_value_over_its_bound_is_refused(ask: Any, refusal: Any) -> None:
    handle = (await ask("open_session"))["session"]
    text = await refusal("remember", session=handle, kind="finding", value="x" * 20_000)
    assert text.startswith(("too_large: ", "invalid_argument: "))


async def test_a_child_inherits_and_exports(ask: Any) -> None:
    parent = (await ask("open_session", goal="late flights"))["session"]
    await ask("remember", session=parent, kind="context", key="month", value=1)
    child = (await ask("open_session", parent=parent))["session"]
    inherited = await ask("recall", session=child)
    assert inherited["context"] == {"month": 1}
    assert [goal["text"] for goal in inherited["goals"]] == ["late flights"]
    await ask("remember", session=child, kind="finding", value="seen by the child")
    closed = await ask("close_session", session=child, merge="child_wins")
    assert closed["exported"] >= 1
    assert "seen by the child" in [entry["value"] for entry in (await ask("recall", session=parent))["findings"]]


async def test_dropping_results_makes_the_next_call_measure_anew(ask: Any) -> None:
    await ask("describe_schema", schema="planes")
    assert (await ask("describe_schema", schema="planes"))["provenance"]["cached"]
    assert (await ask("cache", action="invalidate", schema="planes"))["affected"] >= 1
    assert not (await ask("describe_schema", schema="planes"))["provenance"]["cached"]
    assert (await ask("cache", action="invalidate", pattern="*/pla*"))["affected"] >= 1
    assert not (await ask("describe_schema", schema="planes"))["provenance"]["cached"]
    status = await ask("cache", action="status")
    assert status["memory"]["loads"] >= 3
