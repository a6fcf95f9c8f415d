"""What is written behind: touches, which travel together about twice a second, and checkpoints.

Nobody waits for it and nothing depends on it; while Redis is away touches wait, and checkpoints are not kept.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from state.errors import StateError
from state.redis.answers import Answer
from state.redis.lua_acts import TOUCH
from state.redis.touches import Touches
from state.redis.wire import Part
from state.redis.wire import Script

TICK_S: Final = 0.5
"""How late others learn of a touch."""
_TOGETHER: Final = 256
"""Touches in one script, about two milliseconds of Redis."""
_KEEPING_MOST: Final = 64
"""Checkpoints on their way."""
_CLOSE_WITHIN_S: Final = 1.0

Ask = Callable[[Script, Sequence[Part]], Awaitable[Answer]]


class Behind:
    """For one event loop. `ask` runs a script and may raise `StateError`."""

    def __init__(self, ask: Ask, touches: Touches, clock: Callable[[], float], *, kept_s: float) -> None:
        self._ask = ask
        self._touches = touches
        self._clock = clock
        self._kept_s = kept_s
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._keeping: dict[asyncio.Task[None], str] = {}
        self._closed = False

    def touched(self, *, urgent: bool) -> None:
        """There is a touch to tell. `urgent`: now."""
        if self._closed:
            return
        if urgent:
            self._start()
        elif self._timer is None and self._flushing is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._start)

    def keep(self, session_id: str, script: Script, arguments: Sequence[Part]) -> None:
        """Run it some time soon; of one session in this order."""
        if self._closed or len(self._keeping) >= _KEEPING_MOST:
            return
        before = self._of(session_id)
        keeping = asyncio.get_running_loop().create_task(self._keep(before, script, arguments))
        self._keeping[keeping] = session_id
        keeping.add_done_callback(self._kept)

    async def catch_up(self) -> None:
        """Tell what has waited too long, since what is done next might end sessions that seem to be over."""
        if self._touches.overdue(self._clock(), 2 * TICK_S):
            self._start()
            if self._flushing is not None:
                await asyncio.wait([self._flushing])

    async def settled(self, session_id: str) -> None:
        """Return once the checkpoints of a session that are on their way have arrived, or will not."""
        keeping = self._of(session_id)
        if keeping:
            await asyncio.wait(keeping)

    async def aclose(self) -> None:
        """Tell what is quick to tell, and leave no task."""
        if self._timer is not None:
            self._timer.cancel()
        if self._touches.count and not self._closed:
            self._start()
        self._closed = True
        left = [*self._keeping, *([] if self._flushing is None else [self._flushing])]
        if left:
            _, late = await asyncio.wait(left, timeout=_CLOSE_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())
            self._flushing.add_done_callback(self._flushed)

    async def _flush(self) -> None:
        for _ in range(0, self._touches.count, _TOGETHER):
            some = self._touches.some(_TOGETHER)
            told = [part for each, touch in some.items() for part in (each, *self._touches.told_of(touch))]
            try:
                await self._ask(TOUCH, (repr(self._kept_s), *told))
            except StateError:
                return  # they wait, and count here
            self._touches.settle(some)

    def _flushed(self, _: asyncio.Task[None]) -> None:
        self._flushing = None
        if self._touches.count and not self._closed:
            self.touched(urgent=False)

    async def _keep(self, before: Sequence[asyncio.Task[None]], script: Script, arguments: Sequence[Part]) -> None:
        if before:
            await asyncio.wait(before)
        with suppress(StateError):  # an aid that may be missing
            await self._ask(script, arguments)

    def _kept(self, keeping: asyncio.Task[None]) -> None:
        del self._keeping[keeping]

    def _of(self, session_id: str) -> list[asyncio.Task[None]]:
        return [task for task, each in self._keeping.items() if each == session_id]
