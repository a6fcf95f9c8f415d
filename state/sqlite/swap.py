"""Putting another file in the journal's place: what was there is kept aside, and nothing is ever overwritten.

Only for who has the file for themselves (`state.sqlite.lock.exclusive`).
"""

import os
import shutil
import sqlite3
from collections.abc import Generator
from collections.abc import Mapping
from contextlib import closing
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Final

from state.chain import Link
from state.sqlite.anchors import heads_path
from state.sqlite.file import SUSPECT
from state.sqlite.file import connect
from state.sqlite.steps import set_up
from state.sqlite.tables import STEPS
from state.sqlite.visits import anchor
from state.sqlite.visits import transaction

_BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file, and would mix up with another one in its place."""
_KEPT: Final = ("", "-wal", "-shm")
_BUSY_S: Final = 5.0


@contextmanager
def made_new(place: Path) -> Generator[sqlite3.Connection]:
    """A new journal's file that nobody else knows yet; it is on the disk, in one piece, when the body is done."""
    discard(place)
    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(connect(place, "mode=rw", busy_s=_BUSY_S)) as connection:
        set_up(connection, STEPS)
        connection.execute("PRAGMA synchronous = OFF")
        with transaction(connection):
            yield connection
    sync(place)


def aside_of(path: Path, word: str, now: float) -> Path:
    """A free name for what is to be kept aside: `word` tells why, and `now` when."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside, again = _ending(path, f".{word}-{stamp}"), 1
    while any(_ending(aside, each).exists() for each in _KEPT):
        again += 1
        aside = _ending(path, f".{word}-{stamp}-{again}")
    return aside


def put_in_place(path: Path, new: Path, heads: Mapping[str, Link], *, aside: Path) -> None:
    """Give the new file the journal's place and anchors; the old ones stay under the name of `aside` and its like."""
    old_heads = heads_path(path)
    _keep_aside(path, aside)
    _keep_aside(old_heads, _ending(old_heads, aside.name.removeprefix(path.name)))
    # An old log would be read into the new file, so it goes before that comes. What dies in between leaves the old
    # file without its newest events, which its anchors tell; all of it is kept aside by then.
    _remove(path, _BESIDE)
    new.replace(path)
    _remove(path, (SUSPECT,))
    _remove(old_heads, ("", *_BESIDE))
    anchor(path, heads)
    _sync_folder(path.parent)


def discard(place: Path) -> None:
    """Remove a file that was begun and not finished."""
    _remove(place, ("", *_BESIDE))


def sync(place: Path) -> None:
    """Wait until the file and its name are on the disk."""
    with place.open("rb+") as file:
        os.fsync(file.fileno())
    _sync_folder(place.parent)


def _keep_aside(path: Path, aside: Path) -> None:
    for each in _KEPT:
        if _ending(path, each).exists():
            _double(_ending(path, each), _ending(aside, each))
    _sync_folder(path.parent)


def _double(path: Path, aside: Path) -> None:
    """The same content under a second name, which is free."""
    try:
        os.link(path, aside)
    except OSError:  # a file system without links
        with path.open("rb") as old, aside.open("xb") as new:
            shutil.copyfileobj(old, new)
        aside.chmod(0o600)
        sync(aside)


def _remove(path: Path, endings: tuple[str, ...]) -> None:
    for each in endings:
        _ending(path, each).unlink(missing_ok=True)


def _ending(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}{ending}")


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # pragma: no cover - folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
