"""Sessions that come from another journal, and those that are given up again; inside the writer's transaction."""

import hashlib
from typing import Final

from state.chain import adopted_link
from state.journal import Head
from state.journal import Origin
from state.journal import VersionMoved
from state.sqlite.book import Book
from state.sqlite.book import Row
from state.sqlite.endings import Endings
from state.sqlite.wishes import Adopt
from state.sqlite.wishes import Discard

_ADOPTED: Final = (
    "INSERT INTO sessions (id, owner, opened_key, opened_at, accessed_at, expires_at, version, nonce, link, "
    "size_bytes, compacted_version, compacted_link) VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, 0, ?6, ?8)"
)
_BEGINNING: Final = "INSERT INTO checkpoints (n, version, nonce, state, digest) VALUES (?, ?, ?, ?, ?)"


class Adoptions:
    """Decides one wish after another; each sees what those before it did."""

    def __init__(self, book: Book, endings: Endings) -> None:
        self._book = book
        self._endings = endings
        self.discarded: list[str] = []
        """Deleted since the last commit."""

    def adopt(self, wish: Adopt) -> Head:
        """Begin the session at its checkpoint. Raises `VersionMoved` if there is a live one, `ValueError`."""
        checkpoint = wish.origin.checkpoint
        link = adopted_link(wish.session_id, checkpoint.version, checkpoint.nonce, checkpoint.state).link
        before = self._book.row(wish.session_id)
        if before is not None:
            if self._endings.alive(before, wish.at):
                raise VersionMoved(before.head)
            self._endings.remove(before)
        row = self._begun(wish, link)
        self._book.add(row)
        self._book.move(row, [])
        self._book.count(row.owner, sessions=1)
        self._endings.expect(row.expires_at)
        return row.head

    def discard(self, wish: Discard) -> Head:
        """Delete all there is of the session. Raises `VersionMoved` if its history does not end as expected."""
        row = self._book.row(wish.session_id)
        if row is not None:
            if row.head != wish.expected:
                raise VersionMoved(row.head)
            self._endings.remove(row)
            self.discarded.append(row.id)
        return wish.expected

    def _begun(self, wish: Adopt, link: bytes) -> Row:
        origin, checkpoint = wish.origin, wish.origin.checkpoint
        version, nonce, state = checkpoint.version, checkpoint.nonce, checkpoint.state
        values = (wish.session_id, origin.owner, self._key(origin, wish.at), wish.at, origin.expires_at)
        ask = self._book.connection.execute
        n = ask(_ADOPTED, (*values, version, nonce, link)).lastrowid or 0
        ask(_BEGINNING, (n, version, nonce, state, hashlib.sha256(state).digest()))
        return Row(
            n=n,
            id=wish.session_id,
            owner=origin.owner,
            accessed_at=wish.at,
            expires_at=origin.expires_at,
            ended_at=None,
            version=version,
            nonce=nonce,
            link=link,
            size_bytes=0,
            compacted_version=version,
        )

    def _key(self, origin: Origin, now: float) -> str | None:
        """The key, if no live session of the owner was opened with it."""
        if origin.key is None:
            return None
        earlier = self._book.opened_by(origin.owner, origin.key)
        if earlier is not None and self._endings.alive(earlier, now):
            return None
        if earlier is not None:
            self._endings.end([earlier])
        return origin.key
