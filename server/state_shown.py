"""How sessions, timelines and checks are shown, to a person or to a program; text from the file is never trusted."""

import json
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC
from datetime import datetime
from typing import Any
from typing import Final

from state.sqlite.archive_lines import Refused
from state.sqlite.listing import Happened
from state.sqlite.listing import Listed
from state.sqlite.listing import Listing
from state.sqlite.listing import Timeline
from state.sqlite.verify import Verification
from state.sqlite.verify import Wrong
from state.timeline import summary

_ABOUT_CHARS: Final = 60
_NAME_CHARS: Final = 40
_FAULTS_SHOWN: Final = 50


def sessions_text(listing: Listing, *, now: float) -> str:
    """A table, one session in a line."""
    if not listing.sessions:
        return "no sessions"
    owners = len({each.owner for each in listing.sessions}) > 1
    rows = [_cells(each, now=now, owners=owners) for each in listing.sessions]
    headings = ["session", "events", "bytes", "last used", "life", *(["principal"] if owners else []), "about"]
    lines = _columns([headings, *rows], right={1, 2})
    more = [f"and {listing.more:,} more: --json shows them all"] if listing.more else []
    return "\n".join([*lines, *more])


def sessions_json(listing: Listing) -> str:
    sessions = [asdict(each) | _instants(each) for each in listing.sessions]
    return _json({"sessions": sessions, "more": listing.more})


def timeline_text(found: Timeline) -> str:
    """One event in a line, oldest first."""
    head = [f"events 1 to {found.compacted_version} were dropped for good"] if found.compacted_version else []
    rows = [[str(each.version), *_told(each)] for each in found.events]
    return "\n".join([f"session {plain(found.session, most=_NAME_CHARS)}", *head, *_columns(rows, right={0})])


def timeline_json(found: Timeline) -> str:
    events = [_event_object(each) for each in found.events]
    return _json({"session": found.session, "compacted_version": found.compacted_version, "events": events})


def verification_text(verification: Verification) -> str:
    """What was checked, and every fault with the first bad event."""
    shown = [_wrong_text(each) for each in verification.wrong[:_FAULTS_SHOWN]]
    if len(verification.wrong) > _FAULTS_SHOWN:
        shown.append(f"and {len(verification.wrong) - _FAULTS_SHOWN:,} more faults")
    checked = (
        f"{verification.path}: checked {verification.sessions:,} sessions with {verification.events:,} events, "
        f"{verification.anchored:,} of them against their anchors"
    )
    forgotten = [f"forgotten on request: {verification.forgotten:,}"] * (verification.forgotten > 0)
    outcome = "everything is as it was written" if verification.ok else _REMEDY
    return "\n".join([checked, *forgotten, *shown, outcome])


def verification_json(verification: Verification) -> str:
    return _json(asdict(verification) | {"path": str(verification.path), "ok": verification.ok})


def refusal_text(refused: Refused) -> str:
    """Why a session was left out."""
    session = "" if refused.session is None else f"session {plain(refused.session, most=_NAME_CHARS)}: "
    line = "" if refused.line is None or refused.why.startswith("Line ") else f"line {refused.line}: "
    return f"left out: {line}{session}{plain(refused.why, most=400)}"


def plain(text: str, *, most: int) -> str:
    """The text in one line of at most `most` characters, without anything that a terminal would obey."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


_REMEDY = (
    "not everything is as it was written: `uds-mcp restore FILE` puts a backup in place, and keeps this file aside"
)


def _cells(each: Listed, *, now: float, owners: bool) -> list[str]:
    about = "(forgotten)" if each.forgotten else " - ".join(part for part in (each.label, each.goal) if part)
    return [
        plain(each.session, most=_NAME_CHARS),
        f"{each.version:,}",
        f"{each.size_bytes:,}",
        _instant(each.accessed_at),
        _life(each, now),
        *([plain(each.owner, most=_NAME_CHARS)] if owners else []),
        plain(about, most=_ABOUT_CHARS),
    ]


def _life(each: Listed, now: float) -> str:
    if each.ended_at is not None:
        return f"ended {_instant(each.ended_at)}"
    return f"{'until' if each.expires_at > now else 'expired'} {_instant(each.expires_at)}"


def _told(each: Happened) -> tuple[str, str, str]:
    if each.event is None:
        return "", "", "(forgotten)"
    event = each.event
    return _instant(event.at), plain(event.kind, most=_NAME_CHARS), plain(summary(event), most=200)


def _event_object(each: Happened) -> dict[str, Any]:
    if each.event is None:
        return {"version": each.version, "forgotten": True}
    event = each.event
    return {
        "version": each.version,
        "at": _instant(event.at),
        "kind": event.kind,
        "actor": event.actor,
        "summary": summary(event),
    }


def _wrong_text(wrong: Wrong) -> str:
    session = "" if wrong.session is None else f"session {plain(wrong.session, most=_NAME_CHARS)}"
    place = f"{session}{'' if wrong.version is None else f', event {wrong.version}'}"
    return f"WRONG  {place}{': ' if place else ''}{plain(wrong.fault, most=300)}"


def _instants(each: Listed) -> dict[str, str | None]:
    return {
        "opened_at": _instant(each.opened_at),
        "accessed_at": _instant(each.accessed_at),
        "expires_at": _instant(each.expires_at),
        "ended_at": None if each.ended_at is None else _instant(each.ended_at),
    }


def _instant(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # beyond what calendars have
        return f"{at:g}"


def _columns(rows: Sequence[Sequence[str]], *, right: set[int]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = (
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2)
