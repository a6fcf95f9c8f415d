"""What one turn is about to write: a session that grows command by command, and what each command comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from state.fold import Building
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

    __slots__ = ("_building", "_left", "_session", "drafts", "fresh", "outcomes", "standing", "version")

    def __init__(self, standing: Standing, *, fresh: bool) -> None:
        """`fresh`: the journal has just been asked, so that an answer without a write is the truth."""
        self.standing = standing
        self.fresh = fresh
        self.version = standing.head.version
        self.drafts: list[Draft] = []
        self.outcomes: list[Any] = []
        self._session = standing.session
        self._building: Building | None = None
        self._left: dict[int, Session] = {}

    @property
    def session(self) -> Session:
        """As the drafts so far leave it; only its etag is not known yet. Made when asked for: most plans never ask."""
        if self._building is not None:
            self._session = self._left[self.version] = self._building.session()
            self._building = None
        return self._session

    def add(self, drafts: Sequence[Draft]) -> None:
        """Go on with these."""
        if self._building is None:
            self._building = Building(self._session)
        for draft in drafts:
            self.version += 1
            self._building.take(_event(draft, self.version))
        self.drafts += drafts

    def has(self, version: int) -> bool:
        """Whether the version comes about by this plan."""
        return version > self.standing.head.version

    def whole(self, head: Head, *, expires_at: float) -> Session:
        """The session with all drafts, now that they are written."""
        if self._building is not None:
            return self._building.session(etag=head.etag, expires_at=expires_at)
        return self._session.having(etag=head.etag, expires_at=expires_at)

    def outcome(self, planned: Planned, after: Standing) -> Session:
        """The session as one command leaves it, now that the whole plan is written."""
        left = next((each for version, each in self._left.items() if version >= planned.version), None)
        if left is None or left.version == after.head.version:
            return after.session
        etag = Head(version=left.version, nonce=after.head.nonce).etag
        return left.having(etag=etag, expires_at=after.expires_at, local=after.head.local)


def _event(draft: Draft, version: int) -> Event:
    return Event(
        version=version, nonce=_NONCE, at=draft.at, kind=draft.kind, actor=draft.actor, body=draft.body, key=draft.key
    )
