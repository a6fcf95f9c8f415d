"""A command on its way to Redis: how it travels, who waits for it and until when, and what is seen on the way."""

import asyncio
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Protocol

from state.redis.wire import Away
from state.redis.wire import Part

NO_ANSWER = "no answer in time"
LET_GO = "it was let go"
_LATE_S = 0.02
_GRACE_S = 0.05
"""When this process was busy itself, the answer may lie there unread: whoever wakes up late looks once more."""


def packed(parts: Sequence[Part]) -> bytes:
    """A command as it travels."""
    pieces = [b"*%d\r\n" % len(parts)]
    for part in parts:
        encoded = part if isinstance(part, bytes) else str(part).encode()
        pieces.append(b"$%d\r\n%b\r\n" % (len(encoded), encoded))
    return b"".join(pieces)


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


class Seen(Protocol):
    """Told what is seen of the server."""

    def connected(self) -> None:
        """A new connection works: who is at its other end may be another one than before."""
        ...

    def answered(self) -> None: ...

    def timed_out(self, reason: str) -> None: ...

    def refused(self, reason: str) -> None:
        """Twice in a row."""
        ...

    def broke(self, reason: str) -> None:
        """A connection that had worked."""
        ...
