"""How events become a session: one small step per kind of event, pure, and in linear time."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from typing import Final

from state.checkpoint import parts_of
from state.goals import Goal
from state.journal import Event
from state.journal import Head
from state.layers import Layers
from state.session import Explored
from state.session import Finding
from state.session import Kept
from state.session import OpenConflict
from state.session import Session

OPENED: Final = "opened"
FINDING: Final = "finding"
CONTEXT: Final = "context"
PREFERENCE: Final = "preference"
GOAL_OPENED: Final = "goal_opened"
GOAL_MOVED: Final = "goal_moved"
EXPLORED: Final = "explored"
CHILD_OPENED: Final = "child_opened"
MERGED: Final = "merged"
RESTORED: Final = "restored"
COMPACTED: Final = "compacted"
CLOSED: Final = "closed"
RESOLVED: Final = "resolved"
"""Two values met that were written apart. Says what became of them, and changes nothing by itself."""


def fold(events: Iterable[Event]) -> Session:
    """The session that these events make, from the first one on.

    Events of a kind that is not known here (written by a newer release) count in the version and change nothing else.
    `ValueError`: the first is not the opening one, or a version is missing.
    """
    following = iter(events)
    opening = next(following, None)
    if opening is None or opening.kind != OPENED or opening.version != 1:
        raise ValueError("a session begins with the event that opened it")
    return advance(_opened(opening), following)


def advance(session: Session, events: Iterable[Event]) -> Session:
    """The session after more events; `fold` of all of them gives the same. `ValueError`: a version is missing."""
    building = Building(session)
    for event in events:
        building.take(event)
    return building.session()


def apply(session: Session, event: Event) -> Session:
    """The session after one more event."""
    return advance(session, (event,))


class Building:
    """A session while it changes: what is written is gathered beside `seed`, and laid on top of it in the end."""

    __slots__ = ("_changed", "_written", "at", "head", "seed")

    def __init__(self, seed: Session) -> None:
        self.seed = seed
        self.at = seed.moved_at
        version, _, nonce = seed.etag.partition("-")
        self.head = Head(version=int(version), nonce=nonce)
        self._changed: dict[str, Any] = {}
        self._written: dict[str, dict[Any, Any]] = {}

    def write(self, part: str, key: Any, entry: Any) -> None:
        """Put an entry into a mapping of the session, as its newest."""
        written = self._written.get(part)
        if written is None:
            written = self._written[part] = {}
        else:
            written.pop(key, None)
        written[key] = entry

    def entry(self, part: str, key: Any) -> Any:
        """What a mapping of the session has there now. None: nothing."""
        written = self._written.get(part)
        if written is not None and key in written:
            return written[key]
        return self.of(part).get(key)

    def of(self, part: str) -> Any:
        """The part of this name as it was begun with or last `put`."""
        return self._changed[part] if part in self._changed else getattr(self.seed, part)

    def put(self, part: str, value: Any) -> None:
        """Replace the part as a whole."""
        self._changed[part] = value
        self._written.pop(part, None)

    def take(self, event: Event) -> None:
        if event.version != self.head.version + 1:
            raise ValueError(f"version {event.version} does not follow {self.head.version}")
        step = _STEPS.get(event.kind)
        if step is not None:
            step(self, event)
        if event.key is not None and self.entry("keys", event.key) is None:
            self.write("keys", event.key, event.version)
        self.head = Head(version=event.version, nonce=event.nonce)
        self.at = event.at

    def session(self, *, etag: str | None = None, expires_at: float | None = None) -> Session:
        """What has become of it; what is built must not change any more. None: as its events say."""
        for part, written in self._written.items():
            self._changed[part] = self.of(part).having(written)
        self._written = {}
        return self.seed.having(
            **self._changed,
            moved_at=self.at,
            last_access_at=self.at,
            expires_at=self.at + self.seed.ttl_s if expires_at is None else expires_at,
            version=self.head.version,
            etag=self.head.etag if etag is None else etag,
        )


def _opened(event: Event) -> Session:
    body = event.body
    seed = Session(
        handle=body["handle"],
        owner=event.actor,
        label=body.get("label"),
        ttl_s=body["ttl_s"],
        parent=body.get("parent"),
        parent_version=body.get("parent_version", 0),
        level=body.get("level", 1),
        branch_of=body.get("branch_of"),
        branch_version=body.get("branch_version", 0),
        created_at=event.at,
        moved_at=event.at,
        last_access_at=event.at,
        expires_at=event.at + body["ttl_s"],
        version=event.version,
        etag=Head(version=event.version, nonce=event.nonce).etag,
    )
    if "state" in body:
        seed = replace(seed, **_moved(parts_of(body["state"]), seed, event.version))
    building = Building(seed)
    for text in body.get("goals", ()):
        _open_goal(building, event, text)
    for kind, part in _PART.items():
        for key, value in body.get(kind, {}).items():
            building.write(part, key, Kept(value=value, at=event.at, version=event.version))
    return building.session()


def _open_goal(building: Building, event: Event, text: str) -> None:
    goals = building.of("goals_by_id")
    goal_id = f"g{len(goals) + 1}"
    goal = Goal(id=goal_id, text=text, status="active", opened_at=event.at, version=event.version)
    building.put("goals_by_id", MappingProxyType({**goals, goal_id: goal}))


def _goal_opened(building: Building, event: Event) -> None:
    _open_goal(building, event, event.body["text"])


def _goal_moved(building: Building, event: Event) -> None:
    goal, status = building.of("goals_by_id").get(event.body["id"]), event.body["status"]
    if goal is not None:
        closed_at = None if status == "active" else event.at
        moved = replace(goal, status=status, closed_at=closed_at, version=event.version)
        building.put("goals_by_id", MappingProxyType({**building.of("goals_by_id"), goal.id: moved}))


def _kept(building: Building, event: Event) -> None:
    body = event.body
    kept = Kept(value=body["value"], at=body.get("at", event.at), version=event.version)
    building.write(_PART[event.kind], body["key"], kept)
    _settle(building, event.kind, body["key"])


def _found(building: Building, event: Event) -> None:
    body = event.body
    finding = Finding(
        id=body.get("id", f"f{event.version}"),
        key=body.get("key"),
        value=body["value"],
        evidence=body.get("evidence"),
        at=body.get("at", event.at),
        version=event.version,
    )
    building.write("findings_by_place", finding.place, finding)
    if finding.key is not None:
        _settle(building, event.kind, finding.key)


def _settle(building: Building, kind: str, key: str) -> None:
    """Writing a field closes the conflict that was left open for it."""
    conflicts: tuple[OpenConflict, ...] = building.of("conflicts")
    if conflicts:
        building.put("conflicts", tuple(each for each in conflicts if (each.kind, each.key) != (kind, key)))


def _explored(building: Building, event: Event) -> None:
    source, schema = event.body["source"], event.body["schema"]
    earlier: Explored | None = building.entry("explored_by_schema", (source, schema))
    seen: dict[str, Any] = dict.fromkeys(() if earlier is None else earlier.attributes)
    seen.update(dict.fromkeys(event.body["attributes"]))
    explored = Explored(source=source, schema=schema, attributes=tuple(seen), last_at=event.at)
    building.write("explored_by_schema", (source, schema), explored)


def _child_opened(building: Building, event: Event) -> None:
    building.put("children", (*building.of("children"), event.body["child"]))


def _merged(building: Building, event: Event) -> None:
    opened = tuple(_open_conflict(each, event) for each in event.body.get("open", ()))
    if opened:
        again = {(each.kind, each.key) for each in opened}
        before = (each for each in building.of("conflicts") if (each.kind, each.key) not in again)
        building.put("conflicts", (*before, *opened))


def _open_conflict(told: Mapping[str, Any], event: Event) -> OpenConflict:
    return OpenConflict(
        kind=told["kind"],
        key=told["key"],
        parent=told["parent"],
        child=told["child"],
        child_session=event.body["child"],
        at=event.at,
        version=event.version,
    )


def _restored(building: Building, event: Event) -> None:
    now = building.session()
    for name, part in _moved(parts_of(event.body["state"]), now, event.version).items():
        building.put(name, part)
    building.put("restored_version", event.version)


def _moved(parts: dict[str, Any], before: Session, version: int) -> dict[str, Any]:
    """The parts as an event of this version puts them there: what was there before has not moved."""
    return {
        name: part if name == "conflicts" else _moved_part(part, getattr(before, name), version)
        for name, part in parts.items()
    }


def _moved_part(part: Mapping[Any, Any], before: Mapping[Any, Any], version: int) -> Mapping[Any, Any]:
    return Layers(
        {
            place: each if each == before.get(place) or isinstance(each, Explored) else replace(each, version=version)
            for place, each in part.items()
        }
    )


def _compacted(building: Building, event: Event) -> None:
    building.put("compacted_version", event.body["through"])


_PART: Final = {CONTEXT: "context", PREFERENCE: "preferences"}

_STEPS: Final[dict[str, Callable[[Building, Event], None]]] = {
    FINDING: _found,
    CONTEXT: _kept,
    PREFERENCE: _kept,
    GOAL_OPENED: _goal_opened,
    GOAL_MOVED: _goal_moved,
    EXPLORED: _explored,
    CHILD_OPENED: _child_opened,
    MERGED: _merged,
    RESTORED: _restored,
    COMPACTED: _compacted,
}
