"""Which server a key is asked of."""

from typing import TYPE_CHECKING
from typing import Any
from typing import Protocol

from state.redis.calls import Seen
from state.redis.gathering import Lane
from state.redis.replies import Wrong

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from collections.abc import Callable

    from state.redis.link import Link


class Route(Protocol):
    """From a key to the server that has it."""

    async def ask(self, command: bytes, *, key: str, within_s: float, alone: bool = True) -> Any:
        """Send a command to the server that has the key, following it where it moved. Raises Away.

        `alone`: it touches nothing but this key, so that it may be carried out while others are still on their way.
        """
        ...

    async def listening(self, key: str) -> "Link":
        """A connection of its own to the server of a key. Raises Broken."""
        ...

    def renew(self) -> None:
        """Find servers and connect anew from now on."""
        ...

    async def aclose(self) -> None: ...


class Straight:
    """One server at a time; `dial` knows which."""

    def __init__(self, dial: "Callable[[], Awaitable[Link]]", seen: Seen, *, lines: int, deadline_s: float) -> None:
        self._dial = dial
        self._seen = seen
        self._lines = lines
        self._deadline_s = deadline_s
        self._lane: Lane | None = None

    async def ask(self, command: bytes, *, key: str, within_s: float, alone: bool = True) -> Any:
        del key, alone
        if self._lane is None:
            self._lane = Lane(self._dial, self._seen, lines=self._lines, deadline_s=self._deadline_s)
        reply = await self._lane.ask(command, within_s=within_s)
        if isinstance(reply, Wrong) and reply.not_master:
            self._lane.renew()
        return reply

    async def listening(self, key: str) -> "Link":
        del key
        return await self._dial()

    def renew(self) -> None:
        if self._lane is not None:
            self._lane.renew()

    async def aclose(self) -> None:
        if self._lane is not None:
            await self._lane.aclose()
