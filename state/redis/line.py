"""One connection to a server, and whoever carries calls over it: connecting, sending, waiting, giving up."""

import asyncio
import logging
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from typing import Protocol

from state.redis.calls import LET_GO
from state.redis.calls import NO_ANSWER
from state.redis.calls import Alarm
from state.redis.calls import Call
from state.redis.calls import Seen
from state.redis.replies import Broken

if TYPE_CHECKING:
    from state.redis.link import Link

CONNECTING_LEAST_S = 1.0
"""Connecting may take longer than a call: otherwise a far server with encryption could never be reached."""
IDLE_MOST_S = 30.0
"""What lies between may drop a connection that rested longer: it is asked first whether it still leads anywhere."""
_NO_ROOM_S = 1.0
_log = logging.getLogger(__name__)


class _NoRoom(Exception):
    """The server takes no further connection; those there are do."""


class Lane(Protocol):
    """Who has the calls, as a line knows it."""

    turn: int
    """Connections of earlier turns are not used any more."""
    answered_at: float

    @property
    def linked(self) -> bool:
        """Whether any line has a connection."""
        ...

    def taken(self) -> list[Call]:
        """What a line shall carry now."""
        ...

    def back(self, batch: Sequence[Call]) -> None:
        """Nothing of it was sent: another line shall carry it."""
        ...

    def rest(self, line: "Line") -> bool:
        """False: there is something to carry."""
        ...


class Line:
    """One connection, and whoever carries calls over it."""

    def __init__(self, lane: Lane, dial: "Callable[[], Awaitable[Link]]", seen: Seen, *, deadline_s: float) -> None:
        self._lane = lane
        self._dial = dial
        self._seen = seen
        self._deadline_s = deadline_s
        self._link: Link | None = None
        self._turn = 0
        self._used_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._awake = asyncio.Event()
        self._task = asyncio.create_task(self._serve(), name="redis line")

    def wake(self) -> None:
        self._awake.set()

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def linked(self) -> bool:
        return self._link is not None

    async def _serve(self) -> None:
        try:
            while True:
                batch = self._lane.taken()
                if batch:
                    await self._cared_for(batch)
                if self._lane.rest(self):
                    await self._awake.wait()
                    self._awake.clear()
        finally:
            await self._hang_up()

    async def _cared_for(self, batch: list[Call]) -> None:
        """Answer every call of a batch, one way or the other; whatever happens, the next one is carried."""
        reason = LET_GO
        try:
            reason = await self._carried(batch)
        except _NoRoom:
            self._lane.back(batch)
            batch = []
            await asyncio.sleep(_NO_ROOM_S)
        except Exception:  # noqa: BLE001 - the outermost loop: who waits behind this must not wait for ever
            _log.exception("a connection to Redis failed on a defect")
            await self._hang_up()
        finally:
            for call in batch:
                call.lost(reason)

    async def _carried(self, batch: Sequence[Call]) -> str:
        """What those are told who got no answer. Raises _NoRoom, with nothing sent."""
        try:
            await self._exchange(await self._connected(), batch)
        except TimeoutError:
            await self._hang_up()
            self._seen.timed_out(NO_ANSWER)
            return NO_ANSWER
        except Broken as broken:
            await self._hang_up()
            for call in batch if broken.final else ():
                call.told(broken.answer)
            return broken.reason
        return NO_ANSWER

    async def _connected(self) -> "Link":
        if self._link is not None and await self._useless(self._link):
            await self._hang_up()
        if self._link is None:
            self._link = await self._dialled()
            self._turn = self._lane.turn
            self._seen.connected()
        self._used_at = self._loop.time()
        return self._link

    async def _useless(self, link: "Link") -> bool:
        """Found out before anything is sent, so that nobody is left in doubt."""
        if self._turn != self._lane.turn or await link.spoiled():
            return True
        return self._loop.time() - self._used_at > IDLE_MOST_S and not await link.answers(self._deadline_s / 2)

    async def _dialled(self) -> "Link":
        """Twice, because a server that has just been restarted may have refused the first time. Raises _NoRoom too."""
        began_at = self._loop.time()
        try:
            return await self._dialled_once()
        except Broken as broken:
            if broken.final:
                raise
        try:
            return await self._dialled_once()
        except Broken as broken:
            if broken.answer is not None and not broken.final and self._lane.linked:
                raise _NoRoom from broken
            if not broken.final and self._lane.answered_at < began_at:
                self._seen.refused(broken.reason)
            raise

    async def _dialled_once(self) -> "Link":
        """Takes longer than a call may, if need be; each time a call would have given up counts as such."""
        overdue = partial(self._overdue, self._loop.time())
        timers = [self._loop.call_later(self._deadline_s * times, overdue) for times in (1, 2)]
        try:
            async with asyncio.timeout(max(CONNECTING_LEAST_S, 4 * self._deadline_s)):
                return await self._dial()
        except TimeoutError:
            raise Broken(NO_ANSWER) from None
        finally:
            for timer in timers:
                timer.cancel()

    def _overdue(self, began_at: float) -> None:
        """Says nothing about a server that answers others meanwhile: it is far away."""
        if self._lane.answered_at < began_at:
            self._seen.timed_out(NO_ANSWER)

    async def _exchange(self, link: "Link", batch: Sequence[Call]) -> None:
        """Raises TimeoutError when the last of them got no answer in time."""
        live = [call for call in batch if not call.answer.done()]
        if not live:
            return
        async with asyncio.timeout(None) as limit:
            last_at = max(call.deadline_at for call in live)
            alarm = Alarm(self._loop, last_at, lambda: limit.reschedule(self._loop.time()))
            try:
                await self._sent_and_read(link, live)
            except Broken as broken:
                self._seen.broke(broken.reason)
                raise
            finally:
                alarm.cancel()
        self._lane.answered_at = self._loop.time()
        self._seen.answered()

    async def _sent_and_read(self, link: "Link", live: Sequence[Call]) -> None:
        for call in live:
            call.sent = True
        await link.send(*(piece for call in live for piece in (call.asking, call.command) if piece))
        for call in live:
            if call.asking:
                await link.read()
            call.told(await link.read())

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()
