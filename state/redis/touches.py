"""Touches that Redis has not been told of yet. They are told together, so that looking at a session costs no write.

Here they count at once: every question about a session carries its touch along.
"""

from dataclasses import dataclass
from typing import Final

from state.redis.shared_time import SharedTime

_MOST: Final = 100_000
"""Touches kept while Redis is away, some 20 MB; then the oldest are lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """An access to a session, and the end of life it brought, by this machine's clock."""

    at: float
    since: float
    """Of the first of the touches that follow each other and are not told: the session has to be alive then."""
    expires_at: float


class Touches:
    """The newest one of each session, the oldest first. For one event loop."""

    def __init__(self, time: SharedTime) -> None:
        self._time = time
        self._waiting: dict[str, Touch] = {}
        self._since: float | None = None
        """When the first of those that wait came, or the one before it."""

    @property
    def count(self) -> int:
        return len(self._waiting)

    def put(self, session_id: str, *, at: float, expires_at: float) -> None:
        """The session was accessed."""
        before = self._waiting.pop(session_id, None)
        since = at if before is None else before.since
        self._since = since if self._since is None else self._since
        self._waiting[session_id] = Touch(at=at, since=since, expires_at=expires_at)
        if len(self._waiting) > _MOST:
            del self._waiting[next(iter(self._waiting))]

    def of(self, session_id: str) -> Touch | None:
        return self._waiting.get(session_id)

    def overdue(self, now: float, after_s: float) -> bool:
        """Whether one has waited for longer: others, and scripts that end sessions, may take its session for over."""
        return self._since is not None and self._since + after_s < now

    def told(self, session_id: str) -> tuple[str, str, str]:
        """What scripts want to know of a session's touch; all empty when there is none."""
        touch = self._waiting.get(session_id)
        return ("", "", "") if touch is None else self.told_of(touch)

    def told_of(self, touch: Touch) -> tuple[str, str, str]:
        """The touch, as scripts want it."""
        told = self._time.told
        return told(touch.since), told(touch.at), told(touch.expires_at)

    def some(self, most: int) -> dict[str, Touch]:
        """The oldest."""
        return {each: self._waiting[each] for each, _ in zip(self._waiting, range(most), strict=False)}

    def settle(self, told: dict[str, Touch]) -> None:
        """Redis knows these; those that were replaced meanwhile still wait."""
        for each, touch in told.items():
            if self._waiting.get(each) is touch:
                del self._waiting[each]
        self._since = min((touch.since for touch in self._waiting.values()), default=None)

    def drop(self, session_id: str) -> None:
        """Whatever there is of it is about a session that is no more."""
        self._waiting.pop(session_id, None)

    def life(self, session_id: str, accessed_at: float, expires_at: float) -> tuple[float, float]:
        """When a session was last accessed and when it ends; Redis says what is passed in."""
        touch = self._waiting.get(session_id)
        if touch is None or expires_at <= touch.since or touch.at < accessed_at:
            return accessed_at, expires_at
        return touch.at, touch.expires_at
