"""What the journal in memory keeps of a session and of an owner, and how events become bytes and a chain."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

from state.chain import Link
from state.chain import digest_of
from state.chain import first_link
from state.chain import link_of
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Event
from state.journal import Head

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(slots=True)
class Log:
    owner: str
    key: str | None
    events: list[bytes]
    nonce: str
    link: bytes
    size_bytes: int
    accessed_at: float
    expires_at: float
    start: Link | None = None
    """What the first kept event is bound to. None: all are kept."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Oldest first."""

    @property
    def compacted(self) -> int:
        return 0 if self.start is None else self.start.version

    @property
    def head(self) -> Head:
        return Head(version=self.compacted + len(self.events), nonce=self.nonce)


@dataclass(slots=True)
class Holding:
    """What an owner has; sessions in the order of their last access."""

    sessions: dict[str, None] = field(default_factory=dict[str, None])
    events: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Growth:
    """What a write adds to what an owner has; what it takes away is negative."""

    sessions: int
    events: int
    size_bytes: int


def start_of(session_id: str, log: Log) -> Link:
    """What the first kept event is bound to."""
    return first_link(session_id) if log.start is None else log.start


def linked(start: Link, events: Iterable[bytes]) -> bytes:
    """The link of the last of these events. Nothing is ever forgotten here, so the contents need no salt."""
    link = start.link
    for version, text in enumerate(events, start=start.version + 1):
        link = link_of(link, version, "", digest_of(b"", text))
    return link


def is_of(log: Log, checkpoint: Checkpoint) -> bool:
    """Whether it stands for an event that is kept."""
    place = checkpoint.version - log.compacted
    return 0 < place <= len(log.events) and decoded(log.events[place - 1], place).nonce == checkpoint.nonce


def state_bytes(checkpoints: Iterable[Checkpoint]) -> int:
    """What the checkpoints hold together."""
    return sum(len(each.state) for each in checkpoints)


def encoded(draft: Draft, nonce: str) -> bytes:
    """The draft as JSON. `ValueError`: a number in its body is not finite."""
    fields = [draft.at, draft.kind, draft.actor, draft.body, draft.key, nonce]
    return _ENCODE(fields).encode()


def decoded(text: bytes, version: int) -> Event:
    """The event again."""
    fields: list[Any] = json.loads(text)
    at, kind, actor, body, key, nonce = fields
    return Event(version=version, nonce=nonce, at=at, kind=kind, actor=actor, body=body, key=key)
