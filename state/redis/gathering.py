"""Calls to one server: those of one moment travel together, over a few connections, each with its own deadline."""

import asyncio
from collections import deque
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from typing import Any

from state.redis.calls import LET_GO
from state.redis.calls import NO_ANSWER
from state.redis.calls import Alarm
from state.redis.calls import Call
from state.redis.calls import Seen
from state.redis.line import Line
from state.redis.wire import Away

if TYPE_CHECKING:
    from state.redis.link import Link

TOGETHER_MOST = 512
TOGETHER_BYTES_MOST = 1 << 20
WAITING_MOST = 16_384
WAITING_BYTES_MOST = 64 << 20


class Crowded(Away):
    """Too much is waiting already: coming again at once would only make it worse."""


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
        self._lines: list[Line] = []
        self._resting: list[Line] = []
        self._called = False
        self._closed = False
        self.turn = 0
        """Connections of earlier turns are not used any more."""
        self.answered_at = float("-inf")

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
            raise Away(LET_GO, sent=False)
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
            self._lines.append(Line(self, self._dial, self._seen, deadline_s=self._deadline_s))
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

    def back(self, batch: Sequence[Call]) -> None:
        """Nothing of it was sent: another line shall carry it."""
        self._waiting.extendleft(reversed(batch))
        self._waiting_bytes += sum(len(call.command) for call in batch)
        self._wake()

    @property
    def linked(self) -> bool:
        """Whether any line has a connection."""
        return any(line.linked for line in self._lines)

    def rest(self, line: Line) -> bool:
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
            self._waiting.popleft().lost(LET_GO)
        await asyncio.gather(*(line.aclose() for line in self._lines))
