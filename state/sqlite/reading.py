"""What is asked of the file without writing: rows, events checked against their chain, checkpoints, lists."""

import hashlib
import sqlite3
from collections.abc import Generator
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from typing import Final

from state import chain
from state.chain import Link
from state.chain import Stored
from state.chain import Verdict
from state.event_text import decoded
from state.journal import Checkpoint
from state.journal import Event
from state.journal import Head
from state.journal import JournalStatistics
from state.sqlite import kinds
from state.sqlite.kinds import checked

_STANDING: Final = (
    "SELECT n, version, nonce, accessed_at, expires_at, ended_at, size_bytes, compacted_version FROM sessions "
    "WHERE id = ?"
)
_ENDS: Final = "SELECT link, compacted_link FROM sessions WHERE n = ?"
_EVENTS: Final = (
    "SELECT version, nonce, salt, CAST(content AS BLOB), digest, link FROM events WHERE n = ? AND version > ? "
    "ORDER BY version"
)
_LINK: Final = "SELECT link FROM events WHERE n = ? AND version = ?"
_OWNED: Final = "SELECT id, accessed_at, expires_at FROM sessions WHERE owner = ? AND ended_at IS NULL ORDER BY n DESC"
_PAST: Final = "SELECT id, ended_at FROM sessions WHERE owner = ? AND ended_at IS NOT NULL ORDER BY ended_at DESC"
_STANDINGS: Final = (
    "SELECT id, n, version, nonce, accessed_at, expires_at, ended_at, size_bytes, compacted_version FROM sessions "
    "WHERE owner = ?1 AND ended_at IS NULL UNION ALL "
    "SELECT id, n, version, nonce, accessed_at, expires_at, ended_at, size_bytes, compacted_version FROM sessions "
    "WHERE owner = ?1 AND ended_at IS NOT NULL"
)
_CHECKPOINT: Final = (
    "SELECT version, nonce, state, digest FROM checkpoints WHERE n = ? AND version <= ? ORDER BY version DESC"
)
_TOGETHER: Final = (
    "SELECT coalesce(sum(sessions), 0), coalesce(sum(events), 0), coalesce(sum(size_bytes), 0) FROM owners"
)
_NEWEST: Final = 2**62


@dataclass(slots=True)
class Standing:
    """A session's row, as far as readers need it."""

    n: int
    version: int
    nonce: str
    accessed_at: float
    expires_at: float
    ended_at: float | None
    size_bytes: int
    compacted_version: int

    @property
    def head(self) -> Head:
        return Head(version=self.version, nonce=self.nonce)


class Damage(Exception):
    """Events are not as they were written."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.fault)
        self.verdict = verdict


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Generator[None]:
    """All that is asked inside is answered as of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def standing(connection: sqlite3.Connection, session_id: str) -> Standing | None:
    """None: there is no session of this id, neither live nor ended."""
    found = connection.execute(_STANDING, (session_id,)).fetchone()
    return None if found is None else Standing(*checked(found, kinds.STANDING))


def events(connection: sqlite3.Connection, session_id: str, row: Standing, after: int) -> tuple[Event, ...]:
    """The kept events after a version, checked. Raises `Damage`. In a `snapshot` with the row."""
    stored, verdict = _checked(connection, session_id, row, max(after, row.compacted_version))
    if not verdict.ok:
        raise Damage(verdict)
    return tuple(decoded(each.content, each.version, each.nonce) for each in stored if each.content is not None)


def verdict(connection: sqlite3.Connection, session_id: str, row: Standing) -> Verdict:
    """Check all kept events. In a `snapshot` with the row."""
    return _checked(connection, session_id, row, row.compacted_version)[1]


def checkpoint(connection: sqlite3.Connection, row: Standing, most: int | None) -> Checkpoint | None:
    """The newest one up to a version that holds what was put in."""
    bound = _NEWEST if most is None else most
    for version, nonce, state, digest in _rows(connection, _CHECKPOINT, (row.n, bound), kinds.CHECKPOINT):
        if hashlib.sha256(state).digest() == digest:
            return Checkpoint(version=version, nonce=nonce, state=state)
    return None


def owned(connection: sqlite3.Connection, owner: str) -> list[tuple[str, float, float]]:
    """Id, last access and end of life of the owner's sessions that have not ended, the last opened first."""
    return [(each, accessed, expires) for each, accessed, expires in _rows(connection, _OWNED, (owner,), kinds.OWNED)]


def ended(connection: sqlite3.Connection, owner: str) -> list[tuple[str, float]]:
    """Id and end of the owner's sessions that have ended, the last to end first."""
    return [(each, ended_at) for each, ended_at in _rows(connection, _PAST, (owner,), kinds.ENDED)]


def standings(connection: sqlite3.Connection, owner: str) -> list[tuple[str, Standing]]:
    """The owner's sessions by their ids, live and ended."""
    found = connection.execute(_STANDINGS, (owner,)).fetchall()
    return [(session_id, Standing(*checked(values, kinds.STANDING))) for session_id, *values in found]


def together(connection: sqlite3.Connection) -> JournalStatistics:
    sessions, count, size_bytes = connection.execute(_TOGETHER).fetchone()
    return JournalStatistics(sessions=sessions, events=count, size_bytes=size_bytes)


def held(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The ids of all sessions, live and ended, the first opened first."""
    return tuple(each for (each,) in connection.execute("SELECT id FROM sessions ORDER BY n"))


def _rows(
    connection: sqlite3.Connection, asked: str, values: tuple[Any, ...], of: kinds.Kinds
) -> Iterator[Sequence[Any]]:
    for row in connection.execute(asked, values):
        yield checked(row, of)


def _checked(
    connection: sqlite3.Connection, session_id: str, row: Standing, after: int
) -> tuple[list[Stored], Verdict]:
    link, compacted_link = connection.execute(_ENDS, (row.n,)).fetchone()
    if after == 0:
        before = chain.first_link(session_id).link
    elif after == row.compacted_version:
        before = compacted_link
    else:
        found = connection.execute(_LINK, (row.n, after)).fetchone()
        before = b"" if found is None else found[0]
    stored = [
        Stored(version=version, nonce=nonce, salt=salt, content=content, digest=digest, link=each)
        for version, nonce, salt, content, digest, each in _rows(connection, _EVENTS, (row.n, after), kinds.EVENT)
    ]
    head = Link(version=row.version, link=link)
    return stored, chain.check(Link(version=after, link=before), stored, head)
