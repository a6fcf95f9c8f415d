"""How a write comes about: decided on the session as it stands, and again whenever another writer was faster."""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from typing import TypeVar
from weakref import WeakValueDictionary

from state import decisions
from state import fold
from state.decisions import Actor
from state.decisions import Drafts
from state.errors import Conflict
from state.errors import UnknownSession
from state.folds import Folds
from state.folds import Standing
from state.journal import Journal
from state.journal import VersionMoved
from state.limits import Limits
from state.session import Session

_ATTEMPTS = 256
"""Lost races before a write gives up. Each lost race is another writer's success, and writers of one process queue."""

R = TypeVar("R")


def _never_moved(_session: Session) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A wish to write."""

    decide: Callable[[Session, Actor], Drafts]
    """Called once per attempt. No drafts: what is wanted holds already."""
    key: str | None = None
    """Idempotency key. None: every call writes."""
    expect: str | None = None
    """The etag the caller decided on. None: whatever the session has become is fine."""
    field: str | None = None
    """What `expect` guards. None: nothing that another writer could have moved."""
    moved_at: Callable[[Session], int] = _never_moved
    """The version that last wrote the field."""


class Commands:
    """Checks who asks, and carries out commands."""

    def __init__(self, journal: Journal, *, clock: Callable[[], float], limits: Limits) -> None:
        self._journal = journal
        self._folds = Folds(journal)
        self._clock = clock
        self._limits = limits
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def actor(self, principal: str) -> Actor:
        return Actor(principal=principal, at=self._clock())

    async def look(self, handle: str) -> Session | None:
        """The session whoever asks, without moving its life on. None: unknown or expired."""
        standing = await self._folds.load(handle)
        return None if standing is None else standing.alive

    async def standing(self, handle: str, principal: str) -> Standing:
        """Raises `UnknownSession`, also when the session is another principal's."""
        standing = await self._folds.load(handle)
        if standing is None or standing.session.owner != principal:
            raise UnknownSession
        return standing

    async def used(self, seen: Session) -> Session:
        """Move the session's life on."""
        now = self._clock()
        await self._journal.touch(seen.handle, expires_at=now + seen.ttl_s)
        return replace(seen, last_access_at=now, expires_at=now + seen.ttl_s)

    async def as_left(self, seen: Session, version: int) -> Session:
        """The session as an earlier call left it, alive as it is now. Raises `UnknownSession`."""
        now = await self.used(seen)
        if version == seen.version:
            return now
        then = await self._folds.load_at(seen.handle, version)
        if then is None:
            raise UnknownSession
        return then

    async def carry_out(self, handle: str, principal: str, command: Command) -> Session:
        """The session after the command. Raises what deciding raises, `UnknownSession`, `Conflict`, `OverLimit`."""
        return await self._until_it_stands(handle, principal, lambda standing: self._attempt(standing, command))

    async def end(self, handle: str, principal: str, before: Callable[[Session], Awaitable[R]]) -> tuple[Session, R]:
        """Close the session once `before` is done with it; that is done again if the session moved meanwhile.

        Raises `UnknownSession` and what `before` raises.
        """

        async def attempt(standing: Standing) -> tuple[Session, R]:
            outcome = await before(standing.session)
            drafts = (self.actor(principal).draft(fold.CLOSED, {}),)
            return await self._folds.append(standing, drafts, expires_at=self._clock()), outcome

        ended = await self._until_it_stands(handle, principal, attempt)
        self._folds.forget(handle)
        return ended

    async def _until_it_stands(self, handle: str, principal: str, attempt: Callable[[Standing], Awaitable[R]]) -> R:
        """Writers of this process take turns, so that only those of other processes can make an attempt lose."""
        async with self._turns.setdefault(handle, asyncio.Lock()):
            standing = await self.standing(handle, principal)
            for _ in range(_ATTEMPTS):
                try:
                    return await attempt(standing)
                except VersionMoved:
                    standing = await self.standing(handle, principal)
            raise Conflict(standing.session.etag, (), "others keep writing to this session; nothing was written")

    async def _attempt(self, standing: Standing, command: Command) -> Session:
        seen = standing.session
        if command.key is not None and command.key in seen.keys:
            return await self.as_left(seen, seen.keys[command.key])
        await self._guard(seen, command)
        drafts = command.decide(seen, self.actor(seen.owner))
        if not drafts:
            return await self.used(seen)
        decisions.room_for_events(seen, standing.size_bytes, drafts, self._limits)
        return await self._folds.append(standing, drafts, expires_at=self._clock() + seen.ttl_s)

    async def _guard(self, seen: Session, command: Command) -> None:
        """Raises `Conflict` if what the command writes has moved since the version its etag stands for."""
        if command.expect is None or command.expect == seen.etag:
            return
        version = await self._version_of(command.expect, seen)
        if version is None:
            raise Conflict(seen.etag, (), "the etag you passed was never one of this session")
        if command.field is not None and command.moved_at(seen) > version:
            raise Conflict(seen.etag, (command.field,))

    async def _version_of(self, etag: str, seen: Session) -> int | None:
        """The version an etag stands for. None: it was never one of this session's history."""
        digits, _, nonce = etag.partition("-")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(seen.version)):
            return None
        version = int(digits)
        found = await self._folds.nonce_at(seen.handle, version) if version else None
        return version if found == nonce else None
