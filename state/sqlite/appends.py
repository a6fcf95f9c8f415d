"""What becomes of a wish to write: refused with the reason, or carried out in the writer's transaction."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any
from typing import Final

from state.chain import digest_of
from state.chain import first_link
from state.chain import link_of
from state.errors import OverLimit
from state.journal import AlreadyOpened
from state.journal import Checkpoint
from state.journal import Head
from state.journal import Quota
from state.journal import VersionMoved
from state.journal import new_nonce
from state.quota import check_room
from state.sqlite.book import Book
from state.sqlite.book import Row
from state.sqlite.endings import Endings
from state.sqlite.wishes import Append
from state.sqlite.wishes import Keep

_SALT_BYTES: Final = 16
_CHECKPOINTS: Final = 2
"""Kept of a session beside the one its compaction needs."""

_CREATED: Final = (
    "INSERT INTO sessions (id, owner, opened_key, opened_at, accessed_at, expires_at, version, nonce, link, "
    "size_bytes, compacted_version, compacted_link) VALUES (?, ?, ?, ?, ?, ?, 0, '', ?, 0, 0, ?)"
)
_POINT: Final = "SELECT nonce, link FROM events WHERE n = ? AND version = ?"
_DROPPED: Final = "SELECT coalesce(sum(length(CAST(content AS BLOB))), 0) FROM events WHERE n = ? AND version <= ?"
_COMPACTED: Final = "UPDATE sessions SET compacted_version = ?, compacted_link = ? WHERE n = ?"
_KEPT: Final = "INSERT OR REPLACE INTO checkpoints (n, version, nonce, state, digest) VALUES (?, ?, ?, ?, ?)"
_TOO_MANY: Final = (
    "DELETE FROM checkpoints WHERE n = ?1 AND version <> ?2 AND version NOT IN "
    "(SELECT version FROM checkpoints WHERE n = ?1 AND version <> ?2 ORDER BY version DESC LIMIT ?3)"
)


@dataclass(frozen=True, slots=True)
class _Dropped:
    """What a compaction takes away, and what the first event that is left is bound to."""

    events: int = 0
    size_bytes: int = 0
    link: bytes = b""


_NOTHING: Final = _Dropped()


class Appends:
    """Decides one wish after another; each sees what those before it did."""

    def __init__(self, book: Book, endings: Endings, quota: Quota) -> None:
        self._book = book
        self._endings = endings
        self._quota = quota

    def write(self, wish: Append) -> Head:
        """Raises `VersionMoved`, `AlreadyOpened`, `OverLimit`, `ValueError`; then nothing was written for it."""
        known = self._book.row(wish.session_id)
        row = known if known is not None and self._endings.alive(known, wish.at) else None
        _check_head(row, wish.expected)
        if row is None:
            self._check_key(wish)
        dropped = _NOTHING if row is None or wish.checkpoint is None else self._droppable(row, wish.checkpoint)
        if not wish.ends:
            self._check_quota(wish, row, dropped)
        if row is None:
            row = self._created(wish, known)
        elif wish.checkpoint is not None:
            self._compact(row, wish.checkpoint, dropped)
        self._extend(row, wish)
        return row.head

    def keep(self, wish: Keep) -> None:
        """Keep the checkpoint if it is of this history, and let go of older ones."""
        row = self._book.row(wish.session_id)
        if row is None or row.ended_at is not None:
            return
        self._book.flush()
        point = self._book.connection.execute(_POINT, (row.n, wish.checkpoint.version)).fetchone()
        if point is not None and point[0] == wish.checkpoint.nonce:
            self._put(row, wish.checkpoint)

    def _check_key(self, wish: Append) -> None:
        if wish.key is None:
            return
        earlier = self._book.opened_by(wish.owner, wish.key)
        if earlier is None:
            return
        if self._endings.alive(earlier, wish.at):
            raise AlreadyOpened(earlier.id)
        self._endings.end([earlier])

    def _check_quota(self, wish: Append, row: Row | None, dropped: _Dropped) -> None:
        """What only makes a session smaller is never refused."""
        owner = wish.owner if row is None else row.owner
        sessions = 1 if row is None else 0
        events = len(wish.contents) - dropped.events
        size_bytes = sum(len(raw) for _, raw in wish.contents) - dropped.size_bytes
        if events <= 0 and size_bytes <= 0:
            return
        try:
            self._check_room(owner, sessions, events, size_bytes)
        except OverLimit:
            if not self._endings.end_expired(owner, wish.at):
                raise
            self._check_room(owner, sessions, events, size_bytes)

    def _check_room(self, owner: str, sessions: int, events: int, size_bytes: int) -> None:
        held = self._book.totals(owner)
        check_room(
            self._quota,
            sessions=held.sessions + sessions,
            events=held.events + events,
            size_bytes=held.size_bytes + size_bytes,
        )

    def _created(self, wish: Append, before: Row | None) -> Row:
        """A new session without events; whatever was there under its id is deleted."""
        if before is not None:
            self._endings.remove(before)
        link = first_link(wish.session_id).link
        expires_at = wish.at if wish.expires_at is None else wish.expires_at
        values = (wish.session_id, wish.owner, wish.key, wish.at, wish.at, expires_at, link, link)
        n = self._book.connection.execute(_CREATED, values).lastrowid or 0
        row = Row(
            n=n,
            id=wish.session_id,
            owner=wish.owner,
            accessed_at=wish.at,
            expires_at=expires_at,
            ended_at=None,
            version=0,
            nonce="",
            link=link,
            size_bytes=0,
            compacted_version=0,
        )
        self._book.add(row)
        self._book.count(wish.owner, sessions=1)
        return row

    def _extend(self, row: Row, wish: Append) -> None:
        events, size_bytes = _chained(row, wish)
        row.expires_at = self._endings.end_of_life(row) if wish.expires_at is None else wish.expires_at
        row.accessed_at = max(row.accessed_at, wish.at)
        row.size_bytes += size_bytes
        self._book.move(row, events)
        self._book.count(row.owner, events=len(events), size_bytes=size_bytes)
        self._endings.expect(row.expires_at)
        if wish.ends:
            self._endings.end([row], at=wish.at)

    def _droppable(self, row: Row, checkpoint: Checkpoint) -> _Dropped:
        self._book.flush()
        ask = self._book.connection.execute
        point = ask(_POINT, (row.n, checkpoint.version)).fetchone()
        if point is None or point[0] != checkpoint.nonce:
            raise ValueError(f"version {checkpoint.version} of the checkpoint is none of this session's kept history")
        (size_bytes,) = ask(_DROPPED, (row.n, checkpoint.version)).fetchone()
        return _Dropped(checkpoint.version - row.compacted_version, size_bytes, point[1])

    def _compact(self, row: Row, checkpoint: Checkpoint, dropped: _Dropped) -> None:
        ask = self._book.connection.execute
        ask("DELETE FROM events WHERE n = ? AND version <= ?", (row.n, checkpoint.version))
        ask("DELETE FROM checkpoints WHERE n = ? AND version < ?", (row.n, checkpoint.version))
        ask(_COMPACTED, (checkpoint.version, dropped.link, row.n))
        row.compacted_version = checkpoint.version
        row.size_bytes -= dropped.size_bytes
        self._book.count(row.owner, events=-dropped.events, size_bytes=-dropped.size_bytes)
        self._put(row, checkpoint)

    def _put(self, row: Row, checkpoint: Checkpoint) -> None:
        ask = self._book.connection.execute
        digest = hashlib.sha256(checkpoint.state).digest()
        ask(_KEPT, (row.n, checkpoint.version, checkpoint.nonce, checkpoint.state, digest))
        ask(_TOO_MANY, (row.n, row.compacted_version, _CHECKPOINTS))


def _check_head(row: Row | None, expected: Head | None) -> None:
    if row is None:
        if expected is not None:
            raise VersionMoved(None)
    elif expected is None or (expected.version, expected.nonce) != (row.version, row.nonce):
        raise VersionMoved(row.head)


def _chained(row: Row, wish: Append) -> tuple[list[tuple[Any, ...]], int]:
    """The rows of the new events, which are bound to the row's head, and how long they are; moves the head on."""
    nonce = new_nonce() if wish.nonce is None else wish.nonce
    salts = os.urandom(_SALT_BYTES * len(wish.contents))
    version, link, size_bytes = row.version, row.link, 0
    events: list[tuple[Any, ...]] = []
    for place, (content, raw) in enumerate(wish.contents):
        salt = salts[place * _SALT_BYTES : (place + 1) * _SALT_BYTES]
        version += 1
        digest = digest_of(salt, raw)
        link = link_of(link, version, nonce, digest)
        size_bytes += len(raw)
        events.append((row.n, version, nonce, salt, content, digest, link))
    row.version, row.nonce, row.link = version, nonce, link
    return events, size_bytes
