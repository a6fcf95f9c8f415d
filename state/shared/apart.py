"""Sessions while Redis is away: what was written on this machine on top of what this process knew of them."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from state import fold
from state.errors import StateBusy
from state.folds import Standing
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Head
from state.journal import Piece
from state.journal import VersionMoved
from state.shared.branch import Branch
from state.shared.copies import Copies
from state.shared.places import Local

_KEPT_S: Final = 400 * 86_400.0
"""In the local journal nothing expires: that an event was acknowledged outlives the session's own end."""


@dataclass(slots=True)
class _Life:
    accessed_at: float
    expires_at: float

    @property
    def closed(self) -> bool:
        """Whether it was ended on purpose: its last use was its end."""
        return self.expires_at <= self.accessed_at


class Apart:
    """What is in the local journal. Other processes of this machine may share that."""

    copies: Copies

    def __init__(self, local: Local, *, clock: Callable[[], float]) -> None:
        self._local = local
        self._clock = clock
        self._apart: set[str] = set()
        self._lives: dict[str, _Life] = {}

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._apart

    def __len__(self) -> int:
        return len(self._apart)

    async def look(self) -> tuple[str, ...]:
        """All sessions that have something here, also what earlier processes left."""
        found = await self._local.held()
        self._apart.update(found)  # what was joined by others is noticed one by one: what came meanwhile must stay
        return tuple(self._apart)

    async def append(self, session_id: str, expected: Head | None, piece: Piece, expires_at: float) -> Head:
        """Raises `VersionMoved`, `OverLimit`, `StateBusy`."""
        now = self._clock()
        if expected is not None and session_id not in self._apart:
            await self._begin(session_id, expected)
        try:
            head = await self._append(session_id, expected, piece, now)
        except VersionMoved as moved:
            if moved.head is not None or expected is None:
                raise
            await self._begin(session_id, expected)  # another process of this machine has just joined what was here
            head = await self._append(session_id, expected, piece, now)
        self._apart.add(session_id)
        self._lives[session_id] = _Life(now, expires_at)
        return head

    async def read(self, session_id: str, after: int) -> Chapter | None:
        """As it is known on this machine. None: it was closed here. Raises `StateBusy`: it is not known here."""
        chapter = await self._local.read(session_id, after=after)
        if chapter is None:
            return self._as_copied(session_id, after)
        self._apart.add(session_id)
        life = self._life(session_id, chapter)
        if life.closed:
            return None
        if life.expires_at <= self._clock():
            raise _unreachable()  # others may have used it meanwhile: only Redis knows
        return replace(chapter, accessed_at=life.accessed_at, expires_at=life.expires_at, local=True)

    async def checkpoint(self, session_id: str, most: int | None) -> Checkpoint | None:
        return await self._local.checkpoint(session_id, most=most)

    def touch(self, session_id: str, expires_at: float) -> None:
        self._lives[session_id] = _Life(self._clock(), expires_at)

    def alive(self, session_id: str) -> bool:
        """Whether it is known here and its end has not come."""
        standing = self.copies.known(session_id)
        return standing is not None and self._ends_at(session_id, standing) > self._clock()

    async def sessions(self, owner: str) -> tuple[str, ...]:
        """Those of an owner that have something here, newest access first."""
        now = self._clock()
        found = await self._local.sessions(owner)
        return tuple(each for each in found if each not in self._lives or self._lives[each].expires_at > now)

    async def known_sessions(self, owner: str) -> tuple[str, ...]:
        """All sessions of an owner that are known here, newest access first."""
        written = await self.sessions(owner)
        copied = [
            (standing.accessed_at, each)
            for each in self.copies.copied()
            if each not in self._apart and (standing := self.copies.known(each)) is not None
            if standing.session.owner == owner and self._ends_at(each, standing) > self._clock()
        ]
        return (*written, *(each for _, each in sorted(copied, reverse=True)))

    async def branch(self, session_id: str) -> Branch | None:
        """What is here of a session. None: nothing (any more). Raises `StateUnavailable`."""
        chapter = await self._local.read(session_id)
        if chapter is None:
            self._apart.discard(session_id)
            return None
        begun = chapter.events[0].version - 1 if chapter.events else chapter.head.version
        start = await self._local.checkpoint(session_id, most=begun) if begun else None
        return Branch.of(session_id, start, chapter.events, chapter.head)

    async def done(self, session_id: str, head: Head) -> bool:
        """Forget what has arrived. False: more was written meanwhile."""
        try:
            await self._local.discard(session_id, expected=head)
        except VersionMoved:
            return False
        self._apart.discard(session_id)
        return True

    def lives(self) -> dict[str, float]:
        """The ends of life that were moved here, of sessions of which nothing else is here."""
        return {each: life.expires_at for each, life in self._lives.items() if each not in self._apart}

    def forget_life(self, session_id: str, expires_at: float) -> None:
        """Redis knows it now, unless it has been moved again since."""
        life = self._lives.get(session_id)
        if life is not None and life.expires_at == expires_at:
            del self._lives[session_id]

    async def _append(self, session_id: str, expected: Head | None, piece: Piece, now: float) -> Head:
        return await self._local.append(
            session_id, expected=expected, drafts=piece.drafts, expires_at=now + _KEPT_S, nonce=piece.nonce
        )

    async def _begin(self, session_id: str, expected: Head) -> None:
        origin = self.copies.copy(session_id)
        if origin is not None and (origin.checkpoint.version, origin.checkpoint.nonce) == (
            expected.version,
            expected.nonce,
        ):
            await self._local.adopt(session_id, origin)  # refused if another process of this machine did it before
        elif await self._local.read(session_id) is None:
            raise _unreachable()

    def _as_copied(self, session_id: str, after: int) -> Chapter:
        standing = self.copies.known(session_id)
        ends_at = 0.0 if standing is None else self._ends_at(session_id, standing)
        # One that seems to have expired may have been used elsewhere: only Redis knows.
        if standing is None or ends_at <= self._clock() or after < standing.head.version:
            raise _unreachable()
        return Chapter(
            head=standing.head,
            events=(),
            accessed_at=standing.accessed_at,
            expires_at=ends_at,
            size_bytes=standing.size_bytes,
            local=True,
        )

    def _ends_at(self, session_id: str, standing: Standing) -> float:
        life = self._lives.get(session_id)
        return standing.expires_at if life is None else life.expires_at

    def _life(self, session_id: str, chapter: Chapter) -> _Life:
        """Of one that an earlier process wrote to: it lives as long as nobody closed it."""
        life = self._lives.get(session_id)
        if life is not None:
            return life
        closed = bool(chapter.events) and chapter.events[-1].kind == fold.CLOSED
        return _Life(chapter.accessed_at, 0.0 if closed else chapter.expires_at)


def _unreachable() -> StateBusy:
    return StateBusy("this session is kept in Redis, which cannot be reached, and is not known here. Try again later")
