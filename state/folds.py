"""Sessions as they stand: folded from the journal, kept folded within bounds, and brought up to date by their tail."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

from cachetools import LRUCache

from state import checkpoint
from state.changes import SessionMoved
from state.errors import StateUnavailable
from state.fold import advance
from state.fold import fold
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Event
from state.journal import Head
from state.journal import Journal
from state.journal import Origin
from state.limits import ANOTHER
from state.limits import Limits
from state.limits import room
from state.session import Session

CHECKPOINT_EVENTS = 64
"""A session that has moved by so many since its last checkpoint gets another, or by as many as it has entries."""

_LOADS = 4
"""Between two looks another instance may give a session back, with another beginning."""

_FOLD_BYTES = 4_096
_PER_EVENT_BYTE = 2
"""What a folded session holds in memory, roughly: so much and so much per byte of its events at rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A session at its newest known version, and what its next write must know."""

    session: Session
    head: Head
    size_bytes: int
    """All its events at rest. After a write of this process: as it was before, until the journal is read again."""
    accessed_at: float
    expires_at: float
    checkpoint_version: int = 0
    """Of the newest checkpoint that is known here; 0: none."""
    unread_events: int = 0
    """Written by this process since it last read the session."""

    @property
    def alive(self) -> Session:
        """The session with the life it has now; the events only know the one they left it with."""
        return self.session.having(last_access_at=self.accessed_at, expires_at=self.expires_at, local=self.head.local)


class Folds:
    """The only one who reads and writes the journal's events. `moved` is told of what it wrote to."""

    def __init__(
        self,
        journal: Journal,
        *,
        max_bytes: int = 24 * 2**20,
        moved: Callable[[SessionMoved], None] | None = None,
    ) -> None:
        self._journal = journal
        self._moved = moved
        self._max_bytes = max_bytes
        self._kept: LRUCache[str, Standing] = LRUCache(max_bytes, getsizeof=_weight)

    def known(self, handle: str) -> Standing | None:
        """The session as it was last seen here; others may have written since. None: it is not kept here."""
        return self._kept.get(handle)

    async def load(self, handle: str) -> Standing | None:
        """The session as it stands now. None: unknown or expired. Raises `StateUnavailable`."""
        known = self._kept.get(handle)
        if known is None:
            return await self._load_anew(handle)
        chapter = await self._journal.read(handle, after=known.head.version)
        if chapter is None:
            self._kept.pop(handle, None)
            return None
        if not _continues(known.head, chapter):
            return await self._load_anew(handle)
        if not chapter.events and known.size_bytes == chapter.size_bytes:
            return _live(known.session, chapter, known.checkpoint_version)
        return self._keep(handle, _standing(known, chapter))

    async def load_at(self, handle: str, version: int) -> Session | None:
        """The session as it was at a version, with the life it has now. None: unknown, expired, or no such version.

        A version that was compacted is none. Raises `StateUnavailable`.
        """
        begun = await self._begun(handle, most=version)
        chapter = await self._journal.read(handle, after=0 if begun is None else begun.version)
        if chapter is None or version > chapter.head.version:
            return None
        then = _advanced(begun, tuple(event for event in chapter.events if event.version <= version))
        if then is None or then.version != version:
            return None
        return then.having(last_access_at=chapter.accessed_at, expires_at=chapter.expires_at)

    async def events(self, handle: str, *, after: int = 0) -> tuple[Event, ...]:
        """Its kept events after a version, oldest first. Empty: unknown or expired as well."""
        chapter = await self._journal.read(handle, after=after)
        return () if chapter is None else chapter.events

    async def nonce_at(self, handle: str, version: int) -> str | None:
        """What tells this history's version from another's. None: it has no such version, or no longer."""
        chapter = await self._journal.read(handle, after=version - 1)
        if chapter is None or not chapter.events or chapter.events[0].version != version:
            return None
        return chapter.events[0].nonce

    async def append(
        self, standing: Standing, drafts: Sequence[Draft], made: Callable[[Head], Session], *, expires_at: float
    ) -> Standing:
        """Write behind what was decided on; `made` gives the session with the drafts once their head is known.

        Raises `VersionMoved` when the session has moved on, and what else appending to the journal raises.
        """
        handle = standing.session.handle
        head = await self._journal.append(handle, expected=standing.head, drafts=drafts, expires_at=expires_at)
        self._tell(handle, head)
        session = made(head).having(local=head.local)
        return self._keep(
            handle,
            Standing(
                session=session,
                head=head,
                size_bytes=standing.size_bytes,
                accessed_at=session.moved_at,
                expires_at=expires_at,
                checkpoint_version=standing.checkpoint_version,
                unread_events=standing.unread_events + len(drafts),
            ),
        )

    async def compact(self, standing: Standing, then: Session, draft: Draft, limits: Limits) -> None:
        """Drop the events up to `then`. Raises as `append`, and `OverLimit` when that would not make room."""
        head = _head_of(then)
        kept = Checkpoint(version=head.version, nonce=head.nonce, state=checkpoint.encoded(then))
        room(len(kept.state), limits.session_bytes // 2, "bytes known by a session", ANOTHER)
        handle = standing.session.handle
        left = await self._journal.compact(handle, expected=standing.head, checkpoint=kept, draft=draft)
        self._tell(handle, left)

    def _tell(self, handle: str, head: Head) -> None:
        if self._moved is not None:
            self._moved(SessionMoved(session_id=handle, version=head.version))

    def copied(self) -> tuple[str, ...]:
        """The sessions that are kept here."""
        return tuple(self._kept)

    def copy(self, handle: str) -> Origin | None:
        """A session that is kept here, in the form in which another journal takes it in."""
        standing = self._kept.get(handle)
        if standing is None:
            return None
        return Origin(
            owner=standing.session.owner,
            key=None,
            checkpoint=_checkpoint(standing),
            expires_at=standing.expires_at,
        )

    def forget(self, handle: str) -> None:
        self._kept.pop(handle, None)

    async def _load_anew(self, handle: str) -> Standing | None:
        for _ in range(_LOADS):
            begun = await self._begun(handle)
            chapter = await self._journal.read(handle, after=0 if begun is None else begun.version)
            if begun is not None and chapter is not None and not _continues(_head_of(begun), chapter):
                begun, chapter = None, await self._journal.read(handle)
            if chapter is None:
                self._kept.pop(handle, None)
                return None
            session = _advanced(begun, chapter.events)
            if session is not None:
                return self._keep(handle, _live(session, chapter, 0 if begun is None else begun.version))
        raise StateUnavailable(
            "the beginning of this session's history is missing. "
            "`uds-mcp verify` says what is wrong; a backup can be put back with `uds-mcp restore`."
        )

    async def _begun(self, handle: str, *, most: int | None = None) -> Session | None:
        """The session at its newest checkpoint. None: there is none that can be read."""
        kept = await self._journal.checkpoint(handle, most=most)
        session = None if kept is None else checkpoint.decoded(kept.state)
        return session if session is not None and session.handle == handle else None

    def _keep(self, handle: str, standing: Standing) -> Standing:
        if standing.head.version - standing.checkpoint_version >= _checkpoint_events(standing.session):
            self._journal.keep_checkpoint(handle, _checkpoint(standing))
            standing = replace(standing, checkpoint_version=standing.head.version)
        if _weight(standing) <= self._max_bytes:
            self._kept[handle] = standing
        else:
            self._kept.pop(handle, None)
        return standing


def _checkpoint(standing: Standing) -> Checkpoint:
    head = standing.head
    return Checkpoint(version=head.version, nonce=head.nonce, state=checkpoint.encoded(standing.session))


def _checkpoint_events(session: Session) -> int:
    """A large session is written down less often, so that a write costs the same on average."""
    return max(CHECKPOINT_EVENTS, len(session.findings_by_place), len(session.context), len(session.keys))


def _continues(known: Head, chapter: Chapter) -> bool:
    """Whether what was read goes on from what is known, and not from another history of as many events."""
    if not chapter.events:
        return chapter.head == known
    return chapter.events[0].version == known.version + 1 and chapter.before in (None, known.nonce)


def _standing(known: Standing, chapter: Chapter) -> Standing:
    session = advance(known.session, chapter.events) if chapter.events else known.session
    return _live(session, chapter, known.checkpoint_version)


def _live(session: Session, chapter: Chapter, checkpoint_version: int) -> Standing:
    return Standing(
        session=session.having(local=chapter.local),
        head=replace(chapter.head, local=True) if chapter.local else chapter.head,
        size_bytes=chapter.size_bytes,
        accessed_at=chapter.accessed_at,
        expires_at=chapter.expires_at,
        checkpoint_version=checkpoint_version,
    )


def _advanced(begun: Session | None, events: Sequence[Event]) -> Session | None:
    """None: the events do not go on from there, so that nothing can be made of them."""
    try:
        return fold(events) if begun is None else advance(begun, events)
    except ValueError:
        return None


def _head_of(session: Session) -> Head:
    version, _, nonce = session.etag.partition("-")
    return Head(version=int(version), nonce=nonce)


def _weight(standing: Standing) -> int:
    return _FOLD_BYTES + _PER_EVENT_BYTE * standing.size_bytes
