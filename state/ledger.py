"""The history of one owner: sessions, events and findings, read once and from then on only what is new.

Nothing here moves the life of a session on.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from state.histories import Histories
from state.journal import Chapter
from state.journal import Event
from state.journal import Journal
from state.journal import Mark
from state.journal import Past
from state.ledger_reads import Reads
from state.ledger_rows import EventRow
from state.ledger_rows import FindingRow
from state.ledger_rows import SessionRow
from state.ledger_rows import event_rows
from state.ledger_rows import finding_rows
from state.ledger_rows import remains_row
from state.ledger_rows import session_row

_MANY_EVENTS: Final = 200
"""More are made rows of in a thread."""
_COUNTED_BYTES: Final = 2**19
"""Events at rest that one call folds only to count what is in them: about 50 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What is new about one session."""

    ended: bool
    """It will not change again, unless it is forgotten."""
    session: SessionRow
    findings: tuple[FindingRow, ...]
    """All of them."""
    events: tuple[EventRow, ...]
    """Those that this reader has not seen, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many rows there are. None: it would take long to count them."""

    sessions: int
    events: int | None
    findings: int | None


class HistoryRewritten(Exception):
    """Something that was read is gone or was changed: begin again with a new reader."""


class Ledger:
    """Safe to call from many tasks. Raises `StateBusy` and `StateUnavailable` as the journal does."""

    def __init__(self, journal: Journal, histories: Histories, owner: str) -> None:
        """`histories`: the ones over the journal. Ended sessions are included when the journal has a `Past`."""
        past = journal if isinstance(journal, Past) else None
        self._reads = Reads(journal=journal, past=past, histories=histories, owner=owner)
        self._counted: dict[str, _Counted] = {}

    async def token(self, *, lives: bool) -> str:
        """Changes whenever an event comes or goes; with `lives` also when a session was used."""
        marks = await self._reads.marks()
        facts = [(each, mark if lives else mark.content) for each, mark in sorted(marks.items())]
        return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()

    async def tally(self) -> Tally:
        """Counts that are cheap: what is not known yet is looked at within bounds, and more of it at the next call."""
        marks = await self._reads.marks()
        known = {each: found for each, found in self._counted.items() if _still(found, marks.get(each))}
        known |= await self._count({each: mark for each, mark in marks.items() if each not in known})
        self._counted.clear()
        self._counted.update(known)
        is_complete = len(known) == len(marks)
        return Tally(
            sessions=len(marks),
            events=sum(each.events for each in known.values()) if is_complete else None,
            findings=sum(each.findings for each in known.values()) if is_complete else None,
        )

    def reader(self) -> "Reader":
        """A new reader, at the beginning."""
        return Reader(self._reads, self._counted)

    async def _count(self, marks: Mapping[str, Mark]) -> dict[str, "_Counted"]:
        found: dict[str, _Counted] = {}
        left_bytes = _COUNTED_BYTES
        for each, mark in sorted(marks.items(), key=lambda item: item[1].size_bytes):
            left_bytes -= mark.size_bytes
            if left_bytes < 0:
                break
            chapter = await self._reads.chapter(each, mark, after=mark.version)
            if chapter is not None:
                row, findings = await _session_rows(self._reads, each, mark, chapter)
                found[each] = _Counted(mark.content, row.events, len(findings))
            await asyncio.sleep(0)  # others go on between two sessions
        return found


class Reader:
    """One way through a ledger, used by one task at a time."""

    def __init__(self, reads: Reads, counted: dict[str, "_Counted"]) -> None:
        """`counted`: told of what is counted on the way."""
        self._reads = reads
        self._counted = counted
        self._held: dict[str, _Held] = {}

    async def entries(self) -> AsyncGenerator[Entries]:
        """Each open session, and each one that ended since the last time.

        Who stops in the middle must begin again with a new reader. Raises `HistoryRewritten`.
        """
        marks = await self._reads.marks()
        for handle, held in self._held.items():
            mark = marks.get(handle)
            if mark is None or (held.mark.ended and mark.content != held.mark.content):
                raise HistoryRewritten
        for handle, mark in marks.items():
            held = self._held.get(handle)
            if held is not None and held.mark.ended:
                continue
            found = await self._entries(handle, mark, held)
            if found is not None:
                yield found
            await asyncio.sleep(0)  # others go on between two sessions

    async def _entries(self, handle: str, mark: Mark, held: "_Held | None") -> Entries | None:
        after = 0 if held is None else held.mark.version
        # The last event that was seen is read again: it tells this history from another one of the same length.
        chapter = await self._reads.chapter(handle, mark, after=max(after - 1, 0))
        if chapter is None:
            return None  # it ended just now: the next time it is found among the ended ones, or gone
        row, findings = await _session_rows(self._reads, handle, mark, chapter)
        dropped = mark.version - row.events
        if held is not None and not held.goes_on(mark, chapter, dropped):
            raise HistoryRewritten
        new = tuple(event for event in chapter.events if after < event.version <= mark.version)
        seen = any(event.version == mark.version for event in chapter.events)
        self._held[handle] = _Held(mark, dropped, seen)
        self._counted[handle] = _Counted(mark.content, row.events, len(findings))
        return Entries(ended=mark.ended, session=row, findings=findings, events=await _event_rows(handle, new))


@dataclass(frozen=True, slots=True)
class _Counted:
    content: tuple[int, str, int, bool]
    events: int
    findings: int


@dataclass(frozen=True, slots=True)
class _Held:
    """What a reader has seen of a session."""

    mark: Mark
    dropped: int
    """Events at its beginning that were compacted."""
    seen: bool
    """Whether the event it stood at was there; not so of one that was adopted and not written to since."""

    def goes_on(self, mark: Mark, chapter: Chapter, dropped: int) -> bool:
        """Whether everything that was seen is still there as it was."""
        last = next((event for event in chapter.events if event.version == self.mark.version), None)
        is_there = last is not None and last.nonce == self.mark.nonce
        if not self.seen:
            is_there = (mark.version, mark.nonce) == (self.mark.version, self.mark.nonce) or self._begins(chapter)
        return is_there and dropped <= self.dropped and mark.size_bytes >= self.mark.size_bytes

    def _begins(self, chapter: Chapter) -> bool:
        """Whether the first kept event is the one behind where it stood."""
        return bool(chapter.events) and chapter.events[0].version == self.mark.version + 1


def _still(counted: _Counted, mark: Mark | None) -> bool:
    return mark is not None and mark.content == counted.content


async def _session_rows(
    reads: Reads, handle: str, mark: Mark, chapter: Chapter
) -> tuple[SessionRow, tuple[FindingRow, ...]]:
    session = await reads.session(handle, mark, chapter)
    if session is None:
        return remains_row(handle, mark, chapter.events), ()
    return session_row(session, mark), finding_rows(session)


async def _event_rows(handle: str, events: Sequence[Event]) -> tuple[EventRow, ...]:
    if len(events) < _MANY_EVENTS:
        return event_rows(handle, events)
    return await asyncio.to_thread(event_rows, handle, events)
