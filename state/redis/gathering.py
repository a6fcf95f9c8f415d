"""Calls to one server: those of one moment travel together, over a few connections, each with its own deadline."""

import asyncio
from collections import deque
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Any
from typing import Protocol

from state.redis.replies import Broken
from state.redis.wire import Away
from state.redis.wire import Part

if TYPE_CHECKING:
    from state.redis.link import Link

TOGETHER_MOST = 512
TOGETHER_BYTES_MOST = 1 << 20
WAITING_MOST = 16_384
WAITING_BYTES_MOST = 64 << 20


class Crowded(Away):
    """Too much is waiting already: coming again at once would only make it worse."""


@dataclass(slots=True, eq=False)
class Call:
    """One command on its way."""

    packed: bytes
    answer: asyncio.Future[Any]
    deadline_at: float
    """On the loop's clock."""
    asking: bytes = b""
    """A command that goes right before, whose reply nobody needs."""
    sent: bool = False

    def lost(self, reason: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(Away(reason, sent=self.sent))


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

    def __init__(self, dial: "Callable[[], Awaitable[Link]]", seen: Seen, *, lines: int) -> None:
        self._dial = dial
        self._seen = seen
        self._lines_most = lines
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Call] = deque()
        self._waiting_bytes = 0
        self._lines: list[_Line] = []
        self._resting: list[_Line] = []
        self._called = False
        self._closed = False
        self.turn = 0
        """Connections of earlier turns are not used any more."""

    async def ask(self, packed: bytes, *, within_s: float, asking: bytes = b"") -> Any:
        """Send a command and return its reply, which may be `Wrong`. Raises Away."""
        call = Call(packed, self._loop.create_future(), self._loop.time() + within_s, asking)
        self._join(call)
        timer = self._loop.call_at(call.deadline_at, call.lost, f"no answer within {within_s:g} s")
        try:
            return await call.answer
        finally:
            timer.cancel()

    def renew(self) -> None:
        """Use no connection again that exists now."""
        self.turn += 1

    def _join(self, call: Call) -> None:
        if self._closed:
            raise Away("it was let go", sent=False)
        if len(self._waiting) >= WAITING_MOST or self._waiting_bytes + len(call.packed) > WAITING_BYTES_MOST:
            raise Crowded(f"{len(self._waiting)} calls are waiting for it already", sent=False)
        self._waiting.append(call)
        self._waiting_bytes += len(call.packed)
        self._wake()

    def _wake(self) -> None:
        """Let one line come for what waits; whoever calls before it is there travels with them."""
        if self._called:
            return
        if self._resting:
            self._resting.pop().wake()
        elif len(self._lines) < self._lines_most:
            self._lines.append(_Line(self, self._dial, self._seen))
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
            self._waiting_bytes -= len(call.packed)
            room -= len(call.packed)
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

    async def aclose(self) -> None:
        """Drop everything that waits or is under way."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().lost("it was let go")
        await asyncio.gather(*(line.aclose() for line in self._lines))


class _Line:
    """One connection, and whoever carries calls over it."""

    def __init__(self, lane: Lane, dial: "Callable[[], Awaitable[Link]]", seen: Seen) -> None:
        self._lane = lane
        self._dial = dial
        self._seen = seen
        self._link: Link | None = None
        self._turn = 0
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
            async with asyncio.timeout_at(max(call.deadline_at for call in batch)):
                await self._exchange(await self._connected(), batch)
                return
        except TimeoutError:
            reason = "no answer in time"
            self._seen.timed_out(reason)
        except Broken as broken:
            reason = broken.reason
        finally:
            left = [call for call in batch if not call.answer.done()]
            for call in left:
                call.lost(reason)
        await self._hang_up()

    async def _connected(self) -> "Link":
        if self._link is not None and (self._turn != self._lane.turn or await self._link.spoiled()):
            await self._hang_up()
        if self._link is None:
            self._turn = self._lane.turn
            self._link = await self._dialled()
        return self._link

    async def _dialled(self) -> "Link":
        """Twice, because a server that has just been restarted may have refused the first time."""
        try:
            return await self._dial()
        except Broken:
            pass
        try:
            return await self._dial()
        except Broken as broken:
            self._seen.refused(broken.reason)
            raise

    async def _exchange(self, link: "Link", batch: Sequence[Call]) -> None:
        live = [call for call in batch if not call.answer.done()]
        for call in live:
            call.sent = True
        await link.send(*(piece for call in live for piece in (call.asking, call.packed) if piece))
        try:
            for call in live:
                if call.asking:
                    await link.read()
                reply = await link.read()
                if not call.answer.done():
                    call.answer.set_result(reply)
        except Broken as broken:
            self._seen.broke(broken.reason)
            raise
        self._seen.answered()

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()
