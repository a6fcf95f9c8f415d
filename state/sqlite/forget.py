"""Destroying the contents of sessions on request: what they said is gone for good, that they were stays provable."""

import secrets
import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from state.chain import Link
from state.journal import Draft
from state.sqlite.file import BUSY_S
from state.sqlite.records import Row
from state.sqlite.records import count_again
from state.sqlite.records import event_of
from state.sqlite.records import events_of
from state.sqlite.records import following
from state.sqlite.records import numbered
from state.sqlite.records import put_events
from state.sqlite.verdicts import FORGOTTEN
from state.sqlite.visits import anchor
from state.sqlite.visits import changing
from state.sqlite.visits import cleared
from state.sqlite.visits import named
from state.sqlite.visits import transaction

_SALT_BYTES = 16
_OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was destroyed."""

    sessions: tuple[str, ...]
    """Those that had contents left; they are ended."""
    events: int
    size_bytes: int
    lingering: bool
    """Copies may still lie in unused parts of the file or its `-wal`, because others were using it or the disk is full;
    forgetting again clears them."""


def forget(
    path: Path, *, session: str | None = None, principal: str | None = None, now: float, patience_s: float = BUSY_S
) -> Forgotten:
    """Destroy the contents of one session, or of all sessions of a principal, live or ended, and his name with them.

    The session's name may be cut to six characters or more. May be repeated: what is forgotten stays so.
    `patience_s`: how long to wait for those who are reading.
    Raises `InvalidValue` (no such session), `StateBusy`, `StateUnavailable`.
    """
    events, size_bytes, done = 0, 0, list[str]()
    heads = dict[str, Link]()
    try:
        with changing(path) as journal:
            alias = None if principal is None else _alias(principal)
            for each in named(journal, session, principal):
                outcome = _forget_one(journal, each, alias, now)
                if outcome is None:
                    continue
                row, emptied, heads[each] = outcome
                if emptied is not None:
                    done.append(each)
                    events, size_bytes = events + emptied, size_bytes + row.size_bytes
            lingering = not cleared(journal, patience_s)
    finally:
        anchor(path, heads)
    return Forgotten(sessions=tuple(done), events=events, size_bytes=size_bytes, lingering=lingering)


def _forget_one(
    journal: sqlite3.Connection, session: str, alias: str | None, now: float
) -> tuple[Row, int | None, Link] | None:
    """None: a server has just deleted it."""
    with transaction(journal):
        found = numbered(journal, session)
        if found is None:
            return None
        n, row = found
        emptied, head = _empty(journal, n, row, now)
        owner = alias or row.owner
        journal.execute(
            "UPDATE sessions SET owner = ?, opened_key = NULL, ended_at = coalesce(ended_at, ?) WHERE n = ?",
            (owner, now, n),
        )
        count_again(journal, (row.owner, owner))
    return row, emptied, head


def _empty(journal: sqlite3.Connection, n: int, row: Row, now: float) -> tuple[int | None, Link]:
    """How many events were emptied (None: it was done before), and the head after that."""
    events = list(events_of(journal, n))
    last = event_of(events[-1]) if events else None
    if last is not None and last.kind == FORGOTTEN:
        return None, row.head
    draft = Draft(
        at=now if last is None else max(now, last.at), kind=FORGOTTEN, actor=_OPERATOR, body={"events": len(events)}
    )
    added = following(row.head, draft)
    journal.execute("UPDATE events SET salt = NULL, content = NULL WHERE n = ?", (n,))
    journal.execute("DELETE FROM checkpoints WHERE n = ?", (n,))
    put_events(journal, n, (added,))
    journal.execute(
        "UPDATE sessions SET version = ?, nonce = ?, link = ?, size_bytes = ? WHERE n = ?",
        (added.version, added.nonce, added.link, len(added.content or b""), n),
    )
    return len(events), Link(version=added.version, link=added.link)


def _alias(principal: str) -> str:
    # The salt is thrown away: nobody can try names until one fits.
    return f"forgotten-{sha256(secrets.token_bytes(_SALT_BYTES) + principal.encode()).hexdigest()[:12]}"
