"""The result cache: never load twice at once, never answer from what is outdated, never grow or stall without bound."""

import asyncio
import random as _random
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from typing import TypeVar

from state.changes import Change
from state.changes import Missed
from state.changes import ResultsOutdated
from state.flights import Flight
from state.flights import Flights
from state.results import CacheStatistics
from state.results import Hit
from state.results import Loaded
from state.sharing import through
from state.shelf import Entry
from state.shelf import Shelf
from state.shelf import globbed
from state.tier import ResultTier
from state.tier import Shared
from state.tier import Wanted

__all__ = ["CacheStatistics", "Hit", "Loaded", "ResultCache"]

V = TypeVar("V")
_SETTLING_S = 2.0


class ResultCache:
    """Results of one process, for one event loop, and behind them those of a shared tier.

    `clock` is monotonic. An entry lives `ttl_s` seconds, give or take `jitter_share` of that, so that entries stored
    together do not expire together; `random` gives numbers from 0 to 1 for it. Entries over an eighth of `max_bytes`
    are answered but not kept. `tier` is closed with the cache; what another `release` stored there is not found.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        ttl_s: float = 300.0,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 2**20,
        jitter_share: float = 0.1,
        random: Callable[[], float] = _random.random,
        tier: ResultTier | None = None,
        release: str = "",
    ) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._jitter_share = jitter_share
        self._random = random
        self._tier = tier
        self._release = release
        self._shelf = Shelf(max_entries=max_entries, max_bytes=max_bytes)
        self._flights = Flights(clock, self._keep)
        self._hits = 0
        self._misses = 0
        self._stale_hits = 0
        self._loads = 0

    def peek(self, key: Hashable, fingerprint: str) -> Hit[Any] | None:
        """What is kept in memory for the key and still stands. None: `get_or_load` would look further, or load.

        A hit is counted; finding nothing is not, since the load that usually follows is.
        """
        entry = self._shelf.find(key)
        if entry is None:
            return None
        now = self._clock()
        if now >= entry.deadline:
            self._shelf.drop(key)
            return None
        if entry.fingerprint != fingerprint:
            self._shelf.drop(key)
            self._stale_hits += 1
            return None
        self._hits += 1
        return Hit(value=entry.value, cached=True, age_s=now - entry.loaded_at, tier="memory")

    async def get_or_load(
        self,
        key: Hashable,
        load: Callable[[], Awaitable[Loaded[V]]],
        *,
        fingerprint: str,
        shared: Shared[V] | None = None,
    ) -> Hit[V]:
        """Answer from memory, from the shared tier, or by one load shared by all who ask for the key meanwhile.

        `fingerprint` stands for the state of the source as the caller knows it: nothing that was loaded under another
        one is served. The load runs in the cache's own task, is stopped when nobody waits for it any more, and is
        never kept if it failed. `shared`: how the tier knows the value; None keeps it in memory only. Raises what
        `load` raises.
        """
        hit = self.peek(key, fingerprint)
        if hit is not None:
            return hit
        self._misses += 1

        async def counted() -> Loaded[V]:
            self._loads += 1
            return await load()

        async def fly(flight: Flight) -> Loaded[V]:
            if self._tier is None or shared is None:
                return await counted()
            wanted = Wanted(digest=shared.digest(self._release), fingerprint=fingerprint)
            return await through(self._tier, wanted, shared.codec, flight, counted, self._clock)

        loaded = await self._flights.join(key, fingerprint, fly)
        if loaded.shared_age_s is not None:
            return Hit(value=loaded.value, cached=True, age_s=loaded.shared_age_s, tier="shared")
        return Hit(value=loaded.value, cached=False, age_s=0.0, tier=None)

    def invalidate(self, *, tags: Sequence[str] | None = None, pattern: str | None = None) -> int:
        """Drop what carries any of the tags, or matches the shell pattern by a tag or a text key; neither: everything.

        Returns how many results were dropped from memory; in the shared tier they are found outdated by tag. Other
        processes are to be told by the caller, once this is `settled`: before, they might find there what is outdated.
        Loads under way are answered to those who wait, but not kept if they are affected, and
        those who ask from now on get a load of their own.
        """
        change = ResultsOutdated(tags=None if tags is None else tuple(tags), pattern=pattern)
        dropped = self._drop(change)
        if self._tier is not None:
            self._tier.outdate(change)
        return dropped

    def hear(self, change: Change) -> None:
        """What another process declared outdated is dropped from memory; the shared tier knows it already."""
        if isinstance(change, ResultsOutdated):
            self._drop(change)
        elif isinstance(change, Missed):
            self._drop(ResultsOutdated())

    async def settled(self) -> None:
        """Wait until what was loaded and declared outdated here has reached the shared tier, two seconds at most."""
        if self._tier is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLING_S):
                    await self._tier.settled()

    def statistics(self) -> CacheStatistics:
        """Cheap: counters only."""
        lookups = self._hits + self._misses
        return CacheStatistics(
            entries=len(self._shelf),
            bytes=self._shelf.bytes,
            hits=self._hits,
            misses=self._misses,
            stale_hits=self._stale_hits,
            loads=self._loads,
            evictions=self._shelf.evictions,
            hit_share=self._hits / lookups if lookups else None,
            shared=None if self._tier is None else self._tier.statistics(),
        )

    async def aclose(self) -> None:
        """Stop the loads under way (their callers get `StateBusy`), forget everything and let go of the tier."""
        await self._flights.aclose()
        self._shelf.clear()
        if self._tier is not None:
            await self._tier.aclose()

    def _drop(self, change: ResultsOutdated) -> int:
        glob = None if change.pattern is None else globbed(change.pattern)
        self._flights.invalidate(change.tags, glob)
        if change.tags is None and glob is None:
            return self._shelf.clear()
        dropped = self._shelf.drop_tagged(change.tags or ())
        return dropped + (0 if glob is None else self._shelf.drop_matching(glob))

    def _keep(self, flight: Flight, loaded: Loaded[Any]) -> None:
        now = self._clock()
        self._shelf.sweep(now)
        if not loaded.cacheable or flight.invalidated.covers(flight.key, loaded.tags):
            return
        life_s = self._ttl_s * (1 + self._jitter_share * (2 * self._random() - 1))
        self._shelf.put(
            flight.key,
            Entry(
                value=loaded.value,
                fingerprint=flight.fingerprint,
                loaded_at=flight.began_at if loaded.shared_age_s is None else now - loaded.shared_age_s,
                deadline=now + life_s,
                size_bytes=loaded.size_bytes,
                tags=loaded.tags,
            ),
        )
