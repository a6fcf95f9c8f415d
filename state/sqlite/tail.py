"""The tail of the journal's file: which sessions have moved since the last look, whoever moved them. For readers only.

Events lie in the order of writing, so what is new lies behind what was seen. What was seen is known by session and
version, since rows are taken away and numbered anew; and of several sessions, since one may be gone as a whole.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from state.sqlite.file import connect
from state.sqlite.reading import snapshot

MOVED_MOST: Final = 1_000
"""Sessions told of one look; of more only that they are too many."""
_MARKS: Final = 256
_MARKED_EVENTS: Final = 512
"""The newest events in which marks are looked for at the beginning."""

# Without an index: the one by session and version would be read from one end to the other to group by it.
_NEW: Final = (
    "WITH new AS (SELECT n, min(version) AS first, max(rowid) AS newest FROM events NOT INDEXED WHERE rowid > ?1 "
    "GROUP BY n LIMIT ?2) SELECT new.n, sessions.id, new.first, events.version FROM new "
    "CROSS JOIN events ON events.rowid = new.newest CROSS JOIN sessions ON sessions.n = new.n ORDER BY new.newest"
)
_ENDS: Final = (
    "WITH newest AS (SELECT rowid AS place, n FROM events NOT INDEXED ORDER BY rowid DESC LIMIT ?1), "
    "ends AS (SELECT n, max(place) AS place FROM newest GROUP BY n) "
    "SELECT ends.n, sessions.id, events.version, events.version FROM ends "
    "CROSS JOIN events ON events.rowid = ends.place CROSS JOIN sessions ON sessions.n = ends.n ORDER BY ends.place"
)
_PLACE: Final = "SELECT rowid FROM events WHERE n = ? AND version = ?"
_STANDING: Final = "SELECT n, ended_at IS NOT NULL FROM sessions WHERE n IN ({})"
_NOT_OPEN: Final = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Events of a session that were not there at the last look. One that is gone has moved on by one event."""

    session_id: str
    n: int
    """Its number, which no later session of this id has."""
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidings:
    """What a look brought, oldest first."""

    moved: tuple[Moved, ...] = ()
    missed: bool = False
    """True: what moved cannot be told, as all that was seen is gone, or it is another file, or it is too much."""


@dataclass(slots=True)
class _Mark:
    session_id: str
    version: int
    over: bool = False
    """It has ended, so that nobody needs to know when it goes."""


class Tail:
    """For one thread at a time. Raises `sqlite3.Error`, `OSError`: then nothing was looked at, and can be later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file = _NOT_OPEN
        self._seen = -1
        self._begun = False
        self._marks: OrderedDict[int, _Mark] = OrderedDict()
        """By the number of the session; the newest last."""

    def begin(self) -> Tidings:
        """Begin with what is written from now on, and not at the last look. Brings nothing."""
        self._begun = False
        connection = self._opened()
        with snapshot(connection):
            self._mark_ends(connection)
        self._begun = True
        return Tidings()

    def stirred(self) -> bool:
        """Whether there is a reason to look. A few microseconds."""
        connection = self._connection
        return connection is None or _file_of(self._path) != self._file or _write_seen(connection) != self._seen

    def look(self) -> Tidings:
        """What happened since the last look. About 0.2 ms, and more the more is new."""
        other = self._begun and self._file not in {_NOT_OPEN, _file_of(self._path)}
        if other or not self._begun:
            self.close()
            self.begin()
            return Tidings(missed=True)
        connection = self._opened()
        seen = _write_seen(connection)  # what is written from now on is looked at once more
        with snapshot(connection):
            tidings = self._tidings(connection)
        self._seen = seen
        return tidings

    def close(self) -> None:
        """Let go of the file. What was seen stays known."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            file = _file_of(self._path)
            # Not for writing: who closes the last such connection removes the log, maybe that of a file in its place.
            self._connection = connect(self._path, "mode=ro", busy_s=0.0)
            self._file = file
        return self._connection

    def _mark_ends(self, connection: sqlite3.Connection) -> None:
        self._marks.clear()
        self._mark(connection.execute(_ENDS, (_MARKED_EVENTS,)))

    def _tidings(self, connection: sqlite3.Connection) -> Tidings:
        gone = self._gone(connection)
        after = self._after(connection)
        new = [] if after is None else connection.execute(_NEW, (after, MOVED_MOST + 1)).fetchall()
        if after is None or len(new) > MOVED_MOST:
            self._mark_ends(connection)
            return Tidings(missed=True)
        self._mark(new)
        moved = [Moved(session_id=each, n=n, first=first, last=last) for n, each, first, last in new]
        again = {each.session_id for each in moved}
        return Tidings(moved=(*(each for each in gone if each.session_id not in again), *moved))

    def _gone(self, connection: sqlite3.Connection) -> list[Moved]:
        """Sessions that were live and were deleted with all that was written last."""
        live = [n for n, mark in self._marks.items() if not mark.over]
        standing = dict(connection.execute(_STANDING.format(", ".join("?" * len(live))), live).fetchall())
        gone: list[Moved] = []
        for n in live:
            mark = self._marks[n]
            mark.over = bool(standing.get(n, True))
            if n not in standing:
                beyond = mark.version + 1
                gone.append(Moved(session_id=mark.session_id, n=n, first=beyond, last=beyond))
        return gone

    def _after(self, connection: sqlite3.Connection) -> int | None:
        """Where that lies which was seen last. 0: there was nothing. None: nobody knows any more."""
        for n, mark in reversed(self._marks.items()):
            found = connection.execute(_PLACE, (n, mark.version)).fetchone()
            if found is not None:
                return found[0]
        return None if self._marks else 0

    def _mark(self, rows: Iterable[tuple[int, str, int, int]]) -> None:
        for n, session_id, _, version in rows:
            self._marks[n] = _Mark(session_id, version)
            self._marks.move_to_end(n)
        while len(self._marks) > _MARKS:
            self._marks.popitem(last=False)


def _write_seen(connection: sqlite3.Connection) -> int:
    """Another one whenever somebody else has written."""
    (seen,) = connection.execute("PRAGMA data_version").fetchone()
    return seen


def _file_of(path: Path) -> tuple[int, int]:
    """What tells a file from another one of its name: as long as one is open no other has its number."""
    found = path.stat()
    return found.st_dev, found.st_ino
