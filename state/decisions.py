"""What a command writes, decided on a session as it stands: pure functions from a session to drafts, or to none."""

from dataclasses import dataclass
from typing import Any
from typing import Literal

from state import fold
from state import goals
from state.checkpoint import state_of
from state.document import document
from state.errors import InvalidValue
from state.journal import Draft
from state.limits import ANOTHER
from state.limits import Limits
from state.limits import checked_value
from state.limits import room
from state.merge import Merged
from state.merge import origin_of
from state.session import Explored
from state.session import Session
from state.strategies import Strategy

Kind = Literal["finding", "context", "preference"]
Drafts = tuple[Draft, ...]

_NAMES_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who writes, and when: later than everything seen (`state.strategies.stamp`)."""

    principal: str
    at: float

    def draft(self, kind: str, body: dict[str, Any], key: str | None = None) -> Draft:
        return Draft(at=self.at, kind=kind, actor=self.principal, body=body, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """A value to remember; all parts are checked."""

    kind: Kind
    key: str | None
    value: Any
    evidence: str | None = None

    @property
    def field(self) -> str | None:
        """The field it writes. None: a finding without a key, which is always a new one."""
        return None if self.key is None else f"{self.kind}.{self.key}"

    def moved_at(self, session: Session) -> int:
        """The version that last wrote the field, or may have removed it; 0 when none did."""
        if self.key is None:
            return 0
        if self.kind == "finding":
            kept = session.findings_by_place.get((self.key, True))
        else:
            kept = (session.context if self.kind == "context" else session.preferences).get(self.key)
        return session.restored_version if kept is None else kept.version

    def is_new(self, session: Session) -> bool:
        """Whether the session holds nothing there yet."""
        if self.kind == "finding":
            return self.key is None or (self.key, True) not in session.findings_by_place
        return self.key not in (session.context if self.kind == "context" else session.preferences)

    @property
    def body(self) -> dict[str, Any]:
        whole = {"key": self.key, "value": self.value, "evidence": self.evidence}
        return {name: part for name, part in whole.items() if part is not None or name == "value"}


def remember(session: Session, keeping: Keeping, actor: Actor, limits: Limits, key: str | None) -> Drafts:
    """Raises `OverLimit`."""
    if keeping.is_new(session):
        _room_for(session, keeping.kind, limits)
    return (actor.draft(keeping.kind, keeping.body, key),)


def set_goal(session: Session, text: str | None, status: goals.Status | None, actor: Actor, limits: Limits) -> Drafts:
    """Raises `UnknownGoal`, `GoalClosed`, `OverLimit`."""
    change = goals.decide(session.goals, text, status)
    match change:
        case goals.Opening(text=wanted):
            room(
                len(session.goals_by_id),
                limits.goals,
                "goals in a session",
                "Make an earlier one active again by its id.",
            )
            return (actor.draft(fold.GOAL_OPENED, {"text": wanted}),)
        case goals.Move(id=goal_id, status=wanted):
            return (actor.draft(fold.GOAL_MOVED, {"id": goal_id, "status": wanted}),)
        case None:
            return ()


def goal_moved_at(session: Session) -> int:
    """The goals are one field: which one is the newest active depends on all of them."""
    return max((goal.version for goal in session.goals), default=session.restored_version)


def explore(
    session: Session, source: str, schema: str, attributes: tuple[str, ...], actor: Actor, limits: Limits
) -> Drafts:
    """Only what the session did not know yet is written. Raises `OverLimit`, `InvalidValue`."""
    known: Explored | None = session.explored_by_schema.get((source, schema))
    seen: tuple[str, ...] = () if known is None else known.attributes
    fresh = [name for name in dict.fromkeys(attributes) if name not in set(seen)][: limits.attributes - len(seen)]
    if known is None:
        room(len(session.explored_by_schema), limits.explored, "explored schemas in a session", ANOTHER)
    elif not fresh:
        return ()
    body = {"source": source, "schema": schema, "attributes": fresh}
    return (actor.draft(fold.EXPLORED, checked_value(body, _NAMES_BYTES)),)


def opening(handle: str, *, label: str | None, goal: str | None, ttl_s: float) -> dict[str, Any]:
    """The body of the event that opens a session."""
    return {"handle": handle, "label": label, "ttl_s": ttl_s, "goals": [goal] if goal else []}


def inherited(parent: Session, goal: str | None, limits: Limits) -> dict[str, Any]:
    """What a child's opening has of its parent: active goals, context and preferences.

    Raises `InvalidValue` when the parent is too deep itself.
    """
    if parent.level >= limits.levels:
        raise InvalidValue(f"sessions nest {limits.levels} levels deep at most: open this one without parent")
    goals = [each.text for each in parent.goals if each.status == "active" and each.text != goal]
    return {
        "goals": [*goals, *([goal] if goal else [])],
        fold.CONTEXT: {key: kept.value for key, kept in parent.context.items()},
        fold.PREFERENCE: {key: kept.value for key, kept in parent.preferences.items()},
        "parent": parent.handle,
        "parent_version": parent.version,
        "level": parent.level + 1,
    }


def branched(origin: Session, goal: str | None) -> dict[str, Any]:
    """What the opening of a branch has of the session it comes from, as that was at its version.

    A goal that is active there already is not opened twice.
    """
    state = state_of(origin)
    for finding in state["findings"]:
        # An id of a session's own is made of a version, and the branch counts its versions from one again.
        finding["id"] = finding["id"] if "." in finding["id"] else f"{origin_of(origin.handle)}.{finding['id']}"
    known = any(each.text == goal and each.status == "active" for each in origin.goals)
    return {
        "state": state,
        "goals": [goal] if goal and not known else [],
        "branch_of": origin.handle,
        "branch_version": origin.version,
    }


def restore(session: Session, then: Session, actor: Actor) -> Drafts:
    """Bring back what the session knew at an earlier version; nothing to write when that is what it knows now."""
    if document(then) == document(session):
        return ()
    return (actor.draft(fold.RESTORED, {"to": then.version, "state": state_of(then)}),)


def merged(outcome: Merged, child: str, strategy: Strategy, actor: Actor, limits: Limits) -> Drafts:
    """What a child gives back, as events of its parent. Raises `OverLimit` when a joined value is too large."""
    exports = tuple(actor.draft(each.kind, _exported(each.body, limits)) for each in outcome.exports)
    if not exports and not outcome.conflicts:
        return ()
    report = {
        "child": child,
        "strategy": strategy,
        "exported": outcome.exported,
        "conflicts": list(outcome.conflicts),
        "open": list(outcome.open),
    }
    return (*exports, actor.draft(fold.MERGED, report))


def _exported(body: dict[str, Any], limits: Limits) -> dict[str, Any]:
    return {**body, "value": checked_value(body["value"], limits.value_bytes)} if "value" in body else body


def compacting(session: Session, size_bytes: int, limits: Limits) -> int | None:
    """Up to which version a session's events are to be dropped before it is written to. None: there is room.

    The newest quarter of its events stays. Raises `OverLimit` when too few are left to make room.
    """
    kept = session.version - session.compacted_version
    if kept < limits.events and size_bytes < limits.session_bytes:
        return None
    if kept < _COMPACTED_LEAST:
        room(size_bytes, limits.session_bytes, "bytes in a session", ANOTHER)
    return session.version - kept // 4


_COMPACTED_LEAST = 4


def _room_for(session: Session, kind: Kind, limits: Limits) -> None:
    match kind:
        case "finding":
            room(len(session.findings_by_place), limits.findings, "findings in a session", "Supersede one by its key.")
        case "context":
            room(len(session.context), limits.context, "context keys in a session", "Write to a key that exists.")
        case "preference":
            room(len(session.preferences), limits.preferences, "preferences in a session", "Write to one that exists.")
