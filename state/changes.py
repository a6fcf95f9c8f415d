"""What instances tell each other: the changes, and the protocol of whoever carries them. Truth lies in the journal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMoved:
    """Events were written to a session."""

    session_id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsOutdated:
    """Results were declared outdated, as `ResultCache.invalidate` takes it."""

    tags: tuple[str, ...] | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceMoved:
    """A resource that everyone may see has changed."""

    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Some changes can not be learned any more: whatever is kept may be outdated."""


Change = SessionMoved | ResultsOutdated | ResourceMoved | Missed
Listener = Callable[[Change], None]
"""Never blocks; one that raises is logged and hurts no other."""


class Changes(Protocol):
    """Carries changes to everyone who listens, here at once and in other instances soon. For one event loop."""

    def publish(self, change: Change) -> None:
        """Tell everyone. Never blocks and never raises; what others cannot be told now, they are told later.

        `SessionMoved` reaches other instances by the append itself, so publishing it tells only this one.
        """
        ...

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be told of every change, of this instance and of others, once. Returns what ends it."""
        ...

    async def aclose(self) -> None:
        """Stop. Waits for nothing that another machine would have to answer."""
        ...
