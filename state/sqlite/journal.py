"""The journal in a SQLite file: it outlives the process, and all processes of a machine may share it."""

import asyncio
import sqlite3
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from state.chain import Verdict
from state.errors import StateUnavailable
from state.event_text import encoded
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Event
from state.journal import Head
from state.journal import JournalStatistics
from state.journal import Mark
from state.journal import Origin
from state.journal import Quota
from state.journal import VersionMoved
from state.sqlite import reading
from state.sqlite import refusals
from state.sqlite.desk import Desk
from state.sqlite.file import BUSY_S
from state.sqlite.file import open_file
from state.sqlite.file import share
from state.sqlite.file import suspect
from state.sqlite.overlay import Overlay
from state.sqlite.readers import Readers
from state.sqlite.reading import Damage
from state.sqlite.reading import Standing
from state.sqlite.wishes import Adopt
from state.sqlite.wishes import Answered
from state.sqlite.wishes import Append
from state.sqlite.wishes import Discard
from state.sqlite.wishes import Flush
from state.sqlite.wishes import Keep
from state.sqlite.wishes import Wish
from state.sqlite.writer import Writer

_AT_ONCE_EVENTS: Final = 64
_AT_ONCE_BYTES: Final = 128 * 2**10
"""More is read on another thread: so much takes about a millisecond."""
_CLOSE_TO_THE_END_S: Final = 5.0
"""A touch this close to the end that is in the file is written at once: another process might end the session."""


