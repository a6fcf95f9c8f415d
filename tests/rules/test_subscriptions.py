"""What becomes of a change on its way to those who listen to resources."""

from typing import Any
from typing import cast

import pytest
from anyio.lowlevel import checkpoint
from mcp.server.context import ServerRequestContext
from mcp.shared.subscriptions import ResourceUpdated
from mcp.shared.subscriptions import ServerEvent
from mcp.shared.subscriptions import ToolsListChanged

from server.subscriptions import SharedSubscriptions
from state.changes import Change
from state.changes import Missed
from state.changes import ResourceMoved
from state.changes import ResultsOutdated
from state.changes import SessionMoved
from state.local_changes import LocalChanges

pytestmark = pytest.mark.anyio

SESSION = "uds://sessions/a"
SCHEMA = "uds://schemas/files/a"


class Listening:
    """A bus, and a listener that keeps what it was told."""

    def __init__(self) -> None:
        self.changes = LocalChanges()
        self.bus = SharedSubscriptions(self.changes)
        self.told: list[ServerEvent] = []
        self.leave = self.bus.subscribe(self.told.append)

    async def after(self, *changes: Change) -> list[str]:
        """The URIs that the listener was told in the turns that followed these changes."""
        self.told.clear()
        for change in changes:
            self.changes.publish(change)
        for _ in range(10 + len(changes)):
            await checkpoint()
        return [event.uri for event in self.told if isinstance(event, ResourceUpdated)]


def _asked(method: str, params: dict[str, Any] | None) -> ServerRequestContext[Any, Any]:
    nobody = cast("Any", None)
    return ServerRequestContext(
        session=nobody, lifespan_context=None, protocol_version="2026-07-28", method=method, params=params
    )


async def test_each_kind_of_change_is_told_as_the_resource_that_moved() -> None:
    listening = Listening()
    assert await listening.after(SessionMoved(session_id="a", version=1)) == [SESSION]
    assert await listening.after(ResourceMoved(uri=SCHEMA)) == [SCHEMA]
    assert await listening.after(ResultsOutdated(tags=("t",)), Missed()) == []


async def test_what_moved_often_before_listeners_had_a_turn_is_told_once() -> None:
    moved = [SessionMoved(session_id="a", version=version) for version in range(2_000)]
    assert await Listening().after(*moved, ResourceMoved(uri=SCHEMA), *moved) == [SESSION, SCHEMA]


async def test_what_moves_while_it_is_told_is_told_again() -> None:
    listening = Listening()
    assert await listening.after(SessionMoved(session_id="a", version=1)) == [SESSION]
    assert await listening.after(SessionMoved(session_id="a", version=2)) == [SESSION]


async def test_that_something_cannot_be_known_is_told_to_those_who_listen_at_that_time() -> None:
    listening = Listening()
    found: list[list[str]] = []

    async def serve(_: ServerRequestContext[Any, Any]) -> None:
        found.append(await listening.after(Missed()))
        found.append(await listening.after(ResultsOutdated()))

    wanted = {"notifications": {"resourceSubscriptions": [SESSION, SCHEMA]}}
    await listening.bus.watching(_asked("subscriptions/listen", wanted), serve)
    assert found == [[SESSION, SCHEMA], [SCHEMA]]
    assert await listening.after(Missed()) == []


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        {"notifications": 7},
        {"notifications": {"resourceSubscriptions": "uds"}},
        {"notifications": {"resourceSubscriptions": [7, None, SESSION]}},
    ],
)
async def test_a_request_that_is_not_as_it_should_be_is_left_to_the_sdk(params: dict[str, Any] | None) -> None:
    bus = Listening().bus

    async def refuse(_: ServerRequestContext[Any, Any]) -> None:
        raise ValueError("not as it should be")

    with pytest.raises(ValueError, match="not as it should be"):
        await bus.watching(_asked("subscriptions/listen", params), refuse)


async def test_the_sdk_publishes_resources_to_everyone_sessions_to_nobody_and_lists_here() -> None:
    listening = Listening()
    heard: list[Change] = []
    listening.changes.listen(heard.append)
    for event in (ResourceUpdated(uri=SCHEMA), ResourceUpdated(uri=SESSION), ToolsListChanged()):
        await listening.bus.publish(event)
    assert heard == [ResourceMoved(uri=SCHEMA)]
    assert ToolsListChanged() in listening.told


async def test_who_left_is_told_nothing_and_may_leave_twice() -> None:
    listening = Listening()
    stayed: list[ServerEvent] = []
    listening.bus.subscribe(stayed.append)
    listening.leave()
    listening.leave()
    assert await listening.after(SessionMoved(session_id="a", version=1)) == []
    assert stayed == [ResourceUpdated(uri=SESSION)]
