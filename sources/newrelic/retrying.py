"""When to try again, and after how long: a decision about one flight and one trouble. Pure but for the dice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sources.newrelic.faults import PASSING
from sources.newrelic.faults import Trouble
from sources.newrelic.flights import Flight

RETRIES: Final = 3
_SLOW_RETRIES: Final = 1
"""NRDB rarely does better with the same text."""
_FIRST_S: Final = 0.5
_LONGEST_S: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """Full jitter: a random share of a span that doubles with every attempt."""

    clock: Callable[[], float]
    chance: Callable[[], float]

    def pause_s(self, flight: Flight, trouble: Trouble, attempt: int) -> float | None:
        """How long to wait before the next attempt (`attempt` 0 is the first). None: it stays as it is."""
        if attempt >= RETRIES or not self._passes(flight, trouble):
            return None
        span_s = min(_FIRST_S * 2**attempt, _LONGEST_S)
        pause_s = max(self.chance() * span_s, trouble.retry_after_s or 0.0)
        return pause_s if self.clock() + pause_s < flight.deadline_s else None

    def _passes(self, flight: Flight, trouble: Trouble) -> bool:
        return trouble.kind in PASSING or (trouble.kind == "slow" and flight.slow <= _SLOW_RETRIES)
