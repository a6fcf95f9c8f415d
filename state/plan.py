"""What one turn is about to write: a session that grows command by command, and what each command comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from state.fold import advance
from state.folds import Standing
from state.journal import Draft
from state.journal import Event
from state.journal import Head
from state.session import Session

_NONCE = "undecided"
"""Of events that are decided and not yet written: only the journal says how they end."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A command that leaves the session at a version of the plan, once that is written."""

    version: int


class Plan:
    """Begins with a standing session and writes nothing itself."""

    __slots__ = ("_left", "drafts", "fresh", "outcomes", "session", "standing")

    def __init__(self, standing: Standing, *, fresh: bool) -> None:
        """`fresh`: the journal has just been asked, so that an answer without a write is the truth."""
        self.standing = standing
        self.fresh = fresh
        self.session = standing.session
        self.drafts: list[Draft] = []
        self.outcomes: list[Any] = []
        self._left: dict[int, Session] = {}

    def add(self, drafts: Sequence[Draft]) -> None:
        """Go on with these."""
        first = self.session.version + 1
        self.session = advance(self.session, [_event(each, version) for version, each in enumerate(drafts, first)])
        self.drafts += drafts
        self._left[self.session.version] = self.session

    def has(self, version: int) -> bool:
        """Whether the version comes about by this plan."""
        return version > self.standing.head.version

    def at(self, version: int) -> Planned:
        return Planned(version)

    def written(self, planned: Planned, after: Standing) -> Session:
        """The session as a command leaves it, now that the whole plan is written."""
        if planned.version == after.head.version:
            return after.session
        left = next(each for version, each in self._left.items() if version >= planned.version)
        etag = Head(version=left.version, nonce=after.head.nonce).etag
        return replace(left, etag=etag, last_access_at=left.moved_at, expires_at=after.expires_at)


def _event(draft: Draft, version: int) -> Event:
    return Event(
        version=version, nonce=_NONCE, at=draft.at, kind=draft.kind, actor=draft.actor, body=draft.body, key=draft.key
    )
