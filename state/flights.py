"""Loads on their way: one per key at a time, in tasks of their own, so that no caller can take another one down."""

import asyncio
import re
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Sequence
from typing import Any

from state.errors import StateBusy
from state.results import Loaded


class Invalidated:
    """What was declared outdated while a load was on its way; the load may have read the old."""

    def __init__(self) -> None:
        self.anything = False
        self._everything = False
        self._tags: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []

    def add(self, tags: Sequence[str] | None, pattern: re.Pattern[str] | None) -> None:
        self.anything = True
        if tags is None and pattern is None:
            self._everything = True
        self._tags.update(tags or ())
        if pattern is not None:
            self._patterns.append(pattern)

    def covers(self, key: Hashable, tags: Sequence[str]) -> bool:
        names = [*tags, key] if isinstance(key, str) else tags
        return (
            self._everything
            or not self._tags.isdisjoint(tags)
            or any(pattern.match(name) for pattern in self._patterns for name in names)
        )


class Flight:
    """One load, and how many wait for it."""

    def __init__(self, key: Hashable, fingerprint: str, began_at: float) -> None:
        self.key = key
        self.fingerprint = fingerprint
        self.began_at = began_at
        self.invalidated = Invalidated()
        self.task: asyncio.Task[Loaded[Any]] | None = None
        self.waiting = 0

    def answers(self, fingerprint: str) -> bool:
        """Whether its result can satisfy one who asks now: it began on the same rows, and none were outdated since."""
        return self.fingerprint == fingerprint and not self.invalidated.anything


Load = Callable[[Flight], Awaitable[Loaded[Any]]]


class Flights:
    """All loads of a cache. `landed` is told each result that is the newest of its key, before its waiters are."""

    def __init__(self, clock: Callable[[], float], landed: Callable[[Flight, Loaded[Any]], None]) -> None:
        self._clock = clock
        self._landed = landed
        self._newest: dict[Hashable, Flight] = {}
        self._running: set[Flight] = set()
        self._closing = False

    async def join(self, key: Hashable, fingerprint: str, load: Load) -> Loaded[Any]:
        """Wait for the load under way, or begin one. Raises what the load raises, and `StateBusy` when closed.

        Cancelling a caller leaves the load to the others; when the last one is gone the load is cancelled.
        """
        flight = self._newest.get(key)
        if flight is None or not flight.answers(fingerprint):
            flight = self._begin(key, fingerprint, load)
        task = flight.task
        assert task is not None  # noqa: S101 - set where flights begin
        flight.waiting += 1
        try:
            await asyncio.wait((task,))  # unlike awaiting the task, cancelling this does not cancel it
        finally:
            flight.waiting -= 1
            if not flight.waiting and not task.done():
                self._leave(flight)
                task.cancel()
        if task.cancelled() and self._closing:
            raise StateBusy("the server is stopping, and the measuring with it")
        if task.cancelled():
            raise RuntimeError("the load was cancelled from within")
        return task.result()

    def invalidate(self, tags: Sequence[str] | None, pattern: re.Pattern[str] | None) -> None:
        """Have every load under way know what was outdated, so that it is neither kept nor joined by later callers."""
        for flight in self._running:
            flight.invalidated.add(tags, pattern)

    async def aclose(self) -> None:
        """Stop every load and wait until each has stopped; who waits for one gets `StateBusy`."""
        self._closing = True
        tasks = [flight.task for flight in self._running if flight.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, key: Hashable, fingerprint: str, load: Load) -> Flight:
        flight = Flight(key, fingerprint, self._clock())
        flight.task = asyncio.get_running_loop().create_task(self._fly(flight, load))
        flight.task.add_done_callback(lambda task: self._ended(flight, task))
        self._newest[key] = flight
        self._running.add(flight)
        return flight

    async def _fly(self, flight: Flight, load: Load) -> Loaded[Any]:
        loaded = await load(flight)
        if self._newest.get(flight.key) is flight:
            self._landed(flight, loaded)
        self._leave(flight)
        return loaded

    def _ended(self, flight: Flight, task: asyncio.Task[Loaded[Any]]) -> None:
        self._leave(flight)
        self._running.discard(flight)
        if not task.cancelled():
            task.exception()  # seen, even when nobody waits any more

    def _leave(self, flight: Flight) -> None:
        if self._newest.get(flight.key) is flight:
            del self._newest[flight.key]
