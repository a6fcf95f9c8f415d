"""Tool `next_steps`: what to call next, computed from what a session's goals need and what it has verified."""

from dataclasses import dataclass
from itertools import islice
from typing import Annotated
from typing import Final

from pydantic import Field

from state.session import Session
from tools.answer import Remembered
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import Handle
from tools.call import Call
from tools.landscape import PATIENCE_S
from tools.landscape import look
from tools.landscape import needed
from tools.needs import told_by
from tools.ports import Ports
from tools.session_answers import session_fields
from tools.steps import NextStep
from tools.steps import Standing
from tools.steps import settlements
from tools.steps import steps
from tools.tokens import fitting
from tools.tokens import json_tokens

__all__ = ["NextStep", "NextSteps", "StepsOffered", "next_steps"]

_STEPS_MOST: Final = 20
_STEPS_TOKENS: Final = 1_200
"""Size of all steps of an answer, and of the largest one."""
_AHEAD: Final = 2
"""More steps are made than are wanted, since some may be too large for an answer."""


class StepsOffered(Remembered):
    """Steps that can be called as they stand, the most settling first; empty when nothing is left to settle by rule.

    `hints` then say what is left to think about.
    """

    steps: list[NextStep]
    hints: list[str]


@dataclass(frozen=True, slots=True)
class NextSteps:
    """Reads names and memory only; nothing is measured."""

    ports: Ports

    async def next_steps(
        self, call: Call, session: Handle, limit: Annotated[int, Field(ge=1, le=_STEPS_MOST)] = 5
    ) -> Rendered:
        """Compute the next calls: those that settle most of what the session's goals need and it has not verified."""
        await self.ports.notes.settled()
        found = await self.ports.sessions.get(session, principal=call.principal)
        offered = await next_steps(self.ports, found, limit=limit)
        hints = [] if offered else [_without_steps(found)]
        return render(StepsOffered(**session_fields(found), steps=offered, hints=hints))


async def next_steps(
    ports: Ports, session: Session, *, limit: int = 3, patience_s: float = PATIENCE_S
) -> list[NextStep]:
    """At most `limit` calls, the most settling first; none for what the session has already verified."""
    landscape = await look(ports, patience_s=patience_s)
    if landscape is None:  # a session is worth having while its sources are slow or away
        found = list(islice(settlements(session), limit + _AHEAD))
    else:
        standing = Standing(
            session=session,
            landscape=landscape,
            needs=needed(landscape, session),
            told=told_by(session.findings),
            answered=ports.answered,
            is_source_named=len(ports.sources) > 1,
        )
        found = list(islice(steps(standing), limit + _AHEAD))
    if not found and not any(each.attributes for each in session.explored):
        found.append(_list(session))
    small = [step for step in found if _tokens(step) <= _STEPS_TOKENS]
    return fitting(small[:limit], _STEPS_TOKENS, tokens_of=_tokens)


def _without_steps(session: Session) -> str:
    """What an assistant can do where no rule knows a call."""
    active = [goal for goal in session.goals if goal.status == "active"]
    if not active:
        return "No goal is active: set_goal opens one, and steps are computed from it."
    if any(each.at >= min(goal.opened_at for goal in active) for each in session.findings):
        return "No further call is known: look at unmet words in set_goal, or call set_goal with another goal."
    return (
        "All that the goal needs and the data meets was looked at: answer it with run_query, "
        "then keep the finding with remember, its query as evidence."
    )


def _tokens(step: NextStep) -> int:
    return json_tokens(step.model_dump(mode="json"))


def _list(session: Session) -> NextStep:
    return NextStep(
        tool="list_schemas", arguments={"session": session.handle}, why="no schema has been looked at in this session"
    )
