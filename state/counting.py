"""Counting what becomes of looks and results, the same in every tier."""

from dataclasses import dataclass
from typing import TypeVar

from state.tier import Look
from state.tier import TierStatistics

V = TypeVar("V")


@dataclass(slots=True)
class Counts:
    """As in `TierStatistics`. For one event loop."""

    hits: int = 0
    misses: int = 0
    stale: int = 0
    stored: int = 0
    refused: int = 0
    dropped: int = 0
    errors: int = 0
    unreadable: int = 0

    def looked(self, look: Look[V]) -> Look[V]:
        """Count a look, and hand it on."""
        if look.kept is None:
            self.misses += 1
        else:
            self.hits += 1
            self.stale += look.kept.stale
        return look

    def statistics(self) -> TierStatistics:
        return TierStatistics(
            hits=self.hits,
            misses=self.misses,
            stale=self.stale,
            stored=self.stored,
            refused=self.refused,
            dropped=self.dropped,
            errors=self.errors,
            unreadable=self.unreadable,
        )
