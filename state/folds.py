"""Sessions as they stand: folded from the journal, kept folded within bounds, and brought up to date by their tail."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

from cachetools import LRUCache

from state.fold import advance
from state.fold import fold
from state.journal import Chapter
from state.journal import Draft
from state.journal import Event
from state.journal import Head
from state.journal import Journal
from state.session import Session

_FOLD_BYTES = 4_096
_PER_EVENT_BYTE = 2
"""What a folded session holds in memory, roughly: so much and so much per byte of its events at rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A session at its newest known version, and what its next write must know."""

    session: Session
    head: Head
    size_bytes: int
    """All its events at rest."""
    accessed_at: float
    expires_at: float

    @property
    def alive(self) -> Session:
        """The session with the life it has now; the events only know the one they left it with."""
        return replace(self.session, last_access_at=self.accessed_at, expires_at=self.expires_at)


class Folds:
    """The only one who reads and writes the journal's events."""

    def __init__(self, journal: Journal, *, max_bytes: int = 24 * 2**20) -> None:
        self._journal = journal
        self._max_bytes = max_bytes
        self._kept: LRUCache[str, Standing] = LRUCache(max_bytes, getsizeof=_weight)

    async def load(self, handle: str) -> Standing | None:
        """The session as it stands now. None: unknown or expired."""
        known = self._kept.get(handle)
        chapter = await self._journal.read(handle, after=0 if known is None else known.head.version)
        if known is not None and chapter is not None and not _continues(known.head, chapter):
            known, chapter = None, await self._journal.read(handle)
        if chapter is None:
            self._kept.pop(handle, None)
            return None
        standing = _standing(known, chapter)
        if known is None or chapter.events or known.size_bytes != chapter.size_bytes:
            self._keep(handle, standing)
        return standing

    async def load_at(self, handle: str, version: int) -> Session | None:
        """The session as it was at a version, with the life it has now. None: unknown or expired."""
        chapter = await self._journal.read(handle)
        if chapter is None:
            return None
        then = fold(chapter.events[:version])
        return replace(then, last_access_at=chapter.accessed_at, expires_at=chapter.expires_at)

    async def nonce_at(self, handle: str, version: int) -> str | None:
        """What tells this history's version from another's. None: it has no such version."""
        chapter = await self._journal.read(handle, after=version - 1)
        if chapter is None or not chapter.events or chapter.events[0].version != version:
            return None
        return chapter.events[0].nonce

    async def append(self, standing: Standing, drafts: Sequence[Draft], *, expires_at: float) -> Session:
        """Write behind what was decided on. Raises `VersionMoved` when that is not the newest any more."""
        handle = standing.session.handle
        head = await self._journal.append(handle, expected=standing.head, drafts=drafts, expires_at=expires_at)
        first = standing.head.version + 1
        events = [_written(draft, version, head.nonce) for version, draft in enumerate(drafts, start=first)]
        session = advance(standing.session, events)
        now = events[-1].at
        # The exact size comes with the next chapter: here it is the kept fold's weight and nothing else.
        kept = replace(standing, session=session, head=head, accessed_at=now, expires_at=expires_at)
        self._keep(handle, kept)
        return kept.alive

    def forget(self, handle: str) -> None:
        self._kept.pop(handle, None)

    def _keep(self, handle: str, standing: Standing) -> None:
        if _weight(standing) <= self._max_bytes:
            self._kept[handle] = standing
        else:
            self._kept.pop(handle, None)


def _continues(known: Head, chapter: Chapter) -> bool:
    return chapter.events[0].version == known.version + 1 if chapter.events else chapter.head == known


def _standing(known: Standing | None, chapter: Chapter) -> Standing:
    session = fold(chapter.events) if known is None else known.session
    if known is not None and chapter.events:
        session = advance(session, chapter.events)
    return Standing(
        session=session,
        head=chapter.head,
        size_bytes=chapter.size_bytes,
        accessed_at=chapter.accessed_at,
        expires_at=chapter.expires_at,
    )


def _written(draft: Draft, version: int, nonce: str) -> Event:
    return Event(
        version=version,
        nonce=nonce,
        at=draft.at,
        kind=draft.kind,
        actor=draft.actor,
        body=draft.body,
        key=draft.key,
    )


def _weight(standing: Standing) -> int:
    return _FOLD_BYTES + _PER_EVENT_BYTE * standing.size_bytes
