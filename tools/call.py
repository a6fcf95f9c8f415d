"""Who calls and how to reach them: the one argument of every tool that an assistant never sees."""

from dataclasses import dataclass

from sources.protocol import Progress
from sources.protocol import silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a tool."""

    principal: str
    """Who is asking, as the transport authenticated them; sessions belong to principals."""
    progress: Progress = silent
    idempotency_key: str | None = None
    """The host's own key of this call, used when the caller gives none. None: the host sends no such key."""
    conversation: str | None = None
    """The host's own name of the conversation this call belongs to: it finds a session again, and never gives a right
    to one. None: the host sends no such name."""
