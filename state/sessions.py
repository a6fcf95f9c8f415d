"""The session service: what can be asked of sessions, and the checks of every argument.

What is written is decided in `state.decisions`, how it comes about is known to `state.commands`, and how events become
a session to `state.fold`.
"""

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import get_args

from state import decisions
from state import fold
from state.changes import SessionMoved
from state.commands import Command
from state.commands import Commands
from state.commands import Level
from state.decisions import Actor
from state.decisions import Drafts
from state.decisions import Keeping
from state.decisions import Kind
from state.errors import InvalidValue
from state.errors import StateBusy
from state.errors import StateUnavailable
from state.errors import UnknownSession
from state.goals import Status
from state.histories import Histories
from state.journal import AlreadyOpened
from state.journal import Journal
from state.limits import Limits
from state.limits import checked_text
from state.limits import checked_ttl_s
from state.limits import checked_value
from state.merge import Merged
from state.merge import merge as merged
from state.session import Session
from state.strategies import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """How a session ended."""

    session: Session
    exported: int
    """Values written to the parent."""
    conflicts: tuple[Mapping[str, Any], ...]
    """`{key, parent, child, kept}` for every value that both sides had set."""
    left_open: int = 0
    """How many of them wait in the parent for somebody to settle them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatistics:
    """What this process knows of; sessions that have just expired may be included."""

    sessions: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is asked of a new session, checked."""

    goal: str | None
    label: str | None
    ttl_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a new session starts with, and the instants of what it has seen of others."""

    body: dict[str, Any]
    seen_at: tuple[float, ...]


_KINDS = get_args(Kind)
_LET_OTHERS_IN = 64
"""Sessions folded in one go when many are listed: a few milliseconds."""


def _new_handle() -> str:
    """128 random bits; one that begins with a dash would be taken for an option on a command line."""
    return next(handle for handle in iter(lambda: secrets.token_urlsafe(16), "") if not handle.startswith("-"))


def _conversation_key(conversation: str, label: str | None) -> str:
    """Never one that a caller could pass: those have no line ends at their beginning."""
    return "\n" + hashlib.sha256(f"{conversation}\0{label or ''}".encode()).hexdigest()


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
        max_age_s: float = 90 * 86_400.0,
        new_handle: Callable[[], str] = _new_handle,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        moved: Callable[[SessionMoved], None] | None = None,
    ) -> None:
        """`ttl_s`: how long a session lives unused. `max_age_s`: how long it lives at most, however much it is used.

        `moved` is told of every session that was written to here, and never raises.
        """
        self._journal = journal
        self._commands = Commands(journal, clock=clock, limits=limits, max_age_s=max_age_s, moved=moved)
        self.histories = Histories(journal, self._commands)
        self._clock = clock
        self._ttl_s = ttl_s
        self._max_ttl_s = max_ttl_s
        self._new_handle = new_handle
        self._limits = limits

    async def open(  # noqa: PLR0913 - each is a thing of its own that may be asked for
        self,
        *,
        principal: str,
        goal: str | None = None,
        label: str | None = None,
        ttl_s: float | None = None,
        parent: str | None = None,
        branch_of: str | None = None,
        branch_version: int | None = None,
        conversation: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Open a session. `ttl_s`: seconds it lives unused. The same idempotency key gives the first one again.

        A child (`parent`: a handle of the same principal) starts with the parent's active goals, context and
        preferences. A branch (`branch_of`) starts with all that session knew at `branch_version` (None: now).
        `conversation`: a host's name for the conversation it is part of; without parent, branch and idempotency key,
        the principal's open session of that conversation and label is found again, and pursues the goal too.
        Raises `UnknownSession` for the parent or the branch's origin, `OverLimit`, `InvalidValue`.
        """
        opening = Opening(
            goal=checked_text("goal", goal, self._limits.goal_chars),
            label=checked_text("label", label, self._limits.label_chars),
            ttl_s=checked_ttl_s(ttl_s, default_s=self._ttl_s, most_s=self._max_ttl_s),
        )
        begins = await self._beginning(opening, principal, parent, branch_of, branch_version)
        key = self._key(idempotency_key)
        found_again = key is None and conversation is not None and parent is None and branch_of is None
        if found_again:
            key = _conversation_key(conversation or "", opening.label)
        handle = self._new_handle()
        body = {**decisions.opening(handle, label=opening.label, goal=opening.goal, ttl_s=opening.ttl_s), **begins.body}
        draft = self._commands.actor(principal, *begins.seen_at).draft(fold.OPENED, body, key)
        try:
            expires_at = self._clock() + opening.ttl_s
            await self._journal.append(handle, expected=None, drafts=(draft,), expires_at=expires_at)
        except AlreadyOpened as earlier:
            if found_again:
                return await self._found_again(earlier.session_id, principal, opening.goal)
            return await self._commands.as_left(await self._open(earlier.session_id, principal), 1)
        if parent is not None:
            await self._adopt(parent, handle, principal)
        return await self._open(handle, principal)

    async def get(self, handle: str, *, principal: str, level: Level = "session") -> Session:
        """The session as it stands. Raises `UnknownSession`; with `level="strong"` also `StateBusy`."""
        standing = await self._commands.standing(handle, principal, level)
        return await self._commands.used(standing.session)

    async def of(self, *, principal: str, limit: int) -> tuple[Session, ...]:
        """The principal's open sessions, newest access first, `limit` at most. Their lives are not moved on.

        One that cannot be read hides no other: the journal says what is wrong, and asking for it alone does too.
        """
        handles = (await self._journal.sessions(principal))[: max(limit, 0)]
        found: list[Session] = []
        for place, handle in enumerate(handles, start=1):
            with contextlib.suppress(StateUnavailable, StateBusy):
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
        return Closed(
            session=session, exported=outcome.exported, conflicts=outcome.conflicts, left_open=len(outcome.open)
        )

    def statistics(self) -> SessionStatistics:
        """Cheap, and never waits."""
        held = self._journal.statistics()
        return SessionStatistics(sessions=held.sessions, events=held.events)

    async def _open(self, handle: str, principal: str) -> Session:
        return (await self._commands.standing(handle, principal)).alive

    async def _beginning(
        self, opening: Opening, principal: str, parent: str | None, branch_of: str | None, version: int | None
    ) -> Beginning:
        if parent is not None and branch_of is not None:
            raise InvalidValue("pass parent for a child, or branch_of for a branch, not both")
        if parent is not None:
            above = await self._open(parent, principal)
            return Beginning(body=decisions.inherited(above, opening.goal, self._limits), seen_at=(above.moved_at,))
        if branch_of is not None:
            now = await self._open(branch_of, principal)
            wanted = now.version if version is None else version
            origin = await self.histories.as_of(branch_of, principal=principal, version=wanted)
            body = checked_value(decisions.branched(origin, opening.goal), self._limits.session_bytes // 2)
            return Beginning(body=body, seen_at=(now.moved_at,))
        return Beginning(body={}, seen_at=())

    async def _found_again(self, handle: str, principal: str, goal: str | None) -> Session:
        if goal is None:
            return await self.get(handle, principal=principal)
        return await self.set_goal(handle, principal=principal, goal=goal)

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
        if kind not in _KINDS:
            raise InvalidValue(f"kind is one of {', '.join(_KINDS)}")
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
