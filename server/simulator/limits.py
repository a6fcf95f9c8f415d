"""What an account may ask in a minute, and how many requests a user may have in flight.

Source: docs.newrelic.com, "NRQL query rate limits" and "NerdGraph usage limits".
"""

from collections import defaultdict
from collections import deque
from dataclasses import dataclass
from typing import Final

_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Raised or lowered by tests; None: not limited."""

    in_flight: int | None = 25
    """Requests of a user at one time."""
    per_minute: int | None = 3_000
    """Statements of an account in any minute."""
    same_per_minute: int | None = 120
    """How often an account may ask one and the same statement in any minute."""
    accounts_at_once: int = 5
    """Accounts of one statement across accounts."""
    fields: int | None = None
    """Fields of one request. Source: newrelic/nr1-status-pages#1 (2019) tells of 200; whether it still holds is not
    known, so nothing is limited here by default."""
    body_bytes: int = 4 * 1024 * 1024
    """Of a request."""


class Quota:
    """Counts what each account asked within the last minute."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._asked: defaultdict[int, deque[float]] = defaultdict(deque)
        self._same: defaultdict[tuple[int, str], deque[float]] = defaultdict(deque)
        self._swept_s = 0.0

    def take(self, account: int, text: str, now_s: float) -> str | None:
        """Count one statement. Not None: it is one too many, and why; it is not counted then."""
        self._sweep(now_s)
        asked, same = self._asked[account], self._same[account, text]
        if _full(asked, self._limits.per_minute, now_s):
            return f"account {account} asked {self._limits.per_minute:,} NRQL queries within a minute"
        if _full(same, self._limits.same_per_minute, now_s):
            return f"account {account} asked the same NRQL query {self._limits.same_per_minute} times within a minute"
        asked.append(now_s)
        same.append(now_s)
        return None

    def _sweep(self, now_s: float) -> None:
        if now_s - self._swept_s < _MINUTE_S:
            return
        self._swept_s = now_s
        for key in [key for key, times in self._same.items() if not times or times[-1] <= now_s - _MINUTE_S]:
            del self._same[key]


def _full(times: deque[float], most: int | None, now_s: float) -> bool:
    while times and times[0] <= now_s - _MINUTE_S:
        times.popleft()
    return most is not None and len(times) >= most