class SqliteJournal:
    """A `Journal` with `Past`, `Marks` and `Adopting`, for one event loop.

    Ended sessions are kept for `kept_past_s` seconds (0: not at all).
    `past_bytes`: what the ended sessions of one owner may hold together; the oldest go first. None: as much as the
    live ones. `busy_s`: how long a write waits for those of other processes. Raises what `open_file` raises. Closed by
    `aclose`; a process that just dies leaves nothing to repair.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        quota: Quota = Quota(),  # noqa: B008 - frozen
        kept_past_s: float = 30 * 86_400.0,
        past_bytes: int | None = None,
        busy_s: float = BUSY_S,
        trusting: bool = False,
    ) -> None:
        """`trusting`: also a file that is known to be damaged somewhere is opened; what is good of it can be read."""
        self.path = path
        self._file = replace(open_file(path, trusting=trusting), busy_s=busy_s)
        self._hold = share(path)
        self._clock = clock
        self._kept_past_s = kept_past_s
        self._overlay = Overlay()
        self._readers = Readers(self._file)
        desk = Desk(
            self._file,
            self._overlay,
            clock=clock,
            quota=quota,
            kept_past_s=kept_past_s,
            past_bytes=quota.size_bytes if past_bytes is None else past_bytes,
        )
        self._writer = Writer(desk)
        self._wishes: list[Wish] = []
        self._counted = JournalStatistics(sessions=0, events=0, size_bytes=0)
        self._damage: str | None = None
        self._closed = False

    async def aclose(self) -> None:
        """Write what is wanted, and let go of the file. After that every method raises `StateUnavailable`."""
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        try:
            await self._writer.close()
        finally:
            await self._readers.close()
            self._hold.release()

    def fault(self) -> str | None:
        """What is wrong with the file right now, in plain words. None: nothing."""
        read_only = None if self._file.writable else f"{self.path} is read-only: what is remembered cannot be changed."
        return self._damage or self._readers.fault or self._writer.fault or read_only

    async def append(
        self,
        session_id: str,
        *,
        expected: Head | None,
        drafts: Sequence[Draft],
        expires_at: float,
        nonce: str | None = None,
    ) -> Head:
        if not drafts:
            raise ValueError("an append writes at least one event")
        wish = self._append(session_id, expected, drafts)
        wish.expires_at, wish.nonce = expires_at, nonce
        return await self._carried_out(wish)

    async def compact(self, session_id: str, *, expected: Head, checkpoint: Checkpoint, draft: Draft) -> Head:
        wish = self._append(session_id, expected, (draft,))
        wish.checkpoint = checkpoint
        return await self._carried_out(wish)

    async def adopt(self, session_id: str, origin: Origin) -> bool:
        wish = Adopt(
            session_id=session_id,
            origin=origin,
            at=self._clock(),
            touch=self._overlay.of(session_id),
            answer=asyncio.get_running_loop().create_future(),
        )
        try:
            await self._carried_out(wish)
        except VersionMoved:
            return False
        return True

    async def discard(self, session_id: str, *, expected: Head) -> None:
        answer: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        touch = self._overlay.of(session_id)
        await self._carried_out(Discard(session_id=session_id, expected=expected, touch=touch, answer=answer))

    async def held(self) -> tuple[str, ...]:
        self._check_open()
        return await self._readers.in_thread(reading.held)

    async def read(self, session_id: str, *, after: int = 0) -> Chapter | None:
        row = await self._live(session_id)
        if row is None:
            return None
        behind = row.version - max(after, row.compacted_version)
        if behind <= 0:
            return _chapter(row, ())
        look = partial(self._look, session_id, after)
        kept = row.version - row.compacted_version
        few = behind <= _AT_ONCE_EVENTS and row.size_bytes * behind <= _AT_ONCE_BYTES * kept
        try:
            return await (self._readers.soon(look) if few else self._readers.in_thread(look))
        except Damage as damage:
            raise self._damaged(session_id, damage) from damage

    async def touch(self, session_id: str, *, expires_at: float) -> None:
        row = await self._live(session_id) if self._file.writable else None
        if row is None:
            return
        now = self._clock()
        urgent = min(row.expires_at, expires_at) < now + _CLOSE_TO_THE_END_S
        self._overlay.put(session_id, at=now, expires_at=expires_at)
        if urgent:
            self._want(Flush())
        else:
            self._writer.start()

    async def sessions(self, owner: str) -> tuple[str, ...]:
        self._check_open()
        now = self._clock()
        rows = await self._readers.soon(lambda connection: reading.owned(connection, owner))
        lives = [(each, *self._overlay.life(each, accessed_at, expires_at)) for each, accessed_at, expires_at in rows]
        live = [(accessed_at, each) for each, accessed_at, expires_at in lives if expires_at > now]
        return tuple(each for _, each in sorted(live, key=lambda pair: pair[0], reverse=True))

    async def verify(self, session_id: str) -> Verdict | None:
        self._check_open()
        return await self._readers.in_thread(partial(self._verify, session_id))

    async def checkpoint(self, session_id: str, *, most: int | None = None) -> Checkpoint | None:
        row = await self._live(session_id)
        if row is None:
            return None
        look = partial(self._checkpoint, session_id, most)
        # What a session knows is hardly larger than the events that told it, unless those were compacted.
        few = row.size_bytes <= _AT_ONCE_BYTES and not row.compacted_version
        return await (self._readers.soon(look) if few else self._readers.in_thread(look))

    def keep_checkpoint(self, session_id: str, checkpoint: Checkpoint) -> None:
        if not self._closed and self._file.writable:
            self._want(Keep(session_id=session_id, checkpoint=checkpoint))

    def statistics(self) -> JournalStatistics:
        if not self._closed:
            try:
                self._counted = self._readers.at_once(reading.together)
            except sqlite3.Error:
                return self._counted  # as it was when it could last be read
        return self._counted

    async def past(self, owner: str) -> tuple[str, ...]:
        self._check_open()
        return await self._readers.in_thread(partial(self._past, owner))

    async def marks(self, owner: str) -> Mapping[str, Mark]:
        self._check_open()
        return await self._readers.in_thread(partial(self._marks, owner))

    async def read_past(self, session_id: str) -> Chapter | None:
        self._check_open()
        try:
            return await self._readers.in_thread(partial(self._look_back, session_id))
        except Damage as damage:
            raise self._damaged(session_id, damage) from damage

    def _append(self, session_id: str, expected: Head | None, drafts: Sequence[Draft]) -> Append:
        texts = [encoded(draft) for draft in drafts]
        return Append(
            session_id=session_id,
            expected=expected,
            contents=[(text, text.encode()) for text in texts],
            owner=drafts[0].actor,
            key=drafts[0].key,
            at=self._clock(),
            expires_at=None,
            touch=self._overlay.of(session_id),
            answer=asyncio.get_running_loop().create_future(),
        )

    async def _carried_out(self, wish: Answered) -> Head:
        self._check_open()
        if not self._file.writable:
            raise StateUnavailable(self.fault() or "")
        self._want(wish)
        return await wish.answer

    def _want(self, wish: Wish) -> None:
        """Wishes of one turn of the loop go to the writer together."""
        if not self._wishes:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._wishes.append(wish)

    def _hand_over(self) -> None:
        wishes, self._wishes = self._wishes, []
        if wishes:
            self._writer.want(wishes)

    def _check_open(self) -> None:
        if self._closed:
            raise StateUnavailable(f"{self.path} is not in use any more: the server is stopping.")

    async def _live(self, session_id: str) -> Standing | None:
        self._check_open()
        row = await self._readers.soon(lambda connection: reading.standing(connection, session_id))
        return self._alive(session_id, row)

    def _alive(self, session_id: str, row: Standing | None) -> Standing | None:
        """The session with the life it has now. None: it has ended, or there is none."""
        if row is None or row.ended_at is not None:
            return None
        life = self._overlay.life(session_id, row.accessed_at, row.expires_at)
        row.accessed_at, row.expires_at = life
        return row if row.expires_at > self._clock() else None

    def _look(self, session_id: str, after: int, connection: sqlite3.Connection) -> Chapter | None:
        with reading.snapshot(connection):
            row = self._alive(session_id, reading.standing(connection, session_id))
            return None if row is None else _chapter(row, reading.events(connection, session_id, row, after))

    def _look_back(self, session_id: str, connection: sqlite3.Connection) -> Chapter | None:
        with reading.snapshot(connection):
            row = reading.standing(connection, session_id)
            if row is None or not self._kept(row.ended_at or row.expires_at) or self._alive(session_id, row):
                return None
            return _chapter(row, reading.events(connection, session_id, row, 0))

    def _past(self, owner: str, connection: sqlite3.Connection) -> tuple[str, ...]:
        now = self._clock()
        ended = reading.ended(connection, owner)
        for each, accessed_at, expires_at in reading.owned(connection, owner):
            end = self._overlay.life(each, accessed_at, expires_at)[1]
            if end <= now:
                ended.append((each, end))
        return tuple(each for each, end in sorted(ended, key=lambda pair: pair[1], reverse=True) if self._kept(end))

    def _marks(self, owner: str, connection: sqlite3.Connection) -> dict[str, Mark]:
        found: dict[str, Mark] = {}
        for each, row in reading.standings(connection, owner):
            alive = self._alive(each, row)
            if alive is not None or self._kept(row.ended_at or row.expires_at):
                found[each] = _mark(row, None if alive is not None else row.ended_at or row.expires_at)
        return found

    def _kept(self, ended_at: float) -> bool:
        return ended_at + self._kept_past_s > self._clock()

    def _verify(self, session_id: str, connection: sqlite3.Connection) -> Verdict | None:
        with reading.snapshot(connection):
            row = self._alive(session_id, reading.standing(connection, session_id))
            return None if row is None else reading.verdict(connection, session_id, row)

    def _checkpoint(self, session_id: str, most: int | None, connection: sqlite3.Connection) -> Checkpoint | None:
        with reading.snapshot(connection):
            row = self._alive(session_id, reading.standing(connection, session_id))
            return None if row is None else reading.checkpoint(connection, row, most)

    def _damaged(self, session_id: str, damage: Damage) -> StateUnavailable:
        self._damage = f"{self.path} is damaged: {damage} (session {session_id[:6]}...). {refusals.DAMAGED_WAY_OUT}."
        suspect(self.path, self._damage)
        return StateUnavailable(self._damage)


def _mark(row: Standing, ended_at: float | None) -> Mark:
    return Mark(
        version=row.version,
        nonce=row.nonce,
        size_bytes=row.size_bytes,
        accessed_at=row.accessed_at,
        expires_at=row.expires_at,
        ended_at=ended_at,
    )


def _chapter(row: Standing, events: tuple[Event, ...]) -> Chapter:
    return Chapter(
        head=row.head,
        events=events,
        accessed_at=row.accessed_at,
        expires_at=row.expires_at,
        size_bytes=row.size_bytes,
    )
