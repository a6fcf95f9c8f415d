"""The values that cross the result cache."""

from dataclasses import dataclass
from typing import Generic
from typing import Literal
from typing import TypeVar

from state.tier import TierStatistics

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Generic[V]):
    """What a load found, and how it may be kept."""

    value: V
    """Handed out to everyone who asks: immutable, or treated as such."""
    size_bytes: int
    tags: tuple[str, ...] = ()
    """What it was made from; see `ResultCache.invalidate`."""
    cacheable: bool = True
    shared_age_s: float | None = None
    """How old it was when it came out of the shared tier. None: it was loaded now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit(Generic[V]):
    """An answer of the cache."""

    value: V
    cached: bool
    """False: it was loaded for this call, or for another one that asked at the same time."""
    age_s: float
    """Seconds since its load began. 0 when not cached."""
    tier: Literal["memory", "shared"] | None
    """Where it was kept: in this process, or beyond it. None when not cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStatistics:
    """Counters since the start, and what is held now."""

    entries: int
    """Expired entries that are not yet swept included."""
    bytes: int
    hits: int
    misses: int
    """Not found in memory, whether or not the shared tier had it."""
    stale_hits: int
    """Lookups that found a result its source had outdated: dropped, never served, and counted as misses too."""
    loads: int
    """Loads begun; what the shared tier had needs none."""
    evictions: int
    """Results given up for want of room."""
    hit_share: float | None
    """Hits of all lookups, 0 to 1. None: no lookups yet."""
    shared: TierStatistics | None = None
    """None: there is no shared tier."""
