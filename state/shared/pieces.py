"""What one append wrote, as it is brought to another journal: pure."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from state.journal import Draft
from state.journal import Event
from state.journal import Piece


def pieces_of(events: Iterable[Event]) -> tuple[Piece, ...]:
    """The appends that wrote these events, oldest first."""
    return tuple(
        Piece(nonce=nonce, drafts=tuple(_draft(each) for each in written))
        for nonce, written in groupby(events, key=attrgetter("nonce"))
    )


APART: Final = "apart"
"""In the body of an event that was decided again: the nonce of the append that first wrote it."""


def missing(pieces: Sequence[Piece], events: Iterable[Event]) -> tuple[Piece, ...]:
    """Those that are not among the events, neither as they were written nor decided again."""
    there: set[str] = set()
    for event in events:
        there.add(event.nonce)
        if APART in event.body:
            there.add(event.body[APART])
    return tuple(piece for piece in pieces if there.isdisjoint(_names(piece)))


def _names(piece: Piece) -> set[str]:
    return {piece.nonce, *(draft.body[APART] for draft in piece.drafts if APART in draft.body)}


def batches(pieces: Iterable[Piece], most_events: int, most_bytes: int) -> Iterator[tuple[Piece, ...]]:
    """In order, each batch within both bounds, or one piece alone."""
    batch: list[Piece] = []
    events = size_bytes = 0
    for piece in pieces:
        weight = sum(len(repr(draft.body)) for draft in piece.drafts)
        if batch and (events + len(piece.drafts) > most_events or size_bytes + weight > most_bytes):
            yield tuple(batch)
            batch, events, size_bytes = [], 0, 0
        batch.append(piece)
        events += len(piece.drafts)
        size_bytes += weight
    if batch:
        yield tuple(batch)


def _draft(event: Event) -> Draft:
    return Draft(at=event.at, kind=event.kind, actor=event.actor, body=event.body, key=event.key)
