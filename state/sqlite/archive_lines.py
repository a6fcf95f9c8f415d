"""The lines of an archive: a header for each session, then its checkpoints and events; each line is a JSON object.

A stranger's file is read with suspicion: every field has one kind and a bound, and a session is believed only when its
chain verifies.
"""

import base64
import json
import math
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final
from typing import NoReturn

from state.chain import Stored
from state.fold import OPENED
from state.fold import fold
from state.sqlite.records import Kept
from state.sqlite.records import Record
from state.sqlite.records import Row
from state.sqlite.records import event_of
from state.sqlite.verdicts import judged

FORMAT: Final = 1
LINE_BYTES_MOST: Final = 64 * 2**20
SESSION_BYTES_MOST: Final = 256 * 2**20
_NAME_CHARS_MOST: Final = 1_000
_NUMBER_MOST: Final = 2**53
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A session, or a line of no session, that was left out."""

    line: int | None
    """The first is 1. None: it is not a line that is at fault."""
    session: str | None
    why: str
    """A whole sentence."""


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """A session while its lines come in."""

    line: int
    head: dict[str, Any]
    size_bytes: int
    events: list[Stored] = field(default_factory=list[Stored])
    checkpoints: list[Kept] = field(default_factory=list[Kept])


def written(record: Record) -> Iterator[str]:
    """The lines of a session, each with its end."""
    row = record.row
    head = {
        "uds": "session",
        "format": FORMAT,
        "id": row.id,
        "owner": row.owner,
        "opened_key": row.opened_key,
        "opened_at": row.opened_at,
        "accessed_at": row.accessed_at,
        "expires_at": row.expires_at,
        "ended_at": row.ended_at,
        "version": row.version,
        "nonce": row.nonce,
        "link": row.link.hex(),
        "compacted_version": row.compacted_version,
        "compacted_link": row.compacted_link.hex(),
        "events": len(record.events),
        "checkpoints": len(record.checkpoints),
    }
    yield _line(head)
    yield from map(_checkpoint_line, record.checkpoints)
    yield from map(_event_line, record.events)


def read_records(lines: Iterable[bytes]) -> Iterator[tuple[int, Record | Refused]]:
    """Each session with the number of its first line, or why it is refused; reading goes on with the next header."""
    gathered: _Gathered | None = None
    lost = False
    for number, line in enumerate(lines, start=1):
        try:
            part = _part(line)
            if part.get("uds") == "session":
                if gathered is not None:
                    yield gathered.line, _finished(gathered)
                gathered, lost = _Gathered(line=number, head=part, size_bytes=len(line)), False
            elif gathered is not None:
                _gather(gathered, part, len(line))
            elif not lost:
                _refuse("the line belongs to no session: an archive begins with the header of one")
        except (ValueError, KeyError, TypeError) as fault:
            session = None if gathered is None else _name_in(gathered.head)
            yield number, Refused(line=number, session=session, why=f"Line {number}: {_reason(fault)}.")
            gathered, lost = None, True
    if gathered is not None:
        yield gathered.line, _finished(gathered)


def _finished(gathered: _Gathered) -> Record | Refused:
    try:
        record = Record(row=_row(gathered), events=tuple(gathered.events), checkpoints=tuple(gathered.checkpoints))
        told = _counts(gathered) or judged(record, None).fault or _unusable(record)
    except (ValueError, KeyError, TypeError) as fault:
        told = f"Line {gathered.line}: {_reason(fault)}."
    else:
        if told is None:
            return record
    return Refused(line=gathered.line, session=_name_in(gathered.head), why=told)


def _counts(gathered: _Gathered) -> str | None:
    told = gathered.head["events"], gathered.head["checkpoints"]
    if told == (len(gathered.events), len(gathered.checkpoints)):
        return None
    return f"It should have {told[0]} events and has {len(gathered.events)}: the archive is cut or was changed."


def _unusable(record: Record) -> str | None:
    """A chain can be made up; what it holds must still be a history that the product can live with."""
    if any(each.content is None for each in record.events):
        return None if record.row.ended_at is not None else "It is forgotten, and yet said to be live."
    events = [event_of(each) for each in record.events]
    history = [event for event in events if event is not None]
    if len(history) < len(events):
        return "One of its events is not an event."
    if not history or history[0].version > 1 or history[0].kind != OPENED:
        return None
    try:
        handle = fold(history).handle
    except (ValueError, KeyError, TypeError, AttributeError):
        return "Its events make no session."
    return None if handle == record.row.id else "Its events are another session's."


def _part(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_BYTES_MOST:
        raise ValueError(f"it is longer than {LINE_BYTES_MOST} bytes")
    try:
        part = json.loads(line, parse_constant=_refuse)
    except RecursionError as fault:
        raise ValueError("it is nested too deeply") from fault
    if not isinstance(part, dict):
        raise TypeError("it is not a JSON object")
    return part  # pyright: ignore[reportUnknownVariableType] - any JSON


def _gather(gathered: _Gathered, part: dict[str, Any], size_bytes: int) -> None:
    gathered.size_bytes += size_bytes
    if gathered.size_bytes > SESSION_BYTES_MOST:
        raise ValueError(f"the session is larger than {SESSION_BYTES_MOST} bytes")
    match part.get("uds"):
        case "event":
            gathered.events.append(_event(part))
        case "checkpoint":
            gathered.checkpoints.append(_checkpoint(part))
        case _:
            raise ValueError("it is no header, event or checkpoint of an archive")


def _row(gathered: _Gathered) -> Row:
    head = gathered.head
    if head["format"] != FORMAT:
        raise ValueError("the archive was written by a newer release: upgrade uds-mcp to read it")
    return Row(
        id=_text(head, "id"),
        owner=_text(head, "owner"),
        opened_key=None if head["opened_key"] is None else _text(head, "opened_key"),
        opened_at=_instant(head, "opened_at"),
        accessed_at=_instant(head, "accessed_at"),
        expires_at=_instant(head, "expires_at"),
        ended_at=None if head["ended_at"] is None else _instant(head, "ended_at"),
        version=_whole(head, "version"),
        nonce=_text(head, "nonce"),
        link=_digest(head, "link"),
        size_bytes=sum(len(each.content or b"") for each in gathered.events),
        compacted_version=_whole(head, "compacted_version"),
        compacted_link=_digest(head, "compacted_link"),
    )


def _event(part: dict[str, Any]) -> Stored:
    salt, content = part["salt"], part["content"]
    if (salt is None) != (content is None):
        raise ValueError("salt and content come and go together")
    return Stored(
        version=_whole(part, "version"),
        nonce=_text(part, "nonce"),
        salt=None if salt is None else bytes.fromhex(_text(part, "salt")),
        content=None if content is None else str(content).encode(),
        digest=_digest(part, "digest"),
        link=_digest(part, "link"),
    )


def _checkpoint(part: dict[str, Any]) -> Kept:
    state = base64.b64decode(str(part["state"]), validate=True)
    return Kept(
        version=_whole(part, "version"), nonce=_text(part, "nonce"), state=state, digest=_digest(part, "digest")
    )


def _event_line(event: Stored) -> str:
    return _line(
        {
            "uds": "event",
            "version": event.version,
            "nonce": event.nonce,
            "salt": None if event.salt is None else event.salt.hex(),
            "content": None if event.content is None else event.content.decode(),
            "digest": event.digest.hex(),
            "link": event.link.hex(),
        }
    )


def _checkpoint_line(kept: Kept) -> str:
    state = base64.b64encode(kept.state).decode()
    part = {"uds": "checkpoint", "version": kept.version, "nonce": kept.nonce, "state": state}
    return _line(part | {"digest": kept.digest.hex()})


def _line(part: dict[str, Any]) -> str:
    return json.dumps(part, separators=(",", ":")) + "\n"


def _text(part: dict[str, Any], name: str) -> str:
    value = part[name]
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_CHARS_MOST:
        raise ValueError(f"{name} is not a text of 1 to {_NAME_CHARS_MOST} characters")
    value.encode()  # half of a surrogate pair is no text
    return value


def _whole(part: dict[str, Any], name: str) -> int:
    value = part[name]
    if type(value) is not int or not 0 <= value < _NUMBER_MOST:
        raise ValueError(f"{name} is not a whole number")
    return value


def _instant(part: dict[str, Any], name: str) -> float:
    value = part[name]
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError(f"{name} is not an instant in seconds")
    return float(value)


def _digest(part: dict[str, Any], name: str) -> bytes:
    value = bytes.fromhex(_text(part, name))
    if len(value) != _DIGEST_BYTES:
        raise ValueError(f"{name} is not {_DIGEST_BYTES} bytes in hexadecimal")
    return value


def _name_in(head: dict[str, Any]) -> str | None:
    name = head.get("id")
    return name if isinstance(name, str) else None


def _reason(fault: Exception) -> str:
    if isinstance(fault, KeyError):
        return f"{fault.args[0]} is missing"
    if isinstance(fault, json.JSONDecodeError | UnicodeDecodeError):
        return "it is not JSON"
    return str(fault)


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("it holds a number that is not finite")
