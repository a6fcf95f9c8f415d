"""Whether one session is as it was written: its chain, its anchor, and a reason for everything that is gone."""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Final

from state.chain import Link
from state.chain import Stored
from state.chain import Verdict
from state.chain import adopted_link
from state.chain import check
from state.journal import Event
from state.sqlite.records import Record
from state.sqlite.records import event_of

FORGOTTEN: Final = "forgotten"
"""The kind of the event that says how many events before it were emptied on request."""
SALVAGED: Final = "salvaged"
"""The kind of the event that says how many events were lost with a damaged file."""


def judged(record: Record, anchor: Link | None) -> Verdict:
    """Whether a session is as it was written; the first bad event is named. `anchor=None`: not known from outside."""
    row, events = record.row, record.events
    chain = check(row.start, events, row.head)
    faults = [
        chain,
        *_against_anchor(record, anchor),
        *_emptied(record),
        *_shortened(record),
        *_other_owner(record),
        *_bad_checkpoints(record),
        *(_bad_row(record) if chain.ok else ()),  # what the row says of bad events is of no interest
    ]
    bad = [each for each in faults if not each.ok]
    return min(bad, key=lambda each: each.version or row.version, default=Verdict(ok=True, events=len(events)))


def _against_anchor(record: Record, anchor: Link | None) -> Iterator[Verdict]:
    if anchor is None:
        return
    head = record.row.version
    if anchor.version > head:
        told = f"Event {head + 1} and all after it are missing: event {anchor.version} was acknowledged."
        yield _fault(head + 1, told)
        return
    links = {each.version: each.link for each in record.events}
    links[record.row.start.version] = record.row.start.link
    if links.get(anchor.version, anchor.link) != anchor.link:
        told = f"Event {anchor.version} is not the one that was acknowledged: it or one before it was rewritten."
        yield _fault(anchor.version, told)


def _emptied(record: Record) -> Iterator[Verdict]:
    """Events without content need an event behind them that says why, and of how many."""
    empty = [each.version for each in record.events if each.content is None]
    if not empty:
        return
    reasons = {_told(event, "events") for event in _of_kind(record, FORGOTTEN) if event.version > empty[-1]}
    reasons |= {_told(event, "emptied") for event in _of_kind(record, SALVAGED) if event.version > empty[-1]}
    if len(empty) not in reasons:
        yield _fault(empty[0], f"The content of event {empty[0]} is gone, and no event says that it was forgotten.")


def _shortened(record: Record) -> Iterator[Verdict]:
    """Events that are dropped need an event behind them that says so; forgetting empties that one, but counts them.

    Those of a session that was adopted were never here.
    """
    through = record.row.compacted_version
    if not through:
        return
    told = {_told(event, "through") for event in map(event_of, _naming(record.events, "through")) if event}
    for event in _of_kind(record, FORGOTTEN):
        told.add(event.version - 1 - (_told(event, "events") or 0))
    if through not in told and not _adopted(record):
        yield _fault(1, f"Events 1 to {through} are missing, and no event says that they were compacted.")


def _adopted(record: Record) -> bool:
    """Whether the history goes on from a checkpoint of another journal, which the first link then proves."""
    row = record.row
    return any(
        each.version == row.compacted_version
        and adopted_link(row.id, each.version, each.nonce, each.state) == row.start
        for each in record.checkpoints
    )


def _other_owner(record: Record) -> Iterator[Verdict]:
    first = record.events[0] if record.events else None
    event = None if first is None or first.version > 1 else event_of(first)
    if event is not None and event.actor != record.row.owner:
        yield _fault(1, "The session is kept under another owner than the one who opened it.")


def _bad_checkpoints(record: Record) -> Iterator[Verdict]:
    nonces = {each.version: each.nonce for each in record.events}
    for each in record.checkpoints:
        if not each.intact:
            yield _fault(each.version, f"The checkpoint at version {each.version} is not what was written.")
        elif each.version > record.row.version or nonces.get(each.version, each.nonce) != each.nonce:
            yield _fault(each.version, f"The checkpoint at version {each.version} belongs to another history.")
    through = record.row.compacted_version
    if through and all(each.version != through for each in record.checkpoints) and not _forgotten(record):
        yield _fault(through, f"The checkpoint at version {through}, from which the history goes on, is missing.")


def _bad_row(record: Record) -> Iterator[Verdict]:
    row = record.row
    if record.events and record.events[-1].nonce != row.nonce:
        yield _fault(row.version, f"The session's own row does not agree with its last event, {row.version}.")
    size_bytes = sum(len(each.content or b"") for each in record.events)
    if size_bytes != row.size_bytes:
        told = f"The session's own row says {row.size_bytes} bytes, and its events are {size_bytes}."
        yield _fault(row.version, told)


def _of_kind(record: Record, kind: str) -> Iterator[Event]:
    return (event for event in map(event_of, _naming(record.events, kind)) if event and event.kind == kind)


def _naming(events: Iterable[Stored], name: str) -> Iterator[Stored]:
    """Those worth decoding: their text holds the name."""
    wanted = name.encode()
    return (each for each in events if each.content is not None and wanted in each.content)


def _told(event: Event, name: str) -> int | None:
    value = event.body.get(name)
    return value if isinstance(value, int) else None


def _forgotten(record: Record) -> bool:
    return any(True for _ in _of_kind(record, FORGOTTEN))


def _fault(version: int, told: str) -> Verdict:
    return Verdict(ok=False, events=version - 1, version=version, fault=told)
