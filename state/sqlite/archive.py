"""Sessions as lines of JSON, out of the file and into it: what comes in is checked before anything of it is written."""

import logging
import sqlite3
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from typing import Literal

from state.chain import Link
from state.sqlite.archive_lines import LINE_BYTES_MOST
from state.sqlite.archive_lines import Refused
from state.sqlite.archive_lines import read_records
from state.sqlite.archive_lines import written
from state.sqlite.records import Record
from state.sqlite.records import Row
from state.sqlite.records import count_again
from state.sqlite.records import events_of
from state.sqlite.records import keyed_apart
from state.sqlite.records import numbered
from state.sqlite.records import put
from state.sqlite.records import put_checkpoints
from state.sqlite.records import put_events
from state.sqlite.records import record_of
from state.sqlite.records import take_out
from state.sqlite.verdicts import judged
from state.sqlite.visits import anchor
from state.sqlite.visits import changing
from state.sqlite.visits import cleared
from state.sqlite.visits import looking
from state.sqlite.visits import resolved
from state.sqlite.visits import snapshot
from state.sqlite.visits import transaction

__all__ = ["Exported", "Imported", "Refused", "export_sessions", "import_sessions", "lines_of"]

_log = logging.getLogger(__name__)

_Outcome = Literal["added", "extended", "known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written out."""

    sessions: int
    events: int
    refused: tuple[Refused, ...]
    """Sessions that are not as they were written, and so were left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of the sessions that came in, by their ids."""

    added: tuple[str, ...]
    extended: tuple[str, ...]
    """They were here with the beginning of the same history."""
    known: tuple[str, ...]
    """They were here with the same history, or more of it."""
    refused: tuple[Refused, ...]
    """Nothing of them was written."""


def export_sessions(
    path: Path,
    write: Callable[[str], object],
    *,
    sessions: Sequence[str] = (),
    owner: str | None = None,
    past: bool = False,
) -> Exported:
    """Write sessions as lines of JSON: those named, or all that are live, with `past` also those that ended.

    `owner`: only that principal's. A session's name may be cut to six characters or more.
    Raises `InvalidValue` (no such session), `StateBusy`, `StateUnavailable`.
    """
    count, events, refused = 0, 0, list[Refused]()
    with looking(path) as journal:
        for session in [resolved(journal, each) for each in sessions] or _all_of(journal, owner, past=past):
            with snapshot(journal):
                record = record_of(journal, session)
            if record is None or owner not in {None, record.row.owner}:
                continue
            verdict = judged(record, None)
            if not verdict.ok:
                refused.append(Refused(line=None, session=session, why=verdict.fault or ""))
                continue
            for line in written(record):
                write(line)
            count, events = count + 1, events + len(record.events)
    return Exported(sessions=count, events=events, refused=tuple(refused))


def import_sessions(path: Path, lines: Iterable[bytes], *, now: float) -> Imported:
    """Take in what `export_sessions` wrote; each session in one transaction, whatever becomes of the others.

    A live session stays live until its time; one whose time has come is here as one that ended now, so that it is
    kept as long as others that end now. Raises `StateBusy`, `StateUnavailable`.
    """
    outcomes: dict[_Outcome, list[str]] = {"added": [], "extended": [], "known": []}
    refused: list[Refused] = []
    heads = dict[str, Link]()
    replaced = False
    try:
        with changing(path) as journal:
            for number, found in read_records(lines):
                if isinstance(found, Refused):
                    refused.append(found)
                    continue
                row = found.row
                outcome = _taken_in(journal, _alive_at(found, now))
                if outcome is None:
                    refused.append(Refused(line=number, session=row.id, why=_DIFFERS))
                    continue
                outcomes[outcome].append(row.id)
                if outcome != "known":
                    heads[row.id] = row.head
                replaced = replaced or (outcome == "extended" and _is_forgotten(found))
            if replaced and not cleared(journal):
                _log.warning("copies of what is forgotten now may linger in %s: forget one of them again", path)
    finally:
        anchor(path, heads)
    return Imported(**{name: tuple(ids) for name, ids in outcomes.items()}, refused=tuple(refused))


def lines_of(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream; one that is too long is cut, which is then refused."""
    while line := stream.readline(LINE_BYTES_MOST + 1):
        yield line
        while not line.endswith(b"\n") and (line := stream.readline(LINE_BYTES_MOST)):
            pass


_DIFFERS = "A session of this name is here with another history; nothing of it was changed."


def _all_of(journal: sqlite3.Connection, owner: str | None, *, past: bool) -> list[str]:
    asked = "SELECT id FROM sessions WHERE (? IS NULL OR owner = ?) AND (? OR ended_at IS NULL) ORDER BY n"
    return [each for (each,) in journal.execute(asked, (owner, owner, past))]


def _alive_at(record: Record, now: float) -> Record:
    row = record.row
    ended_at = None if row.ended_at is None and row.expires_at > now else now
    return replace(record, row=replace(row, ended_at=ended_at, accessed_at=min(row.accessed_at, now)))


def _taken_in(journal: sqlite3.Connection, record: Record) -> _Outcome | None:
    """None: it is here with another history."""
    with transaction(journal):
        found = numbered(journal, record.row.id)
        if found is None:
            put(journal, keyed_apart(journal, record))
            count_again(journal, (record.row.owner,))
            return "added"
        n, row = found
        known = _link_at(record, row.version)
        if row.version >= record.row.version:
            here = Record(row=row, events=tuple(events_of(journal, n)))
            return "known" if _link_at(here, record.row.version) == record.row.link else None
        if known != row.link:
            return None
        _extend(journal, n, row, record)
        count_again(journal, (row.owner, record.row.owner))
        return "extended"


def _extend(journal: sqlite3.Connection, n: int, row: Row, record: Record) -> None:
    if _is_forgotten(record):
        take_out(journal, n)  # what was forgotten there is forgotten here
        put(journal, keyed_apart(journal, record))
        return
    added = [each for each in record.events if each.version > row.version]
    put_events(journal, n, added)
    put_checkpoints(journal, n, (each for each in record.checkpoints if each.version > row.version))
    size_bytes = row.size_bytes + sum(len(each.content or b"") for each in added)
    new = record.row
    journal.execute(
        "UPDATE sessions SET version = ?, nonce = ?, link = ?, size_bytes = ?, accessed_at = max(accessed_at, ?), "
        "expires_at = ?, ended_at = ? WHERE n = ?",
        (new.version, new.nonce, new.link, size_bytes, new.accessed_at, new.expires_at, new.ended_at, n),
    )


def _is_forgotten(record: Record) -> bool:
    return any(each.content is None for each in record.events)


def _link_at(record: Record, version: int) -> bytes | None:
    """What tells the history up to a version from any other. None: that part of it is not kept."""
    start = record.row.start
    if version == start.version:
        return start.link
    return next((each.link for each in record.events if each.version == version), None)
