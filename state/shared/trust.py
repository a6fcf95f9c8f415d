"""Whether Redis is still the one it was: asked after every new connection, and when an answer contradicts memory."""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from state.errors import StateBusy
from state.shared.places import Identity
from state.shared.places import Link

SETTLING_S: Final = 3.0
"""After another server answers, others may take so long to bring back what it lost: a heartbeat, and a bit to write."""
_PATIENCE_S: Final = 0.5


class Trust:
    """`identify` asks who answers, `changed` is awaited when that is another one than before. `tick` is monotonic.

    `changed` is told whether Redis was emptied. It raises `StateBusy` to be called again.
    """

    def __init__(
        self,
        link: Link,
        identify: Callable[[], Awaitable[Identity]],
        changed: Callable[[bool], Awaitable[None]],
        *,
        tick: Callable[[], float],
        settling_s: float = SETTLING_S,
    ) -> None:
        self._link = link
        self._identify = identify
        self._changed = changed
        self._tick = tick
        self._settling_s = settling_s
        self._settled_at = self._old_at = float("-inf")
        self._known: Identity | None = None
        self._connections = -1
        self._doubtful = True
        self._asking: asyncio.Task[None] | None = None
        self.changes = 0
        """How often another one answered."""

    @property
    def sure(self) -> bool:
        """Whether who answers now is known, and everything this instance knows was brought to it."""
        return not self._doubtful and self._link.connections == self._connections

    @property
    def settling(self) -> bool:
        """Whether others may still be bringing back what a failover lost."""
        return self._tick() < self._settled_at

    @property
    def complete(self) -> bool:
        """Whether what is not there is nowhere: nobody may be giving back what an emptied one had.

        Who has just begun does not know what was there before, only that its epoch is young.
        """
        return self._tick() >= max(self._settled_at, self._old_at)

    def doubt(self) -> None:
        """Something speaks for another server, or another history."""
        self._doubtful = True

    async def made_sure(self) -> bool:
        """Ask, if there is doubt, and wait a little. False: it is still not known."""
        if not self.sure:
            if self._asking is None:
                self._asking = asyncio.get_running_loop().create_task(self._ask())
                self._asking.add_done_callback(self._asked)
            with suppress(TimeoutError, StateBusy):
                async with asyncio.timeout(_PATIENCE_S):
                    await asyncio.shield(self._asking)
        return self.sure

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> None:
        self._doubtful = False
        connections = self._link.connections
        try:
            found = await self._identify()
            connections = max(connections, 1)  # the very first is made by asking
            if self._known is None:
                self._old_at = self._tick() + self._settling_s - min(found.age_s, self._settling_s)
            elif found != self._known:
                self._settled_at = self._tick() + self._settling_s
                await self._changed(found.epoch != self._known.epoch)
                self.changes += 1
            self._known = found
        except BaseException:
            self._doubtful = True
            raise
        self._connections = connections

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # seen, even when nobody waits any more
