"""Touches that are not in the file yet. They are written together, so that looking at a session costs no write."""

from dataclasses import dataclass


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
    """The newest touch of each session that is not in the file. The writer's thread takes them away in one piece."""

    def __init__(self) -> None:
        self._fresh: dict[str, Touch] = {}
        """Written by the loop's thread only."""
        self._taken: dict[str, Touch] = {}
        """On their way to the file. Replaced by the writer's thread."""

    def put(self, session_id: str, *, at: float, expires_at: float) -> None:
        """The session is alive and was accessed. For the loop's thread."""
        before = self.of(session_id)
        since = at if before is None else before.since
        self._fresh[session_id] = Touch(at=at, since=since, expires_at=expires_at)

    def of(self, session_id: str) -> Touch | None:
        """None: all that is known of the session's life is in the file."""
        touch = self._fresh.get(session_id) or self._taken.get(session_id)
        return None if touch is None or touch.settled else touch

    def unsettled(self) -> list[tuple[str, Touch]]:
        """All that is to be written now. For the writer's thread; what it then does not settle is given again.

        Costs as much as there is to be written, however many sessions have ever been touched.
        """
        taken = self._fresh
        for each, touch in self._taken.copy().items():
            if not touch.settled:
                taken.setdefault(each, touch)
        # In this order: whoever looks meanwhile finds a touch in one of the two, and one that is just being put into
        # the old map is found there the next time.
        self._taken = taken
        self._fresh = {}
        return [(each, touch) for each, touch in taken.copy().items() if not touch.settled]

    def life(self, session_id: str, accessed_at: float, expires_at: float) -> tuple[float, float]:
        """When a session was last accessed and when it ends; the file says what is passed in."""
        touch = self.of(session_id)
        if touch is None or touch.at < accessed_at:
            return accessed_at, expires_at
        return touch.at, touch.expires_at
