"""What the file holds, for a person to look at: sessions with what they are about, and the events of one."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from state.checkpoint import decoded as session_in
from state.fold import OPENED
from state.fold import advance
from state.fold import fold
from state.journal import Event
from state.session import Session
from state.sqlite.records import ROW_COLUMNS
from state.sqlite.records import Record
from state.sqlite.records import Row
from state.sqlite.records import event_of
from state.sqlite.records import record_of
from state.sqlite.records import row_of
from state.sqlite.visits import looking
from state.sqlite.visits import named
from state.sqlite.visits import resolved
from state.sqlite.visits import snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A session in a list. Texts are as they were written: strip them before they are shown."""

    session: str
    owner: str
    version: int
    size_bytes: int
    opened_at: float
    accessed_at: float
    expires_at: float
    ended_at: float | None
    """When it was closed or noticed to have expired. None: it may be live; `expires_at` tells."""
    label: str | None
    goal: str | None
    """The newest that is active, or else the newest."""
    forgotten: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Sessions, newest access first."""

    sessions: tuple[Listed, ...]
    more: int
    """How many are left out by the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One event of a session."""

    version: int
    event: Event | None
    """None: its content was forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The kept events of a session, oldest first."""

    session: str
    events: tuple[Happened, ...]
    compacted_version: int
    """Events up to this one were dropped for good; 0: none were."""


def listed(path: Path, *, now: float, owner: str | None = None, past: bool = False, limit: int = 100) -> Listing:
    """The live sessions, with `past` also those that ended; `owner`: only that principal's.

    Raises `StateBusy`, `StateUnavailable`.
    """
    condition = "(:owner IS NULL OR owner = :owner) AND (:past OR (ended_at IS NULL AND expires_at > :now))"
    # S608: the columns and the condition are ours.
    newest = f"SELECT {ROW_COLUMNS} FROM sessions WHERE {condition} ORDER BY accessed_at DESC, n DESC LIMIT :limit"  # noqa: S608
    counted = f"SELECT count(*) FROM sessions WHERE {condition}"  # noqa: S608
    asked = {"owner": owner, "past": past, "now": now, "limit": limit}
    with looking(path) as journal, snapshot(journal):
        (total,) = journal.execute(counted, asked).fetchone()
        rows = [row_of(values) for values in journal.execute(newest, asked).fetchall()]
        return Listing(sessions=tuple(_listed(journal, row) for row in rows), more=total - len(rows))


def timeline(path: Path, session: str) -> Timeline:
    """What happened in a session, live or ended, whose name may be cut to six characters or more.

    Raises `InvalidValue` (no such session), `StateBusy`, `StateUnavailable`.
    """
    with looking(path) as journal, snapshot(journal):
        record = record_of(journal, resolved(journal, session))
    if record is None:
        raise RuntimeError("a session that was found is there until the end of the snapshot")
    return Timeline(
        session=record.row.id,
        events=tuple(Happened(version=each.version, event=event_of(each)) for each in record.events),
        compacted_version=record.row.compacted_version,
    )


def meant(path: Path, *, session: str | None = None, principal: str | None = None) -> tuple[str, ...]:
    """The session of this name, which may be cut to six characters or more, or all sessions of a principal.

    Raises `InvalidValue` (no such session), `StateBusy`, `StateUnavailable`.
    """
    with looking(path) as journal:
        return named(journal, session, principal)


def session_of(record: Record) -> Session | None:
    """The session folded. None: it was forgotten, or was written by something else than sessions."""
    events = [event for event in map(event_of, record.events) if event is not None]
    if len(events) < len(record.events):
        return None
    try:
        return _folded(record, events)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _folded(record: Record, events: Iterable[Event]) -> Session | None:
    following = list(events)
    if following and following[0].kind == OPENED:
        return fold(following)
    base = next((each for each in record.checkpoints if each.version == record.row.compacted_version), None)
    begun = None if base is None else session_in(base.state)
    return None if begun is None else advance(begun, following)


def _listed(journal: sqlite3.Connection, row: Row) -> Listed:
    record = record_of(journal, row.id)
    session = None if record is None else session_of(record)
    return Listed(
        session=row.id,
        owner=row.owner,
        version=row.version,
        size_bytes=row.size_bytes,
        opened_at=row.opened_at,
        accessed_at=row.accessed_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        label=None if session is None else session.label,
        goal=None if session is None else _goal(session),
        forgotten=record is not None and any(each.content is None for each in record.events),
    )


def _goal(session: Session) -> str | None:
    active = [goal.text for goal in session.goals if goal.status == "active"]
    return (active or [goal.text for goal in session.goals] or [None])[-1]
