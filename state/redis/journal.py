"""The journal in Redis: all instances share it, and one script decides every write."""

import asyncio
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from typing import Final

from state.chain import Link
from state.chain import Verdict
from state.chain import adopted_link
from state.chain import first_link
from state.errors import StateUnavailable
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Head
from state.journal import JournalStatistics
from state.journal import Mark
from state.journal import Origin
from state.journal import Piece
from state.journal import Quota
from state.journal import new_nonce
from state.redis import answers
from state.redis import lua_acts
from state.redis import lua_lists
from state.redis import refusals
from state.redis.announcing import session_text
from state.redis.answers import Answer
from state.redis.answers import Told
from state.redis.behind import Behind
from state.redis.keys import Keys
from state.redis.known import Known
from state.redis.known import Seen
from state.redis.listing import Listing
from state.redis.lua_trial import TRIAL
from state.redis.lua_writing import APPEND
from state.redis.records import Written
from state.redis.records import sealed
from state.redis.records import unsealed
from state.redis.records import written
from state.redis.shared_time import SharedTime
from state.redis.touches import Touches
from state.redis.wire import Part
from state.redis.wire import Script
from state.redis.wire import Wire

_PAGE_BYTES: Final = 2**20
"""Of events asked for at once, roughly: more might not arrive within the deadline, which is that of small calls too."""
_AT_ONCE_BYTES: Final = 256 * 2**10
"""More is decoded on another thread: so much takes a few milliseconds."""
_CLOSE_TO_THE_END_S: Final = 5.0
"""A touch this close to the end that others know is told at once: they might end the session."""
_COUNTS: Final = 3
"""That every write is answered with."""
_BEYOND: Final = 2**53
"""A version that no session has."""


