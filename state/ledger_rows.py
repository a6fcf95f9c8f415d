"""Sessions, events and findings as rows: frozen, of plain JSON values, with instants in seconds since 1970."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from state import fold
from state.journal import Event
from state.journal import Mark
from state.session import Session
from state.timeline import summary

TEXT_CHARS: Final = 4_000
"""Longer bodies, values and evidence are cut and end in an ellipsis."""
_KEYED: Final = frozenset({fold.FINDING, fold.CONTEXT, fold.PREFERENCE})


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    session: str
    label: str | None
    goal: str | None
    """The newest active one."""
    status: str
    """`open` or `ended`."""
    parent: str | None
    branch_of: str | None
    level: int
    opened_at: float
    last_access_at: float
    expires_at: float
    ended_at: float | None
    events: int
    """Those that are kept."""
    findings: int
    bytes: int
    """All its events at rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    session: str
    version: int
    happened_at: float
    kind: str
    key: str | None
    """Of the finding, context or preference it wrote."""
    schema: str | None
    """The one it looked at."""
    summary: str
    body: str
    """JSON, cut at `TEXT_CHARS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    session: str
    label: str | None
    """Of the session."""
    id: str
    key: str | None
    value: str
    """Text as it is, anything else as JSON; cut at `TEXT_CHARS`."""
    evidence: str | None
    found_at: float
    version: int


def session_row(session: Session, mark: Mark) -> SessionRow:
    """A session with the life its mark tells."""
    active = (goal.text for goal in reversed(session.goals) if goal.status == "active")
    return SessionRow(
        session=session.handle,
        label=session.label,
        goal=next(active, None),
        status=_status(mark),
        parent=session.parent,
        branch_of=session.branch_of,
        level=session.level,
        opened_at=session.created_at,
        last_access_at=mark.accessed_at,
        expires_at=mark.expires_at,
        ended_at=mark.ended_at,
        events=session.version - session.compacted_version,
        findings=len(session.findings),
        bytes=mark.size_bytes,
    )


def remains_row(handle: str, mark: Mark, events: Sequence[Event]) -> SessionRow:
    """A session of which too little is kept, or can be read, to know what it was."""
    return SessionRow(
        session=handle,
        label=None,
        goal=None,
        status=_status(mark),
        parent=None,
        branch_of=None,
        level=1,
        opened_at=events[0].at if events else mark.accessed_at,
        last_access_at=mark.accessed_at,
        expires_at=mark.expires_at,
        ended_at=mark.ended_at,
        events=len(events),
        findings=0,
        bytes=mark.size_bytes,
    )


def finding_rows(session: Session) -> tuple[FindingRow, ...]:
    """Its findings that stand."""
    return tuple(
        FindingRow(
            session=session.handle,
            label=session.label,
            id=each.id,
            key=each.key,
            value=_cut(each.value if isinstance(each.value, str) else _json(each.value)),
            evidence=None if each.evidence is None else _cut(each.evidence),
            found_at=each.at,
            version=each.version,
        )
        for each in session.findings
    )


def event_rows(handle: str, events: Sequence[Event]) -> tuple[EventRow, ...]:
    """Events of a session, in their order. Cost: about 15 us each."""
    return tuple(
        EventRow(
            session=handle,
            version=each.version,
            happened_at=each.at,
            kind=each.kind,
            key=_text(each.body.get("key")) if each.kind in _KEYED else None,
            schema=_text(each.body.get("schema")) if each.kind == fold.EXPLORED else None,
            summary=summary(each),
            body=_cut(_json(each.body)),
        )
        for each in events
    )


def _status(mark: Mark) -> str:
    return "ended" if mark.ended else "open"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARS else f"{text[: TEXT_CHARS - 1]}…"
