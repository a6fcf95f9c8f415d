"""Answers about sessions say when state is not kept as it should be, and a conversation's name gives no right."""

from dataclasses import replace
from typing import Any

import pytest

from tools.call import Call
from tools.toolbox import toolbox

pytestmark = pytest.mark.anyio


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


async def test_a_conversation_of_the_same_name_finds_nobody_elses_session(parts: Any) -> None:
    open_session = next(each.method for each in parts.tools if each.name == "open_session")
    opened = [
        (await open_session(Call(principal=principal, conversation="same"))).structured for principal in ("ann", "bob")
    ]
    assert opened[0]["session"] != opened[1]["session"]
    assert [each["hints"] for each in opened] == [[], []]
    recall = next(each.method for each in parts.tools if each.name == "recall")
    listed = (await recall(Call(principal="bob", conversation="same"))).structured["sessions"]
    assert [each["session"] for each in listed] == [opened[1]["session"]]
