"""Counts and timings between two tellings, so that each thing is told once and none per call.

Shares are never told: those of several instances cannot be averaged. Hits and misses can be added, and then divided.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from state.results import CacheStatistics
from state.tier import TierStatistics

Metric = tuple[str, Mapping[str, float]]

_PREFIX: Final = "Custom/uds/"
_COUNTERS: Final = {
    "cache/hits": "hits",
    "cache/misses": "misses",
    "cache/stale": "stale_hits",
    "cache/loads": "loads",
    "cache/evictions": "evictions",
}
_TIER_COUNTERS: Final = {"cache/shared/hits": "hits", "cache/shared/misses": "misses", "cache/shared/errors": "errors"}


@dataclass(slots=True)
class Timing:
    """Of several things that took time."""

    count: int = 0
    total_s: float = 0.0
    least_s: float = float("inf")
    most_s: float = 0.0
    squares: float = 0.0

    def add(self, took_s: float) -> None:
        self.count += 1
        self.total_s += took_s
        self.least_s = min(self.least_s, took_s)
        self.most_s = max(self.most_s, took_s)
        self.squares += took_s * took_s

    def value(self) -> dict[str, float]:
        """As the agent takes it; seconds."""
        return {
            "count": self.count,
            "total": self.total_s,
            "min": self.least_s,
            "max": self.most_s,
            "sum_of_squares": self.squares,
        }


class Meter:
    """What was counted and timed since it was last taken. For one thread."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._timings: dict[str, Timing] = {}

    def count(self, name: str) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1

    def time(self, name: str, took_s: float) -> None:
        self._timings.setdefault(name, Timing()).add(took_s)

    def taken(self) -> list[Metric]:
        """Everything, and begin anew."""
        counts, self._counts = self._counts, {}
        timings, self._timings = self._timings, {}
        return [
            *((_PREFIX + name, {"count": count}) for name, count in counts.items()),
            *((_PREFIX + name, timing.value()) for name, timing in timings.items()),
        ]


class CacheCounts:
    """What a cache counted since it was last asked; it counts from its start."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}

    def since(self, statistics: CacheStatistics) -> list[Metric]:
        """What moved. Nothing is told of what did not."""
        now = dict(_counters(statistics))
        moved = {name: count - self._before.get(name, 0) for name, count in now.items()}
        self._before = now
        return [(_PREFIX + name, {"count": count}) for name, count in moved.items() if count > 0]


def _counters(statistics: CacheStatistics) -> Iterator[tuple[str, int]]:
    for name, field in _COUNTERS.items():
        yield name, getattr(statistics, field)
    for name, field in _TIER_COUNTERS.items():
        yield name, getattr(statistics.shared or TierStatistics(), field)
