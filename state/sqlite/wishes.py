"""What the loop's thread asks of the writer's."""

import asyncio
from dataclasses import dataclass

from state.errors import StateError
from state.journal import AlreadyOpened
from state.journal import Checkpoint
from state.journal import Head
from state.journal import Origin
from state.journal import VersionMoved
from state.sqlite.overlay import Touch

Refusal = VersionMoved | AlreadyOpened | StateError | ValueError


@dataclass(slots=True, kw_only=True, eq=False)
class Append:
    """Events to be written, and who waits for that."""

    session_id: str
    expected: Head | None
    contents: list[tuple[str, bytes]]
    """Each as text, and as the bytes of that text."""
    owner: str
    """Of a session that is created with these events."""
    key: str | None
    """The idempotency key of the first event."""
    at: float
    expires_at: float | None
    """None: as it is."""
    touch: Touch | None
    """The newest one before this write: it is settled by it."""
    answer: asyncio.Future[Head]
    checkpoint: Checkpoint | None = None
    """The events up to its version are to be dropped."""
    nonce: str | None = None
    """Of the new events. None: any."""

    @property
    def ends(self) -> bool:
        return self.expires_at is not None and self.expires_at <= self.at


@dataclass(slots=True, kw_only=True, eq=False)
class Adopt:
    """A session to be begun at a checkpoint, unless it is live."""

    session_id: str
    origin: Origin
    at: float
    touch: Touch | None
    """Of what was here under this id before."""
    answer: asyncio.Future[Head]


@dataclass(slots=True, kw_only=True, eq=False)
class Discard:
    """A session to be deleted if its history still ends there."""

    session_id: str
    expected: Head
    touch: Touch | None
    answer: asyncio.Future[Head]


@dataclass(slots=True, kw_only=True, eq=False)
class Keep:
    """A checkpoint to be kept, if its session is still as it was."""

    session_id: str
    checkpoint: Checkpoint


class Flush:
    """Write touches now."""


Answered = Append | Adopt | Discard
"""Somebody waits for what becomes of it."""
Wish = Answered | Keep | Flush
