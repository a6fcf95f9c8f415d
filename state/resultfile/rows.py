"""What is asked of the file with results, each in one transaction. Blocking; for threads."""

import secrets
import sqlite3
from collections.abc import Generator
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from state.changes import ResultsOutdated
from state.outdated import EVERYTHING
from state.outdated import KEPT
from state.outdated import placed
from state.outdated import read
from state.outdated import touches
from state.outdated import written
from state.shelf import globbed
from state.tier import News
from state.tier import Wanted

_EVICTED_AT_ONCE: Final = 16
_USED_ANEW_SHARE: Final = 0.05
"""A use is noted only when it is this share of a result's life later than the last, so that reading hardly writes."""
_ROOM_SHARE: Final = 0.9
"""How full the file is after making room."""
_AHEAD_S: Final = 5.0
"""A result that is from further ahead than this was stored under another clock: its age cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A result as it lies in the file."""

    value: bytes
    loaded_at: float
    used_at: float


@contextmanager
def transaction(connection: sqlite3.Connection, how: str) -> Generator[None]:
    connection.execute(f"BEGIN {how}")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def found(connection: sqlite3.Connection, wanted: Wanted, now: float, life_s: float) -> tuple[Row | None, str]:
    """The result, if there is one that may be served, and the position of the moment."""
    with transaction(connection, "DEFERRED"):
        position = _position(connection)
        row = connection.execute(
            "SELECT value, loaded_at, used_at FROM results WHERE digest = ? AND fingerprint = ?",
            (wanted.digest, wanted.fingerprint),
        ).fetchone()
    if row is None or not -_AHEAD_S <= now - row[1] < life_s:
        return None, position
    return Row(value=row[0], loaded_at=row[1], used_at=row[2]), position


def is_used_anew(row: Row, now: float, life_s: float) -> bool:
    """Whether this use is to be noted."""
    return now - row.used_at > life_s * _USED_ANEW_SHARE


def note_use(connection: sqlite3.Connection, wanted: Wanted, now: float) -> None:
    connection.execute("UPDATE results SET used_at = ? WHERE digest = ?", (now, wanted.digest))


def drop(connection: sqlite3.Connection, wanted: Wanted) -> None:
    """As it cannot be read."""
    connection.execute("DELETE FROM results WHERE digest = ?", (wanted.digest,))


def put(
    connection: sqlite3.Connection, wanted: Wanted, row: Row, under: str, tags: Sequence[str], most_bytes: int
) -> bool:
    """Store a result in place of any earlier one, and make room. False: it was declared outdated since `under`."""
    with transaction(connection, "IMMEDIATE"):
        since = since_position(connection, under)
        if since is None or any(touches(change, tags) for change in since):
            return False
        drop(connection, wanted)
        stored = connection.execute(
            "INSERT INTO results (digest, fingerprint, loaded_at, used_at, value) VALUES (?, ?, ?, ?, ?)",
            (wanted.digest, wanted.fingerprint, row.loaded_at, row.used_at, row.value),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO tagged VALUES (?, ?)", [(tag, stored.lastrowid) for tag in sorted(set(tags))]
        )
        _make_room(connection, most_bytes)
    return True


def sweep(connection: sqlite3.Connection, before: float) -> None:
    """Drop some that nobody used since `before`."""
    chosen = "SELECT id FROM results WHERE used_at < ? ORDER BY used_at LIMIT ?"
    connection.execute(f"DELETE FROM results WHERE id IN ({chosen})", (before, _EVICTED_AT_ONCE))  # noqa: S608 - no input


def outdate(connection: sqlite3.Connection, changes: Sequence[ResultsOutdated], mark: str) -> None:
    """Note what was declared outdated, for those who load just now and for other processes, and drop it.

    `mark`: of who declares it, who needs no news of it.
    """
    with transaction(connection, "IMMEDIATE"):
        for change in changes:
            (number,) = connection.execute("SELECT max(number) + 1 FROM outdated").fetchone()
            told = (number, mark + secrets.token_hex(4), written(change))
            connection.execute("INSERT INTO outdated VALUES (?, ?, ?)", told)
            connection.execute("DELETE FROM outdated WHERE number < ?", (number - KEPT,))
            _drop_touched(connection, change)


def news(connection: sqlite3.Connection, after: str | None, mark: str) -> News:
    """What others declared outdated after a position; everything, if that is not known any more."""
    with transaction(connection, "DEFERRED"):
        position = _position(connection)
        since = () if after is None or after == position else since_position(connection, after, but=mark)
    return News(position=position, outdated=(EVERYTHING,) if since is None else tuple(since))


def since_position(connection: sqlite3.Connection, position: str, but: str = "") -> list[ResultsOutdated] | None:
    """What came after a position, `but` that of one mark. None: the position is not known (any more)."""
    number, nonce = placed(position)
    later = connection.execute(
        "SELECT number, nonce, change FROM outdated WHERE number >= ? ORDER BY number", (number,)
    ).fetchall()
    if not later or later[0][:2] != (number, nonce):
        return None
    return [read(text) or EVERYTHING for _, by, text in later[1:] if not but or not by.startswith(but)]


def _position(connection: sqlite3.Connection) -> str:
    number, nonce = connection.execute("SELECT number, nonce FROM outdated ORDER BY number DESC LIMIT 1").fetchone()
    return f"{number}-{nonce}"


def _drop_touched(connection: sqlite3.Connection, change: ResultsOutdated) -> None:
    if change.tags is None and change.pattern is None:
        connection.execute("DELETE FROM results")
        return
    tags = set(change.tags or ())
    if change.pattern is not None:
        pattern = globbed(change.pattern)
        tags |= {tag for (tag,) in connection.execute("SELECT DISTINCT tag FROM tagged") if pattern.match(tag)}
    connection.executemany(
        "DELETE FROM results WHERE id IN (SELECT result FROM tagged WHERE tag = ?)", [(tag,) for tag in sorted(tags)]
    )


def _make_room(connection: sqlite3.Connection, most_bytes: int) -> None:
    """The least recently used go first. The file keeps its length; what is free in it is used again."""
    if _used_bytes(connection) <= most_bytes:
        return
    oldest = "SELECT id FROM results ORDER BY used_at, id LIMIT ?"
    while _used_bytes(connection) > most_bytes * _ROOM_SHARE:
        gone = connection.execute(f"DELETE FROM results WHERE id IN ({oldest})", (_EVICTED_AT_ONCE,))  # noqa: S608 - no input
        if not gone.rowcount:
            return


def _used_bytes(connection: sqlite3.Connection) -> int:
    page_bytes, pages, free = (
        connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_size", "page_count", "freelist_count")
    )
    return page_bytes * (pages - free)
