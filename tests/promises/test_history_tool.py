"""The history of a session through a client: what happened, how it was, what changed, and the way back."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from typing import cast

import jsonpatch  # pyright: ignore[reportMissingTypeStubs] - ships none
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from mcp import Client

from tools.tokens import tokens_about

pytestmark = pytest.mark.anyio

TOKENS_MOST = 2_000


async def remember(ask: Any, handle: str, key: str, value: Any) -> int:
    """Set a context value, and give the version that this made."""
    answer = await ask("remember", session=handle, kind="context", key=key, value=value)
    version: int = answer["version"]
    return version


@pytest.fixture
async def story(ask: Any) -> str:
    """A session of seven events."""
    handle: str = (await ask("open_session", goal="why late?", label="late"))["session"]
    await remember(ask, handle, "month", 1)
    await ask("remember", session=handle, kind="finding", key="worst", value="EV", evidence="select 1")
    await ask("remember", session=handle, kind="preference", key="units", value=None)
    await ask("set_goal", session=handle, status="done")
    await remember(ask, handle, "month", {"year": 2013, "a/b~c": [1]})
    await ask("remember", session=handle, kind="finding", key="worst", value="FL")
    return handle


def applied(patch: Any, before: Any) -> Any:
    return cast("Any", jsonpatch).apply_patch(before, patch)


async def test_the_timeline_tells_each_event_newest_first(ask: Any, story: str) -> None:
    told = await ask("session_history", session=story)
    assert [each["version"] for each in told["events"]] == [7, 6, 5, 4, 3, 2, 1]
    assert {each["actor"] for each in told["events"]} == {"local"}
    assert [each["kind"] for each in told["events"]][-2:] == ["context", "opened"]
    assert told["events"][0]["summary"] == "Found worst: “FL” (no evidence)."
    assert told["events"][-1]["summary"] == "Opened with the goal “why late?”."
    assert told["verified"] is True
    assert (told["session"], told["version"], told["hints"]) == (story, 7, [])
    assert told["etag"] == (await ask("recall", session=story))["etag"]
    assert not {"state", "changes", "next_cursor", "fault"} & set(told)


async def test_later_events_are_told_oldest_first(ask: Any, story: str) -> None:
    told = await ask("session_history", session=story, since=4)
    assert [each["version"] for each in told["events"]] == [5, 6, 7]
    nothing = await ask("session_history", session=story, since=7)
    assert nothing["events"] == []
    assert "Nothing happened after version 7" in nothing["hints"][0]


async def test_what_was_explored_is_part_of_the_history(ask: Any, story: str) -> None:
    await ask("describe_schema", schema="airlines", session=story)
    told = await ask("session_history", session=story, since=7)
    assert [each["summary"] for each in told["events"]] == ["Looked at duckdb/airlines: carrier, name."]


async def test_the_state_is_told_as_it_was_at_a_version(ask: Any, story: str) -> None:
    told = await ask("session_history", session=story, at=4)
    assert told["state_version"] == 4
    assert told["state"] == {
        "goals": {"g1": {"text": "why late?", "status": "active"}},
        "context": {"month": 1},
        "preferences": {"units": None},
        "findings": {"worst": {"key": "worst", "value": "EV", "evidence": "select 1"}},
        "explored": {},
        "conflicts": {},
    }
    assert [each["version"] for each in told["events"]] == [4, 3, 2, 1]


async def test_the_state_is_told_as_it_was_at_the_time_of_an_event(ask: Any, story: str) -> None:
    events = (await ask("session_history", session=story))["events"]
    for event in events:
        newest = max(each["version"] for each in events if each["at"] == event["at"])
        assert (await ask("session_history", session=story, at=event["at"]))["state_version"] == newest
    later = await ask("session_history", session=story, at="2999-01-01T00:00:00+01:00")
    assert later["state_version"] == 7
    assert (await ask("session_history", session=story, at="7"))["state_version"] == 7


async def test_versions_and_times_that_never_were_are_refused_with_what_to_pass(
    ask: Any, refusal: Any, story: str
) -> None:
    for arguments, told in (
        ({"at": 0}, "to 7"),
        ({"at": 8}, "to 7"),
        ({"at": "99999999999999999999"}, "to 7"),
        ({"at": "2001-01-01"}, "begins later"),
        ({"at": "yesterday"}, "pass a version, or a time"),
        ({"diff": [1, 8]}, "to 7"),
        ({"diff": [5, 2]}, "earlier to a later"),
        ({"diff": [1]}, "diff"),
        ({"diff": [1, 2, 3]}, "diff"),
        ({"diff": [1, 2], "since": 1}, "leave out since"),
        ({"at": 2, "since": 4}, "later than at"),
        ({"restore_to": 8}, "to 7"),
        ({"restore_to": 0}, "to 7"),
        ({"restore_to": 2, "at": 2}, "without since, at, diff"),
        ({"restore_to": 2, "diff": [1, 2]}, "without since, at, diff"),
        ({"since": -1}, "since"),
        ({"cursor": "nonsense"}, "cursor"),
    ):
        text = await refusal("session_history", session=story, **arguments)
        assert text.startswith("invalid_argument: "), arguments
        assert told in text, (arguments, text)
    assert (await ask("recall", session=story))["version"] == 7


async def test_changes_lead_from_each_state_to_each_later_one(ask: Any, story: str) -> None:
    states = {at: (await ask("session_history", session=story, at=at))["state"] for at in range(1, 8)}
    for first, before in states.items():
        for last in range(first, 8):
            told = await ask("session_history", session=story, diff=[first, last])
            assert told["compared"] == [first, last]
            assert [each["version"] for each in told["events"]] == list(range(first + 1, last + 1))
            assert applied(told["changes"], before) == states[last]


async def test_changes_name_only_what_changed(ask: Any, story: str) -> None:
    told = await ask("session_history", session=story, diff=[4, 7], at=4)
    assert told["changes"] == [
        {"op": "replace", "path": "/goals/g1/status", "value": "done"},
        {"op": "replace", "path": "/context/month", "value": {"year": 2013, "a/b~c": [1]}},
        {"op": "remove", "path": "/findings/worst/evidence"},
        {"op": "replace", "path": "/findings/worst/value", "value": "FL"},
    ]
    added = await ask("session_history", session=story, diff='["3", 4]')
    assert added["changes"] == [{"op": "add", "path": "/preferences/units", "value": None}]
    same = await ask("session_history", session=story, diff=[7, 7])
    assert same["changes"] == []
    assert "the same" in same["hints"][0]


async def test_an_earlier_state_comes_back_and_that_can_be_undone(ask: Any, story: str) -> None:
    before = (await ask("session_history", session=story, at=7))["state"]
    earlier = (await ask("session_history", session=story, at=2))["state"]
    restored = await ask("session_history", session=story, restore_to=2)
    assert restored["version"] == 8
    assert restored["events"][0]["kind"] == "restored"
    assert restored["events"][0]["summary"] == "Restored the state of version 2."
    assert restored["changes"]
    assert applied(restored["changes"], before) == earlier
    assert (await ask("session_history", session=story, at=8))["state"] == earlier
    recalled = await ask("recall", session=story)
    assert (recalled["context"], recalled["findings"]) == ({"month": 1}, [])
    assert recalled["goals"][0]["status"] == "active"
    assert "restore_to=7" in restored["hints"][0]
    undone = await ask("session_history", session=story, restore_to=7)
    assert undone["version"] == 9
    assert (await ask("session_history", session=story, at=9))["state"] == before
    assert (await ask("recall", session=story))["findings"][0]["value"] == "FL"
    assert len((await ask("session_history", session=story))["events"]) == 9


async def test_restoring_what_is_there_already_writes_nothing(ask: Any, story: str) -> None:
    told = await ask("session_history", session=story, restore_to=7)
    assert told["version"] == 7
    assert "nothing was written" in told["hints"][0]
    assert "changes" not in told
    again = [await ask("session_history", session=story, restore_to=2) for _ in range(2)]
    assert [each["version"] for each in again] == [8, 8]


async def test_pages_go_on_where_the_last_one_ended_whatever_is_written_meanwhile(ask: Any) -> None:
    handle = (await ask("open_session"))["session"]
    for number in range(24):
        await remember(ask, handle, f"k{number}", number)
    seen: list[int] = []
    page = await ask("session_history", session=handle, limit=10)
    while len(seen) <= 25:
        seen += [each["version"] for each in page["events"]]
        await remember(ask, handle, "later", len(seen))
        if "next_cursor" not in page:
            break
        page = await ask("session_history", session=handle, limit=10, cursor=page["next_cursor"])
    assert seen == list(range(25, 0, -1))


async def test_pages_of_later_events_go_on_too(ask: Any, refusal: Any) -> None:
    handle = (await ask("open_session"))["session"]
    for number in range(11):
        await remember(ask, handle, f"k{number}", number)
    first = await ask("session_history", session=handle, since=2, limit=6)
    rest = await ask("session_history", session=handle, since=2, limit=6, cursor=first["next_cursor"])
    assert [each["version"] for each in first["events"] + rest["events"]] == list(range(3, 13))
    assert "next_cursor" not in rest
    other = await refusal("session_history", session=handle, since=3, cursor=first["next_cursor"])
    assert "cursor does not belong" in other


async def test_the_state_comes_with_the_first_page_only(ask: Any, story: str) -> None:
    first = await ask("session_history", session=story, at=6, limit=4)
    rest = await ask("session_history", session=story, at=6, limit=4, cursor=first["next_cursor"])
    assert [each["version"] for each in first["events"] + rest["events"]] == [6, 5, 4, 3, 2, 1]
    assert "state" in first
    assert "state" not in rest


async def test_whatever_a_session_holds_its_history_is_told_in_bounds(ask: Any) -> None:
    handle = (await ask("open_session", goal="goal " * 300, label="label " * 30))["session"]
    for number in range(40):
        await remember(ask, handle, f"key {number} {'long ' * 30}", {"text": "words and words " * 20})
    await ask("remember", session=handle, kind="finding", value="x y " * 3_000, evidence="e " * 900)
    for arguments in (
        {"limit": 200},
        {"since": 0, "limit": 200},
        {"at": 30, "limit": 200},
        {"diff": [1, 42], "limit": 200},
        {"at": 42, "diff": [1, 42], "limit": 200},
        {"restore_to": 1, "limit": 200},
    ):
        told = await ask("session_history", session=handle, **arguments)
        assert told["events"]
        assert tokens_about(json.dumps(told, ensure_ascii=False, separators=(",", ":"))) <= TOKENS_MOST, arguments


async def test_what_does_not_fit_is_named_with_a_way_to_see_it(ask: Any, modern: Any) -> None:
    handle = (await ask("open_session"))["session"]
    await remember(ask, handle, "small", "s")
    await remember(ask, handle, "large", "x y " * 3_000)
    await remember(ask, handle, "small", "t")
    told = await ask("session_history", session=handle, at=3)
    assert told["state"]["context"] == {"small": "s"}
    assert told["truncated"] is True
    assert "1 did not fit (context/large)" in told["hints"][0]
    assert "at=3" in told["hints"][0]
    branch = (await ask("open_session", branch_of=handle, at=3))["session"]
    whole = (await modern.read_resource(f"uds://sessions/{branch}")).contents[0].text
    assert json.loads(whole)["context"] == {"small": "s", "large": "x y " * 3_000}
    now = await ask("session_history", session=handle, at=4)
    assert f"uds://sessions/{handle}" in now["hints"][0]
    changed = await ask("session_history", session=handle, diff=[1, 4])
    assert changed["changes"] == [{"op": "add", "path": "/context/small", "value": "t"}]
    assert changed["truncated"] is True
    assert "1 did not fit (context/large)" in changed["hints"][0]


async def test_a_branch_begins_with_the_state_of_its_origin_and_lives_alone(ask: Any, story: str) -> None:
    opened = await ask("open_session", branch_of=story, at=4, goal="what if?")
    branch = opened["session"]
    assert (opened["branch_of"], opened["branch_version"], opened["version"]) == (story, 4, 1)
    recalled = await ask("recall", session=branch)
    assert (recalled["context"], recalled["findings"][0]["value"]) == ({"month": 1}, "EV")
    assert [goal["text"] for goal in recalled["goals"]] == ["why late?", "what if?"]
    assert (recalled["branch_of"], recalled["branch_version"]) == (story, 4)
    await remember(ask, branch, "month", 12)
    await remember(ask, story, "month", 2)
    assert (await ask("recall", session=branch))["context"] == {"month": 12}
    assert (await ask("recall", session=story))["context"] == {"month": 2}
    first = (await ask("session_history", session=branch))["events"][-1]
    assert f"a branch of {story} at version 4" in first["summary"]
    await ask("close_session", session=story)
    assert (await ask("recall", session=branch))["context"] == {"month": 12}
    assert (await ask("session_history", session=branch, at=1))["state"]["context"] == {"month": 1}


async def test_a_branch_without_a_version_begins_with_what_is_known_now(ask: Any, refusal: Any, story: str) -> None:
    opened = await ask("open_session", branch_of=story)
    assert opened["branch_version"] == 7
    text = await refusal("open_session", at=3)
    assert text.startswith("invalid_argument: at belongs to branch_of")
    text = await refusal("open_session", branch_of=story, at=8)
    assert text.startswith("invalid_argument: ")
    text = await refusal("open_session", branch_of=story, parent=story)
    assert text.startswith("invalid_argument: ")


async def test_a_branch_may_be_made_as_of_a_time(ask: Any, story: str) -> None:
    event = (await ask("session_history", session=story))["events"][4]
    as_of = (await ask("session_history", session=story, at=event["at"]))["state_version"]
    assert (await ask("open_session", branch_of=story, at=event["at"]))["branch_version"] == as_of


async def test_handles_of_others_and_of_nobody_have_no_history(ask: Any, refusal: Any, story: str) -> None:
    await ask("close_session", session=story)
    for arguments in ({}, {"at": 1}, {"at": "2999-01-01"}, {"diff": [1, 2]}, {"restore_to": 1}, {"since": 0}):
        texts = {await refusal("session_history", session=handle, **arguments) for handle in (story, "A" * 22, "", "é")}
        assert len(texts) == 1
        assert texts.pop().startswith("unknown_session: ")
    for arguments in ({"branch_of": story}, {"branch_of": "A" * 22, "at": 1}, {"branch_of": "", "at": "2999-01-01"}):
        assert (await refusal("open_session", **arguments)).startswith("unknown_session: ")


_MOMENTS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(0, 9),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=45),
    st.sampled_from(["3", "²", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999-14:00", "2026-01-01t00:00z"]),
)
_ASKED = st.fixed_dictionaries(
    cast("dict[str, st.SearchStrategy[Any]]", {}),
    optional={
        "since": _MOMENTS,
        "at": _MOMENTS,
        "diff": st.lists(_MOMENTS, max_size=3) | _MOMENTS,
        "limit": _MOMENTS,
        "cursor": st.text(max_size=40),
    },
)


@given(asked=_ASKED)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_asked_of_a_history_is_answered_or_refused(modern: Any, story: str, asked: Any) -> None:
    told = await modern.call_tool("session_history", {"session": story, **asked})
    if told.is_error:
        assert told.content[0].text.startswith("invalid_argument: "), told.content[0].text
    else:
        assert told.structured_content["version"] == 7


async def test_looking_back_tells_no_subscriber_that_something_changed_but_restoring_does(
    ask: Any, parts: Any, story: str
) -> None:
    told: list[str] = []
    parts.watch(told.append)
    await ask("session_history", session=story, at=2)
    await ask("session_history", session=story, diff=[1, 2])
    assert told == []
    await ask("session_history", session=story, restore_to=2)
    assert told == [f"uds://sessions/{story}"]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET content = replace(content, '\"month\"', '\"MONTH\"') WHERE version = 3 AND n = ",
        "DELETE FROM events WHERE version = 3 AND n = ",
    ],
)
async def test_a_history_that_was_tampered_with_says_so_and_names_the_event(
    serve: Any, tmp_path: Path, damage: str
) -> None:
    async with serve({"UDS_STATE_DIR": str(tmp_path)}) as server, Client(server) as client:
        handle = (await client.call_tool("open_session", {})).structured_content["session"]
        for value in range(4):
            kept = {"session": handle, "kind": "context", "key": "month", "value": value}
            assert not (await client.call_tool("remember", kept)).is_error
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as tampering:
            tampering.execute(f"{damage} (SELECT n FROM sessions WHERE id = ?)", (handle,))
        told = (await client.call_tool("session_history", {"session": handle})).structured_content
    assert told["verified"] is False
    assert "vent 3 " in told["fault"]
    assert "operator" in told["hints"][0]
    assert told["version"] == 5
