"""How fast one user may ask: requests at once, statements a minute for each account and for each text.

Who may not go yet waits in the order of arrival; a place that must wait lets pass only those it does not compete with.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

Key = tuple[int, str]
"""An account and a statement for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What New Relic grants. Source: docs.newrelic.com, `nerdgraph-usage-limits` and `rate-limits-nrql-queries`."""

    at_once: int = 25
    """Requests under way, for one user."""
    per_account: int = 3_000
    """Statements in `span_s`, for one account."""
    per_text: int = 120
    """The same statement in `span_s`, for one account."""
    span_s: float = 60.0


LIMITS: Final = Limits()
_KEPT_MOST: Final = 4_096
"""Counters that are kept before those that ran out are looked for."""


@dataclass(slots=True, eq=False)
class _Place:
    keys: tuple[Key, ...]
    admitted: "asyncio.Future[float]"


class Pace:
    """Lets requests go within the limits. All instants are of `clock`; `sleep` waits for what it says."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
        limits: Limits = LIMITS,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._limits = limits
        self._under_way = 0
        self._waiting: list[_Place] = []
        self._gone: dict[int, deque[float]] = {}
        self._alarm: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> int:
        return self._under_way

    @property
    def counters(self) -> int:
        """How many accounts and texts are remembered."""
        return len(self._gone)

    def wait_s(self, key: Key, *, ahead: Sequence[Key] = ()) -> float:
        """How long a statement that came now would wait for the limits per minute; `ahead` would go before it."""
        before = [*(each for place in self._waiting for each in place.keys), *ahead]
        same_account = sum(account == key[0] for account, _ in before)
        return max(
            self._window_wait_s(_account(key), self._limits.per_account, same_account + 1),
            self._window_wait_s(_text(key), self._limits.per_text, before.count(key) + 1),
        )

    @asynccontextmanager
    async def going(self, keys: Sequence[Key]) -> AsyncGenerator[float]:
        """Wait until one request with these statements may go; it is under way until the block is left.

        Yields the instant at which it was let go.
        """
        place = _Place(keys=tuple(keys), admitted=asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        self._let_go()
        try:
            went_s = await place.admitted
        except asyncio.CancelledError:
            self._gave_up(place)
            raise
        try:
            yield went_s
        finally:
            self._under_way -= 1
            self._let_go()

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _gave_up(self, place: _Place) -> None:
        if place in self._waiting:
            self._waiting.remove(place)
        elif place.admitted.done() and not place.admitted.cancelled():
            self._under_way -= 1
        self._let_go()

    def _let_go(self) -> None:
        """Admit whoever may go, in order; whoever competes with one that must wait, waits behind it."""
        competing: set[int] = set()
        soonest_s = math.inf
        for place in tuple(self._waiting):
            if self._under_way >= self._limits.at_once:
                break
            counters = {counter for key in place.keys for counter in (_account(key), _text(key))}
            wait_s = self._place_wait_s(place)
            if wait_s <= 0 and not counters & competing:
                self._admit(place)
                continue
            competing |= counters
            soonest_s = min(soonest_s, wait_s) if wait_s > 0 else soonest_s
        self._ring_in(soonest_s)

    def _admit(self, place: _Place) -> None:
        self._waiting.remove(place)
        self._under_way += 1
        now_s = self._clock()
        if len(self._gone) > _KEPT_MOST:
            self._forget_old(now_s)
        for key in place.keys:
            self._gone.setdefault(_account(key), deque()).append(now_s)
            self._gone.setdefault(_text(key), deque()).append(now_s)
        if not place.admitted.done():
            place.admitted.set_result(now_s)

    def _place_wait_s(self, place: _Place) -> float:
        accounts = [_account(key) for key in place.keys]
        texts = [_text(key) for key in place.keys]
        waits_s = [self._window_wait_s(each, self._limits.per_account, accounts.count(each)) for each in set(accounts)]
        waits_s += [self._window_wait_s(each, self._limits.per_text, texts.count(each)) for each in set(texts)]
        return max(waits_s, default=0.0)

    def _window_wait_s(self, counter: int, most: int, more: int) -> float:
        """How long until `more` statements fit into the window of this counter."""
        now_s = self._clock()
        gone = self._gone.get(counter)
        while gone and gone[0] + self._limits.span_s <= now_s:
            gone.popleft()
        over = (len(gone) if gone else 0) + more - most
        if over <= 0:
            return 0.0
        turns, rest = divmod(over - 1, most)
        begun_s = gone[min(rest, len(gone) - 1)] if gone else now_s
        return begun_s + self._limits.span_s * (turns + 1) - now_s

    def _forget_old(self, now_s: float) -> None:
        old = [counter for counter, gone in self._gone.items() if not gone or gone[-1] + self._limits.span_s <= now_s]
        for counter in old:
            del self._gone[counter]

    def _ring_in(self, wait_s: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if wait_s < math.inf:
            self._alarm = asyncio.create_task(self._ring(wait_s))

    async def _ring(self, wait_s: float) -> None:
        await self._sleep(wait_s)
        self._alarm = None
        self._let_go()


def _account(key: Key) -> int:
    return hash(("account", key[0]))


def _text(key: Key) -> int:
    return hash(key)
