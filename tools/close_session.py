"""Tool `close_session`: end a session; a child may export what it learned to its parent."""

from dataclasses import dataclass
from typing import Annotated
from typing import Any
from typing import Literal

from pydantic import Field

from state.sessions import Closed
from state.strategies import Strategy
from tools import limits
from tools.answer import Remembered
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import Handle
from tools.call import Call
from tools.picking import shortened
from tools.ports import Ports
from tools.ports import session_uri
from tools.session_answers import session_fields
from tools.tokens import fitting
from tools.tokens import json_tokens


class SessionClosed(Remembered):
    """`conflicts` names every value that both sides had and what was kept; `left_open` how many wait to be settled."""

    closed: Literal[True] = True
    exported: int | None = None
    conflicts: list[dict[str, Any]] | None = None
    left_open: int | None = None
    hints: list[str]


@dataclass(frozen=True, slots=True)
class CloseSession:
    """A closed handle answers like an unknown one."""

    ports: Ports

    async def close_session(
        self,
        call: Call,
        session: Handle,
        merge: Annotated[
            Strategy | None, Field(description="child only: export to parent; manual leaves conflicts there")
        ] = None,
    ) -> Rendered:
        """Close a session: its handle stops working."""
        await self.ports.notes.settled()
        closed = await self.ports.sessions.close(session, principal=call.principal, merge=merge)
        parent = closed.session.parent
        if parent is not None and merge is not None:
            self.ports.changed(session_uri(parent))
        shown = fitting(map(_shown, closed.conflicts), limits.CONFLICTS_TOKENS, tokens_of=json_tokens)
        answer = SessionClosed(
            **session_fields(closed.session),
            exported=None if merge is None else closed.exported,
            conflicts=shown or None,
            left_open=closed.left_open or None,
            hints=_hints(closed, len(closed.conflicts) - len(shown)),
        )
        return render(answer)


def _shown(conflict: Any) -> dict[str, Any]:
    return {name: shortened(value) for name, value in conflict.items()}


def _hints(closed: Closed, cut: int) -> list[str]:
    parent = closed.session.parent
    hints: list[str] = []
    if closed.left_open:
        hints.append(
            f"{_counted(closed.left_open)} in the parent {parent}, which keeps its own values: recall shows them, "
            "and remember with the kind and key of one settles it."
        )
    if cut:
        hints.append(f"{cut} more conflicts are not shown: session_history of {parent} with diff has them.")
    return hints


def _counted(conflicts: int) -> str:
    return "1 conflict waits" if conflicts == 1 else f"{conflicts} conflicts wait"