class RedisJournal:
    """A `Journal`, `Past`, `Marks` and `Adopting` for one event loop. The wire is closed by who opened it.

    `origin`: names this instance in what it announces. Ended sessions are kept for `kept_past_s` seconds (0: not at
    all); `past_bytes`: what those of one owner may hold together (None: as much as the live ones), and there are never
    more than `past_sessions`. `shared_clock`: the time that all instances go by; None: Redis's own. Every method that
    asks Redis may raise `Away`.
    """

    def __init__(  # noqa: PLR0913 - each is a thing of its own that may be asked for
        self,
        wire: Wire,
        *,
        keys: Keys,
        clock: Callable[[], float],
        origin: str,
        quota: Quota = Quota(),  # noqa: B008 - frozen
        kept_past_s: float = 30 * 86_400.0,
        past_bytes: int | None = None,
        past_sessions: int = 5_000,
        shared_clock: Callable[[], float] | None = None,
    ) -> None:
        self._wire = wire
        self._keys = keys
        self._clock = clock
        self._origin = origin
        self._quota = quota
        self._kept_s = repr(float(kept_past_s))
        self._past_sessions = past_sessions
        self._past_bytes = quota.size_bytes if past_bytes is None else past_bytes
        self._time = SharedTime(clock, shared_clock)
        self._known = Known()
        self._touches = Touches(self._time)
        ask = partial(self._ask, keys.lists)
        self._behind = Behind(ask, self._touches, clock, kept_s=kept_past_s)
        self._listing = Listing(ask, self._touches, self._time, kept_s=kept_past_s)
        self._counted = JournalStatistics(sessions=0, events=0, size_bytes=0)
        self._tried = False
        self._closed = False

    async def aclose(self) -> None:
        """Tell Redis of the touches that wait, if that is quick. After that every method raises `StateUnavailable`."""
        await self._behind.aclose()
        self._closed = True

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
        return await self.append_as(session_id, expected=expected, pieces=(piece,), expires_at=expires_at)

    async def append_as(
        self,
        session_id: str,
        *,
        expected: Head | None,
        pieces: Sequence[Piece],
        expires_at: float,
        forced: bool = False,
    ) -> Head:
        """Write what several appends wrote elsewhere, in one step and each with its own nonce.

        `forced`: whatever the quota says; and a key that another live session was opened with is left to that one.
        Raises as `append`.
        """
        return await self._appended(session_id, expected, pieces, expires_at=expires_at, forced=forced)

    async def compact(self, session_id: str, *, expected: Head, checkpoint: Checkpoint, draft: Draft) -> Head:
        piece = Piece(nonce=new_nonce(), drafts=(draft,))
        return await self._appended(session_id, expected, (piece,), checkpoint=checkpoint)

    async def read(self, session_id: str, *, after: int = 0) -> Chapter | None:
        return await self._chapter(session_id, after, past=False)

    async def touch(self, session_id: str, *, expires_at: float) -> None:
        self._check_open()
        now = self._clock()
        end = self._known.end_of(session_id)
        urgent = min(expires_at, expires_at if end is None else end) < now + _CLOSE_TO_THE_END_S
        self._touches.put(session_id, at=now, expires_at=expires_at)
        self._known.touch(session_id, expires_at)
        self._behind.touched(urgent=urgent)

    async def sessions(self, owner: str) -> tuple[str, ...]:
        return await self._listing.sessions(owner)

    async def verify(self, session_id: str) -> Verdict | None:
        seen = await self._told(session_id, 0, past=False)
        return None if seen is None else (await asyncio.to_thread(answers.verdict_of, seen))[0]

    async def checkpoint(self, session_id: str, *, most: int | None = None) -> Checkpoint | None:
        await self._behind.settled(session_id)
        bound = _BEYOND if most is None else most
        while True:
            arguments = (session_id, bound, *self._touches.told(session_id))
            answer = await self._ask(self._keys.session(session_id), lua_lists.CHECKPOINT, arguments)
            if answer.word != "ok":
                return None
            version, kept = answer.rest
            checkpoint = unsealed(version, kept)
            if checkpoint is not None:
                return checkpoint
            bound = version - 1

    def keep_checkpoint(self, session_id: str, checkpoint: Checkpoint) -> None:
        if not self._closed:
            arguments = (session_id, checkpoint.version, checkpoint.nonce, sealed(checkpoint), self._kept_s)
            self._behind.keep(session_id, lua_acts.KEEP, arguments)

    def statistics(self) -> JournalStatistics:
        return self._counted

    async def past(self, owner: str) -> tuple[str, ...]:
        return await self._listing.past(owner)

    async def read_past(self, session_id: str) -> Chapter | None:
        return await self._chapter(session_id, 0, past=True)

    async def marks(self, owner: str) -> Mapping[str, Mark]:
        return await self._listing.marks(owner)

    async def adopt(self, session_id: str, origin: Origin) -> bool:
        kept = origin.checkpoint
        begun = adopted_link(session_id, kept.version, kept.nonce, kept.state)
        arguments = (
            *(session_id, origin.owner, int(origin.key is not None), origin.key or ""),
            *(kept.version, kept.nonce, begun.link, sealed(kept)),
            *(self._time.told(origin.expires_at), self._kept_s, new_nonce()),
        )
        answer = await self._announced(session_id, kept.version, lua_acts.ADOPT, arguments)
        if answer.word == "ok":
            self._forget(session_id, answer)
        return answer.word == "ok"

    async def discard(self, session_id: str, *, expected: Head) -> None:
        arguments = (session_id, expected.version, expected.nonce)
        answer = await self._announced(session_id, expected.version, lua_acts.DISCARD, arguments)
        answers.raise_refusal(answer, self._quota, 0)
        self._forget(session_id, answer)

    async def held(self) -> tuple[str, ...]:
        return await self._listing.held()

    async def revive(self, session_id: str, *, expires_at: float) -> Head | None:
        """Let an ended session that is still kept live again, with all it had. None: none is kept.

        No quota is looked at. A live one only gets this end of life. A key that another live session was opened
        with since stays there.
        """
        arguments = (session_id, self._time.told(expires_at), self._kept_s)
        answer = await self._announced(session_id, 0, lua_acts.REVIVE, arguments)
        if answer.word != "ok":
            return None
        self._forget(session_id, answer)
        _, _, _, version, nonce = answer.rest
        return Head(version=version, nonce=nonce.decode())

    async def _appended(
        self,
        session_id: str,
        expected: Head | None,
        pieces: Sequence[Piece],
        *,
        expires_at: float | None = None,
        forced: bool = False,
        checkpoint: Checkpoint | None = None,
    ) -> Head:
        start = first_link(session_id) if expected is None else await self._link(session_id, expected)
        new = written(start or Link(version=0 if expected is None else expected.version, link=b""), pieces)
        opening = pieces[0].drafts[0]
        touch = self._touches.of(session_id)
        arguments = (
            # Whoever does not know the link must not write, but may learn that it has written before.
            *(session_id, start.version if start else _BEYOND, "" if expected is None else expected.nonce),
            "" if expires_at is None else self._time.told(expires_at),
            *(self._kept_s, self._past_bytes, *self._touches.told(session_id)),
            *(opening.actor, int(opening.key is not None), opening.key or "", int(forced)),
            *(self._quota.sessions, self._quota.events, self._quota.size_bytes),
            *(new.head.version, new.nonce, new.head.link, new.size_bytes),
            *(("", "", "") if checkpoint is None else (checkpoint.version, checkpoint.nonce, sealed(checkpoint))),
            self._past_sessions,
            *new.records,
        )
        answer = await self._announced(session_id, new.head.version, APPEND, arguments)
        answers.raise_refusal(answer, self._quota, 0 if checkpoint is None else checkpoint.version)
        if touch is not None:
            self._touches.settle({session_id: touch})
        return self._noted(session_id, new, answer, expires_at)

    def _noted(self, session_id: str, new: Written, answer: Answer, expires_at: float | None) -> Head:
        self._counted = answers.counts_of(answer)
        head = Head(version=new.head.version, nonce=new.nonce)
        if len(answer.rest) > _COUNTS:
            return head  # an earlier attempt wrote it, with salts of its own: the link is not this one
        end = self._known.end_of(session_id) if expires_at is None else expires_at
        self._known.put(session_id, Seen(head=head, link=new.head.link, expires_at=end or 0.0))
        return head

    def _forget(self, session_id: str, answer: Answer) -> None:
        """What was known of the session is of another life."""
        self._counted = answers.counts_of(answer)
        self._known.drop(session_id)
        self._touches.drop(session_id)

    async def _link(self, session_id: str, expected: Head) -> Link | None:
        """What the next event after a head is bound to. None: the history does not end there."""
        known = self._known.link_at(session_id, expected)
        if known is not None:
            return known
        await self._told(session_id, _BEYOND, past=False)
        return self._known.link_at(session_id, expected)

    async def _chapter(self, session_id: str, after: int, *, past: bool) -> Chapter | None:
        seen = await self._told(session_id, after, past=past)
        if seen is None:
            return None
        if seen.records_bytes > _AT_ONCE_BYTES:
            verdict, chapter = await asyncio.to_thread(answers.chapter_of, seen, after)
        else:
            verdict, chapter = answers.chapter_of(seen, after)
        if not verdict.ok:
            raise StateUnavailable(refusals.DAMAGED.format(fault=verdict.fault))
        return chapter

    async def _told(self, session_id: str, after: int, *, past: bool) -> Told | None:
        seen = await self._page(session_id, after, past=past)
        while seen is not None and seen.more:
            following = await self._page(session_id, seen.end, past=past)
            if following is None:
                return None
            seen = seen.joined(following) or await self._page(session_id, after, past=past)
        if seen is not None and not past:
            self._known.put(session_id, Seen(head=seen.head, link=seen.link, expires_at=seen.expires_at))
        return seen

    async def _page(self, session_id: str, after: int, *, past: bool) -> Told | None:
        """The session and as many of its events as arrive in time; they may all be there."""
        touch = self._touches.told(session_id)
        arguments = (session_id, after, *touch, int(past), self._kept_s, _PAGE_BYTES)
        answer = await self._ask(self._keys.session(session_id), lua_lists.READ, arguments)
        return answers.told(answer, session_id, after, self._time) if answer.word == "ok" else None

    async def _announced(self, session_id: str, version: int, script: Script, arguments: Sequence[Part]) -> Answer:
        if not self._tried:
            await self._ask(self._keys.lists, TRIAL, (self._keys.channel,))
            self._tried = True
        await self._behind.catch_up()
        told = session_text(self._origin, session_id, version)
        return await self._ask(self._keys.session(session_id), script, (self._keys.channel, told, *arguments))

    async def _ask(self, keys: Sequence[str], script: Script, arguments: Sequence[Part]) -> Answer:
        self._check_open()
        asked_at = self._clock()
        with refusals.explained():
            words = await self._wire.run(script, keys, (self._keys.tag, self._time.now(), *arguments), again=True)
        answer = Answer(words[0].decode(), words[1], asked_at, tuple(words[2:]))
        if answer.word == "lost":
            raise StateUnavailable(refusals.LOST)
        return answer

    def _check_open(self) -> None:
        if self._closed:
            raise StateUnavailable("the sessions in Redis are not in use any more: the server is stopping.")
