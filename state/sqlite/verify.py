"""Is the file as it was written? Checks SQLite's own structures, and every history against its chain and its anchor."""

import sqlite3
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path

from state.chain import Link
from state.chain import Verdict
from state.errors import InvalidValue
from state.sqlite.anchors import read_heads
from state.sqlite.records import NotARow
from state.sqlite.records import Record
from state.sqlite.records import record_of
from state.sqlite.verdicts import judged
from state.sqlite.visits import NAME_CHARS_LEAST
from state.sqlite.visits import looking
from state.sqlite.visits import resolved
from state.sqlite.visits import snapshot

_PRIMARY = 0xFF
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""SQLite's words for: malformed, no database, and no such table."""
_FAULTS_SHOWN = 20
"""Of the file's own structures: one that is really damaged can have thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """Something that is not as it was written."""

    session: str | None
    """None: the file itself."""
    version: int | None
    """Of the first bad event. None: no single event is at fault."""
    fault: str
    """A whole sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked, and what is wrong."""

    path: Path | str
    """The file; or the address of Redis, without secrets."""
    sessions: int
    events: int
    """Those checked and found good."""
    forgotten: int
    """Sessions whose contents were destroyed on request; their chains still verify."""
    anchored: int
    """Sessions whose newest acknowledged event was known from outside the file."""
    wrong: tuple[Wrong, ...]

    @property
    def ok(self) -> bool:
        return not self.wrong


def verify_file(path: Path, *, session: str | None = None) -> Verification:
    """Check the whole file, or one session and, quickly, the file around it. Others may write meanwhile.

    The session's name may be cut to six characters or more. What is damaged is told in the answer.
    Raises `InvalidValue` (no such session) and, when there is no file or it may not be read, `StateUnavailable`.
    """
    # The anchors are read first: what is written to the journal after that can only be beyond them.
    anchors, told = anchors_beside(path)
    verification = verify_against(path, anchors, lambda: anchors_beside(path)[0], session=session)
    return replace(verification, wrong=(*told, *verification.wrong))


def verify_against(
    path: Path, anchors: Mapping[str, Link], again: Callable[[], Mapping[str, Link]], *, session: str | None = None
) -> Verification:
    """As `verify_file`, with anchors that were read before the file came about; `again` reads them as they are now."""
    checking = _Checking(anchors, again)
    with looking(path) as journal:
        wrong = tuple(checking.all_wrong(journal, session))
    return Verification(
        path=path,
        sessions=checking.sessions,
        events=checking.events,
        forgotten=checking.forgotten,
        anchored=checking.anchored,
        wrong=wrong,
    )


def anchors_beside(path: Path) -> tuple[dict[str, Link], tuple[Wrong, ...]]:
    """The anchors beside a journal, and what is wrong with their file."""
    try:
        return read_heads(path), ()
    except sqlite3.Error as fault:
        told = f"The anchors beside the file cannot be read ({fault}): histories that are cut off are not noticed."
        return {}, (Wrong(session=None, version=None, fault=told),)


class _Checking:
    """One pass over a file, and what it counted."""

    def __init__(self, anchors: Mapping[str, Link], again: Callable[[], Mapping[str, Link]]) -> None:
        self._anchors = anchors
        self._again = again
        self.sessions = 0
        self.events = 0
        self.forgotten = 0
        self.anchored = 0

    def all_wrong(self, journal: sqlite3.Connection, session: str | None) -> Iterator[Wrong]:
        try:
            for told in _integrity(journal, quick=session is not None):
                yield Wrong(session=None, version=None, fault=told)
            for each in self._asked(journal, session):
                yield from self._session_wrong(journal, each)
            if session is None:
                yield from _orphans(journal)
        except sqlite3.DatabaseError as fault:
            if getattr(fault, "sqlite_errorcode", 0) & _PRIMARY not in _DAMAGED:
                raise
            yield Wrong(session=None, version=None, fault=f"SQLite cannot read the file: {fault}.")

    def _asked(self, journal: sqlite3.Connection, session: str | None) -> list[str]:
        if session is None:
            known = [each for (each,) in journal.execute("SELECT id FROM sessions ORDER BY n")]
            return list(dict.fromkeys([*known, *self._anchors]))
        gone = [each for each in self._anchors if each.startswith(session) and len(session) >= NAME_CHARS_LEAST]
        try:
            return [resolved(journal, session)]
        except InvalidValue:
            if len(gone) == 1:
                return gone
            raise

    def _session_wrong(self, journal: sqlite3.Connection, session: str) -> Iterator[Wrong]:
        anchor = self._anchors.get(session)
        record, told = _read(journal, session)
        verdict = told or _verdict(record, anchor)
        if anchor is not None and not verdict.ok and self._moved_on(session, anchor):
            verdict = told or _verdict(record, None)
        if record is not None:
            self.sessions += 1
            self.events += verdict.events
            self.anchored += anchor is not None
            self.forgotten += any(each.content is None for each in record.events)
        if not verdict.ok:
            yield Wrong(session=session, version=verdict.version, fault=verdict.fault or "")

    def _moved_on(self, session: str, anchor: Link) -> bool:
        """Whether the session was deleted meanwhile, as is its right: its anchor goes before anything else does."""
        now = self._again().get(session)
        return now is None or now.version < anchor.version


def _read(journal: sqlite3.Connection, session: str) -> tuple[Record | None, Verdict | None]:
    try:
        with snapshot(journal):
            return record_of(journal, session), None
    except NotARow:
        return None, Verdict(ok=False, events=0, fault="Its rows hold values that were never written there.")
    except sqlite3.DatabaseError as fault:
        if getattr(fault, "sqlite_errorcode", 0) & _PRIMARY not in _DAMAGED:
            raise
        return None, Verdict(ok=False, events=0, fault=f"SQLite cannot read it: {fault}.")


def _verdict(record: Record | None, anchor: Link | None) -> Verdict:
    if record is not None:
        return judged(record, anchor)
    if anchor is None:
        return Verdict(ok=True, events=0)
    told = f"The session is gone with all its events: {anchor.version} were acknowledged."
    return Verdict(ok=False, events=0, version=1, fault=told)


def _integrity(journal: sqlite3.Connection, *, quick: bool) -> Iterator[str]:
    asked = f"PRAGMA {'quick_check' if quick else 'integrity_check'}({_FAULTS_SHOWN})"
    for (told,) in journal.execute(asked):
        if told != "ok":
            yield f"SQLite finds the file damaged: {' '.join(str(told).split())}."


def _orphans(journal: sqlite3.Connection) -> Iterator[Wrong]:
    # One statement sees one state of the file, whatever is written meanwhile.
    asked = (
        "SELECT n, min(version), count(*) FROM events WHERE NOT EXISTS "
        "(SELECT 1 FROM sessions WHERE sessions.n = events.n) GROUP BY n"
    )
    for n, first, events in journal.execute(asked):
        told = f"{events} events, from {first} on, belong to a session that is gone from the file (number {n})."
        yield Wrong(session=None, version=None, fault=told)
