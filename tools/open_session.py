"""Tool `open_session`: a memory with an opaque handle."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tools.answer import Remembered
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import IdempotencyKey
from tools.arguments import ShortText
from tools.arguments import Text
from tools.call import Call
from tools.next_steps import NextStep
from tools.next_steps import next_steps
from tools.ports import Ports
from tools.session_answers import active_goal
from tools.session_answers import session_fields
from tools.times import rfc3339
from tools.times import span_s


class SessionOpened(Remembered):
    """The handle is the only way back to the session; it lives until `expires_at`, moved on by every use."""

    expires_at: str
    goal: str | None = None
    next_steps: list[NextStep]


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Handles are minted here and nowhere else."""

    ports: Ports

    async def open_session(
        self,
        call: Call,
        goal: Annotated[Text | None, Field(description="question to answer; ranks schemas")] = None,
        label: Annotated[ShortText | None, Field(description="short name to find it by")] = None,
        parent: Annotated[ShortText | None, Field(description="handle whose goals and context to inherit")] = None,
        ttl: Annotated[
            Annotated[str, Field(max_length=20)] | None, Field(description='idle life: "30m", "1h", "7d"')
        ] = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Rendered:
        """Open a session that remembers goals, findings and what was explored; pass its handle to later calls.

        It lives until idle for ttl. recall finds it again.
        """
        session = await self.ports.sessions.open(
            principal=call.principal,
            goal=goal,
            label=label,
            parent=parent,
            ttl_s=None if ttl is None else span_s(ttl, name="ttl"),
            idempotency_key=idempotency_key or call.idempotency_key,
        )
        answer = SessionOpened(
            **session_fields(session),
            expires_at=rfc3339(session.expires_at),
            goal=active_goal(session),
            next_steps=await next_steps(self.ports, session),
        )
        return render(answer)
