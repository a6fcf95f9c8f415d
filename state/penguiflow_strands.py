"""Reads and writes the records of places through a journal, whoever else writes there: no write is lost or doubled.

What was read is remembered and compared with the journal at every use, so any number of processes may share one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

from state.errors import OverLimit
from state.errors import StateBusy
from state.errors import StateUnavailable
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Event
from state.journal import Head
from state.journal import Journal
from state.journal import VersionMoved
from state.penguiflow_folds import Board
from state.penguiflow_folds import Fold
from state.penguiflow_folds import Roll
from state.penguiflow_folds import record_of
from state.penguiflow_json import written
from state.penguiflow_places import Place
from state.turns import Turns

_TRIES: Final = 100
"""Each failed one means that another process wrote in between."""
_VICTIMS: Final = 16
_STRANDS_MOST: Final = 256
_STRAND_BYTES_MOST: Final = 32 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A record that is to stand under an id."""

    place: Place
    record_id: str
    decide: Callable[[str | None], Any]
    """Told what stands there as JSON text (for a roll only whether something does) and returns the record, as JSON.
    None: nothing is to be written."""


@dataclass(slots=True)
class _Strand:
    """What is known of a place."""

    place: Place
    fold: Fold
    head: Head | None = None
    first: int = 1
    """The version of the first event that is kept."""
    size_bytes: int = 0
    expires_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def forget(self) -> None:
        self.fold = self.place.fold()
        self.head, self.first, self.size_bytes = None, 1, 0

    def take(self, chapter: Chapter, events: Iterable[Event]) -> None:
        for event in events:
            found = record_of(event)
            if found is not None:
                self.fold.take(found[0], written(found[1]), event.version)
        self.head, self.size_bytes, self.expires_at = chapter.head, chapter.size_bytes, chapter.expires_at

    def follows(self, chapter: Chapter) -> bool:
        """Whether a chapter that was read from its head on goes on from what is known."""
        first = chapter.events[0] if chapter.events else None
        return first is not None and self.head == Head(version=first.version, nonce=first.nonce)

    def news(self, wishes: Iterable[Wish]) -> list[tuple[str, Any]]:
        """The records that are not there yet, with their ids."""
        pending: dict[str, str] = {}
        found: list[tuple[str, Any]] = []
        for wish in wishes:
            before = pending.get(wish.record_id, self.fold.text(wish.record_id))
            record = wish.decide(before)
            if record is None or not self.fold.wants(before, text := written(record)):
                continue
            pending[wish.record_id] = text
            found.append((wish.record_id, record))
        return found


