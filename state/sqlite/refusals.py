"""What SQLite refuses, in words for who can act: wait, or look at the disk, the rights or the file."""

import sqlite3
from pathlib import Path
from typing import Final

from state.errors import StateBusy
from state.errors import StateError
from state.errors import StateUnavailable

_NO_CODE: Final = 0xFF
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGE: Final = {
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH),
    *(sqlite3.SQLITE_ERROR, _NO_CODE),  # our own statements do not fit what is there; text that is none has no code
}
DAMAGED_WAY_OUT: Final = (
    "The next server that has the file for itself carries over what is good of it and keeps the damaged file aside; "
    "uds-mcp verify says what is wrong, and uds-mcp restore FILE puts a backup in its place"
)
_WAYS_OUT: Final = {
    sqlite3.SQLITE_FULL: "the disk is full. Make room on it; nothing else has to be done",
    sqlite3.SQLITE_READONLY: "it is read-only. Give this user the right to write it and its folder",
    sqlite3.SQLITE_PERM: "this user may not. Give this user the right to read and write it and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened. Look whether its folder is there and may be written",
    sqlite3.SQLITE_IOERR: "the disk reports a fault. Look whether it is full or failing",
}


def busy(fault: Exception) -> bool:
    """Whether others only hold the file, so that trying again later is worth it."""
    return _code(fault) in _BUSY


def damaged(fault: Exception) -> bool:
    """Whether the file is not as it was written."""
    return isinstance(fault, sqlite3.Error | UnicodeError) and _code(fault) in _DAMAGE


def write_refused(path: Path, fault: Exception) -> StateError:
    """`StateBusy`, or `StateUnavailable`."""
    if busy(fault):
        return StateBusy(f"{path} is held by another process for a long time: nothing was written. Try again.")
    return StateUnavailable(f"{path} cannot be written, so nothing was: {_way_out(fault)}.")


def read_refused(path: Path, fault: Exception) -> StateError:
    """`StateBusy`, or `StateUnavailable`."""
    if busy(fault):
        return StateBusy(f"{path} is held by another process for a long time. Try again.")
    return StateUnavailable(f"{path} cannot be read: {_way_out(fault)}.")


def _way_out(fault: Exception) -> str:
    code = _code(fault)
    if damaged(fault):
        return f"it is damaged ({fault}). {DAMAGED_WAY_OUT}"
    return _WAYS_OUT.get(code, f"{fault}. Run uds-mcp doctor")


def _code(fault: BaseException) -> int:
    """SQLite's primary code; `_NO_CODE`: it is none of its own."""
    return (getattr(fault, "sqlite_errorcode", None) or _NO_CODE) & 0xFF
