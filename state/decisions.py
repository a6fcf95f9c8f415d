"""What a command writes, decided on a session as it stands: pure functions from a session to drafts, or to none."""

from dataclasses import dataclass
from typing import Any
from typing import Literal

from state import fold
from state import goals
from state.errors import InvalidValue
from state.journal import Draft
from state.limits import Limits
from state.limits import checked_value
from state.limits import room
from state.merge import Merged
from state.merge import Strategy
from state.session import Session

Kind = Literal["finding", "context", "preference"]
Drafts = tuple[Draft, ...]

_NAMES_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who writes, and when."""

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
        """The version that last wrote the field; 0 when none did."""
        if self.key is None:
            return 0
        if self.kind == "finding":
            return next((each.version for each in session.findings if each.key == self.key), 0)
        kept = (session.context if self.kind == "context" else session.preferences).get(self.key)
        return 0 if kept is None else kept.version

    @property
    def body(self) -> dict[str, Any]:
        whole = {"key": self.key, "value": self.value, "evidence": self.evidence}
        return {name: part for name, part in whole.items() if part is not None or name == "value"}


def remember(session: Session, keeping: Keeping, actor: Actor, limits: Limits, key: str | None) -> Drafts:
    """Raises `OverLimit`."""
    if not keeping.moved_at(session):
        _room_for(session, keeping.kind, limits)
    return (actor.draft(keeping.kind, keeping.body, key),)


def set_goal(session: Session, text: str | None, status: goals.Status | None, actor: Actor, limits: Limits) -> Drafts:
    """Raises `UnknownGoal`, `GoalClosed`, `OverLimit`."""
    change = goals.decide(session.goals, text, status)
    match change:
        case goals.Opening(text=wanted):
            room(len(session.goals), limits.goals, "goals in a session", "Make an earlier one active again by its id.")
            return (actor.draft(fold.GOAL_OPENED, {"text": wanted}),)
        case goals.Move(id=goal_id, status=wanted):
            return (actor.draft(fold.GOAL_MOVED, {"id": goal_id, "status": wanted}),)
        case None:
            return ()


def goal_moved_at(session: Session) -> int:
    """The goals are one field: which one is the newest active depends on all of them."""
    return max((goal.version for goal in session.goals), default=0)


def explore(
    session: Session, source: str, schema: str, attributes: tuple[str, ...], actor: Actor, limits: Limits
) -> Drafts:
    """Only what the session did not know yet is written. Raises `OverLimit`, `InvalidValue`."""
    known = next((each for each in session.explored if (each.source, each.schema) == (source, schema)), None)
    seen = () if known is None else known.attributes
    fresh = [name for name in dict.fromkeys(attributes) if name not in set(seen)][: limits.attributes - len(seen)]
    if known is None:
        room(len(session.explored), limits.explored, "explored schemas in a session", _ANOTHER)
    elif not fresh:
        return ()
    body = {"source": source, "schema": schema, "attributes": fresh}
    return (actor.draft(fold.EXPLORED, checked_value(body, _NAMES_BYTES)),)


def opening(
    handle: str, *, label: str | None, goal: str | None, ttl_s: float, parent: Session | None, limits: Limits
) -> dict[str, Any]:
    """The body of the event that opens a session; a child inherits active goals, context and preferences.

    Raises `InvalidValue` when the parent is too deep itself.
    """
    body: dict[str, Any] = {"handle": handle, "label": label, "ttl_s": ttl_s, "goals": [goal] if goal else []}
    if parent is not None:
        if parent.level >= limits.levels:
            raise InvalidValue(f"sessions nest {limits.levels} levels deep at most: open this one without parent")
        inherited = [each.text for each in parent.goals if each.status == "active" and each.text != goal]
        body["goals"] = inherited + body["goals"]
        body[fold.CONTEXT] = {key: kept.value for key, kept in parent.context.items()}
        body[fold.PREFERENCE] = {key: kept.value for key, kept in parent.preferences.items()}
        body |= {"parent": parent.handle, "parent_version": parent.version, "level": parent.level + 1}
    return body


def merged(outcome: Merged, child: str, strategy: Strategy, actor: Actor, limits: Limits) -> Drafts:
    """What a child gives back, as events of its parent. Raises `OverLimit` when a joined value is too large."""
    exports = tuple(
        actor.draft(each.kind, {**each.body, "value": checked_value(each.body["value"], limits.value_bytes)})
        for each in outcome.exports
    )
    if not exports and not outcome.conflicts:
        return ()
    report = {
        "child": child,
        "strategy": strategy,
        "exported": len(exports),
        "conflicts": list(outcome.conflicts),
    }
    return (*exports, actor.draft(fold.MERGED, report))


def room_for_events(session: Session, size_bytes: int, drafts: Drafts, limits: Limits) -> None:
    """Raises `OverLimit`. The last write may overshoot the bytes by its own size."""
    room(session.version + len(drafts) - 1, limits.events, "events in a session", _ANOTHER)
    room(size_bytes, limits.session_bytes, "bytes in a session", _ANOTHER)


_ANOTHER = "Open another with parent set to this one, and go on there."


def _room_for(session: Session, kind: Kind, limits: Limits) -> None:
    match kind:
        case "finding":
            room(len(session.findings), limits.findings, "findings in a session", "Supersede one by its key.")
        case "context":
            room(len(session.context), limits.context, "context keys in a session", "Write to a key that exists.")
        case "preference":
            room(len(session.preferences), limits.preferences, "preferences in a session", "Write to one that exists.")
