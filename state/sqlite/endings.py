"""How sessions end, and what becomes of those that have: kept for a while, then deleted for good, in bounded steps."""

import math
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Final

from state.sqlite.anchors import Anchors
from state.sqlite.book import Book
from state.sqlite.book import Row
from state.sqlite.many import Many
from state.sqlite.overlay import Overlay

STEP_SESSIONS: Final = 64
"""Sessions ended or deleted in one step, which is a millisecond or two."""
_STEP_EVENTS: Final = 2_000
"""Events deleted in one step, unless a single session has more."""

_ENDED: Final = Many(
    "UPDATE sessions SET ended_at = v.column2 FROM (VALUES {rows}) AS v WHERE sessions.n = v.column1", 2
)
_DELETED: Final = (
    Many("DELETE FROM events WHERE n IN (VALUES {rows})", 1),
    Many("DELETE FROM checkpoints WHERE n IN (VALUES {rows})", 1),
    Many("DELETE FROM sessions WHERE n IN (VALUES {rows})", 1),
)
_DUE: Final = "SELECT id FROM sessions WHERE ended_at IS NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?"
_DUE_OF_OWNER: Final = "SELECT id FROM sessions WHERE owner = ? AND ended_at IS NULL AND expires_at <= ?"
_OLD: Final = "SELECT id FROM sessions WHERE ended_at IS NOT NULL AND ended_at <= ? ORDER BY ended_at LIMIT ?"
_BEYOND: Final = (
    "SELECT id FROM (SELECT id, ended_at, sum(size_bytes) OVER (ORDER BY ended_at DESC, n DESC) AS together "
    "FROM sessions WHERE owner = ? AND ended_at IS NOT NULL) WHERE together > ? ORDER BY ended_at LIMIT ?"
)
_NEXT_END: Final = "SELECT min(expires_at) FROM sessions WHERE ended_at IS NULL"
_FIRST_ENDED: Final = "SELECT min(ended_at) FROM sessions WHERE ended_at IS NOT NULL"


class Endings:
    """Works inside the writer's transaction."""

    def __init__(self, book: Book, overlay: Overlay, anchors: Anchors, *, kept_past_s: float, past_bytes: int) -> None:
        self._book = book
        self._overlay = overlay
        self._anchors = anchors
        self._kept_past_s = kept_past_s
        self._past_bytes = past_bytes
        self._grown: set[str] = set()
        self.due_at = -math.inf
        """When there will be something to do. Others' writes may bring it closer."""

    def expect(self, at: float) -> None:
        """There will be something to do at this instant."""
        self.due_at = min(self.due_at, at)

    def look_again(self) -> None:
        """Others may have brought the next end closer."""
        self.due_at = -math.inf

    def alive(self, row: Row, now: float) -> bool:
        if row.ended_at is not None:
            return False
        return self.end_of_life(row) > now

    def end_of_life(self, row: Row) -> float:
        """When a session that has not ended will, as this process knows."""
        return self._overlay.life(row.id, row.accessed_at, row.expires_at)[1]

    def end(self, rows: Sequence[Row], *, at: float | None = None) -> None:
        """End live sessions. `at=None`: each at its end of life."""
        for row in rows:
            row.ended_at = row.expires_at if at is None else at
            self._book.count(row.owner, sessions=-1, events=-row.events, size_bytes=-row.size_bytes)
            self._grown.add(row.owner)
        _ENDED.run(self._book.connection, [(row.n, row.ended_at) for row in rows])
        if self._kept_past_s <= 0:
            self.delete(rows)
        elif rows:
            self.due_at = -math.inf

    def end_expired(self, owner: str, now: float) -> bool:
        """End all of the owner's sessions that have expired. Returns whether there were any."""
        self._book.flush()
        found = self._book.connection.execute(_DUE_OF_OWNER, (owner, now)).fetchall()
        due = self._rows(each for (each,) in found)
        gone = [row for row in due if not self.alive(row, now)]
        self.end(gone)
        return bool(gone)

    def delete(self, rows: Sequence[Row]) -> None:
        """Delete sessions with all their events. Their anchors go first: none may outlive its session."""
        self._anchors.drop(row.id for row in rows)
        self._book.flush()
        for statement in _DELETED:
            statement.run(self._book.connection, [(row.n,) for row in rows])
        self._book.drop([row.id for row in rows])

    def remove(self, row: Row) -> None:
        """Delete a session, whether it has ended or not."""
        if row.ended_at is None:
            self._book.count(row.owner, sessions=-1, events=-row.events, size_bytes=-row.size_bytes)
        self.delete([row])

    def step(self, now: float) -> None:
        """End some sessions that have expired, and delete some that were kept long enough, if there are any."""
        if now < self.due_at:
            return
        self._book.flush()
        self._end_some(now)
        self._delete_some(_OLD, (now - self._kept_past_s,))
        for owner in list(self._grown)[:1]:
            if not self._delete_some(_BEYOND, (owner, self._past_bytes)):
                self._grown.discard(owner)
        self.due_at = -math.inf if self._grown else self._next()

    def _end_some(self, now: float) -> None:
        found = self._book.connection.execute(_DUE, (now, STEP_SESSIONS)).fetchall()
        self.end([row for row in self._rows(each for (each,) in found) if not self.alive(row, now)])

    def _delete_some(self, asked: str, values: tuple[object, ...]) -> bool:
        found = self._book.connection.execute(asked, (*values, STEP_SESSIONS)).fetchall()
        self.delete(_first_of(self._rows(each for (each,) in found)))
        return bool(found)

    def _next(self) -> float:
        """The end of life or of keeping that comes first."""
        ask = self._book.connection.execute
        self._book.flush()
        (next_end,) = ask(_NEXT_END).fetchone()
        (first_ended,) = ask(_FIRST_ENDED).fetchone()
        kept_until = math.inf if first_ended is None else first_ended + self._kept_past_s
        return min(math.inf if next_end is None else next_end, kept_until)

    def _rows(self, session_ids: Iterable[str]) -> list[Row]:
        ids = list(session_ids)
        self._book.find(ids)
        return [row for row in map(self._book.row, ids) if row is not None]


def _first_of(rows: Sequence[Row]) -> list[Row]:
    """As many as one step may delete, and at least one."""
    taken: list[Row] = []
    events = 0
    for row in rows:
        events += row.events
        if taken and events > _STEP_EVENTS:
            break
        taken.append(row)
    return taken
