"""Connections for those who look after the file from outside, while servers read and write it."""

import logging
import sqlite3
from collections.abc import Generator
from collections.abc import Mapping
from contextlib import closing
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from state.chain import Link
from state.errors import InvalidValue
from state.errors import StateBusy
from state.errors import StateUnavailable
from state.sqlite.anchors import keep_heads
from state.sqlite.file import BUSY_S
from state.sqlite.file import ForeignFile
from state.sqlite.file import NewerFile
from state.sqlite.file import UnwritableFile
from state.sqlite.file import connect
from state.sqlite.file import open_file
from state.sqlite.lock import share
from state.sqlite.tables import APPLICATION_ID
from state.sqlite.tables import STEPS

NAME_CHARS_LEAST: Final = 6
"""A session's name may be cut to as many characters where a person has to type it."""

_log = logging.getLogger(__name__)

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PRIMARY = 0xFF


@contextmanager
def looking(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that cannot write. Raises `StateBusy`, `StateUnavailable`; so does what is done with it."""
    if not path.exists():
        raise StateUnavailable(f"there is no state at {path} yet: it is made when a session is first opened")
    with told(path), closing(_read_only(path)) as connection:
        connection.execute("PRAGMA cell_size_check = ON")
        yield connection


@contextmanager
def changing(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that may write, and overwrites what it deletes; a file that is not there is made.

    Raises `StateBusy`, `StateUnavailable`; so does what is done with it.
    """
    file = open_file(path)  # before it is held: who makes a file has to have it for himself
    hold = share(path)
    try:
        if not file.writable:
            raise UnwritableFile(path, "it is read-only")
        with told(path), closing(file.writing()) as connection:
            yield connection
    finally:
        hold.release()


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Generator[None]:
    """All reads inside see the file at one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """All writes inside happen, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def told(path: Path) -> Generator[None]:
    """What SQLite and the system refuse is raised as `StateBusy` or `StateUnavailable`, with the path and a way on."""
    try:
        yield
    except sqlite3.Error as fault:
        if getattr(fault, "sqlite_errorcode", 0) & _PRIMARY in _BUSY:
            raise StateBusy(f"{path} is held by another program: try again in a moment") from fault
        said = f"{path} cannot be used: {fault}. `uds-mcp verify` says what is wrong with it"
        raise StateUnavailable(said) from fault
    except OSError as fault:
        raise StateUnavailable(f"{fault.filename or path} cannot be used: {fault.strerror or fault}") from fault


def cleared(connection: sqlite3.Connection, patience_s: float = BUSY_S) -> bool:
    """Whether no copy of what was forgotten is left, neither in unused parts of pages nor in the `-wal`.

    SQLite overwrites what it deletes, and yet leaves copies where it has moved rows from one page to another: only
    writing all pages anew is sure to be rid of them. Others wait meanwhile, about a second per 50 MB.
    """
    connection.execute(f"PRAGMA busy_timeout = {int(patience_s * 1_000)}")
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError:  # busy, or no room on the disk
        return False
    busy, _frames, _moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `ForeignFile` if the file is no journal, and `NewerFile` if a later release wrote it."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (steps,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise ForeignFile(path)
    if steps > len(STEPS):
        raise NewerFile(path)


def resolved(connection: sqlite3.Connection, name: str) -> str:
    """The id of the session whose name, or the beginning of it, this is. Raises `InvalidValue`."""
    if connection.execute("SELECT 1 FROM sessions WHERE id = ?", (name,)).fetchone():
        return name
    if len(name) < NAME_CHARS_LEAST:
        raise InvalidValue(f"no session is named {name!r}: pass its whole name, or {NAME_CHARS_LEAST} characters of it")
    asked = "SELECT id FROM sessions WHERE substr(id, 1, ?) = ? LIMIT 2"
    match connection.execute(asked, (len(name), name)).fetchall():
        case [(found,)]:
            return found
        case []:
            raise InvalidValue(f"no session is named {name!r}, or begins so: `uds-mcp sessions --all` lists them")
        case _:
            raise InvalidValue(f"more than one session begins with {name!r}: pass more of its name")


def named(connection: sqlite3.Connection, session: str | None, principal: str | None) -> tuple[str, ...]:
    """The ids of the one session of this name, or of all sessions of a principal. Raises `InvalidValue`."""
    if session is not None:
        return (resolved(connection, session),)
    asked = "SELECT id FROM sessions WHERE owner = ? ORDER BY n"
    return tuple(each for (each,) in connection.execute(asked, (principal,)))


def anchor(path: Path, heads: Mapping[str, Link]) -> None:
    """Note where histories end now. What cannot be noted is only not guarded: the file itself has it."""
    if not heads:
        return
    try:
        keep_heads(path, heads)
    except (sqlite3.Error, OSError) as fault:
        _log.warning("the ends of %s histories could not be anchored beside %s: %s", len(heads), path, fault)


def _read_only(path: Path) -> sqlite3.Connection:
    connection = connect(path, "mode=ro", busy_s=BUSY_S)
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as fault:
        connection.close()
        if getattr(fault, "sqlite_errorcode", 0) & _PRIMARY != sqlite3.SQLITE_CANTOPEN:
            raise
        # A folder that cannot be written, where nobody can be writing either.
        return connect(path, "mode=ro&immutable=1", busy_s=BUSY_S)
    except sqlite3.DatabaseError:
        return connection  # damaged: what is asked of it says so
    return connection
