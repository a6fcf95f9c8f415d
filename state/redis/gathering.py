"""Calls to one server: those of one moment travel together, over a few connections, each with its own deadline."""

import asyncio
from collections import deque
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from typing import Any
from typing import Protocol

from state.redis.replies import Broken
from state.redis.wire import Away
from state.redis.wire import Part

if TYPE_CHECKING:
    from state.redis.link import Link

NO_ANSWER = "no answer in time"
TOGETHER_MOST = 512
TOGETHER_BYTES_MOST = 1 << 20
WAITING_MOST = 16_384
WAITING_BYTES_MOST = 64 << 20
CONNECTING_LEAST_S = 1.0
"""Connecting may take longer than a call: otherwise a far server with encryption could never be reached."""
_LATE_S = 0.02
_GRACE_S = 0.05
"""When this process was busy itself, the answer may lie there unread: whoever wakes up late looks once more."""


class Crowded(Away):
    """Too much is waiting already: coming again at once would only make it worse."""


@dataclass(slots=True, eq=False)
class Call:
    """One command on its way."""

    command: bytes
    answer: asyncio.Future[Any]
    deadline_at: float
    """On the loop's clock."""
    asking: bytes = b""
    """A command that goes right before, whose reply nobody needs."""
    sent: bool = False

    def lost(self, reason: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(Away(reason, sent=self.sent))

    def told(self, reply: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(reply)


class Alarm:
    """Calls `ring` at an instant of the loop's clock, or a little later if the loop was held up until then."""

    def __init__(self, loop: asyncio.AbstractEventLoop, at: float, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._at = at
        self._timer = loop.call_at(at, self._due)

    def _due(self) -> None:
        if self._loop.time() - self._at > _LATE_S:
            self._timer = self._loop.call_later(_GRACE_S, self._ring)
        else:
            self._ring()

    def cancel(self) -> None:
        self._timer.cancel()


def packed(parts: Sequence[Part]) -> bytes:
    """A command as it travels."""
    pieces = [b"*%d\r\n" % len(parts)]
    for part in parts:
        encoded = part if isinstance(part, bytes) else str(part).encode()
        pieces.append(b"$%d\r\n%b\r\n" % (len(encoded), encoded))
    return b"".join(pieces)


class Seen(Protocol):
    """Told what is seen of the server."""

    def answered(self) -> None: ...

    def timed_out(self, reason: str) -> None: ...

    def refused(self, reason: str) -> None:
        """Twice in a row."""
        ...

    def broke(self, reason: str) -> None:
        """A connection that had worked."""
        ...


class Lane:
    """All that goes to one server. `dial`: gives an open connection or raises Broken."""

    def __init__(self, dial: "Callable[[], Awaitable[Link]]", seen: Seen, *, lines: int, deadline_s: float) -> None:
        self._dial = dial
        self._seen = seen
        self._deadline_s = deadline_s
        self._lines_most = lines
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Call] = deque()
        self._waiting_bytes = 0
        self._watched: deque[Call] = deque()
        self._alarm: Alarm | None = None
        self._lines: list[_Line] = []
        self._resting: list[_Line] = []
        self._called = False
        self._closed = False
        self.turn = 0
        """Connections of earlier turns are not used any more."""

    async def ask(self, command: bytes, *, within_s: float, asking: bytes = b"") -> Any:
        """Send a command and return its reply, which may be `Wrong`. Raises Away."""
        call = Call(command, self._loop.create_future(), self._loop.time() + within_s, asking)
        self._join(call)
        if within_s == self._deadline_s:
            self._watch(call)
            return await call.answer
        alarm = Alarm(self._loop, call.deadline_at, partial(call.lost, NO_ANSWER))
        try:
            return await call.answer
        finally:
            alarm.cancel()

    def _watch(self, call: Call) -> None:
        """One timer for all calls of the usual deadline, whose order is that of their deadlines."""
        while self._watched and self._watched[0].answer.done():
            self._watched.popleft()
        self._watched.append(call)
        if self._alarm is None:
            self._alarm = Alarm(self._loop, call.deadline_at, self._overdue)

    def _overdue(self) -> None:
        now = self._loop.time()
        while self._watched and (self._watched[0].answer.done() or self._watched[0].deadline_at <= now):
            self._watched.popleft().lost(NO_ANSWER)
        self._alarm = Alarm(self._loop, self._watched[0].deadline_at, self._overdue) if self._watched else None

    def renew(self) -> None:
        """Use no connection again that exists now."""
        self.turn += 1

    def _join(self, call: Call) -> None:
        if self._closed:
            raise Away("it was let go", sent=False)
        if len(self._waiting) >= WAITING_MOST or self._waiting_bytes + len(call.command) > WAITING_BYTES_MOST:
            raise Crowded(f"{len(self._waiting)} calls are waiting for it already", sent=False)
        self._waiting.append(call)
        self._waiting_bytes += len(call.command)
        self._wake()

    def _wake(self) -> None:
        """Let one line come for what waits; whoever calls before it is there travels with them."""
        if self._called:
            return
        if self._resting:
            self._resting.pop().wake()
        elif len(self._lines) < self._lines_most:
            self._lines.append(_Line(self, self._dial, self._seen, deadline_s=self._deadline_s))
        else:
            return
        self._called = True

    def taken(self) -> list[Call]:
        """What a line shall carry now."""
        self._called = False
        batch: list[Call] = []
        room = TOGETHER_BYTES_MOST
        while self._waiting and len(batch) < TOGETHER_MOST and room > 0:
            call = self._waiting.popleft()
            self._waiting_bytes -= len(call.command)
            room -= len(call.command)
            if not call.answer.done():
                batch.append(call)
        if self._waiting:
            self._wake()
        return batch

    def rest(self, line: "_Line") -> bool:
        """False: there is something to carry."""
        if self._waiting:
            return False
        self._resting.append(line)
        return True

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._waiting and len(self._resting) == len(self._lines)

    async def aclose(self) -> None:
        """Drop everything that waits or is under way."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        while self._waiting:
            self._waiting.popleft().lost("it was let go")
        await asyncio.gather(*(line.aclose() for line in self._lines))


class _Line:
    """One connection, and whoever carries calls over it."""

    def __init__(self, lane: Lane, dial: "Callable[[], Awaitable[Link]]", seen: Seen, *, deadline_s: float) -> None:
        self._lane = lane
        self._dial = dial
        self._seen = seen
        self._deadline_s = deadline_s
        self._link: Link | None = None
        self._turn = 0
        self._loop = asyncio.get_running_loop()
        self._awake = asyncio.Event()
        self._task = asyncio.create_task(self._serve(), name="redis line")

    def wake(self) -> None:
        self._awake.set()

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self) -> None:
        try:
            while True:
                batch = self._lane.taken()
                if batch:
                    await self._carry(batch)
                if self._lane.rest(self):
                    await self._awake.wait()
                    self._awake.clear()
        finally:
            await self._hang_up()

    async def _carry(self, batch: Sequence[Call]) -> None:
        """Answer every call of a batch, one way or the other."""
        reason = "it was let go"
        try:
            await self._exchange(await self._connected(), batch)
        except TimeoutError:
            reason = NO_ANSWER
            await self._hang_up()
            self._seen.timed_out(reason)
        except Broken as broken:
            reason = broken.reason
            await self._hang_up()
            for call in batch if broken.final else ():
                call.told(broken.answer)
        finally:
            for call in batch:
                call.lost(reason)

    async def _connected(self) -> "Link":
        if self._link is not None and (self._turn != self._lane.turn or await self._link.spoiled()):
            await self._hang_up()
        if self._link is None:
            self._link = await self._dialled()
            self._turn = self._lane.turn
        return self._link

    async def _dialled(self) -> "Link":
        """Twice, because a server that has just been restarted may have refused the first time."""
        try:
            return await self._dialled_once()
        except Broken as broken:
            if broken.final:
                raise
        try:
            return await self._dialled_once()
        except Broken as broken:
            if not broken.final:
                self._seen.refused(broken.reason)
            raise

    async def _dialled_once(self) -> "Link":
        """Takes longer than a call may, if need be; each time a call would have given up counts as such."""
        overdue = [self._loop.call_later(self._deadline_s * times, self._seen.timed_out, NO_ANSWER) for times in (1, 2)]
        try:
            async with asyncio.timeout(max(CONNECTING_LEAST_S, 4 * self._deadline_s)):
                return await self._dial()
        except TimeoutError:
            raise Broken(NO_ANSWER) from None
        finally:
            for timer in overdue:
                timer.cancel()

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
