"""Who listens to resources hears of changes here and in other instances: the SDK's subscription bus over `Changes`."""

import asyncio
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import Final

import anyio.lowlevel
from mcp.server.context import CallNext
from mcp.server.context import HandlerResult
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import ResourceUpdated
from mcp.shared.subscriptions import ServerEvent

from state.changes import Change
from state.changes import Changes
from state.changes import Missed
from state.changes import ResourceMoved
from state.changes import ResultsOutdated
from state.changes import SessionMoved
from tools.ports import session_uri

_LISTEN: Final = "subscriptions/listen"
_SESSIONS: Final = session_uri("")


class SharedSubscriptions:
    """Implements `SubscriptionBus` and, as `watching`, a middleware that knows what is listened to.

    What changed several times before listeners had a turn is told to them once: an event only says "look again".
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._here = InMemorySubscriptionBus()
        self._listeners = 0
        self._watched: dict[object, tuple[str, ...]] = {}
        self._moved: dict[str, None] = {}
        self._telling: asyncio.Task[None] | None = None
        changes.listen(self._heard)

    def moved(self, uri: str) -> None:
        """Tell all who listen, in every instance; of sessions nobody, since who writes to one tells it already."""
        if not uri.startswith(_SESSIONS):
            self._changes.publish(ResourceMoved(uri=uri))

    async def publish(self, event: ServerEvent) -> None:
        if isinstance(event, ResourceUpdated):
            self.moved(event.uri)
        else:
            await self._here.publish(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        unsubscribe = self._here.subscribe(listener)
        self._listeners += 1
        left = False

        def leave() -> None:
            nonlocal left
            unsubscribe()
            self._listeners -= not left
            left = True

        return leave

    async def watching(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Note which resources are listened to, for when it cannot be learned any more what changed."""
        if ctx.method != _LISTEN:
            return await call_next(ctx)
        place = object()
        self._watched[place] = _uris(ctx.params or {})
        try:
            return await call_next(ctx)
        finally:
            del self._watched[place]

    def _heard(self, change: Change) -> None:
        if not self._listeners:
            return  # mostly: and all instances together may write a lot
        self._moved.update(dict.fromkeys(self._uris_of(change)))
        if self._moved and self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    def _uris_of(self, change: Change) -> Iterable[str]:
        watched = (uri for uris in self._watched.values() for uri in uris)
        match change:
            case SessionMoved():
                return (session_uri(change.session_id),)
            case ResourceMoved():
                return (change.uri,)
            case ResultsOutdated(tags=None, pattern=None):  # may also stand for more than could be told
                return (uri for uri in watched if not uri.startswith(_SESSIONS))
            case ResultsOutdated():
                return ()
            case Missed():
                return watched

    async def _tell(self) -> None:
        try:
            while self._moved:
                await anyio.lowlevel.checkpoint()
                moved, self._moved = self._moved, {}
                for uri in moved:
                    await self._here.publish(ResourceUpdated(uri=uri))
        finally:
            self._telling = None


def _uris(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Before the SDK has checked the request, so it may hold anything."""
    match params.get("notifications"):
        case {"resourceSubscriptions": [*uris]}:
            return tuple(uri for uri in uris if isinstance(uri, str))
        case _:
            return ()
