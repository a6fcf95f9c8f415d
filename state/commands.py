"""How a write comes about: decided on the session as it stands, and again whenever another writer was faster."""

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Literal
from typing import TypeVar
from typing import cast

from state import decisions
from state import fold
from state.changes import SessionMoved
from state.decisions import Actor
from state.decisions import Drafts
from state.errors import Conflict
from state.errors import StateBusy
from state.errors import StateError
from state.errors import UnknownSession
from state.folds import Folds
from state.folds import Standing
from state.journal import Head
from state.journal import Journal
from state.journal import VersionMoved
from state.limits import Limits
from state.plan import Plan
from state.plan import Planned
from state.session import Session
from state.shared.copies import Leaning
from state.strategies import stamp
from state.turns import Turns

_ATTEMPTS = 256
"""Lost races before a write gives up. Each lost race is another writer's success, and writers of one process queue."""

_UNREAD_EVENTS = 32
"""After so many writes of its own a process looks again how large the session has become."""

R = TypeVar("R")

Level = Literal["eventual", "session", "strong"]
"""How new a session must be that is read.

`eventual`: as it was last seen here, without asking anybody. `session`: with everything that was acknowledged before,
by any instance; while the place where it is shared is away, what this machine knows, and marked so. `strong`: as
`session`, but refused (`StateBusy`) rather than marked.
"""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A command and who asks."""

    principal: str
    command: Command | None
    """None: `alone` is to be done instead, with nobody else in the same turn."""
    alone: Callable[[Standing], Awaitable[Any]] | None = None


class Commands:
    """Checks who asks, and carries out commands."""

    def __init__(
        self,
        journal: Journal,
        *,
        clock: Callable[[], float],
        limits: Limits,
        max_age_s: float = float("inf"),
        moved: Callable[[SessionMoved], None] | None = None,
    ) -> None:
        self._journal = journal
        self.folds = Folds(journal, moved=moved)
        if isinstance(journal, Leaning):
            journal.lean_on(self.folds)
        self._clock = clock
        self._limits = limits
        self._max_age_s = max_age_s
        self._turns: Turns[_Asked] = Turns(self._serve)

    def actor(self, principal: str, *seen_at: float) -> Actor:
        """Who writes now, having seen what was written at these instants."""
        now = self._clock()
        return Actor(principal=principal, at=stamp(now, *seen_at))

    def end_of_life(self, seen: Session) -> float:
        """When the session ends if it is not used again."""
        return min(self._clock() + seen.ttl_s, seen.created_at + self._max_age_s)

    async def look(self, handle: str) -> Session | None:
        """The session whoever asks, without moving its life on. None: unknown or expired."""
        standing = await self.folds.load(handle)
        return None if standing is None else standing.alive

    async def standing(self, handle: str, principal: str, level: Level = "session") -> Standing:
        """Raises `UnknownSession`, also when the session is another principal's; `StateBusy` as `Level` says."""
        standing = self.folds.known(handle) if level == "eventual" else None
        if standing is None or standing.expires_at <= self._clock():
            standing = await self.folds.load(handle)
        if standing is None or standing.session.owner != principal:
            raise UnknownSession
        if level == "strong" and standing.head.local:
            raise StateBusy("where sessions are shared cannot be reached, and only that knows what others wrote")
        return standing

    async def used(self, seen: Session) -> Session:
        """Move the session's life on, and those of the sessions above it."""
        expires_at = self.end_of_life(seen)
        await self._journal.touch(seen.handle, expires_at=expires_at)
        if seen.parent is not None:
            above = self.folds.known(seen.parent) or await self.folds.load(seen.parent)
            if above is not None:
                await self.used(above.session)
        return seen.having(last_access_at=self._clock(), expires_at=expires_at)

    async def as_left(self, seen: Session, version: int) -> Session:
        """The session as an earlier call left it, alive as it is now. Raises `UnknownSession`."""
        now = await self.used(seen)
        if version == seen.version:
            return now
        then = await self.folds.load_at(seen.handle, version)
        # What was compacted cannot be shown as it was; the effect of the first call stands all the same.
        return now if then is None else then

    async def carry_out(self, handle: str, principal: str, command: Command) -> Session:
        """The session after the command. Raises what deciding raises, `UnknownSession`, `Conflict`, `OverLimit`."""
        return cast("Session", await self._turns.take(handle, _Asked(principal=principal, command=command)))

    async def end(self, handle: str, principal: str, before: Callable[[Session], Awaitable[R]]) -> tuple[Session, R]:
        """Close the session once `before` is done with it; that is done again if the session moved meanwhile.

        Raises `UnknownSession` and what `before` raises.
        """

        async def attempt(standing: Standing) -> tuple[Session, R]:
            outcome = await before(standing.session)
            drafts = (self.actor(principal, standing.session.moved_at).draft(fold.CLOSED, {}),)
            plan = Plan(standing, fresh=True)
            plan.add(drafts)
            return (await self._append(plan, expires_at=self._clock())).session, outcome

        asked = _Asked(principal=principal, command=None, alone=attempt)
        ended = cast("tuple[Session, R]", await self._turns.take(handle, asked))
        self.folds.forget(handle)
        return ended

    async def _serve(self, handle: str, wishes: Sequence[_Asked]) -> Sequence[Any]:
        if all(asked.alone is None for asked in wishes):
            return await self._together(handle, wishes)
        outcomes: list[Any] = []
        together: list[_Asked] = []
        for asked in wishes:
            if asked.alone is None:
                together.append(asked)
                continue
            outcomes += await self._together(handle, together) if together else ()
            together = []
            outcomes.append(await self._alone(handle, asked, asked.alone))
        return [*outcomes, *(await self._together(handle, together) if together else ())]

    async def _alone(self, handle: str, asked: _Asked, act: Callable[[Standing], Awaitable[Any]]) -> Any:
        try:
            for _ in range(_ATTEMPTS):
                try:
                    return await act(await self.standing(handle, asked.principal))
                except VersionMoved:
                    continue
            return _outrun(await self.folds.load(handle))
        except StateError as fault:
            return fault

    async def _together(self, handle: str, wishes: Sequence[_Asked]) -> Sequence[Any]:
        """Decide the wishes one after the other, each on what those before it leave, and write them in one append."""
        try:
            outcomes = await self._attempt(wishes, self.folds.known(handle), fresh=False)
            for _ in range(_ATTEMPTS):
                if outcomes is not None:
                    return outcomes
                outcomes = await self._attempt(wishes, await self.folds.load(handle), fresh=True)
            raise _outrun(await self.folds.load(handle))
        except StateError as fault:
            return [fault] * len(wishes)

    async def _attempt(
        self, wishes: Sequence[_Asked], standing: Standing | None, *, fresh: bool
    ) -> Sequence[Any] | None:
        """None: to be tried again on how the session stands then. Raises what goes for all wishes."""
        if standing is None or (standing.unread_events >= _UNREAD_EVENTS and not fresh):
            if fresh:
                raise UnknownSession
            return None
        plan = Plan(standing, fresh=fresh)
        try:
            through = decisions.compacting(standing.session, standing.size_bytes, self._limits)
            if through is not None:
                await self._compact(standing, through)
                return None
            if not await self._decide_all(plan, wishes):
                return None
            if plan.drafts:
                after = await self._append(plan, expires_at=self.end_of_life(standing.session))
                return [plan.outcome(each, after) if isinstance(each, Planned) else each for each in plan.outcomes]
        except VersionMoved:
            return None
        return plan.outcomes

    async def _compact(self, standing: Standing, through: int) -> None:
        """Make room by dropping the events up to a version. Raises `VersionMoved`, `OverLimit`."""
        session = standing.session
        then = await self.folds.load_at(session.handle, through)
        if then is None:
            raise VersionMoved(standing.head)
        actor = self.actor(session.owner, session.moved_at)
        await self.folds.compact(standing, then, actor.draft(fold.COMPACTED, {"through": through}), self._limits)

    async def _decide_all(self, plan: Plan, wishes: Sequence[_Asked]) -> bool:
        """Whether the plan stands. If not, it was decided on what may be out of date, and is to be made anew."""
        for asked in wishes:
            try:
                plan.outcomes.append(await self._decide(plan, asked.principal, cast("Command", asked.command)))
            except StateError as fault:
                plan.outcomes.append(fault)
            if not plan.fresh and not isinstance(plan.outcomes[-1], Planned):
                return False
        return True

    async def _decide(self, plan: Plan, principal: str, command: Command) -> Any:
        seen = plan.session
        if seen.owner != principal:
            raise UnknownSession
        if command.key is not None and command.key in seen.keys:
            version = seen.keys[command.key]
            return Planned(version) if plan.has(version) else await self.as_left(plan.standing.session, version)
        if command.expect is not None:
            await self._guard(plan, command, command.expect)
        drafts = command.decide(seen, self.actor(seen.owner, seen.moved_at))
        if drafts:
            plan.add(drafts)
        elif not plan.drafts:
            return await self.used(seen)
        return Planned(plan.version)

    async def _append(self, plan: Plan, *, expires_at: float) -> Standing:
        def made(head: Head) -> Session:
            return plan.whole(head, expires_at=expires_at)

        return await self.folds.append(plan.standing, plan.drafts, made, expires_at=expires_at)

    async def _guard(self, plan: Plan, command: Command, expect: str) -> None:
        """Raises `Conflict` if what the command writes has moved since the version its etag stands for."""
        etag = plan.standing.head.etag
        version = await self._version_of(expect, plan.standing)
        if version is None:
            raise Conflict(etag, (), "the etag you passed was never one of this session, or is too old to tell")
        if command.field is not None and command.moved_at(plan.session) > version:
            raise Conflict(etag, (command.field,))

    async def _version_of(self, etag: str, standing: Standing) -> int | None:
        """The version an etag stands for. None: it was never one of this session's history."""
        if etag == standing.head.etag:
            return standing.head.version
        digits, _, nonce = etag.partition("-")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(standing.head.version)):
            return None
        version = int(digits)
        found = await self.folds.nonce_at(standing.session.handle, version) if version else None
        return version if found == nonce else None


def _outrun(standing: Standing | None) -> StateError:
    if standing is None:
        return UnknownSession()
    return Conflict(standing.session.etag, (), "others keep writing to this session; nothing was written")
