"""The parts that the answers of several state tools share."""

from collections.abc import Sequence
from typing import Any
from typing import Final

from state.session import Goal
from state.session import Session
from tools.answer import Answer
from tools.needs import Need
from tools.needs import share_verified
from tools.times import rfc3339

DEGRADED: Final = (
    "Redis is away or has just come back: others may have written more. What you write is joined with theirs."
)
"""What answers say of a session that this machine goes on with alone."""
_NEEDS_SHOWN = 8
_TERM_CHARS = 60
_UNDONE_MOST = 0.95
"""Progress of a goal that is not done: verifying what it needs is not yet answering it."""


class NeedShown(Answer):
    """A term of the goal; `met_by` is a schema or schema.attribute; verified: this session has seen it measured."""

    term: str
    met_by: str
    verified: bool


class GoalShown(Answer):
    """A goal. `progress`: the verified share of what it needs, 0.95 at most; 1 when it is done.

    `unmet` are terms that no name and no sampled value meets.
    """

    id: str
    text: str
    status: str
    progress: float
    opened_at: str
    closed_at: str | None = None
    needs: list[NeedShown] | None = None
    unmet: list[str] | None = None


def goal_shown(goal: Goal, needs: Sequence[Need] | None = None, *, listed: bool = True) -> GoalShown:
    """Write a goal as answers show it.

    `needs`: what it needs, with what the session has verified; None when that was not looked at, and progress is then 0
    until it is done. `listed`: the needs themselves are shown, and not only what they say about progress.
    """
    told = needs if listed and goal.status == "active" else None
    return GoalShown(
        id=goal.id,
        text=goal.text,
        status=goal.status,
        progress=progress(goal, needs),
        opened_at=rfc3339(goal.opened_at),
        closed_at=None if goal.closed_at is None else rfc3339(goal.closed_at),
        needs=None if told is None else [_need_shown(each) for each in told if each.meetings][:_NEEDS_SHOWN],
        unmet=None if told is None else [_cut(each.term.text) for each in told if not each.meetings][:_NEEDS_SHOWN],
    )


def progress(goal: Goal, needs: Sequence[Need] | None) -> float:
    """How far a goal is: 1 when done, else the verified share of the needs that something meets, 0.95 at most."""
    if goal.status == "done" or needs is None:
        return round(goal.progress, 3)
    return round(min(_UNDONE_MOST, share_verified(needs)), 3)


def _need_shown(need: Need) -> NeedShown:
    best = need.meetings[0]
    met_by = best.schema if best.attribute is None else f"{best.schema}.{best.attribute}"
    return NeedShown(term=_cut(need.term.text), met_by=met_by, verified=need.is_verified)


def _cut(text: str) -> str:
    return text if len(text) <= _TERM_CHARS else f"{text[: _TERM_CHARS - 1]}…"


def active_goals(session: Session) -> list[Goal]:
    """Oldest first."""
    return [goal for goal in session.goals if goal.status == "active"]


def active_goal(session: Session) -> str | None:
    """The text of the newest active goal."""
    return next((goal.text for goal in reversed(session.goals) if goal.status == "active"), None)


def session_fields(session: Session) -> dict[str, Any]:
    """The fields of every state answer."""
    told = {"session": session.handle, "version": session.version, "etag": session.etag}
    return {**told, "degraded": DEGRADED} if session.local else told
