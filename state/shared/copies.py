"""What a journal that goes on alone leans on: the sessions as this process has them folded."""

from typing import Protocol
from typing import runtime_checkable

from state.folds import Standing
from state.journal import Origin


class Copies(Protocol):
    """Sessions as they were last seen here."""

    def known(self, handle: str) -> Standing | None:
        """Cheap. None: it is not kept here."""
        ...

    def copied(self) -> tuple[str, ...]:
        """The sessions that are kept here."""
        ...

    def copy(self, handle: str) -> Origin | None:
        """The whole session, for another journal to take in. None: it is not kept here."""
        ...


@runtime_checkable
class Leaning(Protocol):
    """A journal that wants to know those copies."""

    def lean_on(self, copies: Copies) -> None: ...
