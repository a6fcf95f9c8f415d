"""What a session is for: goals, the table of their transitions, and which goal a request means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from typing import Literal

from state.errors import GoalClosed
from state.errors import UnknownGoal

Status = Literal["active", "done", "dropped"]

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    "active": frozenset({"done", "dropped"}),
    "done": frozenset({"active"}),
    "dropped": frozenset({"active"}),
}
"""From a status to those it may change to. A closed goal is reopened before it is closed in the other way, so that
its history says so."""

_LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A question to answer or a thing to achieve."""

    id: str
    """`g1` for a session's first, and so on."""
    text: str
    status: Status
    opened_at: float
    closed_at: float | None = None
    """None: it is active."""
    version: int
    """Of the event that last changed it."""

    @property
    def progress(self) -> float:
        """1 when done, else 0: how much of it is verified only those know who see the sources (`tools.needs`)."""
        return 1.0 if self.status == "done" else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A new goal is wanted."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A goal is to change its status."""

    id: str
    status: Status


def decide(goals: Sequence[Goal], text: str | None, status: Status | None) -> Opening | Move | None:
    """What a request changes. None: it holds already.

    Text alone opens a new goal, unless one with it is active; the id of a goal alone makes that one active again.
    Status alone means the newest active goal. Both mean the goal with that id or text, opened first if it is new.
    Raises `UnknownGoal`, `GoalClosed`.
    """
    if text is None:
        return _moved(_newest_active(goals), status or "active")
    found = next((goal for goal in goals if goal.id == text), None) or _by_text(goals, text)
    if status is not None and found is not None:
        return _moved(found, status)
    if found is not None and (found.id == text or found.status == "active"):
        return _moved(found, "active")
    if status in (None, "active"):
        return Opening(text=text)
    raise UnknownGoal(f"there is no goal with this text or id to be {status}. {_known(goals)}")


def _moved(goal: Goal, status: Status) -> Move | None:
    if goal.status == status:
        return None
    if status not in TRANSITIONS[goal.status]:
        raise GoalClosed(goal.id, goal.status, status)
    return Move(id=goal.id, status=status)


def _newest_active(goals: Sequence[Goal]) -> Goal:
    active = next((goal for goal in reversed(goals) if goal.status == "active"), None)
    if active is None:
        raise UnknownGoal(f"no goal is active. {_known(goals)}")
    return active


def _by_text(goals: Sequence[Goal], text: str) -> Goal | None:
    """The active one with this text, else the newest."""
    same = [goal for goal in goals if goal.text == text]
    return next((goal for goal in reversed(same) if goal.status == "active"), same[-1] if same else None)


def _known(goals: Sequence[Goal]) -> str:
    if not goals:
        return "There are none yet: pass goal with a text to open one."
    listed = ", ".join(f'{goal.id} ({goal.status}) "{goal.text[:80]}"' for goal in goals[-_LISTED:])
    return f"Pass goal with the id of one of these: {listed}; or a text to open a new one."
