"""What was written to a session on this machine and is not known to be where it belongs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from state import checkpoint
from state import fold
from state.errors import StateUnavailable
from state.journal import Checkpoint
from state.journal import Event
from state.journal import Head
from state.journal import Piece
from state.session import Session
from state.shared.pieces import pieces_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """It begins behind `start` and ends with `head`; there are pieces, or nothing was written."""

    session_id: str
    start: Checkpoint | None
    """None: the session was opened by the first piece. Its state may be empty: nobody kept it."""
    pieces: tuple[Piece, ...]
    head: Head
    ttl_s: float
    goals: int
    """Goals the session had at the start."""

    @property
    def begins_at(self) -> Head | None:
        return None if self.start is None else Head(version=self.start.version, nonce=self.start.nonce)

    @property
    def version(self) -> int:
        return 0 if self.start is None else self.start.version

    @property
    def closes(self) -> bool:
        """Whether the session was closed here."""
        return bool(self.pieces) and self.pieces[-1].drafts[-1].kind == fold.CLOSED

    @property
    def owner(self) -> str:
        """Raises `StateUnavailable`: nobody wrote, so nobody knows."""
        if not self.pieces:
            raise StateUnavailable("a session without events has no owner")
        return self.pieces[0].drafts[0].actor

    def version_of(self, nonce: str) -> int | None:
        """The version that the piece left the session at, here. None: it has no such piece."""
        version = self.version
        for piece in self.pieces:
            version += len(piece.drafts)
            if piece.nonce == nonce:
                return version
        return None

    @classmethod
    def of(cls, session_id: str, start: Checkpoint | None, events: Sequence[Event], head: Head) -> Self:
        """As a local journal has it. Raises `StateUnavailable` when what it begins with cannot be read."""
        before = None if start is None else checkpoint.decoded(start.state)
        if before is None and (start is not None or not events or events[0].kind != fold.OPENED):
            raise StateUnavailable(f"the beginning of what was written apart cannot be read (session {session_id[:6]})")
        return cls(
            session_id=session_id,
            start=start,
            pieces=pieces_of(events),
            head=head,
            ttl_s=float(events[0].body["ttl_s"]) if before is None else before.ttl_s,
            goals=_goals(before, events),
        )


def _goals(before: Session | None, events: Sequence[Event]) -> int:
    return len(events[0].body.get("goals", ())) if before is None else len(before.goals_by_id)