class Strands:
    """The records of all places of one principal. For one event loop."""

    def __init__(self, journal: Journal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._known: OrderedDict[str, _Strand] = OrderedDict()
        self._turns: Turns[Wish] = Turns(self._serve)

    async def write(self, wish: Wish) -> None:
        """See to it that the record stands there: once, and never a second time for an equal wish.

        Raises `OverLimit`, `StateBusy`, `StateUnavailable`.
        """
        await self._turns.take(wish.place.session_id, wish)

    async def texts(self, place: Place) -> dict[str, str]:
        """The records of a board by id, as JSON text, in its order."""
        strand = self._strand(place)
        async with strand.lock:
            await self._refresh(strand)
            await self._prolong(strand)
            return strand.fold.texts if isinstance(strand.fold, Board) else {}

    async def records(self, place: Place, *, after: str | None = None) -> list[Any]:
        """The records of a roll, oldest first; only those behind the one with the id `after`, if it is known."""
        strand = self._strand(place)
        async with strand.lock:
            start = 0
            if after is not None and isinstance(strand.fold, Roll):
                await self._refresh(strand)
                start = strand.fold.version(after) or 0
            chapter = await self._journal.read(place.session_id, after=start)
            if chapter is None:
                return []
            strand.expires_at = chapter.expires_at
            await self._prolong(strand)
        found = [each for each in map(record_of, chapter.events) if each is not None]
        return [record for _, record in found[-strand.fold.most :]]

    async def take_out(self, place: Place) -> str | None:
        """The one record of a board as JSON text, and the end of the place: of all who ask, one gets it. None: none."""
        strand = self._strand(place)
        async with strand.lock:
            for _ in range(_TRIES):
                await self._refresh(strand)
                text = strand.fold.text("")
                if strand.head is None or text is None:
                    return None
                draft = Draft(at=self._clock(), kind="penguin_taken", actor=place.owner, body={})
                try:
                    await self._journal.append(
                        place.session_id, expected=strand.head, drafts=[draft], expires_at=self._clock()
                    )
                except VersionMoved:
                    continue
                strand.forget()
                return text
        raise _busy(place)

    async def _serve(self, session_id: str, wishes: Sequence[Wish]) -> Sequence[None]:
        """Carry out wishes for one place, together."""
        _ = session_id
        strand = self._strand(wishes[0].place)
        async with strand.lock:
            if strand.head is None:
                await self._refresh(strand)
            if not strand.news(wishes):  # what is remembered may have ended, and the record with it
                await self._refresh(strand)
            for _ in range(_TRIES):
                try:
                    await self._add(strand, strand.news(wishes))
                except VersionMoved:
                    await self._refresh(strand)
                else:
                    return [None] * len(wishes)
        raise _busy(strand.place)

    async def _add(self, strand: _Strand, news: Sequence[tuple[str, Any]]) -> None:
        """Append records. Raises `VersionMoved`."""
        if not news:
            await self._prolong(strand)
            return
        place, now = strand.place, self._clock()
        drafts = [
            Draft(at=now, kind=place.kind, actor=place.owner, body={"id": record_id, "record": record})
            for record_id, record in news
        ]
        head = await append_or_make_room(self._journal, place, strand.head, drafts, now)
        for version, (record_id, record) in enumerate(news, start=head.version - len(news) + 1):
            text = written(record)
            strand.fold.take(record_id, text, version)
            strand.size_bytes += len(text)
        strand.head, strand.expires_at = head, now + place.life_s
        await self._shorten(strand)

    async def _shorten(self, strand: _Strand) -> None:
        """Drop events that are not needed any more, if they are many. An aid: another time will do as well."""
        place, head = strand.place, strand.head
        if head is None:
            return
        cut = strand.fold.droppable(first=strand.first, newest=head.version, size_bytes=strand.size_bytes)
        if cut is None:
            return
        chapter = await self._journal.read(place.session_id, after=cut - 1)
        if chapter is None or not chapter.events or chapter.events[0].version != cut:
            return
        nonce = chapter.events[0].nonce
        draft = Draft(at=self._clock(), kind="penguin_shortened", actor=place.owner, body={"through": cut})
        checkpoint = Checkpoint(version=cut, nonce=nonce, state=strand.fold.state())
        try:
            strand.head = await self._journal.compact(
                place.session_id, expected=head, checkpoint=checkpoint, draft=draft
            )
        except (VersionMoved, OverLimit, StateBusy):
            return
        strand.first, strand.size_bytes = cut + 1, 0

    async def _refresh(self, strand: _Strand) -> None:
        """Take in what others have written. Raises `StateUnavailable`."""
        session_id = strand.place.session_id
        if strand.head is not None:
            chapter = await self._journal.read(session_id, after=strand.head.version - 1)
            if chapter is not None and strand.follows(chapter):
                strand.take(chapter, chapter.events[1:])
                return
        for _ in range(_TRIES):
            strand.forget()
            chapter = await self._journal.read(session_id)
            if chapter is None or await self._begin(strand, chapter):
                return
        raise StateUnavailable(
            f"what the {strand.place.drawer} records of Penguiflow came to before they were shortened cannot be read. "
            "Restore the state from a backup."
        )

    async def _begin(self, strand: _Strand, chapter: Chapter) -> bool:
        """Take in a whole place. False: what its dropped events came to is missing, or was replaced meanwhile."""
        strand.first = chapter.events[0].version if chapter.events else chapter.head.version + 1
        known = 0
        if strand.first > 1 and isinstance(strand.fold, Board):
            checkpoint = await self._journal.checkpoint(strand.place.session_id, most=chapter.head.version)
            if checkpoint is None or checkpoint.version + 1 < strand.first:
                return False
            strand.fold.restore(checkpoint.state)
            known = checkpoint.version
        strand.take(chapter, (event for event in chapter.events if event.version > known))
        return True

    async def _prolong(self, strand: _Strand) -> None:
        """Being used keeps a place alive; to say so now and then is enough."""
        now, life_s = self._clock(), strand.place.life_s
        if strand.expires_at - now < life_s / 2:
            await self._journal.touch(strand.place.session_id, expires_at=now + life_s)
            strand.expires_at = now + life_s

    def _strand(self, place: Place) -> _Strand:
        strand = self._known.setdefault(place.session_id, _Strand(place, place.fold()))
        self._known.move_to_end(place.session_id)
        while len(self._known) > 1 and (
            len(self._known) > _STRANDS_MOST
            or sum(each.size_bytes for each in self._known.values()) > _STRAND_BYTES_MOST
        ):
            self._known.popitem(last=False)
        return strand


async def append_or_make_room(
    journal: Journal, place: Place, expected: Head | None, drafts: Sequence[Draft], now: float
) -> Head:
    """Append; when the journal is full and the place gives way, end others of its owner, the longest unused first.

    Raises as `Journal.append`.
    """
    for victims_left in range(_VICTIMS, -1, -1):
        try:
            return await journal.append(
                place.session_id, expected=expected, drafts=drafts, expires_at=now + place.life_s
            )
        except OverLimit:
            others = [each for each in await journal.sessions(place.owner) if each != place.session_id]
            if not place.gives_way or not others or not victims_left:
                raise
            await journal.touch(others[-1], expires_at=now)
    raise AssertionError  # the last round has returned or raised


def _busy(place: Place) -> StateBusy:
    return StateBusy(f"the {place.drawer} records of Penguiflow are written by many at once. Try again in a moment.")
