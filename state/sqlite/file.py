"""The journal's file: where it lies, how it is made, and whether it can be used as it is."""

import os
import secrets
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from state.errors import StateUnavailable
from state.sqlite.anchors import heads_path
from state.sqlite.lock import InUse
from state.sqlite.lock import exclusive
from state.sqlite.lock import share
from state.sqlite.steps import bring_up
from state.sqlite.steps import set_up
from state.sqlite.tables import APPLICATION_ID
from state.sqlite.tables import STEPS

__all__ = ["DamagedFile", "ForeignFile", "InUse", "NewerFile", "UnwritableFile", "exclusive", "open_file", "share"]

JOURNAL_NAME: Final = "journal.db"
"""Its name inside the state directory."""
SUSPECT: Final = ".suspect"
"""Ending of the note that something in the file could not be read."""
BUSY_S: Final = 5.0
"""How long others are waited for."""
_LOOK_AGAIN_S: Final = 0.02
_LOG_PAGES: Final = 4_000
"""16 MB of log before it is worked into the file: pages that are written again and again are then written once."""
_LOG_BYTES_KEPT: Final = 64 * 2**20
_ENGINE_LEAST: Final = (3, 33, 0)
_PRIVATE_DIRECTORY: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class UnusableFile(StateUnavailable):
    """The file cannot be used as it is; nothing of it was changed."""


class NewerFile(UnusableFile):
    """A later release has written it."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} was written by a newer release of uds-mcp and was not touched. Upgrade uds-mcp, or set "
            "UDS_STATE_DIR to another folder."
        )


class ForeignFile(UnusableFile):
    """It is a database of something else."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is not a journal of uds-mcp and was not touched. Move it away, or set UDS_STATE_DIR to another "
            "folder."
        )


class DamagedFile(UnusableFile):
    """It cannot be read as a database, or parts of it are missing."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} is damaged: {reason}. Put a backup in its place (uds-mcp restore FILE), or move it away."
        )
        self.reason = reason


class UnwritableFile(UnusableFile):
    """It is not there, and cannot be made."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} cannot be used: {reason}. Give this user the right to write there, or set UDS_STATE_DIR to "
            "another folder."
        )
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFile:
    """A good file of this release."""

    path: Path
    writable: bool
    immutable: bool
    """It can be neither written nor shared with writers: it is read as it lies there."""
    busy_s: float = BUSY_S
    """How long a write waits for those of other processes."""

    def reading(self, *, busy_s: float) -> sqlite3.Connection:
        """A connection that never writes. Raises `sqlite3.Error`."""
        mode = "rw" if self.writable else "ro"
        connection = connect(self.path, f"mode={mode}&immutable=1" if self.immutable else f"mode={mode}", busy_s=busy_s)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def writing(self) -> sqlite3.Connection:
        """A connection whose commits are on the disk when they return. Raises `sqlite3.Error`."""
        connection = connect(self.path, "mode=rw", busy_s=self.busy_s)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # what was forgotten is overwritten
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES_KEPT}")
        return connection


def connect(path: Path, how: str, *, busy_s: float) -> sqlite3.Connection:
    """A connection that is in autocommit and may be used by any thread, one at a time."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def suspect(path: Path, reason: str) -> None:
    """Note that something in the file could not be read, so that whoever opens it next looks at all of it."""
    with suppress(OSError):  # it is said anyway; this only keeps it from being forgotten
        note = _note_of(path)
        note.touch(mode=_PRIVATE_FILE)
        note.write_text(reason, encoding="utf-8")


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}{SUSPECT}")


def open_file(path: Path, *, steps: tuple[str, ...] = STEPS, trusting: bool = False) -> JournalFile:
    """Look at the file and make it usable: made where there is none, brought up to date where it is of an earlier form.

    A good file of this release is not written to. Raises `NewerFile`, `ForeignFile`, `DamagedFile`, `UnwritableFile`,
    and `InUse` while it is being replaced. `trusting`: a note that something could not be read is overlooked.
    """
    if sqlite3.sqlite_version_info < _ENGINE_LEAST:
        needed = ".".join(map(str, _ENGINE_LEAST))
        raise UnwritableFile(path, f"SQLite {needed} is needed and this Python has {sqlite3.sqlite_version}")
    with _told(path):
        _make_folder(path)
        if not path.exists():
            _make(path, steps)
        if not path.stat().st_size:
            raise DamagedFile(path, "it is empty")
        if _note_of(path).exists() and not trusting:
            raise DamagedFile(path, "a server could not read some of it")
        return _looked_at(path, steps)


def _looked_at(path: Path, steps: tuple[str, ...]) -> JournalFile:
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)
    file = JournalFile(path=path, writable=writable, immutable=False)
    if not writable:
        file = _read_only(path)
    with closing(file.reading(busy_s=BUSY_S)) as connection:
        version = _form(connection, path)
        if version > len(steps):
            raise NewerFile(path)
        _check_length(connection, path)
    if version < len(steps):
        if not writable:
            raise UnwritableFile(path, "it is of an earlier form and has to be brought up to date, but is read-only")
        with closing(file.writing()) as connection:
            bring_up(connection, steps)
    if writable:
        _make_private(path)
    return file


def _read_only(path: Path) -> JournalFile:
    """A reader shares memory with writers; where that cannot be made, there are no writers."""
    shared = JournalFile(path=path, writable=False, immutable=False)
    try:
        with closing(shared.reading(busy_s=BUSY_S)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        return JournalFile(path=path, writable=False, immutable=True)
    return shared


def _form(connection: sqlite3.Connection, path: Path) -> int:
    """How many steps the file has taken. Raises `ForeignFile`."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise ForeignFile(path)
    return version


