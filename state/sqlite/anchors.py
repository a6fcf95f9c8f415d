"""Anchors: where each history ended when its last write was acknowledged, in a small file beside the journal's.

Whoever cuts acknowledged events off the journal, or puts an older journal in its place, is found out by them.
"""

import logging
import sqlite3
from collections.abc import Iterable
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from state.chain import Link
from state.sqlite.many import Many

_log = logging.getLogger(__name__)

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS heads (id TEXT PRIMARY KEY, version INTEGER NOT NULL, link BLOB NOT NULL) WITHOUT ROWID"
)
_KEEP: Final = Many(
    "INSERT INTO heads (id, version, link) VALUES {rows} ON CONFLICT (id) DO UPDATE "
    "SET version = excluded.version, link = excluded.link WHERE excluded.version > heads.version",
    3,
)
_DROP: Final = Many("DELETE FROM heads WHERE id IN (VALUES {rows})", 1)
_BUSY_MS: Final = 2_000
_PAGES_TO_CHECKPOINT: Final = 1_000


def heads_path(path: Path) -> Path:
    """The file of anchors that belongs to the journal at `path`."""
    return path.with_name(f"{path.stem}.heads.db")


def read_heads(path: Path) -> dict[str, Link]:
    """The anchors beside the journal at `path`, by the ids of sessions. Empty: there is no such file.

    Raises `sqlite3.Error`: it cannot be read.
    """
    place = heads_path(path)
    if not place.exists():
        return {}
    with closing(sqlite3.connect(f"{place.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_MS / 1e3)) as heads:
        rows = heads.execute("SELECT id, version, link FROM heads")
        return {each: Link(version=version, link=link) for each, version, link in rows}


def keep_heads(path: Path, heads: Mapping[str, Link]) -> None:
    """Note where histories end, for the journal at `path`; an anchor only moves on. Raises `sqlite3.Error`, `OSError`.

    For tools that write to the file from outside; the journal itself holds `Anchors` open.
    """
    with closing(_opened(heads_path(path))) as connection:
        _KEEP.run(connection, [(each, head.version, head.link) for each, head in heads.items()])


class Anchors:
    """The writer's hold on the anchors. A fault here never fails a write: it is told by `fault`, and tried again."""

    def __init__(self, path: Path) -> None:
        self._place = heads_path(path)
        self._connection: sqlite3.Connection | None = None
        self._owed: dict[str, tuple[int, bytes]] = {}
        self._told = False
        self.fault: str | None = None
        """What is wrong with the anchors now, as a sentence. None: nothing."""

    def keep(self, heads: Iterable[tuple[str, int, bytes]]) -> None:
        """Note where histories end: id, version and link of each."""
        for session_id, version, link in heads:
            self._owed[session_id] = version, link
        if self._owed and self._run(_KEEP, [(each, *head) for each, head in self._owed.items()]):
            self._owed.clear()

    def drop(self, session_ids: Iterable[str]) -> None:
        """Forget sessions that are about to be deleted for good."""
        gone = list(session_ids)
        for each in gone:
            self._owed.pop(each, None)
        if gone:
            self._run(_DROP, [(each,) for each in gone])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, statement: Many, rows: list[tuple[object, ...]]) -> bool:
        try:
            if self._connection is None:
                self._connection = _opened(self._place)
            statement.run(self._connection, rows)
        except (sqlite3.Error, OSError) as fault:
            self._failed(fault)
            return False
        self.fault = None
        return True

    def _failed(self, fault: Exception) -> None:
        self.fault = f"{self._place} cannot be written ({fault}): histories that are cut off would not be noticed."
        if not self._told:
            _log.warning(self.fault)
            self._told = True
        try:
            self.close()
        except sqlite3.Error:
            self._connection = None


def _opened(place: Path) -> sqlite3.Connection:
    place.touch(mode=0o600)
    place.chmod(0o600)
    connection = sqlite3.connect(
        f"{place.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_MS / 1e3,
        isolation_level=None,
        check_same_thread=False,
    )
    # What is lost here by a failing machine is only that later ends are not anchored: not worth a wait for the disk.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_TO_CHECKPOINT}")
    connection.execute(_TABLE)
    return connection
