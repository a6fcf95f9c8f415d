"""The parts that the answers of several state tools share."""

from typing import Any

from state.session import Goal
from state.session import Session
from tools.answer import Answer
from tools.times import rfc3339


class GoalShown(Answer):
    """A goal; `progress` runs from 0 to 1."""

    id: str
    text: str
    status: str
    progress: float
    opened_at: str
    closed_at: str | None = None


def goal_shown(goal: Goal) -> GoalShown:
    """Write a goal as answers show it."""
    return GoalShown(
        id=goal.id,
        text=goal.text,
        status=goal.status,
        progress=round(goal.progress, 3),
        opened_at=rfc3339(goal.opened_at),
        closed_at=None if goal.closed_at is None else rfc3339(goal.closed_at),
    )


def active_goal(session: Session) -> str | None:
    """The text of the newest active goal."""
    return next((goal.text for goal in reversed(session.goals) if goal.status == "active"), None)


def session_fields(session: Session) -> dict[str, Any]:
    """The fields of every state answer."""
    return {"session": session.handle, "version": session.version, "etag": session.etag}