def _check_length(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `DamagedFile` if pages are missing at the end; those that are still in the log may be."""
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    log = path.with_name(f"{path.name}-wal")
    logged = _seen(log)
    if (logged is None or not logged.st_size) and path.stat().st_size < pages * page_bytes:
        raise DamagedFile(path, f"it should be {pages * page_bytes} bytes long and is {path.stat().st_size}")


def _make_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        folder.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        folder.chmod(_PRIVATE_DIRECTORY)
    elif _only_ours(path):
        with suppress(OSError):
            folder.chmod(_PRIVATE_DIRECTORY)


def _only_ours(path: Path) -> bool:
    """Whether the folder holds this journal and nothing else: a folder with other things is not ours to close."""
    names = [each.name for each in path.parent.iterdir()] if os.access(path.parent, os.R_OK) else []
    return bool(names) and all(each.lstrip(".").startswith(path.stem) for each in names)


def _make_private(path: Path) -> None:
    """What SQLite puts beside the file gets the file's own rights."""
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm"), heads_path(path)):
        seen = _seen(each)
        if seen is not None and seen.st_mode & 0o077:
            with suppress(OSError):
                each.chmod(_PRIVATE_FILE)


def _seen(place: Path) -> os.stat_result | None:
    """None: there is no such file, or no longer: the last to leave a journal takes its log away."""
    try:
        return place.stat()
    except FileNotFoundError:
        return None


def _make(path: Path, steps: tuple[str, ...]) -> None:
    """Make the file under another name, and give it its own when it is whole; who comes second finds it there."""
    until = time.monotonic() + BUSY_S
    while not path.exists():
        try:
            with exclusive(path):
                _make_alone(path, steps)
        except InUse:  # somebody makes it, or has made it and uses it already
            if time.monotonic() >= until:
                raise
            time.sleep(_LOOK_AGAIN_S)


def _make_alone(path: Path, steps: tuple[str, ...]) -> None:
    if path.exists():
        return
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        new.touch(mode=_PRIVATE_FILE)
        with closing(connect(new, "mode=rw", busy_s=BUSY_S)) as connection:
            set_up(connection, steps)
        _put_aside(path)
        _give_name(new, path)
    finally:
        new.unlink(missing_ok=True)


def _give_name(new: Path, path: Path) -> None:
    try:
        os.link(new, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        new.rename(path)


def _put_aside(path: Path) -> None:
    """What is left of a file that was taken away must not become part of a new one."""
    left = secrets.token_hex(4)
    for place in (path, heads_path(path)):
        for end in ("", "-wal", "-shm"):
            each = Path(f"{place}{end}")
            if each.exists():
                each.rename(f"{place}.left-{left}{end}")


@contextmanager
def _told(path: Path) -> Generator[None]:
    """What SQLite and the system refuse, as one of the errors of this file."""
    try:
        yield
    except sqlite3.Error as fault:
        if getattr(fault, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            raise DamagedFile(path, str(fault)) from fault
        raise UnwritableFile(path, str(fault)) from fault
    except UnicodeError as fault:  # even SQLite's own message quotes what is no text any more
        raise DamagedFile(path, "it holds what is no text") from fault
    except OSError as fault:
        raise UnwritableFile(path, (fault.strerror or str(fault)).lower()) from fault
