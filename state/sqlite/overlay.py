"""Touches that are not in the file yet. They are written together, so that looking at a session costs no write."""

from dataclasses import dataclass
from typing import Final

_FEW: Final = 256


@dataclass(slots=True, kw_only=True, eq=False)
class Touch:
    """An access to a session, and the end of life it brought."""

    at: float
    since: float
    """Of the first of the touches that follow each other and are not in the file: the session was alive then."""
    expires_at: float
    settled: bool = False
    """It is in the file, or something newer is. Set by the writer's thread, once."""


class Overlay:
    """The newest touch of each session. Changed by the loop's thread only; the writer's thread looks."""

    def __init__(self) -> None:
        self._touches: dict[str, Touch] = {}
        self._prune_at = _FEW

    def put(self, session_id: str, *, at: float, expires_at: float) -> None:
        """The session is alive and was accessed. For the loop's thread, as `prune`."""
        before = self.of(session_id)
        since = at if before is None else before.since
        self._touches[session_id] = Touch(at=at, since=since, expires_at=expires_at)
        if len(self._touches) >= self._prune_at:
            self.prune()

    def of(self, session_id: str) -> Touch | None:
        """None: all that is known of the session's life is in the file."""
        touch = self._touches.get(session_id)
        return None if touch is None or touch.settled else touch

    def unsettled(self) -> list[tuple[str, Touch]]:
        # Copied in one step, because the other thread may put one in meanwhile.
        return [(each, touch) for each, touch in self._touches.copy().items() if not touch.settled]

    def prune(self) -> None:
        """Let go of what is settled."""
        self._touches = dict(self.unsettled())
        self._prune_at = max(_FEW, 2 * len(self._touches))

    def life(self, session_id: str, accessed_at: float, expires_at: float) -> tuple[float, float]:
        """When a session was last accessed and when it ends; the file says what is passed in."""
        touch = self._touches.get(session_id)
        if touch is None or touch.settled or touch.at < accessed_at:
            return accessed_at, expires_at
        return touch.at, touch.expires_at
