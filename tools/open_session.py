"""Tool `open_session`: a memory with an opaque handle."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from state.session import Session
from tools.answer import Remembered
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import IdempotencyKey
from tools.arguments import ShortText
from tools.arguments import Text
from tools.call import Call
from tools.errors import InvalidArgument
from tools.moments import Moment
from tools.moments import version_of
from tools.next_steps import NextStep
from tools.next_steps import next_steps
from tools.ports import Ports
from tools.ports import notices
from tools.ports import session_uri
from tools.session_answers import active_goal
from tools.session_answers import session_fields
from tools.times import rfc3339
from tools.times import span_s

_FOUND_AGAIN = (
    "This conversation's session was found again, with all it knows: recall shows it. "
    "Pass parent, branch_of, another label or an idempotency_key to get another one."
)


class SessionOpened(Remembered):
    """The handle is the only way back to the session; it lives until `expires_at`, moved on by every use."""

    expires_at: str
    goal: str | None = None
    parent: str | None = None
    branch_of: str | None = None
    branch_version: int | None = None
    next_steps: list[NextStep]
    hints: list[str]


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
        branch_of: Annotated[ShortText | None, Field(description="handle whose whole state to copy")] = None,
        at: Annotated[Moment | None, Field(description="of branch_of: version or time; default now")] = None,
        ttl: Annotated[
            Annotated[str, Field(max_length=20)] | None, Field(description='idle life: "30m", "1h", "7d"')
        ] = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Rendered:
        """Open a session that remembers goals, findings and what was explored; pass its handle to later calls.

        It lives until idle for ttl, across restarts when state is kept on disk. recall finds it again.
        """
        if at is not None and branch_of is None:
            raise InvalidArgument("at belongs to branch_of: pass the handle of the session to branch, or leave out at")
        await self.ports.notes.settled()
        version = None
        if branch_of is not None and at is not None:
            version = await version_of(self.ports.sessions, call, branch_of, at, name="at")
        # What a host names one call by would hide its conversation, in which a call that is sent again has one effect.
        alone = parent is None and branch_of is None and call.conversation is not None
        session = await self.ports.sessions.open(
            principal=call.principal,
            goal=goal,
            label=label,
            parent=parent,
            branch_of=branch_of,
            branch_version=version,
            conversation=call.conversation,
            ttl_s=None if ttl is None else span_s(ttl, name="ttl"),
            idempotency_key=idempotency_key or (None if alone else call.idempotency_key),
        )
        if parent is not None:
            self.ports.changed(session_uri(parent))
        found_again = alone and idempotency_key is None and session.version > 1
        return render(await self._opened(session, found_again=found_again))

    async def _opened(self, session: Session, *, found_again: bool) -> SessionOpened:
        hints = [_FOUND_AGAIN] if found_again else []
        return SessionOpened(
            **session_fields(session),
            expires_at=rfc3339(session.expires_at),
            goal=active_goal(session),
            parent=session.parent,
            branch_of=session.branch_of,
            branch_version=session.branch_version or None,
            next_steps=await next_steps(self.ports, session),
            hints=[*hints, *notices(self.ports)],
        )
