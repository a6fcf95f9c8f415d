"""A conversation finds its session again, and answers say when state is not kept as it should be."""

from dataclasses import replace
from typing import Any

import pytest

from tools.call import Call
from tools.toolbox import toolbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def say(parts: Any) -> Any:
    """Call a tool as a host that names its conversations and its calls."""

    async def say(tool: str, conversation: str | None, call_key: str | None = None, /, **arguments: Any) -> Any:
        call = Call(principal="ann", conversation=conversation, idempotency_key=call_key)
        method = next(each.method for each in parts.tools if each.name == tool)
        return (await method(call, **arguments)).structured

    return say


async def test_the_session_of_a_conversation_is_found_again_and_says_so(say: Any) -> None:
    first = await say("open_session", "one", goal="why late?")
    assert first["hints"] == []
    await say("remember", "one", session=first["session"], kind="context", key="month", value=1)
    again = await say("open_session", "one", goal="which carrier?")
    assert again["session"] == first["session"]
    assert "found again" in again["hints"][0]
    goals = (await say("recall", "one", session=first["session"]))["goals"]
    assert [goal["text"] for goal in goals] == ["why late?", "which carrier?"]


async def test_a_host_that_names_its_calls_too_finds_the_session_again(say: Any) -> None:
    opened = [await say("open_session", "two", key, goal="why late?") for key in ("call 1", "call 1", "call 2")]
    assert len({each["session"] for each in opened}) == 1
    goals = (await say("recall", "two", session=opened[0]["session"]))["goals"]
    assert len(goals) == 1


async def test_other_conversations_children_branches_and_keys_get_sessions_of_their_own(say: Any) -> None:
    first = (await say("open_session", "three"))["session"]
    others = [
        await say("open_session", "four"),
        await say("open_session", "three", label="another"),
        await say("open_session", "three", parent=first),
        await say("open_session", "three", branch_of=first),
        await say("open_session", "three", idempotency_key="k"),
        await say("open_session", None),
    ]
    assert len({first, *(each["session"] for each in others)}) == 7
    assert all(each["hints"] == [] for each in others)


async def test_the_name_of_a_conversation_gives_no_right_to_a_session(say: Any, parts: Any) -> None:
    mine = (await say("open_session", "five"))["session"]
    method = next(each.method for each in parts.tools if each.name == "open_session")
    theirs = (await method(Call(principal="bob", conversation="five"))).structured["session"]
    assert mine != theirs


async def test_answers_say_when_state_is_not_kept_as_it_should_be(parts: Any) -> None:
    notice = "The disk is full: nothing new is kept."
    ports = replace(parts.ports, state_notice=lambda: notice)
    tools = {each.name: each.method for each in toolbox(ports, query_timeout_most_s=30.0)}
    call = Call(principal="ann")
    opened = (await tools["open_session"](call)).structured
    handle = opened["session"]
    kept = (await tools["remember"](call, session=handle, kind="context", key="a", value=1)).structured
    recalled = (await tools["recall"](call, session=handle)).structured
    listed = (await tools["recall"](call)).structured
    assert all(each["hints"] == [notice] for each in (opened, kept, recalled, listed))
