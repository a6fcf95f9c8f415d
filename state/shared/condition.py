"""How a shared journal fares, in words for a person; each change is told once."""

import logging
from collections.abc import Callable
from typing import Final

_log = logging.getLogger(__name__)

DEGRADED: Final = (
    "Redis cannot be reached: this is what this machine knows. Others may have written more; what you write is kept "
    "here and joined with theirs when Redis is back."
)


class Condition:
    """`clock` is monotonic. `durable_at`: where what is written apart is kept; None: in memory only."""

    def __init__(self, clock: Callable[[], float], durable_at: str | None) -> None:
        self._clock = clock
        self._durable_at = durable_at
        self._away_since: float | None = None
        self._why = ""
        self._apart = 0
        self._stuck: str | None = None
        self.changes = 0
        """How often Redis went away or came back."""

    @property
    def away(self) -> bool:
        return self._away_since is not None

    def link(self, up: bool, why: str) -> None:  # noqa: FBT001 - what the link tells
        """Redis went away, or came back."""
        if up == (self._away_since is None):
            return
        self.changes += 1
        if not up:
            self._away_since, self._why = self._clock(), why
            kept = "in memory only" if self._durable_at is None else f"in {self._durable_at}"
            _log.warning("Redis cannot be reached (%s): sessions go on here, and what is written is kept %s", why, kept)
            return
        away_s = self._clock() - (self._away_since or 0.0)
        self._away_since = None
        _log.warning("Redis is back after %.1f s", away_s)

    def apart(self, sessions: int) -> None:
        """How many sessions have events here that are not known to be in Redis."""
        self._apart = sessions

    def brought(self, sessions: int, events: int, took_s: float) -> None:
        """What was written apart has arrived."""
        _log.warning("%d events of %d sessions were brought to Redis in %.2f s", events, sessions, took_s)

    def stuck(self, why: str, defect: Exception | None = None) -> None:
        """What was written apart cannot be brought over, though Redis answers."""
        if why != self._stuck:
            self._stuck = why
            told = "what was written while Redis was away stays on this machine for now: %s"
            _log.error(told, why, exc_info=defect)

    def unstuck(self) -> None:
        """There is nothing left that could not be brought over."""
        self._stuck = None

    def another(self) -> None:
        """Another server answers than before, or an emptied one."""
        _log.warning("Redis is not the one it was (restart, failover or emptied): what this instance knows is compared")

    def notice(self, *, settling: bool) -> str | None:
        """What is wrong right now. None: nothing. `settling`: others may be bringing back what a failover lost."""
        if self.away:
            kept = "in memory only" if self._durable_at is None else f"in {self._durable_at}"
            apart = f" ({_counted(self._apart)} so far)" if self._apart else ""
            return (
                f"degraded: Redis cannot be reached ({self._why}); sessions go on with what this machine knows, "
                f"and what is written is kept {kept} until Redis is back{apart}."
            )
        if self._stuck:
            return f"degraded: {_counted(self._apart)} waiting to be joined with Redis: {self._stuck}"
        if self._apart:
            return f"degraded: {_counted(self._apart)} being joined with Redis."
        return "degraded: Redis has just come back; others may still be joining what they wrote." if settling else None


def _counted(sessions: int) -> str:
    return "1 session is" if sessions == 1 else f"{sessions} sessions are"
