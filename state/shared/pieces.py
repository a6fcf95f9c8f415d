"""What one append wrote, as it is brought to another journal: pure."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from state.journal import Draft
from state.journal import Event
from state.journal import Piece


def pieces_of(events: Iterable[Event]) -> tuple[Piece, ...]:
    """The appends that wrote these events, oldest first."""
    return tuple(
        Piece(nonce=nonce, drafts=tuple(_draft(each) for each in written))
        for nonce, written in groupby(events, key=attrgetter("nonce"))
    )


def missing(pieces: Sequence[Piece], nonces: Iterable[str]) -> tuple[Piece, ...]:
    """Those behind the last one that is among the nonces: pieces are always brought over in order."""
    there = set(nonces)
    done = next((place for place in range(len(pieces), 0, -1) if pieces[place - 1].nonce in there), 0)
    return tuple(pieces[done:])


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
