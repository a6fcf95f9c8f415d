"""Tool `set_goal`: what the session is for, and how far it is."""

from dataclasses import dataclass
from typing import Annotated
from typing import Literal

from pydantic import Field

from tools.answer import Remembered
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import Etag
from tools.arguments import Handle
from tools.arguments import Text
from tools.call import Call
from tools.errors import InvalidArgument
from tools.landscape import goal_needs
from tools.next_steps import NextStep
from tools.next_steps import next_steps
from tools.ports import Ports
from tools.session_answers import GoalShown
from tools.session_answers import active_goals
from tools.session_answers import goal_shown
from tools.session_answers import session_fields

_GOALS_SHOWN = 20
_LISTED = 2
"""Active goals whose needs are listed."""


class GoalsSet(Remembered):
    """Newest goals last, 20 at most; the two newest active ones with what they need."""

    goals: list[GoalShown]
    next_steps: list[NextStep]


@dataclass(frozen=True, slots=True)
class SetGoal:
    """Transitions are decided by the session; this tool only asks for them."""

    ports: Ports

    async def set_goal(
        self,
        call: Call,
        session: Handle,
        goal: Annotated[Text | None, Field(description="new text, or text or id of a goal to change")] = None,
        status: Annotated[
            Literal["active", "done", "dropped"] | None, Field(description="default target: the newest active goal")
        ] = None,
        expect: Etag = None,
    ) -> Rendered:
        """Set a goal of the session, or mark one done, dropped or active again; goals rank what discovery returns."""
        if goal is None and status is None:
            raise InvalidArgument("pass goal (a text), status, or both")
        await self.ports.notes.settled()
        changed = await self.ports.sessions.set_goal(
            session, principal=call.principal, goal=goal, status=status, expect=expect
        )
        needs = await goal_needs(self.ports, changed)
        newest = active_goals(changed)[-_LISTED:]
        answer = GoalsSet(
            **session_fields(changed),
            goals=[
                goal_shown(each, needs.get(each.id), listed=each in newest) for each in changed.goals[-_GOALS_SHOWN:]
            ],
            next_steps=await next_steps(self.ports, changed),
        )
        return render(answer)
