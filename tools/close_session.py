"""Tool `close_session`: end a session; a child may export what it learned to its parent."""

from dataclasses import dataclass
from typing import Annotated
from typing import Any
from typing import Literal

from pydantic import Field

from tools.answer import Remembered
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import Handle
from tools.call import Call
from tools.ports import Ports
from tools.session_answers import session_fields

Merge = Literal["parent_wins", "child_wins", "merge_objects", "keep_latest"]


class SessionClosed(Remembered):
    """`conflicts` names every value that both sides had and what was kept."""

    closed: Literal[True] = True
    exported: int | None = None
    conflicts: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class CloseSession:
    """A closed handle answers like an unknown one."""

    ports: Ports

    async def close_session(
        self,
        call: Call,
        session: Handle,
        merge: Annotated[Merge | None, Field(description="child only: export findings, context to parent")] = None,
    ) -> Rendered:
        """Close a session: its handle stops working."""
        await self.ports.notes.settled()
        closed = await self.ports.sessions.close(session, principal=call.principal, merge=merge)
        answer = SessionClosed(
            **session_fields(closed.session),
            exported=None if merge is None else closed.exported,
            conflicts=[dict(each) for each in closed.conflicts] or None,
        )
        return render(answer)
