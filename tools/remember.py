"""Tool `remember`: keep a finding, a piece of context or a preference."""

from dataclasses import dataclass
from typing import Annotated
from typing import Any
from typing import Literal

from pydantic import Field

from state.session import Session
from tools.answer import Answer
from tools.answer import Remembered
from tools.answer import Rendered
from tools.answer import render
from tools.arguments import Etag
from tools.arguments import Handle
from tools.arguments import IdempotencyKey
from tools.arguments import ShortText
from tools.arguments import Text
from tools.call import Call
from tools.errors import InvalidArgument
from tools.ports import Ports
from tools.ports import notices
from tools.session_answers import session_fields

Kind = Literal["finding", "context", "preference"]

_CONFLICTS_NAMED = 3


class Stored(Answer):
    """What was kept."""

    kind: str
    key: str | None = None
    value: Any


class ValueRemembered(Remembered):
    """The etag may be passed as `expect` to guard the next write of the same field."""

    stored: Stored
    hints: list[str]


@dataclass(frozen=True, slots=True)
class Remember:
    """One write, one event."""

    ports: Ports

    async def remember(
        self,
        call: Call,
        session: Handle,
        kind: Kind,
        value: Annotated[Any, Field(description="text or JSON, 16 KiB at most")],
        key: Annotated[ShortText | None, Field(description="required for context and preference")] = None,
        evidence: Annotated[Text | None, Field(description="query or fact behind a finding")] = None,
        expect: Etag = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Rendered:
        """Keep a finding with its evidence, or a context or preference value under a key, in the session."""
        name = (key or "").strip() or None
        if kind != "finding" and name is None:
            raise InvalidArgument(f"key is required for a {kind}: name what the value is")
        stored = await self.ports.sessions.remember(
            session,
            principal=call.principal,
            kind=kind,
            key=name,
            value=value,
            evidence=evidence,
            expect=expect,
            idempotency_key=idempotency_key or call.idempotency_key,
        )
        kept = Stored(kind=kind, key=name, value=value)
        return render(ValueRemembered(**session_fields(stored), stored=kept, hints=self._hints(stored)))

    def _hints(self, stored: Session) -> list[str]:
        left_open = [f"{each.kind} {each.key}" for each in stored.conflicts[:_CONFLICTS_NAMED]]
        more = ", …" if len(stored.conflicts) > _CONFLICTS_NAMED else ""
        conflicts = (
            [f"Still to be settled: {', '.join(left_open)}{more}. recall shows both sides."] if left_open else []
        )
        return [*conflicts, *notices(self.ports)]
