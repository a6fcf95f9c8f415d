"""What a session is: a frozen value, made only by folding its events."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final
from typing import Literal

from state.goals import Goal
from state.layers import Layers

__all__ = ["Explored", "Finding", "Goal", "Kept", "OpenConflict", "Session"]


Place = tuple[str, bool]
"""Where a finding belongs: its key and True, or its own id and False."""

_EMPTY: Final[Layers[Any, Any]] = Layers()


def _empty() -> Layers[Any, Any]:
    return _EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A value under a key of the context or the preferences."""

    value: Any
    """JSON. Shared by everyone who reads the session: never change it."""
    at: float
    version: int
    """Of the event that wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A statement that is kept with its evidence. One with a key supersedes the earlier one with that key."""

    id: str
    key: str | None
    value: Any
    """JSON. Shared by everyone who reads the session: never change it."""
    evidence: str | None
    at: float
    version: int

    @property
    def place(self) -> Place:
        """Where it belongs: a later one of the same place supersedes it."""
        return (self.id, False) if self.key is None else (self.key, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConflict:
    """Two values for one field, left for somebody to choose: writing the field with `remember` settles it."""

    kind: Literal["finding", "context", "preference"]
    key: str
    parent: Any
    """What the session holds, until it is settled. JSON."""
    child: Any
    """What the child session would have put there. JSON."""
    child_session: str
    at: float
    version: int
    """Of the merge that left it open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """A schema the session has looked at."""

    source: str
    schema: str
    attributes: tuple[str, ...]
    """Those it saw measured, in the order in which it first did. Empty: only the schema itself."""
    last_at: float
    """When something new was last seen of it; looking again at the same is not an event."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """The state of a session at a version. Without slots, so that another one is made by copying one dict."""

    handle: str
    owner: str
    label: str | None
    ttl_s: float
    """How long it lives after its last use."""
    goals_by_id: Mapping[str, Goal] = field(default_factory=_empty)
    context: Layers[str, Kept] = field(default_factory=_empty)
    preferences: Layers[str, Kept] = field(default_factory=_empty)
    findings_by_place: Layers[Place, Finding] = field(default_factory=_empty)
    explored_by_schema: Layers[tuple[str, str], Explored] = field(default_factory=_empty)
    """By source and schema."""
    parent: str | None = None
    parent_version: int = 0
    """The version of the parent from which this session inherited."""
    level: int = 1
    """1: it has no parent; 2: its parent has none; and so on."""
    children: tuple[str, ...] = ()
    branch_of: str | None = None
    """The session this one was branched from. None: it began empty, or with what it inherited."""
    branch_version: int = 0
    """The version of that session it began with."""
    conflicts: tuple[OpenConflict, ...] = ()
    """Those left open, oldest first."""
    restored_version: int = 0
    """Of the event that last restored an earlier state, which may have removed fields; 0: none."""
    compacted_version: int = 0
    """Events up to this version are dropped for good: the history begins behind it. 0: all are kept."""
    keys: Layers[str, int] = field(default_factory=_empty)
    """Idempotency keys that writes came with, and the version each of them made. Without the one it was opened with."""
    created_at: float
    moved_at: float
    """Instant of its newest event. Within a session instants only grow, whatever the clocks of its writers say."""
    last_access_at: float
    expires_at: float
    version: int
    etag: str
    local: bool = field(default=False, compare=False)
    """True: the place where it belongs cannot be reached. This is what this machine knows of it: others may have
    written more, and what was written here is durable here only."""

    def having(self, **changes: Any) -> "Session":
        """The session with some fields changed: as `dataclasses.replace`, in a tenth of the time."""
        made = object.__new__(Session)
        vars(made).update(vars(self), **changes)
        return made

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Oldest first."""
        return tuple(self.goals_by_id.values())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Oldest first."""
        return self.findings_by_place.listed()

    @property
    def explored(self) -> tuple[Explored, ...]:
        """In the order in which something new was last seen of them."""
        return self.explored_by_schema.listed()
