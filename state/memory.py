"""The journal in memory: events as JSON bytes, gone with the process."""

from collections.abc import Callable
from collections.abc import Sequence

from state.chain import Link
from state.chain import Verdict
from state.chain import adopted_link
from state.chain import first_link
from state.deadlines import Deadlines
from state.errors import OverLimit
from state.journal import AlreadyOpened
from state.journal import Chapter
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Head
from state.journal import JournalStatistics
from state.journal import Origin
from state.journal import Quota
from state.journal import VersionMoved
from state.journal import new_nonce
from state.memory_log import Growth
from state.memory_log import Holding
from state.memory_log import Log
from state.memory_log import decoded
from state.memory_log import encoded
from state.memory_log import is_of
from state.memory_log import linked
from state.memory_log import start_of
from state.memory_log import state_bytes
from state.quota import check_room

SWEEP_SESSIONS = 64
"""Expired sessions given back with every write: about 0.1 ms, and faster than new ones can come."""


_CHECKPOINTS = 2
"""Kept of a session beside the one its compaction needs."""


class MemoryJournal:
    """A `Journal` that is `Adopting`, for one event loop: no method gives way to another task, so each is atomic.

    `max_bytes`: of the events of all owners together.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        max_bytes: int = 256 * 2**20,
        quota: Quota = Quota(),  # noqa: B008 - frozen
    ) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._quota = quota
        self._logs: dict[str, Log] = {}
        self._owned: dict[str, Holding] = {}
        self._opened_by: dict[tuple[str, str], str] = {}
        self._deadlines: Deadlines[str] = Deadlines()
        self._events = 0
        self._bytes = 0
        self._checkpoint_bytes = 0

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
        log = self._expected(session_id, expected)
        nonce = new_nonce() if nonce is None else nonce
        written = [encoded(draft, nonce) for draft in drafts]
        if log is None:
            self._check_key(drafts[0])
        if expires_at > self._clock():  # a session that ends gives all of its room back
            growth = Growth(0 if log else 1, len(written), sum(map(len, written)))
            self._check_room(drafts[0].actor if log is None else log.owner, growth)
        if log is None:
            opening = drafts[0]
            log = self._create(session_id, opening.actor, opening.key, expires_at, first_link(session_id))
        self._extend(log, written, nonce)
        head = log.head
        self._access(session_id, log, expires_at)
        self._live(session_id)  # a session that ends with these events is given back at once
        return head

    async def read(self, session_id: str, *, after: int = 0) -> Chapter | None:
        log = self._live(session_id)
        if log is None:
            return None
        head = log.head
        first = max(after, log.compacted)
        texts = log.events[first - log.compacted :] if first < head.version else ()
        return Chapter(
            head=head,
            events=tuple(decoded(text, version) for version, text in enumerate(texts, start=first + 1)),
            accessed_at=log.accessed_at,
            expires_at=log.expires_at,
            size_bytes=log.size_bytes,
        )

    async def touch(self, session_id: str, *, expires_at: float) -> None:
        log = self._live(session_id)
        if log is not None:
            self._access(session_id, log, expires_at)

    async def sessions(self, owner: str) -> tuple[str, ...]:
        now = self._clock()
        mine = self._owned.get(owner)
        return () if mine is None else tuple(id_ for id_ in reversed(mine.sessions) if self._logs[id_].expires_at > now)

    async def verify(self, session_id: str) -> Verdict | None:
        log = self._live(session_id)
        if log is None:
            return None
        start = start_of(session_id, log)
        if linked(start, log.events) == log.link:
            return Verdict(ok=True, events=len(log.events))
        # Only the end of the chain is kept here: that something is wrong shows, but not where it begins.
        fault = "The events in memory are not what was written."
        return Verdict(ok=False, events=0, version=start.version + 1, fault=fault)

    async def checkpoint(self, session_id: str, *, most: int | None = None) -> Checkpoint | None:
        log = self._live(session_id)
        kept = () if log is None else reversed(log.checkpoints)
        return next((each for each in kept if most is None or each.version <= most), None)

    def keep_checkpoint(self, session_id: str, checkpoint: Checkpoint) -> None:
        log = self._live(session_id)
        room = self._max_bytes - self._bytes - self._checkpoint_bytes
        if log is not None and is_of(log, checkpoint) and len(checkpoint.state) <= room:
            self._put(log, checkpoint)

    async def compact(self, session_id: str, *, expected: Head, checkpoint: Checkpoint, draft: Draft) -> Head:
        log = self._expected(session_id, expected)
        if log is None:
            raise VersionMoved(None)
        if not is_of(log, checkpoint):
            raise ValueError(f"version {checkpoint.version} of the checkpoint is none of this session's kept history")
        nonce = new_nonce()
        written = [encoded(draft, nonce)]
        dropped = log.events[: checkpoint.version - log.compacted]
        growth = Growth(0, 1 - len(dropped), len(written[0]) - sum(map(len, dropped)))
        if growth.size_bytes > 0:
            self._check_room(log.owner, growth)
        self._drop(session_id, log, dropped)
        self._put(log, checkpoint)
        self._extend(log, written, nonce)
        self._access(session_id, log, log.expires_at)
        return log.head

    async def adopt(self, session_id: str, origin: Origin) -> bool:
        self.sweep()
        if self._live(session_id) is not None:
            return False
        checkpoint = origin.checkpoint
        key = origin.key if self._opened(origin.owner, origin.key) is None else None
        start = adopted_link(session_id, checkpoint.version, checkpoint.nonce, checkpoint.state)
        log = self._create(session_id, origin.owner, key, origin.expires_at, start)
        log.nonce = checkpoint.nonce
        self._put(log, checkpoint)
        return True

    async def discard(self, session_id: str, *, expected: Head) -> None:
        log = self._live(session_id)
        if log is None:
            return
        if log.head != expected:
            raise VersionMoved(log.head)
        self._forget(session_id)

    async def held(self) -> tuple[str, ...]:
        now = self._clock()
        return tuple(session_id for session_id, log in self._logs.items() if log.expires_at > now)

    def statistics(self) -> JournalStatistics:
        self.sweep()
        return JournalStatistics(sessions=len(self._logs), events=self._events, size_bytes=self._bytes)

    def sweep(self, most: int = SWEEP_SESSIONS) -> int:
        """Give back the memory of up to `most` expired sessions; returns how many. Every write does one such step."""
        due = self._deadlines.due(self._clock(), most)
        for session_id in due:
            self._forget(session_id)
        return len(due)

    def _expected(self, session_id: str, expected: Head | None) -> Log | None:
        self.sweep()
        log = self._live(session_id)
        current = None if log is None else log.head
        if current != expected:
            raise VersionMoved(current)
        return log

    def _live(self, session_id: str) -> Log | None:
        log = self._logs.get(session_id)
        if log is None or log.expires_at > self._clock():
            return log
        self._forget(session_id)
        return None

    def _check_key(self, opening: Draft) -> None:
        earlier = self._opened(opening.actor, opening.key)
        if earlier is not None:
            raise AlreadyOpened(earlier)

    def _opened(self, owner: str, key: str | None) -> str | None:
        """The live session that the owner opened with this key."""
        earlier = None if key is None else self._opened_by.get((owner, key))
        return None if earlier is None or self._live(earlier) is None else earlier

    def _check_room(self, owner: str, growth: Growth) -> None:
        """Expired sessions that are not yet given back are not held against their owner."""
        try:
            self._check_quota(owner, growth)
        except OverLimit:
            for session_id in list(self._owned[owner].sessions) if owner in self._owned else ():
                self._live(session_id)
            self._check_quota(owner, growth)
        if self._bytes + growth.size_bytes > self._max_bytes:
            raise OverLimit("the memory for all sessions is used up. Close sessions that are done, or wait for expiry.")

    def _check_quota(self, owner: str, growth: Growth) -> None:
        held = self._owned.get(owner) or Holding()
        check_room(
            self._quota,
            sessions=len(held.sessions) + growth.sessions,
            events=held.events + growth.events,
            size_bytes=held.size_bytes + growth.size_bytes,
        )

    def _create(self, session_id: str, owner: str, key: str | None, expires_at: float, start: Link) -> Log:
        if key is not None:
            self._opened_by[owner, key] = session_id
        log = Log(
            owner=owner,
            key=key,
            events=[],
            nonce="",
            link=start.link,
            size_bytes=0,
            accessed_at=self._clock(),
            expires_at=expires_at,
            start=start if start.version else None,
        )
        self._logs[session_id] = log
        self._owned.setdefault(log.owner, Holding()).sessions[session_id] = None
        self._deadlines.add(session_id, expires_at)
        return log

    def _extend(self, log: Log, written: list[bytes], nonce: str) -> None:
        log.link = linked(Link(version=log.head.version, link=log.link), written)
        log.events += written
        log.nonce = nonce
        self._count(log, len(written), sum(map(len, written)))

    def _drop(self, session_id: str, log: Log, events: list[bytes]) -> None:
        start = start_of(session_id, log)
        log.start = Link(version=start.version + len(events), link=linked(start, events))
        log.events = log.events[len(events) :]
        self._count(log, -len(events), -sum(map(len, events)))

    def _count(self, log: Log, events: int, size_bytes: int) -> None:
        log.size_bytes += size_bytes
        mine = self._owned[log.owner]
        mine.events += events
        mine.size_bytes += size_bytes
        self._events += events
        self._bytes += size_bytes

    def _put(self, log: Log, checkpoint: Checkpoint) -> None:
        """Older ones go, but for the one that stands for the events that were dropped."""
        before = log.checkpoints
        by_version = {each.version: each for each in (*before, checkpoint) if each.version >= log.compacted}
        base = by_version.pop(log.compacted, None)
        newest = [by_version[version] for version in sorted(by_version)[-_CHECKPOINTS:]]
        log.checkpoints = tuple(newest if base is None else (base, *newest))
        self._checkpoint_bytes += state_bytes(log.checkpoints) - state_bytes(before)

    def _access(self, session_id: str, log: Log, expires_at: float) -> None:
        log.accessed_at = self._clock()
        self._deadlines.move(session_id, log.expires_at, expires_at)
        log.expires_at = expires_at
        mine = self._owned[log.owner].sessions
        mine.pop(session_id, None)
        mine[session_id] = None

    def _forget(self, session_id: str) -> None:
        log = self._logs.pop(session_id)
        self._deadlines.discard(session_id, log.expires_at)
        self._count(log, -len(log.events), -log.size_bytes)
        self._checkpoint_bytes -= state_bytes(log.checkpoints)
        if log.key is not None:
            del self._opened_by[log.owner, log.key]
        mine = self._owned[log.owner].sessions
        del mine[session_id]
        if not mine:
            del self._owned[log.owner]
