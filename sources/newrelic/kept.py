"""Values that are asked for once for all who want them at the same time, and kept for a while. Failures never are."""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Flight(Generic[V]):
    task: asyncio.Task[V]
    waiting: int = 0


class Kept(Generic[K, V]):
    """Used by one event loop. A caller who is cancelled takes nobody with it; the last one ends the asking."""

    def __init__(self, *, for_s: float, clock: Callable[[], float], finishing: bool = False) -> None:
        """`clock`: seconds; only differences matter. `finishing`: what nobody waits for any more is asked to its end.

        That is for what will soon be wanted again, by callers who wait only briefly.
        """
        self._finishing = finishing
        self._for_s = for_s
        self._clock = clock
        self._values: dict[K, tuple[float, V]] = {}
        self._flights: dict[K, _Flight[V]] = {}

    def found(self, key: K) -> V | None:
        """The value, if it is kept and not too old."""
        held = self._values.get(key)
        if held is None or not 0 <= self._clock() - held[0] < self._for_s:
            return None
        return held[1]

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """The kept value, else what `load` answers, which is then kept. Raises what `load` raises."""
        held = self.found(key)
        if held is not None:
            return held
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(self._load(key, load)))
            flight.task.add_done_callback(lambda _task: self._landed(key, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done() and not self._finishing:
                self._flights.pop(key, None)
                flight.task.cancel()

    def forget(self, key: K, *, older_s: float = 0.0) -> None:
        """Forget a value that is at least so old."""
        held = self._values.get(key)
        if held is not None and not 0 <= self._clock() - held[0] < older_s:
            del self._values[key]

    def clear(self) -> None:
        """Forget every value; what is being asked just now is kept when it comes."""
        self._values.clear()

    async def aclose(self) -> None:
        """End what is still being asked."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        asked_at = self._clock()
        value = await load()
        self._values[key] = (asked_at, value)
        return value

    def _landed(self, key: K, flight: _Flight[V]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.task.cancelled():
            flight.task.exception()  # seen, though everybody may have left
