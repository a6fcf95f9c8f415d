"""What a ledger reads of a journal: where an owner's sessions stand, their events, and what they were or are."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from state import checkpoint
from state.errors import InvalidValue
from state.errors import StateUnavailable
from state.errors import UnknownSession
from state.fold import advance
from state.fold import fold
from state.histories import Histories
from state.journal import Chapter
from state.journal import Head
from state.journal import Journal
from state.journal import Mark
from state.journal import Marks
from state.journal import Past
from state.session import Session

_HEAD_ONLY: Final = 2**53
"""A version that no session reaches: reading after it gives the head alone."""
_LET_OTHERS_IN: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """One owner's sessions. Raises `StateBusy` and `StateUnavailable` as the journal does."""

    journal: Journal
    past: Past | None
    """None: the journal keeps no ended sessions."""
    histories: Histories
    owner: str

    async def marks(self) -> Mapping[str, Mark]:
        """As `Marks.marks`; of a journal that cannot tell them in one step, by reading the head of each session."""
        if isinstance(self.journal, Marks):
            return await self.journal.marks(self.owner)
        found: dict[str, Mark] = {}
        for place, each in enumerate(await self.journal.sessions(self.owner), start=1):
            chapter = await self.journal.read(each, after=_HEAD_ONLY)
            if chapter is not None:
                found[each] = _mark(chapter, None)
            if place % _LET_OTHERS_IN == 0:
                await asyncio.sleep(0)
        if self.past is not None:
            for each in await self.past.past(self.owner):
                chapter = await self.past.read_past(each)
                if chapter is not None:
                    found[each] = _mark(chapter, chapter.expires_at)
        return found

    async def chapter(self, handle: str, mark: Mark, *, after: int = 0) -> Chapter | None:
        """The events after a version; of an ended session all that are kept. None: it does not stand there any more.

        Of a damaged session none: it must not hide the others, and the marks have just been read from the same place.
        """
        try:
            if not mark.ended:
                return await self.journal.read(handle, after=after)
            return None if self.past is None else await self.past.read_past(handle)
        except StateUnavailable:
            return Chapter(
                head=Head(version=mark.version, nonce=mark.nonce),
                events=(),
                accessed_at=mark.accessed_at,
                expires_at=mark.expires_at,
                size_bytes=mark.size_bytes,
            )

    async def session(self, handle: str, mark: Mark, chapter: Chapter) -> Session | None:
        """The session as it was at its mark. None: too little is kept of it to know, or it is damaged."""
        if mark.ended:
            return await self._ended(handle, chapter)
        try:
            return await self.histories.as_of(handle, principal=self.owner, version=mark.version)
        except (UnknownSession, InvalidValue, StateUnavailable):
            return None

    async def _ended(self, handle: str, chapter: Chapter) -> Session | None:
        kept = await self.journal.checkpoint(handle)
        begun = None if kept is None else checkpoint.decoded(kept.state)
        try:
            if begun is None:
                return fold(chapter.events)
            return advance(begun, (event for event in chapter.events if event.version > begun.version))
        except (ValueError, KeyError, TypeError):
            return None


def _mark(chapter: Chapter, ended_at: float | None) -> Mark:
    return Mark(
        version=chapter.head.version,
        nonce=chapter.head.nonce,
        size_bytes=chapter.size_bytes,
        accessed_at=chapter.accessed_at,
        expires_at=chapter.expires_at,
        ended_at=ended_at,
    )
