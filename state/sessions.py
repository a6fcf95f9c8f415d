"""The session service: what can be asked of sessions, and the checks of every argument.

What is written is decided in `state.decisions`, how it comes about is known to `state.commands`, and how events become
a session to `state.fold`.
"""

import asyncio
import secrets
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import get_args

from state import decisions
from state import fold
from state.commands import Command
from state.commands import Commands
from state.decisions import Actor
from state.decisions import Drafts
from state.decisions import Keeping
from state.decisions import Kind
from state.errors import InvalidValue
from state.errors import UnknownSession
from state.goals import Status
from state.journal import AlreadyOpened
from state.journal import Journal
from state.limits import Limits
from state.limits import checked_text
from state.limits import checked_ttl_s
from state.limits import checked_value
from state.limits import room
from state.merge import Merged
from state.merge import Strategy
from state.merge import merge as merged
from state.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """How a session ended."""

    session: Session
    exported: int
    """Values written to the parent."""
    conflicts: tuple[Mapping[str, Any], ...]
    """`{key, parent, child, kept}` for every value that both sides had set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatistics:
    """What this process knows of; sessions that have just expired may be included."""

    sessions: int
    events: int


_LET_OTHERS_IN = 64
"""Sessions folded in one go when many are listed: a few milliseconds."""


def _new_handle() -> str:
    return secrets.token_urlsafe(16)


class Sessions:
    """Sessions of all principals over one journal. `clock` is the wall clock, the same one the journal goes by.

    A handle works only for the principal that opened it; every other use raises `UnknownSession`, whose text does not
    tell why. Every method but `of` moves the end of the session's life on.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        clock: Callable[[], float],
        ttl_s: float = 3_600.0,
        max_ttl_s: float = 30 * 86_400.0,
        new_handle: Callable[[], str] = _new_handle,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self._journal = journal
        self._commands = Commands(journal, clock=clock, limits=limits)
        self._clock = clock
        self._ttl_s = ttl_s
        self._max_ttl_s = max_ttl_s
        self._new_handle = new_handle
        self._limits = limits

    async def open(
        self,
        *,
        principal: str,
        goal: str | None = None,
        label: str | None = None,
        ttl_s: float | None = None,
        parent: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Open a session. `ttl_s`: seconds it lives unused. The same idempotency key gives the first one again.

        A child (`parent`: a handle of the same principal) starts with the parent's active goals, context and
        preferences. Raises `UnknownSession` for the parent, `OverLimit`, `InvalidValue`.
        """
        key = self._key(idempotency_key)
        goal = checked_text("goal", goal, self._limits.goal_chars)
        label = checked_text("label", label, self._limits.label_chars)
        life_s = checked_ttl_s(ttl_s, default_s=self._ttl_s, most_s=self._max_ttl_s)
        above = None if parent is None else await self._open(parent, principal)
        handle = self._new_handle()
        body = decisions.opening(handle, label=label, goal=goal, ttl_s=life_s, parent=above, limits=self._limits)
        held = len(await self._journal.sessions(principal))
        room(held, self._limits.sessions, "open sessions", "Call close_session on those that are done (recall lists).")
        drafts = (self._commands.actor(principal).draft(fold.OPENED, body, key),)
        try:
            await self._journal.append(handle, expected=None, drafts=drafts, expires_at=self._clock() + life_s)
        except AlreadyOpened as earlier:
            return await self._commands.as_left(await self._open(earlier.session_id, principal), 1)
        if above is not None:
            await self._adopt(above.handle, handle, principal)
        return await self._open(handle, principal)

    async def get(self, handle: str, *, principal: str) -> Session:
        """The session as it stands. Raises `UnknownSession`."""
        return await self._commands.used((await self._commands.standing(handle, principal)).session)

    async def of(self, *, principal: str, limit: int) -> tuple[Session, ...]:
        """The principal's open sessions, newest access first, `limit` at most. Their lives are not moved on."""
        handles = (await self._journal.sessions(principal))[: max(limit, 0)]
        found: list[Session] = []
        for place, handle in enumerate(handles, start=1):
            session = await self._commands.look(handle)
            if session is not None:
                found.append(session)
            if place % _LET_OTHERS_IN == 0:
                await asyncio.sleep(0)
        return tuple(found)

    async def remember(
        self,
        handle: str,
        *,
        principal: str,
        kind: Kind,
        key: str | None,
        value: Any,
        evidence: str | None = None,
        expect: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Keep a finding, or a context or preference value under its key.

        `expect`: an etag seen earlier; the write is refused if the same field was written since. The same idempotency
        key gives the session as the first call left it and writes nothing.
        Raises `UnknownSession`, `Conflict`, `OverLimit`, `InvalidValue`.
        """
        keeping = self._keeping(kind, key, value, evidence)
        used_key = self._key(idempotency_key)
        command = Command(
            decide=lambda seen, actor: decisions.remember(seen, keeping, actor, self._limits, used_key),
            key=used_key,
            expect=expect,
            field=keeping.field,
            moved_at=keeping.moved_at,
        )
        return await self._commands.carry_out(handle, principal, command)

    async def set_goal(
        self,
        handle: str,
        *,
        principal: str,
        goal: str | None = None,
        status: Status | None = None,
        expect: str | None = None,
    ) -> Session:
        """Open a goal or change the status of one; `state.goals.decide` says which one is meant.

        Raises `UnknownSession`, `UnknownGoal`, `GoalClosed`, `Conflict`, `OverLimit`, `InvalidValue`.
        """
        text = checked_text("goal", goal, self._limits.goal_chars)
        if text is None and (status is None or goal is not None):
            raise InvalidValue("pass goal with a text, or status, or both")
        if status is not None and status not in get_args(Status):
            raise InvalidValue(f"status is one of {', '.join(get_args(Status))}")
        command = Command(
            decide=lambda seen, actor: decisions.set_goal(seen, text, status, actor, self._limits),
            expect=expect,
            field="goal",
            moved_at=decisions.goal_moved_at,
        )
        return await self._commands.carry_out(handle, principal, command)

    async def note_explored(
        self, handle: str, *, principal: str, source: str, schema: str | None, attributes: tuple[str, ...] = ()
    ) -> None:
        """Note which schema was looked at and which of its attributes were seen. No event when all of it is known.

        `schema=None` (a look at the source as a whole) only moves the session's life on.
        Raises `UnknownSession`, `OverLimit`, `InvalidValue`.
        """
        if schema is None:
            await self.get(handle, principal=principal)
            return
        command = Command(
            decide=lambda seen, actor: decisions.explore(seen, source, schema, attributes, actor, self._limits)
        )
        await self._commands.carry_out(handle, principal, command)

    async def close(self, handle: str, *, principal: str, merge: Strategy | None = None) -> Closed:
        """End a session for good; its handle stops working. `merge`: first give what it learned to its parent.

        Raises `UnknownSession`; with `merge` also `InvalidValue` when there is no open parent, and `OverLimit`: then
        the session stays open.
        """
        session, outcome = await self._commands.end(
            handle, principal, lambda child: self._give_back(child, principal, merge)
        )
        return Closed(session=session, exported=len(outcome.exports), conflicts=outcome.conflicts)

    def statistics(self) -> SessionStatistics:
        """Cheap, and never waits."""
        held = self._journal.statistics()
        return SessionStatistics(sessions=held.sessions, events=held.events)

    async def _open(self, handle: str, principal: str) -> Session:
        return (await self._commands.standing(handle, principal)).alive

    async def _adopt(self, parent: str, child: str, principal: str) -> None:
        """Record the child in its parent; a child that cannot be recorded is closed again."""
        command = Command(decide=lambda _seen, actor: (actor.draft(fold.CHILD_OPENED, {"child": child}),))
        recorded = False
        try:
            await self._commands.carry_out(parent, principal, command)
            recorded = True
        finally:
            if not recorded:
                await self.close(child, principal=principal)

    async def _give_back(self, child: Session, principal: str, strategy: Strategy | None) -> Merged:
        outcome = Merged(exports=(), conflicts=())
        if strategy is None:
            return outcome
        if child.parent is None:
            raise InvalidValue("this session has no parent to merge into: close it without merge")
        if strategy not in get_args(Strategy):
            raise InvalidValue(f"merge is one of {', '.join(get_args(Strategy))}")

        def decide(parent: Session, actor: Actor) -> Drafts:
            nonlocal outcome
            outcome = merged(parent, child, strategy)
            return decisions.merged(outcome, child.handle, strategy, actor, self._limits)

        try:
            await self._commands.carry_out(child.parent, principal, Command(decide=decide))
        except UnknownSession as fault:
            raise InvalidValue("the parent is not open any more: close without merge, or keep this one open") from fault
        return outcome

    def _keeping(self, kind: Kind, key: str | None, value: Any, evidence: str | None) -> Keeping:
        if kind not in get_args(Kind):
            raise InvalidValue(f"kind is one of {', '.join(get_args(Kind))}")
        name = checked_text("key", key, self._limits.key_chars)
        if name is None and kind != "finding":
            raise InvalidValue(f"a {kind} needs a key: name what the value is")
        return Keeping(
            kind=kind,
            key=name,
            value=checked_value(value, self._limits.value_bytes),
            evidence=checked_text("evidence", evidence, self._limits.evidence_chars),
        )

    def _key(self, idempotency_key: str | None) -> str | None:
        return checked_text("idempotency_key", idempotency_key, self._limits.key_chars)
