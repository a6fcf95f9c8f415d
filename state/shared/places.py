"""The two places of a shared session: where it belongs, and where it is kept while that cannot be reached."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Protocol

from state.journal import Adopting
from state.journal import Head
from state.journal import Journal
from state.journal import Marks
from state.journal import Past
from state.journal import Piece


class Remote(Journal, Adopting, Past, Marks, Protocol):
    """The journal that all instances share. Its methods raise `Away` when it does not answer in time."""

    async def append_as(
        self,
        session_id: str,
        *,
        expected: Head | None,
        pieces: Sequence[Piece],
        expires_at: float,
        forced: bool = False,
    ) -> Head:
        """Several appends in one step, each with the nonce it has.

        `forced`: no quota is looked at, and an idempotency key that another session holds is left to that one.
        """
        ...

    async def revive(self, session_id: str, *, expires_at: float) -> Head | None:
        """Make an ended session live again. None: it is not kept."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who answers, and since when it remembers."""

    epoch: str
    """Another one: what had been written before is gone."""
    server: str
    """Another one: the last acknowledged writes may be gone. Empty: it does not say."""
    age_s: float = field(default=float("inf"), compare=False)
    """Since when the epoch lasts, in seconds."""


class Local(Journal, Adopting, Protocol):
    """The journal of this machine."""


class Link(Protocol):
    """Whether the remote journal can be reached."""

    @property
    def up(self) -> bool: ...

    @property
    def connections(self) -> int:
        """How many were made so far: with a new one, another server may answer than before."""
        ...

    def watch(self, told: Callable[[bool, str], None]) -> None:
        """Be told each time `up` changes, and why."""
        ...
