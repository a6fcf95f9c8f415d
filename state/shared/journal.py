"""The journal of many instances: Redis while it answers, this machine's own while it does not, and joined again after.

What is read or written without Redis is marked (`Chapter.local`, `Head.local`) and never passed off as what others see.
"""

import time
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from cachetools import LRUCache

from state.chain import Verdict
from state.changes import Change
from state.changes import Changes
from state.changes import Missed
from state.errors import StateBusy
from state.journal import AlreadyOpened
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Head
from state.journal import JournalStatistics
from state.journal import Mark
from state.journal import Piece
from state.journal import new_nonce
from state.redis.wire import Away
from state.shared.apart import Apart
from state.shared.condition import Condition
from state.shared.copies import Copies
from state.shared.joining import Joining
from state.shared.places import Identity
from state.shared.places import Link
from state.shared.places import Local
from state.shared.places import Remote
from state.shared.recents import Recents
from state.shared.trust import SETTLING_S
from state.shared.trust import Trust

_OPENED_MOST: Final = 10_000
_FELL_BACK_S: Final = 1.0


class SharedJournal:
    """A `Journal`, `Past` and `Marks`, for one event loop. `clock` is the wall clock, `tick` a monotonic one.

    `durable_at`: where the local journal is; None: in memory. `where`: the name of this instance.
    """

    def __init__(  # noqa: PLR0913 - one place puts it together
        self,
        remote: Remote,
        local: Local,
        link: Link,
        *,
        changes: Changes,
        clock: Callable[[], float],
        where: str,
        durable_at: str | None,
        identify: Callable[[], Awaitable[Identity]],
        tick: Callable[[], float] = time.monotonic,
        settling_s: float = SETTLING_S,
    ) -> None:
        self._remote = remote
        self._link = link
        self._clock = clock
        self._tick = tick
        self._fell_back_at = float("-inf")
        self._recents = Recents(tick)
        self._condition = Condition(tick, durable_at)
        self._apart = Apart(local, clock=clock)
        self._trust = Trust(link, identify, self._changed, tick=tick, settling_s=settling_s)
        self._joining = Joining(
            remote,
            self._apart,
            self._recents,
            self._condition,
            link,
            clock=clock,
            tick=tick,
            where=where,
            made_sure=self._trust.made_sure,
        )
        self._opened: LRUCache[tuple[str, str], str] = LRUCache(_OPENED_MOST)
        link.watch(self._told)
        self._deaf = changes.listen(self._heard)

    async def aclose(self) -> None:
        """Stop. What is apart stays in the local journal, for the next one."""
        self._deaf()
        await self._joining.aclose()
        await self._trust.aclose()

    def lean_on(self, copies: Copies) -> None:
        """Whose copies of sessions make it possible to go on without Redis. To be called once, before use."""
        self._apart.copies = copies
        self._joining.copies = copies
        self._joining.start()

    def notice(self) -> str | None:
        """What is wrong right now, for a person. None: nothing."""
        return self._condition.notice(settling=self._trust.settling)

    @property
    def away(self) -> bool:
        """Whether an answer of the last second may lack what others wrote."""
        return not self._link.up or self._trust.settling or self._tick() < self._fell_back_at + _FELL_BACK_S

    async def append(
        self,
        session_id: str,
        *,
        expected: Head | None,
        drafts: Sequence[Draft],
        expires_at: float,
        nonce: str | None = None,
    ) -> Head:
        piece = Piece(nonce=nonce or new_nonce(), drafts=tuple(drafts))
        if await self._reachable(session_id):
            try:
                head = await self._remote.append(
                    session_id, expected=expected, drafts=drafts, expires_at=expires_at, nonce=piece.nonce
                )
            except AlreadyOpened as earlier:
                self._note_opened(drafts, earlier.session_id)
                raise
            except Away:
                pass
            else:
                self._note(session_id, expected, head, piece, expires_at)
                return head
        return await self._write_apart(session_id, expected, piece, expires_at)

    async def read(self, session_id: str, *, after: int = 0) -> Chapter | None:
        while await self._reachable(session_id):
            try:
                chapter = await self._remote.read(session_id, after=after)
            except Away:
                break
            if self._trust.sure and not await self._is_contradicted(session_id, chapter):
                return self._marked(chapter)
        return await self._apart.read(session_id, after)

    async def touch(self, session_id: str, *, expires_at: float) -> None:
        if self._link.up and session_id not in self._apart:
            with suppress(Away):
                await self._remote.touch(session_id, expires_at=expires_at)
                return
        self._apart.touch(session_id, expires_at)

    async def sessions(self, owner: str) -> tuple[str, ...]:
        if self._link.up and (self._trust.sure or await self._trust.made_sure()):
            with suppress(Away):
                there = await self._remote.sessions(owner)
                here = await self._apart.sessions(owner) if len(self._apart) else ()
                return (*(each for each in here if each not in set(there)), *there)
        self._fell_back_at = self._tick()
        return await self._apart.known_sessions(owner)

    async def verify(self, session_id: str) -> Verdict | None:
        await self._must_reach(session_id)
        return await self._remote.verify(session_id)

    async def checkpoint(self, session_id: str, *, most: int | None = None) -> Checkpoint | None:
        if await self._reachable(session_id):
            with suppress(Away):
                return await self._remote.checkpoint(session_id, most=most)
        return await self._apart.checkpoint(session_id, most)

    def keep_checkpoint(self, session_id: str, checkpoint: Checkpoint) -> None:
        if self._link.up and session_id not in self._apart:
            self._remote.keep_checkpoint(session_id, checkpoint)

    async def compact(self, session_id: str, *, expected: Head, checkpoint: Checkpoint, draft: Draft) -> Head:
        await self._must_reach(session_id)
        return await self._remote.compact(session_id, expected=expected, checkpoint=checkpoint, draft=draft)

    def statistics(self) -> JournalStatistics:
        return self._remote.statistics()

    async def past(self, owner: str) -> tuple[str, ...]:
        return await self._remote.past(owner)

    async def read_past(self, session_id: str) -> Chapter | None:
        return await self._remote.read_past(session_id)

    async def marks(self, owner: str) -> Mapping[str, Mark]:
        return await self._remote.marks(owner)

    async def _reachable(self, session_id: str) -> bool:
        """Whether Redis has all there is of the session; what is apart is brought over first."""
        if not self._link.up or not (self._trust.sure or await self._trust.made_sure()):
            return False
        return session_id not in self._apart or await self._joining.joined(session_id)

    def _marked(self, chapter: Chapter | None) -> Chapter | None:
        """While others may still be bringing back what Redis lost, nothing it says is the last word."""
        if chapter is not None:
            return replace(chapter, local=True) if self._trust.settling else chapter
        if not self._trust.complete:
            raise StateBusy("Redis has just come back, and instances are joining what they know. Try again in a moment")
        return None

    async def _is_contradicted(self, session_id: str, chapter: Chapter | None) -> bool:
        """Whether Redis knows less of a session than is known here, because it is not the one it was.

        That it is the same, and the session was closed by somebody, is found out by asking once.
        """
        standing = self._apart.copies.known(session_id)
        if standing is None or (chapter is not None and chapter.head.version >= standing.head.version):
            return False
        changes = self._trust.changes
        self._trust.doubt()
        return not await self._trust.made_sure() or self._trust.changes != changes

    async def _must_reach(self, session_id: str) -> None:
        if not await self._reachable(session_id):
            raise StateBusy("this needs the whole history of the session, and Redis cannot be reached. Try again later")

    async def _write_apart(self, session_id: str, expected: Head | None, piece: Piece, expires_at: float) -> Head:
        if expected is None:
            self._check_opened(piece.drafts)
        head = await self._apart.append(session_id, expected, piece, expires_at)
        self._condition.apart(len(self._apart))
        if expected is None:
            self._note_opened(piece.drafts, session_id)
        if self._link.up:
            self._joining.soon()
        return replace(head, local=True)

    def _check_opened(self, drafts: Sequence[Draft]) -> None:
        """As far as it is known here: without Redis nobody knows what others opened."""
        opening = drafts[0]
        earlier = None if opening.key is None else self._opened.get((opening.actor, opening.key))
        if earlier is not None and self._apart.alive(earlier):
            raise AlreadyOpened(earlier)

    def _note(self, session_id: str, before: Head | None, head: Head, piece: Piece, expires_at: float) -> None:
        self._recents.add(
            session_id,
            before,
            head,
            piece.drafts,
            ttl_s=max(expires_at - self._clock(), 0.0),
        )
        if before is None:
            self._note_opened(piece.drafts, session_id)

    def _note_opened(self, drafts: Sequence[Draft], session_id: str) -> None:
        if drafts[0].key is not None:
            self._opened[drafts[0].actor, drafts[0].key] = session_id

    def _told(self, up: bool, why: str) -> None:  # noqa: FBT001 - what the link tells
        self._condition.link(up, why)
        if up:
            self._trust.doubt()
            self._joining.soon()

    def _heard(self, change: Change) -> None:
        if isinstance(change, Missed):
            self._trust.doubt()
            self._joining.soon()

    async def _changed(self, emptied: bool) -> None:  # noqa: FBT001 - what trust tells
        self._condition.another()
        await self._joining.bring_back(emptied=emptied)
