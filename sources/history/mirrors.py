"""The mirrors of many histories: few at a time, and none that nobody asks any more."""

import asyncio
from collections.abc import AsyncGenerator
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Final
from typing import TypeVar

from sources.errors import QuotaSpent
from sources.history.mirror import Mirror
from sources.history.mirror import Question

T = TypeVar("T")

MIRRORS_MOST: Final = 8
_IDLE_S: Final = 300.0
"""After this the files go: what was forgotten must not lie in them until somebody asks again."""


class _Held:
    __slots__ = ("leaving", "mirror", "users")

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.users = 0
        self.leaving: asyncio.TimerHandle | None = None


class Mirrors:
    """At most `most` of them; the one that was longest not used makes room. Belongs to one event loop."""

    def __init__(self, *, most: int = MIRRORS_MOST, idle_s: float = _IDLE_S) -> None:
        self._most = most
        self._idle_s = idle_s
        self._held: dict[str, _Held] = {}  # the last one used is the last
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> tuple[str, ...]:
        """The scopes that have a mirror, the longest unused first."""
        return tuple(self._held)

    async def asked(self, scope: str, make: Callable[[], Mirror], question: Question[T], *, within_s: float) -> T:
        """Ask the scope's mirror. Raises `QuotaSpent` when all are in use, and as `Mirror.asked`."""
        async with self._using(scope, make) as mirror:
            return await mirror.asked(question, within_s=within_s)

    async def aclose(self) -> None:
        """Close all, also those that are in use."""
        for scope in tuple(self._held):
            self._close(scope)
        if self._closing:
            await asyncio.wait(self._closing)

    @asynccontextmanager
    async def _using(self, scope: str, make: Callable[[], Mirror]) -> AsyncGenerator[Mirror]:
        held = self._taken(scope, make)
        held.users += 1
        if held.leaving is not None:
            held.leaving.cancel()
        try:
            if self._closing:
                await asyncio.wait(self._closing)  # so that there are never more engines than said
            yield held.mirror
        finally:
            held.users -= 1
            if not held.users and self._held.get(scope) is held:
                held.leaving = asyncio.get_running_loop().call_later(self._idle_s, self._close, scope)

    def _taken(self, scope: str, make: Callable[[], Mirror]) -> _Held:
        held = self._held.pop(scope, None)
        if held is None:
            if len(self._held) >= self._most:
                self._close(self._unused())
            held = _Held(make())
        self._held[scope] = held
        return held

    def _unused(self) -> str:
        found = next((scope for scope, held in self._held.items() if not held.users), None)
        if found is None:
            raise QuotaSpent(f"{self._most} histories are being asked at the same time", 1.0)
        return found

    def _close(self, scope: str) -> None:
        held = self._held.pop(scope)
        if held.leaving is not None:
            held.leaving.cancel()
        closing = asyncio.get_running_loop().create_task(held.mirror.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
