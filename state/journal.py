"""The Journal protocol: where events are kept, and the values that cross it."""

import secrets
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Protocol
from typing import runtime_checkable

from state.chain import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event that is wanted but not yet written."""

    at: float
    """Wall-clock instant, seconds since 1970."""
    kind: str
    actor: str
    """The principal who acts."""
    body: dict[str, Any]
    """JSON, already checked: what is read back equals what was written."""
    key: str | None = None
    """Idempotency key. None: the caller gave none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The events of one append."""

    nonce: str
    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One immutable fact about a session. Its version is its place: the first is 1, and there are no gaps."""

    version: int
    nonce: str
    """Random, shared by the events of one append: tells apart two histories that reached the same version."""
    at: float
    kind: str
    actor: str
    body: dict[str, Any]
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a session's history ends."""

    version: int
    nonce: str
    local: bool = field(default=False, compare=False)
    """True: the newest events are durable on this machine only, because where they belong cannot be reached."""

    @property
    def etag(self) -> str:
        """The head as callers see it: an opaque text."""
        return f"{self.version}-{self.nonce}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """What `read` found."""

    head: Head
    events: tuple[Event, ...]
    """Those after the version that was asked for, oldest first."""
    accessed_at: float
    """When the session was last written or touched, by the journal's clock."""
    expires_at: float
    size_bytes: int
    """All its events at rest, not only those returned."""
    before: str | None = None
    """The nonce of the event at the version that was asked after: a reader whose own differs has another history.

    None: the journal does not tell, because its histories never part, or that event is not kept, or none follows it.
    """
    local: bool = False
    """True: others may have written what cannot be reached now; this is what this machine knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A session folded at a version, so that a reader need not begin at the first event. The journal never reads it."""

    version: int
    nonce: str
    state: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much the live sessions of one owner may hold together."""

    sessions: int = 1_000
    events: int = 1_000_000
    size_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalStatistics:
    """Counts as this process knows them; expired sessions that are not yet swept may be included."""

    sessions: int
    events: int
    size_bytes: int


def new_nonce() -> str:
    """64 random bits."""
    return secrets.token_hex(8)


class VersionMoved(Exception):
    """The append was refused because the history does not end where the writer believed; `head` is where it does.

    None: there is no such session, or no longer.
    """

    def __init__(self, head: Head | None) -> None:
        super().__init__("nothing" if head is None else head.etag)
        self.head = head


class AlreadyOpened(Exception):
    """The append was refused because a live session of this owner was opened with the same idempotency key."""

    def __init__(self, session_id: str) -> None:
        super().__init__("this idempotency key has opened a session before")
        self.session_id = session_id


class Journal(Protocol):
    """Where the events of sessions are kept. Safe to call from many tasks, and from many processes where it is shared.

    The actor of a session's first event is its owner. A session whose `expires_at` has come is gone: every method
    treats it as if it had never been, whether or not its memory has been given back.
    """

    async def append(
        self,
        session_id: str,
        *,
        expected: Head | None,
        drafts: Sequence[Draft],
        expires_at: float,
        nonce: str | None = None,
    ) -> Head:
        """Write one or more events after `expected` and return the new head: all of them or none, and never twice.

        `nonce`: what tells this append from every other (`new_nonce`), for those who may have to try again elsewhere.
        None: the journal makes one.

        `expected=None` creates the session and is refused if it exists. A first event with an idempotency `key` is
        refused while another live session of the same owner was opened with that key.
        `expires_at` not in the future ends the session with these events.
        Raises `VersionMoved`, `AlreadyOpened`, and `OverLimit` when the journal or the owner's quota is full; a
        journal that outlives the process also `StateBusy` and `StateUnavailable`. `ValueError`: no drafts.
        """
        ...

    async def read(self, session_id: str, *, after: int = 0) -> Chapter | None:
        """The head and the events after version `after` (none when that is the newest). None: unknown or expired.

        Events that were compacted are left out: the first one returned then has a version beyond `after + 1`.
        What is returned is the caller's own: changing it changes nothing here.
        """
        ...

    async def touch(self, session_id: str, *, expires_at: float) -> None:
        """Move the end of life of a session, earlier or later. Writes no event; ignored if unknown or expired."""
        ...

    async def sessions(self, owner: str) -> tuple[str, ...]:
        """The ids of the owner's live sessions, newest access (append or touch) first. Cost: that many, no more."""
        ...

    async def verify(self, session_id: str) -> Verdict | None:
        """Check the hash chain of a session from its first kept event to its head. None: unknown or expired."""
        ...

    async def checkpoint(self, session_id: str, *, most: int | None = None) -> Checkpoint | None:
        """The newest checkpoint whose version is at most `most` (None: the newest of all). None: there is none.

        One that does not hold what was put in is not returned.
        """
        ...

    def keep_checkpoint(self, session_id: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint, some time soon or never: it is only an aid. Never waits, never raises."""
        ...

    async def compact(self, session_id: str, *, expected: Head, checkpoint: Checkpoint, draft: Draft) -> Head:
        """Write one event and drop all events up to the checkpoint's version, for good and in one step.

        The chain still verifies, from the first event that is left. The checkpoint stays until a later compaction.
        Raises as `append`.
        """
        ...

    def statistics(self) -> JournalStatistics:
        """Cheap, and never waits."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A session as it comes from another journal: everything that its events up to the checkpoint made of it."""

    owner: str
    key: str | None
    """The idempotency key it was opened with."""
    checkpoint: Checkpoint
    expires_at: float


@runtime_checkable
class Adopting(Protocol):
    """The ability to take in a session that was written elsewhere, and to give it up again."""

    async def adopt(self, session_id: str, origin: Origin) -> bool:
        """Begin a session at a checkpoint, as if its events up to there had been written here and compacted.

        False: there is a live session of this id, which stays as it is. One that ended gives way. No quota is looked
        at, and a key that another live session of the owner was opened with is left to that one.
        """
        ...

    async def discard(self, session_id: str, *, expected: Head) -> None:
        """Forget a session, live or ended, as if it had never been. Raises `VersionMoved`; unknown ones are ignored."""
        ...

    async def held(self) -> tuple[str, ...]:
        """The ids of all sessions of all owners, those included that have ended and are still kept."""
        ...


@runtime_checkable
class Past(Protocol):
    """The ability to look at sessions that have ended and are still kept."""

    async def past(self, owner: str) -> tuple[str, ...]:
        """The ids of the owner's ended sessions that are still kept, the last to end first."""
        ...

    async def read_past(self, session_id: str) -> Chapter | None:
        """All that is kept of an ended session. None: there is none of this id, or it is live."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a session stands, live or ended."""

    version: int
    nonce: str
    size_bytes: int
    accessed_at: float
    expires_at: float
    ended_at: float | None = None
    """None: it is live."""

    @property
    def ended(self) -> bool:
        return self.ended_at is not None

    @property
    def content(self) -> tuple[int, str, int, bool]:
        """What changes whenever its events do, in whatever way."""
        return self.version, self.nonce, self.size_bytes, self.ended


@runtime_checkable
class Marks(Protocol):
    """The ability to tell where all sessions of an owner stand, in one step and without their events."""

    async def marks(self, owner: str) -> Mapping[str, Mark]:
        """Live sessions, and ended ones that are still kept, by their ids."""
        ...
