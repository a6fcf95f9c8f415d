"""What the writer knows of the file: rows read once and kept as long as nobody else writes, and rows to be written.

Whatever is changed here is in the file only after `flush` and a commit.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from typing import Final

from state.journal import Head
from state.sqlite import kinds
from state.sqlite.kinds import checked
from state.sqlite.many import Many

_ROWS_MOST: Final = 4_096
"""Rows kept: about 2 MB, and letting go of all takes 1 ms."""

_BY_ID: Final = (
    "SELECT n, id, owner, accessed_at, expires_at, ended_at, version, nonce, link, size_bytes, compacted_version "
    "FROM sessions WHERE id IN (VALUES "
)
_FIND_MOST: Final = 512
_OPENED_BY: Final = "SELECT id FROM sessions WHERE owner = ? AND opened_key = ? AND ended_at IS NULL"
_VERSION: Final = "SELECT version FROM sessions WHERE id = ?"
_OWNER: Final = "SELECT sessions, events, size_bytes FROM owners WHERE owner = ?"
_EVENTS: Final = Many("INSERT INTO events (n, version, nonce, salt, content, digest, link) VALUES {rows}", 7)
_MOVED: Final = Many(
    "UPDATE sessions SET version = v.column1, nonce = v.column2, link = v.column3, size_bytes = v.column4, "
    "accessed_at = v.column5, expires_at = v.column6 FROM (VALUES {rows}) AS v WHERE sessions.n = v.column7",
    7,
)
_HOLDING: Final = Many(
    "INSERT INTO owners (owner, sessions, events, size_bytes) VALUES {rows} ON CONFLICT (owner) DO UPDATE "
    "SET sessions = excluded.sessions, events = excluded.events, size_bytes = excluded.size_bytes",
    4,
)
_HOLDING_NOTHING: Final = Many("DELETE FROM owners WHERE owner IN (VALUES {rows})", 1)


@dataclass(slots=True)
class Row:
    """A session as its row says, with what this batch did to it."""

    n: int
    id: str
    owner: str
    accessed_at: float
    expires_at: float
    ended_at: float | None
    version: int
    nonce: str
    link: bytes
    size_bytes: int
    compacted_version: int

    @property
    def head(self) -> Head:
        return Head(version=self.version, nonce=self.nonce)

    @property
    def events(self) -> int:
        return self.version - self.compacted_version


@dataclass(slots=True)
class Totals:
    """What the live sessions of an owner hold together."""

    sessions: int
    events: int
    size_bytes: int


class Book:
    """Over the writer's connection, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._rows: dict[str, Row] = {}
        self._totals: dict[str, Totals] = {}
        self._seen: int | None = None
        self._new_events: list[tuple[Any, ...]] = []
        self._moved: dict[int, Row] = {}
        self._counted: set[str] = set()
        self.heads: dict[str, Row] = {}
        """Sessions whose history has moved since the last commit."""

    def begin(self) -> bool:
        """Take the file for writing. Returns whether others have written since the last time."""
        self.connection.execute("BEGIN IMMEDIATE")
        (seen,) = self.connection.execute("PRAGMA data_version").fetchone()
        others_wrote = seen != self._seen
        if others_wrote or len(self._rows) > _ROWS_MOST:
            self.forget()
        self._seen = seen
        return others_wrote

    def forget(self) -> None:
        """Know nothing any more: what was to be written is not, and what was read is read again."""
        for each in (self._rows, self._totals, self._new_events, self._moved, self._counted, self.heads):
            each.clear()
        self._seen = None

    def find(self, session_ids: Iterable[str]) -> None:
        """Read the rows of several sessions with few calls."""
        unknown = [each for each in dict.fromkeys(session_ids) if each not in self._rows]
        for start in range(0, len(unknown), _FIND_MOST):
            some = unknown[start : start + _FIND_MOST]
            asked = f"{_BY_ID}{', '.join(['(?)'] * len(some))})"
            for values in self.connection.execute(asked, some).fetchall():
                self._rows[values[1]] = Row(*checked(values, kinds.ROW))

    def overtaken(self, heads: Iterable[tuple[str, int]]) -> list[str]:
        """Which of these sessions others have taken away, or back, since this began to write. Cheap if nobody wrote."""
        (seen,) = self.connection.execute("PRAGMA data_version").fetchone()
        if seen == self._seen:
            return []
        return [each for each, version in heads if (self._version(each) or 0) < version]

    def row(self, session_id: str) -> Row | None:
        """The session, live or ended. None: there is none of this id."""
        if session_id not in self._rows:
            self.find((session_id,))
        return self._rows.get(session_id)

    def _version(self, session_id: str) -> int | None:
        found = self.connection.execute(_VERSION, (session_id,)).fetchone()
        return None if found is None else found[0]

    def opened_by(self, owner: str, key: str) -> Row | None:
        """The session that the owner opened with this key and that has not ended. It may have expired."""
        found = self.connection.execute(_OPENED_BY, (owner, key)).fetchone()
        return None if found is None else self.row(found[0])

    def totals(self, owner: str) -> Totals:
        totals = self._totals.get(owner)
        if totals is None:
            found = self.connection.execute(_OWNER, (owner,)).fetchone()
            totals = self._totals[owner] = Totals(*(found or (0, 0, 0)))
        return totals

    def count(self, owner: str, *, sessions: int = 0, events: int = 0, size_bytes: int = 0) -> None:
        """Add to what the owner's live sessions hold."""
        totals = self.totals(owner)
        totals.sessions += sessions
        totals.events += events
        totals.size_bytes += size_bytes
        self._counted.add(owner)

    def add(self, row: Row) -> None:
        self._rows[row.id] = row

    def drop(self, session_ids: Iterable[str]) -> None:
        """These are not there any more, or are to be read again."""
        for each in session_ids:
            row = self._rows.pop(each, None)
            self.heads.pop(each, None)
            if row is not None:
                self._moved.pop(row.n, None)

    def move(self, row: Row, events: list[tuple[Any, ...]]) -> None:
        """The row has new values and these new events."""
        self._new_events += events
        self._moved[row.n] = row
        self.heads[row.id] = row

    def flush(self) -> None:
        """Write what was changed, so that queries see it."""
        moved = [
            (row.version, row.nonce, row.link, row.size_bytes, row.accessed_at, row.expires_at, row.n)
            for row in self._moved.values()
        ]
        _EVENTS.run(self.connection, self._new_events)
        _MOVED.run(self.connection, moved)
        self._flush_owners()
        self._new_events.clear()
        self._moved.clear()

    def _flush_owners(self) -> None:
        counted = [(owner, self._totals[owner]) for owner in self._counted]
        held = [(owner, each.sessions, each.events, each.size_bytes) for owner, each in counted if each.sessions]
        gone = [(owner,) for owner, each in counted if not each.sessions]
        _HOLDING.run(self.connection, held)
        _HOLDING_NOTHING.run(self.connection, gone)
        self._counted.clear()
