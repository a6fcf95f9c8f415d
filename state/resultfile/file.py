"""The file with results: made where there is none, judged, replaced when damaged, left alone when it is not ours."""

import errno
import os
import secrets
import sqlite3
from contextlib import closing
from contextlib import suppress
from pathlib import Path
from typing import Final

from state.sqlite.lock import exclusive

RESULTS_NAME: Final = "results.db"
"""Its name inside the state directory."""
FORM: Final = 1
APPLICATION_ID: Final = 0x55445352
_MAKING_S: Final = 1.0
_PAGES_OF_LOG: Final = 1_000
_LOG_BYTES_KEPT: Final = 4 * 2**20
_ENDINGS: Final = ("", "-wal", "-shm")
_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_CLOSED: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_NO_PLACE: Final = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
}
_TABLES: Final = (
    """CREATE TABLE results (
        id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL, loaded_at REAL NOT NULL,
        used_at REAL NOT NULL, value BLOB NOT NULL)""",
    "CREATE INDEX results_used ON results (used_at)",
    "CREATE TABLE tagged (tag TEXT NOT NULL, result INTEGER NOT NULL, PRIMARY KEY (tag, result)) WITHOUT ROWID",
    "CREATE INDEX tagged_result ON tagged (result)",
    """CREATE TRIGGER results_gone AFTER DELETE ON results
        BEGIN DELETE FROM tagged WHERE result = old.id; END""",
    "CREATE TABLE outdated (number INTEGER PRIMARY KEY, nonce TEXT NOT NULL, change TEXT NOT NULL)",
)


class Unusable(Exception):
    """The file cannot be used, and was not changed; the text says why and what to do."""


class Damaged(Exception):
    """It holds nothing that can be read, or is of an earlier form: nothing is lost by making it anew."""


class Place:
    """A connection to the file at a path, made anew when another file has taken its place. For one thread at a time."""

    def __init__(self, path: Path, *, busy_s: float) -> None:
        self._path = path
        self._busy_s = busy_s
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    def connection(self) -> sqlite3.Connection:
        """Raises `Unusable`, `Damaged`, `sqlite3.Error`, `OSError`."""
        if self._connection is not None and _inode(self._path) == self._inode:
            return self._connection
        self.close()
        self._inode = _made(self._path)
        self._connection = _connected(self._path, self._busy_s)
        _judge(self._connection, self._path)
        return self._connection

    def replace(self) -> None:
        """Remove a damaged file, unless somebody has put another one there already. Raises `OSError`."""
        self.close()
        with exclusive(self._path, within_s=_MAKING_S):
            if self._inode is not None and _inode(self._path) == self._inode:
                for ending in _ENDINGS:
                    Path(f"{self._path}{ending}").unlink(missing_ok=True)

    def is_closed_by(self, fault: Exception) -> bool:
        """Whether trying again is of no use, since the file may not be written, or not be there at all."""
        if isinstance(fault, OSError):
            return fault.errno in _NO_PLACE
        moved = _code(fault) == sqlite3.SQLITE_READONLY_DBMOVED or _inode(self._path) is None
        return _code(fault) & 0xFF in _CLOSED and not moved

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def is_damage(fault: sqlite3.Error) -> bool:
    """Whether what SQLite refused means that the file is no good."""
    return _code(fault) & 0xFF in _DAMAGE


def _code(fault: Exception) -> int:
    return getattr(fault, "sqlite_errorcode", 0)


def _inode(path: Path) -> tuple[int, int] | None:
    """As long as a file is open no other one can have its number."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _made(path: Path) -> tuple[int, int] | None:
    """What is at the path, made if nothing is."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        with exclusive(path, within_s=_MAKING_S):
            if not path.exists():
                _make(path)
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        raise Unusable(f"{path} cannot be written, so answers are not kept between starts")
    return _inode(path)


def _make(path: Path) -> None:
    """Whole before it has its name; what a file that was taken away has left must not become part of it."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        new.touch(mode=0o600)
        with closing(_connected(new, 0.0)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN")
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO outdated VALUES (0, ?, '')", (secrets.token_hex(8),))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORM}")
            connection.execute("COMMIT")
        for ending in _ENDINGS[1:]:
            Path(f"{path}{ending}").unlink(missing_ok=True)
        new.rename(path)
    finally:
        for ending in _ENDINGS:
            Path(f"{new}{ending}").unlink(missing_ok=True)


def _connected(path: Path, busy_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False
    )
    for setting in (
        "trusted_schema = OFF",
        "synchronous = NORMAL",  # what a power cut takes away is measured again
        f"wal_autocheckpoint = {_PAGES_OF_LOG}",
        f"journal_size_limit = {_LOG_BYTES_KEPT}",
    ):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _judge(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    if not application_id and not path.stat().st_size:
        raise Damaged("it is empty")
    if application_id != APPLICATION_ID:
        raise Unusable(f"{path} is not a file of cached answers and was not touched; move it away to have one made")
    if form > FORM:
        raise Unusable(f"{path} was written by a newer release of uds-mcp and was not touched; upgrade, or delete it")
    if form < FORM:
        raise Damaged("it is of an earlier form")
