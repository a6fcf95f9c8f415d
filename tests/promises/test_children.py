"""Sessions under sessions, through a client: what a child inherits and gives back, and who settles what collides."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from mcp import Client

from server.mcp_server import build_server
from server.settings import read_settings
from state.memory import MemoryJournal
from state.sessions import Sessions
from tools.ports import Notes
from tools.resources import Resources
from tools.tokens import tokens_about
from tools.toolbox import toolbox

pytestmark = pytest.mark.anyio


async def keep(ask: Any, handle: str, key: str, value: Any, kind: str = "context") -> Any:
    return await ask("remember", session=handle, kind=kind, key=key, value=value)


async def child_of(ask: Any, parent: str, **arguments: Any) -> str:
    handle: str = (await ask("open_session", parent=parent, **arguments))["session"]
    return handle


@pytest.fixture
async def pair(ask: Any) -> tuple[str, str]:
    """A parent and its child, which have since written different values for the same three fields."""
    parent = (await ask("open_session", goal="late flights"))["session"]
    await keep(ask, parent, "month", {"from": 1})
    child = await child_of(ask, parent)
    for handle, name in ((parent, "parent"), (child, "child")):
        await keep(ask, handle, "month", {"by": name, name: True})
        await keep(ask, handle, "units", name, kind="preference")
        await keep(ask, handle, "worst", f"{name} says EV", kind="finding")
    return parent, child


@pytest.fixture
async def timed(parts: Any, clock: Any) -> AsyncIterator[Client]:
    """A client of a server whose sessions live by a clock that is moved by hand."""
    sessions = Sessions(MemoryJournal(clock), clock=clock)
    ports = replace(parts.ports, sessions=sessions, notes=Notes(sessions, parts.ports.changed))
    tools = toolbox(ports, query_timeout_most_s=30.0)
    built = replace(parts, sessions=sessions, ports=ports, tools=tools, resources=Resources(ports))
    async with Client(build_server(built, read_settings({}))) as connected:
        yield connected


async def test_sessions_nest_three_deep_and_each_sees_what_those_above_knew(ask: Any, refusal: Any) -> None:
    handles = [(await ask("open_session", goal="late flights"))["session"]]
    for level in (1, 2, 3):
        await keep(ask, handles[-1], f"level {level}", level)
        if level < 3:
            handles.append(await child_of(ask, handles[-1]))
    recalled = await ask("recall", session=handles[-1])
    assert recalled["context"] == {"level 1": 1, "level 2": 2, "level 3": 3}
    assert recalled["parent"] == handles[1]
    assert [goal["text"] for goal in recalled["goals"]] == ["late flights"]
    text = await refusal("open_session", parent=handles[-1])
    assert text.startswith("invalid_argument: ")
    assert "3 levels" in text
    assert "children" not in await ask("recall", session=handles[-1])


async def test_what_a_grandchild_learned_reaches_the_top_level_by_level(ask: Any) -> None:
    top = (await ask("open_session"))["session"]
    middle = await child_of(ask, top)
    low = await child_of(ask, middle)
    await keep(ask, low, "worst", "EV", kind="finding")
    await ask("close_session", session=low, merge="keep_latest")
    assert (await ask("recall", session=top))["findings"] == []
    await ask("close_session", session=middle, merge="keep_latest")
    assert [each["value"] for each in (await ask("recall", session=top))["findings"]] == ["EV"]


async def test_a_parent_tells_of_its_children(ask: Any, modern: Any) -> None:
    parent = (await ask("open_session"))["session"]
    children = [await child_of(ask, parent) for _ in range(2)]
    recalled = await ask("recall", session=parent)
    assert recalled["children"] == 2
    whole = json.loads((await modern.read_resource(f"uds://sessions/{parent}")).contents[0].text)
    assert whole["children"] == children
    timeline = await ask("session_history", session=parent, since=1)
    assert [each["summary"] for each in timeline["events"]] == [
        f"Opened the child session {each}." for each in children
    ]


@pytest.mark.parametrize(
    ("merge", "month", "units"),
    [
        ("parent_wins", {"by": "parent", "parent": True}, "parent"),
        ("child_wins", {"by": "child", "child": True}, "child"),
        ("keep_latest", {"by": "child", "child": True}, "child"),
        ("merge_objects", {"by": "child", "child": True, "parent": True}, "child"),
        ("manual", {"by": "parent", "parent": True}, "parent"),
    ],
)
async def test_what_collides_is_settled_by_the_strategy_and_reported(
    ask: Any, pair: tuple[str, str], merge: str, month: Any, units: str
) -> None:
    parent, child = pair
    closed = await ask("close_session", session=child, merge=merge)
    recalled = await ask("recall", session=parent)
    assert recalled["context"]["month"] == month
    assert recalled["preferences"]["units"] == units
    assert {each["key"]: each["kept"] for each in closed["conflicts"]} == {
        "context.month": month,
        "preference.units": units,
        "finding.worst": recalled["findings"][0]["value"],
    }
    assert ("left_open" in closed) == (merge == "manual")
    told = (await ask("session_history", session=parent))["events"][0]
    assert (told["kind"], merge in told["summary"], child in told["summary"]) == ("merged", True, True)


async def test_a_conflict_left_open_is_seen_until_somebody_settles_it(
    ask: Any, modern: Any, pair: tuple[str, str]
) -> None:
    parent, child = pair
    closed = await ask("close_session", session=child, merge="manual")
    assert closed["left_open"] == 3
    assert parent in closed["hints"][0]
    recalled = await ask("recall", session=parent, about="something else altogether")
    month = next(each for each in recalled["conflicts"] if each["key"] == "month")
    assert {name: month[name] for name in ("kind", "parent", "child", "child_session")} == {
        "kind": "context",
        "parent": {"by": "parent", "parent": True},
        "child": {"by": "child", "child": True},
        "child_session": child,
    }
    assert month["at"].endswith("Z")
    assert "remember" in recalled["hints"][0]
    whole = json.loads((await modern.read_resource(f"uds://sessions/{parent}")).contents[0].text)
    assert whole["conflicts"] == recalled["conflicts"]

    settled = await keep(ask, parent, "month", "January")
    assert "preference units, finding worst" in settled["hints"][0]
    await keep(ask, parent, "units", "child", kind="preference")
    last = await keep(ask, parent, "worst", "parent says EV", kind="finding")
    assert last["hints"] == []
    recalled = await ask("recall", session=parent)
    assert "conflicts" not in recalled
    assert (recalled["context"], recalled["hints"]) == ({"month": "January"}, [])


async def test_open_conflicts_are_part_of_the_state_that_is_looked_back_at(ask: Any, pair: tuple[str, str]) -> None:
    parent, child = pair
    before = (await ask("recall", session=parent))["version"]
    await ask("close_session", session=child, merge="manual")
    now = (await ask("recall", session=parent))["version"]
    changed = (await ask("session_history", session=parent, diff=[before, now]))["changes"]
    assert {each["path"] for each in changed} == {
        "/conflicts/context.month",
        "/conflicts/preference.units",
        "/conflicts/finding.worst",
    }


async def test_many_large_conflicts_are_told_in_bounds(ask: Any) -> None:
    parent = (await ask("open_session"))["session"]
    child = await child_of(ask, parent)
    for number in range(30):
        for handle in (parent, child):
            await keep(ask, handle, f"k{number}", {handle: "words and more " * 60})
    await keep(ask, parent, "x", "found " * 100, kind="finding")
    closed = await ask("close_session", session=child, merge="manual")
    assert closed["left_open"] == 30
    assert len(closed["conflicts"]) < 30
    assert "more conflicts are not shown" in closed["hints"][1]
    recalled = await ask("recall", session=parent)
    assert 0 < len(recalled["conflicts"]) < 30
    assert "30" in recalled["hints"][0]
    for answer in (closed, recalled):
        assert tokens_about(json.dumps(answer, ensure_ascii=False)) <= 2_000


async def test_what_the_child_explored_need_not_be_explored_again(ask: Any) -> None:
    parent = (await ask("open_session"))["session"]
    child = await child_of(ask, parent)
    await ask("describe_schema", schema="airlines", session=child)
    await ask("close_session", session=child, merge="keep_latest")
    assert [each["schema"] for each in (await ask("recall", session=parent))["explored"]] == ["airlines"]


async def test_a_child_that_is_closed_without_merge_leaves_its_parent_as_it_is(ask: Any, pair: tuple[str, str]) -> None:
    parent, child = pair
    before = await ask("recall", session=parent)
    closed = await ask("close_session", session=child)
    assert not {"exported", "conflicts", "left_open"} & set(closed)
    after = await ask("recall", session=parent)
    assert (after["version"], after["context"]) == (before["version"], before["context"])


async def test_a_parent_is_told_as_changed_when_a_child_is_opened_and_when_it_gives_back(ask: Any, parts: Any) -> None:
    parent = (await ask("open_session"))["session"]
    told: list[str] = []
    parts.watch(told.append)
    child = await child_of(ask, parent)
    assert f"uds://sessions/{parent}" in told
    await keep(ask, child, "month", 1)
    told.clear()
    await ask("close_session", session=child, merge="child_wins")
    assert f"uds://sessions/{parent}" in told


async def test_a_merge_into_a_closed_parent_is_refused_and_loses_nothing(ask: Any, refusal: Any) -> None:
    parent = (await ask("open_session"))["session"]
    child = await child_of(ask, parent)
    await keep(ask, child, "month", 1)
    await ask("close_session", session=parent)
    text = await refusal("close_session", session=child, merge="child_wins")
    assert text.startswith("invalid_argument: ")
    assert "without merge" in text
    assert (await ask("recall", session=child))["context"] == {"month": 1}
    assert (await refusal("open_session", parent=parent)).startswith("unknown_session: ")
    assert (await ask("close_session", session=child))["closed"] is True


async def test_a_merge_into_an_expired_parent_is_refused_and_loses_nothing(timed: Client, clock: Any) -> None:
    async def call(tool: str, **arguments: Any) -> Any:
        return await timed.call_tool(tool, arguments)

    parent = (await call("open_session", ttl="1h")).structured_content["session"]
    child = (await call("open_session", parent=parent, ttl="1d")).structured_content["session"]
    await call("remember", session=child, kind="context", key="month", value=1)
    clock.advance(3_601)
    refused = await call("close_session", session=child, merge="manual")
    assert refused.is_error
    assert "the parent is not open any more" in refused.content[0].text
    assert (await call("recall", session=child)).structured_content["context"] == {"month": 1}


async def test_only_a_child_can_be_merged(ask: Any, refusal: Any) -> None:
    handle = (await ask("open_session"))["session"]
    text = await refusal("close_session", session=handle, merge="manual")
    assert text.startswith("invalid_argument: ")
    assert "no parent" in text
    assert (await ask("recall", session=handle))["session"] == handle


async def test_a_child_and_a_branch_can_each_have_the_other(ask: Any) -> None:
    parent = (await ask("open_session"))["session"]
    child = await child_of(ask, parent)
    await keep(ask, child, "month", 1)
    branch = await ask("open_session", branch_of=child)
    assert "parent" not in branch
    below = await child_of(ask, branch["session"])
    assert (await ask("recall", session=below))["context"] == {"month": 1}
