"""A session as it lies in the file, whole: read, checked by nobody, and put into a file again.

For those who take care of the file from outside; the journal itself never holds a whole session at once.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import astuple
from dataclasses import dataclass
from dataclasses import fields
from dataclasses import replace
from hashlib import sha256
from typing import Any
from typing import Final

from state.chain import Link
from state.chain import Stored
from state.chain import digest_of
from state.chain import first_link
from state.chain import link_of
from state.event_text import decoded
from state.event_text import encoded
from state.journal import Draft
from state.journal import Event

_SALT_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the table of sessions says of one; the fields are its columns, without the number."""

    id: str
    owner: str
    opened_key: str | None
    opened_at: float
    accessed_at: float
    expires_at: float
    ended_at: float | None
    version: int
    nonce: str
    link: bytes
    size_bytes: int
    compacted_version: int
    compacted_link: bytes

    @property
    def head(self) -> Link:
        return Link(version=self.version, link=self.link)

    @property
    def start(self) -> Link:
        """What its first kept event is bound to."""
        if self.compacted_version:
            return Link(version=self.compacted_version, link=self.compacted_link)
        return first_link(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A checkpoint as it lies in the file."""

    version: int
    nonce: str
    state: bytes
    digest: bytes

    @property
    def intact(self) -> bool:
        return sha256(self.state).digest() == self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All there is of a session."""

    row: Row
    events: tuple[Stored, ...]
    checkpoints: tuple[Kept, ...] = ()


class NotARow(ValueError):
    """A row holds values of other kinds than were ever written."""


_ROW_KINDS: Final[tuple[type | tuple[type, ...], ...]] = (
    *(str, str, (str, type(None)), (float, int), (float, int), (float, int), (float, int, type(None))),
    *(int, str, bytes, int, int, bytes),
)
_EVENT_KINDS: Final = (int, str, (bytes, type(None)), (bytes, type(None)), bytes, bytes)
_CONTENT_KINDS: Final = ((float, int), str, str, dict, (str, type(None)))
_KEPT_KINDS: Final = (int, str, bytes, bytes)

ROW_COLUMNS: Final = ", ".join(each.name for each in fields(Row))
# The content is hashed as it is stored, and a damaged one may not be text any more.
_EVENT_COLUMNS: Final = "version, nonce, salt, CAST(content AS BLOB), digest, link"


def row_of(values: tuple[Any, ...]) -> Row:
    """The row that was read by `ROW_COLUMNS`. Raises `NotARow`."""
    _check(values, _ROW_KINDS)
    return Row(**dict(zip((each.name for each in fields(Row)), values, strict=True)))


def stored_of(values: tuple[Any, ...]) -> Stored:
    """An event by version, nonce, salt, content, digest and link. Raises `NotARow`."""
    _check(values, _EVENT_KINDS)
    version, nonce, salt, content, digest, link = values
    return Stored(version=version, nonce=nonce, salt=salt, content=content, digest=digest, link=link)


def kept_of(values: tuple[Any, ...]) -> Kept:
    """A checkpoint by version, nonce, state and digest. Raises `NotARow`."""
    _check(values, _KEPT_KINDS)
    version, nonce, state, digest = values
    return Kept(version=version, nonce=nonce, state=state, digest=digest)


def events_of(connection: sqlite3.Connection, n: int) -> Iterator[Stored]:
    """The events of the session of this number, oldest first. Raises `NotARow` at the first that is none."""
    asked = f"SELECT {_EVENT_COLUMNS} FROM events WHERE n = ? ORDER BY version"  # noqa: S608 - the columns are ours
    return map(stored_of, connection.execute(asked, (n,)))


def checkpoints_of(connection: sqlite3.Connection, n: int) -> Iterator[Kept]:
    """The checkpoints of the session of this number, oldest first. Raises `NotARow`."""
    asked = "SELECT version, nonce, state, digest FROM checkpoints WHERE n = ? ORDER BY version"
    return map(kept_of, connection.execute(asked, (n,)))


def numbered(connection: sqlite3.Connection, session_id: str) -> tuple[int, Row] | None:
    """The number and the row of a session. None: there is none of this id. Raises `NotARow`."""
    asked = f"SELECT n, {ROW_COLUMNS} FROM sessions WHERE id = ?"  # noqa: S608 - the columns are ours
    found = connection.execute(asked, (session_id,)).fetchone()
    return None if found is None else (found[0], row_of(found[1:]))


def record_of(connection: sqlite3.Connection, session_id: str) -> Record | None:
    """The whole session; consistent if the caller has begun a transaction. None: there is none. Raises `NotARow`."""
    found = numbered(connection, session_id)
    if found is None:
        return None
    n, row = found
    return Record(row=row, events=tuple(events_of(connection, n)), checkpoints=tuple(checkpoints_of(connection, n)))


def keyed_apart(connection: sqlite3.Connection, record: Record) -> Record:
    """Without its idempotency key if a live session of this owner was opened with it here."""
    asked = "SELECT 1 FROM sessions WHERE owner = ? AND opened_key = ? AND ended_at IS NULL"
    row = record.row
    taken = row.ended_at is None and connection.execute(asked, (row.owner, row.opened_key)).fetchone()
    return replace(record, row=replace(row, opened_key=None)) if taken else record


def put(connection: sqlite3.Connection, record: Record) -> None:
    """Write a session that is not there."""
    marks = ", ".join("?" * len(fields(Row)))
    asked = f"INSERT INTO sessions ({ROW_COLUMNS}) VALUES ({marks})"  # noqa: S608 - the columns are ours
    n = connection.execute(asked, astuple(record.row)).lastrowid
    if n is None:
        raise RuntimeError("an insert into a table with numbers gives one")
    put_events(connection, n, record.events)
    put_checkpoints(connection, n, record.checkpoints)


def put_events(connection: sqlite3.Connection, n: int, events: Iterable[Stored]) -> None:
    """Write events of the session of this number. The content is text in the file: it must be UTF-8."""
    connection.executemany(
        "INSERT INTO events (n, version, nonce, salt, content, digest, link) VALUES (?, ?, ?, ?, ?, ?, ?)",
        ((n, each.version, each.nonce, each.salt, _text(each.content), each.digest, each.link) for each in events),
    )


def put_checkpoints(connection: sqlite3.Connection, n: int, checkpoints: Iterable[Kept]) -> None:
    """Write checkpoints of the session of this number."""
    connection.executemany(
        "INSERT OR REPLACE INTO checkpoints (n, version, nonce, state, digest) VALUES (?, ?, ?, ?, ?)",
        ((n, each.version, each.nonce, each.state, each.digest) for each in checkpoints),
    )


def take_out(connection: sqlite3.Connection, n: int) -> None:
    """Delete all of the session of this number."""
    for table in ("events", "checkpoints", "sessions"):
        connection.execute(f"DELETE FROM {table} WHERE n = ?", (n,))  # noqa: S608 - the names are ours


def count_again(connection: sqlite3.Connection, owners: Iterable[str]) -> None:
    """Set what the live sessions of these owners hold together."""
    for owner in set(owners):
        connection.execute("DELETE FROM owners WHERE owner = ?", (owner,))
        connection.execute(
            "INSERT INTO owners (owner, sessions, events, size_bytes) "
            "SELECT owner, count(*), sum(version - compacted_version), sum(size_bytes) FROM sessions "
            "WHERE owner = ? AND ended_at IS NULL GROUP BY owner",
            (owner,),
        )


def following(head: Link, draft: Draft) -> Stored:
    """The event that goes on from a head."""
    content, salt, nonce = encoded(draft).encode(), os.urandom(_SALT_BYTES), secrets.token_hex(8)
    digest, version = digest_of(salt, content), head.version + 1
    link = link_of(head.link, version, nonce, digest)
    return Stored(version=version, nonce=nonce, salt=salt, content=content, digest=digest, link=link)


def event_of(stored: Stored) -> Event | None:
    """What was written. None: forgotten, or not the text of an event."""
    if stored.content is None:
        return None
    try:
        event = decoded(stored.content, stored.version, stored.nonce)
        _check((event.at, event.kind, event.actor, event.body, event.key), _CONTENT_KINDS)
    except (ValueError, TypeError, RecursionError):
        return None
    return event


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode()


def _check(values: tuple[Any, ...], kinds: tuple[Any, ...]) -> None:
    if not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
        raise NotARow
