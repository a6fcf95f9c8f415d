"""The journal in memory: events as JSON bytes, gone with the process."""

import json
import secrets
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from state.deadlines import Deadlines
from state.errors import OverLimit
from state.journal import AlreadyOpened
from state.journal import Chapter
from state.journal import Draft
from state.journal import Event
from state.journal import Head
from state.journal import JournalStatistics
from state.journal import VersionMoved

SWEEP_SESSIONS = 64
"""Expired sessions given back with every write: about 0.1 ms, and faster than new ones can come."""


@dataclass(slots=True)
class _Log:
    owner: str
    key: str | None
    events: list[bytes]
    nonce: str
    size_bytes: int
    accessed_at: float
    expires_at: float

    @property
    def head(self) -> Head:
        return Head(version=len(self.events), nonce=self.nonce)


class MemoryJournal:
    """A `Journal` for one event loop: no method gives way to another task, so each is atomic."""

    def __init__(self, clock: Callable[[], float], *, max_bytes: int = 256 * 2**20) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._logs: dict[str, _Log] = {}
        self._owned: dict[str, dict[str, None]] = {}
        self._opened_by: dict[tuple[str, str], str] = {}
        self._deadlines: Deadlines[str] = Deadlines()
        self._events = 0
        self._bytes = 0

    async def append(
        self, session_id: str, *, expected: Head | None, drafts: Sequence[Draft], expires_at: float
    ) -> Head:
        if not drafts:
            raise ValueError("an append writes at least one event")
        self.sweep()
        log = self._live(session_id)
        current = None if log is None else log.head
        if current != expected:
            raise VersionMoved(current)
        nonce = secrets.token_hex(8)
        written = [_encoded(draft, nonce) for draft in drafts]
        size_bytes = sum(map(len, written))
        if self._bytes + size_bytes > self._max_bytes:
            raise OverLimit("the memory for all sessions is used up. Close sessions that are done, or wait for expiry.")
        if log is None:
            log = self._create(session_id, drafts[0], expires_at)
        log.events += written
        log.nonce = nonce
        log.size_bytes += size_bytes
        self._events += len(written)
        self._bytes += size_bytes
        head = log.head
        self._access(session_id, log, expires_at)
        self._live(session_id)  # a session that ends with these events is given back at once
        return head

    async def read(self, session_id: str, *, after: int = 0) -> Chapter | None:
        log = self._live(session_id)
        if log is None:
            return None
        first = max(after, 0)
        return Chapter(
            head=log.head,
            events=tuple(_decoded(text, first + place) for place, text in enumerate(log.events[first:], start=1)),
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
        return tuple(each for each in reversed(self._owned.get(owner, {})) if self._logs[each].expires_at > now)

    def statistics(self) -> JournalStatistics:
        self.sweep()
        return JournalStatistics(sessions=len(self._logs), events=self._events, size_bytes=self._bytes)

    def sweep(self, most: int = SWEEP_SESSIONS) -> int:
        """Give back the memory of up to `most` expired sessions; returns how many. Every write does one such step."""
        due = self._deadlines.due(self._clock(), most)
        for session_id in due:
            self._forget(session_id)
        return len(due)

    def _live(self, session_id: str) -> _Log | None:
        log = self._logs.get(session_id)
        if log is None or log.expires_at > self._clock():
            return log
        self._forget(session_id)
        return None

    def _create(self, session_id: str, opening: Draft, expires_at: float) -> _Log:
        if opening.key is not None:
            earlier = self._opened_by.get((opening.actor, opening.key))
            if earlier is not None and self._live(earlier) is not None:
                raise AlreadyOpened(earlier)
            self._opened_by[opening.actor, opening.key] = session_id
        now = self._clock()
        log = _Log(
            owner=opening.actor,
            key=opening.key,
            events=[],
            nonce="",
            size_bytes=0,
            accessed_at=now,
            expires_at=expires_at,
        )
        self._logs[session_id] = log
        self._deadlines.add(session_id, expires_at)
        return log

    def _access(self, session_id: str, log: _Log, expires_at: float) -> None:
        log.accessed_at = self._clock()
        self._deadlines.move(session_id, log.expires_at, expires_at)
        log.expires_at = expires_at
        mine = self._owned.setdefault(log.owner, {})
        mine.pop(session_id, None)
        mine[session_id] = None

    def _forget(self, session_id: str) -> None:
        log = self._logs.pop(session_id)
        self._deadlines.discard(session_id, log.expires_at)
        self._events -= len(log.events)
        self._bytes -= log.size_bytes
        if log.key is not None:
            del self._opened_by[log.owner, log.key]
        mine = self._owned[log.owner]
        del mine[session_id]
        if not mine:
            del self._owned[log.owner]


def _encoded(draft: Draft, nonce: str) -> bytes:
    fields = [draft.at, draft.kind, draft.actor, draft.body, draft.key, nonce]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _decoded(text: bytes, version: int) -> Event:
    fields: list[Any] = json.loads(text)
    at, kind, actor, body, key, nonce = fields
    return Event(version=version, nonce=nonce, at=at, kind=kind, actor=actor, body=body, key=key)
