"""Brings what was written apart to where it belongs: each piece once, in order, however often and whoever does it.

A piece is known by its nonce, also when it was decided again. As long as nobody else wrote, pieces go over as they are,
so that every etag given out stays true; else they are decided again (`state.shared.rebase`).
"""

from collections.abc import Callable
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from state import checkpoint
from state.errors import StateBusy
from state.errors import StateUnavailable
from state.folds import Folds
from state.folds import Standing
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Head
from state.journal import Origin
from state.journal import Piece
from state.journal import VersionMoved
from state.journal import new_nonce
from state.shared.branch import Branch
from state.shared.pieces import batches
from state.shared.pieces import missing
from state.shared.places import Remote
from state.shared.rebase import Apart
from state.shared.rebase import rebased
from state.shared.recents import Recents
from state.shared.remainder import remainder

_ATTEMPTS: Final = 64
_BATCH_EVENTS: Final = 256
_BATCH_BYTES: Final = 512 * 2**10
"""Written in one step: Redis does nothing else meanwhile, so each is to take a few milliseconds."""
_FOLDED_BYTES: Final = 4 * 2**20


class Bringing:
    """`where`: the name of this instance, for those who read what became of two values that met."""

    def __init__(self, remote: Remote, recents: Recents, *, clock: Callable[[], float], where: str) -> None:
        self._remote = remote
        self._recents = recents
        self._theirs = Folds(remote, max_bytes=_FOLDED_BYTES)
        self._clock = clock
        self._where = where

    async def bring(self, branch: Branch) -> int:
        """Returns how many events were written there; 0 when all of them had arrived before.

        Raises `Away` (nothing is lost, try again), `StateBusy`, `StateUnavailable`.
        """
        written = 0
        for _ in range(_ATTEMPTS):
            there = await self._read(branch)
            if there is None:
                count = await self._begin_again(branch)
                if count is not None:
                    return written + count
                continue
            left = missing(branch.pieces, there.events)
            try:
                return written + (await self._bring(branch, left, there) if left else 0)
            except VersionMoved:
                continue
        raise StateBusy("others keep writing to a session that was written to apart")

    async def complete(self, session_id: str, copy: Checkpoint) -> bool:
        """Write to a session that another instance has given back what this copy of it has besides.

        False: it has nothing besides. Raises `Away`, `StateBusy`, `StateUnavailable`.
        """
        ours = checkpoint.decoded(copy.state)
        for _ in range(_ATTEMPTS):
            standing = await self._theirs.load(session_id)
            drafts = () if ours is None or standing is None else remainder(ours, standing.session)
            if ours is None or standing is None or not drafts:
                return False
            pieces = (Piece(nonce=new_nonce(), drafts=drafts),)
            with suppress(VersionMoved):
                await self._remote.append_as(
                    session_id,
                    expected=standing.head,
                    pieces=pieces,
                    expires_at=self._clock() + ours.ttl_s,
                    forced=True,
                )
                return True
        return False

    async def _read(self, branch: Branch) -> Chapter | None:
        """Everything written there since the branch began, or since the beginning when that is not known."""
        there = await self._remote.read(branch.session_id, after=branch.version)
        begins_at = branch.begins_at
        if there is None or begins_at is None or there.head == begins_at or there.before == begins_at.nonce:
            return there
        return await self._remote.read(branch.session_id)

    async def _bring(self, branch: Branch, left: Sequence[Piece], there: Chapter) -> int:
        if _follows(branch, left, there.head):
            return await self._append(branch, left, there.head, closes=branch.closes)
        standing = await self._standing(branch)
        if standing is None or standing.head != there.head:
            raise VersionMoved(None)
        known = there.before is not None or branch.start is None
        if not known and branch.start is not None and await self.complete(branch.session_id, branch.start):
            raise VersionMoved(None)  # what it began with was lost as well, and has just been written
        apart = Apart(version=branch.version if known else 0, goals=branch.goals, pieces=tuple(left), where=self._where)
        return await self._append(branch, rebased(standing.session, apart), there.head, closes=False)

    async def _append(self, branch: Branch, pieces: Sequence[Piece], head: Head | None, *, closes: bool) -> int:
        """Raises `VersionMoved`; what was written until then is found again by its nonces."""
        written = 0
        for batch in batches(pieces, _BATCH_EVENTS, _BATCH_BYTES):
            ends = closes and batch[-1] is pieces[-1]
            # Before it is known whether it arrives: what is known twice is told apart, and what is not known is lost.
            self._recents.add_pieces(branch.session_id, head, batch, ttl_s=branch.ttl_s)
            head = await self._remote.append_as(
                branch.session_id,
                expected=head,
                pieces=batch,
                expires_at=self._clock() + (0 if ends else branch.ttl_s),
                forced=True,
            )
            written += sum(len(piece.drafts) for piece in batch)
        return written

    async def _begin_again(self, branch: Branch) -> int | None:
        """The session is not open there (any more). None: now it is, so go on. Else how many events that took."""
        ended = await self._remote.read_past(branch.session_id)
        if ended is not None:
            left = missing(branch.pieces, ended.events)
            if not left or all(draft.kind == "closed" for piece in left for draft in piece.drafts):
                return 0
            await self._remote.revive(branch.session_id, expires_at=self._clock() + branch.ttl_s)
            return None
        if branch.start is None:
            try:
                return await self._append(branch, branch.pieces, None, closes=branch.closes)
            except VersionMoved:
                return None
        if not branch.start.state:
            raise StateUnavailable(f"session {branch.session_id[:6]} is gone from Redis, and no instance has all of it")
        origin = Origin(
            owner=branch.owner,
            key=None,
            checkpoint=branch.start,
            expires_at=self._clock() + branch.ttl_s,
        )
        await self._remote.adopt(branch.session_id, origin)
        return None

    async def _standing(self, branch: Branch) -> Standing | None:
        return await self._theirs.load(branch.session_id)


def _follows(branch: Branch, left: Sequence[Piece], head: Head) -> bool:
    """Whether the pieces that are left go on from this head just as they did when they were written."""
    if len(left) == len(branch.pieces):
        return head == branch.begins_at
    if tuple(left) != branch.pieces[-len(left) :]:
        return False
    before = branch.pieces[len(branch.pieces) - len(left) - 1]
    return head.nonce == before.nonce and head.version == branch.version_of(before.nonce)
