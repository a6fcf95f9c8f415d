"""Changes between instances that share a Redis: messages as hints, the log as the truth, a heartbeat as the proof."""

import asyncio
import logging
import random as _random
import time
from collections.abc import Awaitable
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from state.changes import Change
from state.changes import Listener
from state.changes import Missed
from state.changes import ResourceMoved
from state.changes import ResultsOutdated
from state.local_changes import LocalChanges
from state.redis.announcing import change_of
from state.redis.announcing import numbered
from state.redis.announcing import text_of
from state.redis.hearing import Heard
from state.redis.hearing import Hearing
from state.redis.keys import Keys
from state.redis.looking import look
from state.redis.outbox import Outbox
from state.redis.outbox import tell
from state.redis.patience import Patience
from state.redis.patience import rung
from state.redis.wire import Away
from state.redis.wire import Refused
from state.redis.wire import Wire

_log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 1.0

_CANCEL_AGAIN_S: Final = 0.1
"""`asyncio.wait_for` of Python 3.11, on which others build, loses a cancellation that comes together with an answer."""

_Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesStatistics:
    """Counters since the start, and how it is now."""

    messages: int
    """Heard on the channel."""
    told: int
    """Changes of other instances that listeners here were told."""
    gaps: int
    """Times that a message showed that others were lost."""
    repaired: int
    """Changes that were read from the log."""
    missed: int
    """Times that not even the log could tell."""
    reconnects: int
    """Times that the channel was lost, or could not be heard."""
    waiting: int
    """Changes of this instance that others are not told yet."""
    given_up: int
    """Of those, how many something coarser had to stand for."""
    silent_s: float | None
    """Since the log was last looked at. None: never yet."""


class RedisChanges:
    """Implements `Changes`, for one event loop, in which it begins at once.

    `origin`: the random id of this instance, also in what its journal announces, so that nothing is told here twice.
    `clock` is monotonic, `random` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        keys: Keys,
        origin: str,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = HEARTBEAT_S,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._wire = wire
        self._keys = keys
        self._origin = origin
        self._clock = clock
        self._every_s = every_s
        self._here = LocalChanges()
        self._hearing = Hearing()
        self._outbox = Outbox(everything=text_of(origin, ResultsOutdated()) or "")
        self._look_now = asyncio.Event()
        self._send_now = asyncio.Event()
        self._begun = asyncio.Event()
        self._messages = self._told = self._missed = self._reconnects = 0
        self._looked_at: float | None = None
        self._complaint = ""
        steps: tuple[_Step, ...] = (self._hear, self._look, self._send)
        self._patience: dict[_Step, Patience] = {step: Patience(random) for step in steps}
        wire.watch(self._wire_changed)
        self._tasks = [asyncio.get_running_loop().create_task(self._forever(step)) for step in steps]

    def publish(self, change: Change) -> None:
        self._here.publish(change)
        text = text_of(self._origin, change) if isinstance(change, ResultsOutdated | ResourceMoved) else None
        if text is not None:
            self._outbox.add(text)
            self._send_now.set()

    def listen(self, listener: Listener) -> Callable[[], None]:
        return self._here.listen(listener)

    async def begun(self, within_s: float) -> bool:
        """Wait until changes of others are heard of. False: not within the time; what is missed until then is told."""
        try:
            async with asyncio.timeout(within_s):
                await self._begun.wait()
        except TimeoutError:
            return False
        return True

    def statistics(self) -> ChangesStatistics:
        """Cheap, and never waits."""
        return ChangesStatistics(
            messages=self._messages,
            told=self._told,
            gaps=self._hearing.gaps,
            repaired=self._hearing.repaired,
            missed=self._missed,
            reconnects=self._reconnects,
            waiting=len(self._outbox),
            given_up=self._outbox.given_up,
            silent_s=None if self._looked_at is None else self._clock() - self._looked_at,
        )

    async def aclose(self) -> None:
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=_CANCEL_AGAIN_S)
        await self._here.aclose()

    async def _forever(self, step: _Step) -> None:
        patience = self._patience[step]
        while True:
            try:
                await step()
            except Away:
                pass  # the wire says so itself, once
            except Refused as fault:
                self._complain(str(fault))
            except Exception:  # noqa: BLE001 - the outermost loop of this task: without it nobody would hear any more
                _log.exception("listening for the changes of other instances failed on a defect")
            else:
                patience.won()
                continue
            await patience.wait()

    async def _hear(self) -> None:
        """Listen to the channel until it is lost."""
        try:
            async with aclosing(self._wire.messages(self._keys.channel)) as messages:
                async for message in messages:
                    self._message(message)
            raise Away("the channel ended", sent=False)
        finally:
            self._reconnects += 1

    async def _look(self) -> None:
        """Look at the log, then wait until there is a reason to look again, or for the next heartbeat."""
        self._look_now.clear()
        picture = await look(self._wire, self._keys, self._hearing.ask())
        self._looked_at = self._clock()
        self._tell(self._hearing.seen(picture))
        self._begun.set()
        if not self._hearing.behind:
            await rung(self._look_now, self._every_s)

    async def _send(self) -> None:
        """Send what waits, then wait for more."""
        self._send_now.clear()
        while texts := self._outbox.sending():
            await tell(self._wire, self._keys, self._outbox.id, texts)
            self._outbox.sent()
        await self._send_now.wait()

    def _message(self, message: bytes) -> None:
        if not message:
            self._patience[self._hear].won()
            self._look_now.set()  # what was said before one listened is in the log
            return
        self._messages += 1
        found = numbered(message)
        if found is not None:
            self._tell(self._hearing.heard(*found))
            if self._hearing.behind:
                self._look_now.set()

    def _tell(self, heard: Heard) -> None:
        for text in heard.texts:
            found = change_of(text)
            if found is not None and found[0] != self._origin:
                self._told += 1
                self._here.publish(found[1])
        if heard.missed:
            self._missed += 1
            self._here.publish(Missed())

    def _wire_changed(self, up: bool, _why: str) -> None:  # noqa: FBT001 - the wire's signature
        if up:
            for patience in self._patience.values():
                patience.hurry()

    def _complain(self, text: str) -> None:
        """Once for each reason: it comes back with every attempt."""
        if text != self._complaint:
            self._complaint = text
            _log.error("changes of other instances cannot be heard or told as they happen: Redis refused: %s", text)
