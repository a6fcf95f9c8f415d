"""How events become a session: one small step per kind of event, pure, and in linear time."""

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from typing import Final

from state.goals import Goal
from state.journal import Event
from state.journal import Head
from state.session import Explored
from state.session import Finding
from state.session import Kept
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
CLOSED: Final = "closed"


def fold(events: Iterable[Event]) -> Session:
    """The session that these events make, from the first one on.

    Events of a kind that is not known here (written by a newer release) count in the version and change nothing else.
    `ValueError`: the first is not the opening one, or a version is missing.
    """
    following = iter(events)
    opening = next(following, None)
    if opening is None or opening.kind != OPENED:
        raise ValueError("a session begins with the event that opened it")
    building = _Building.opened(opening)
    for event in following:
        building.take(event)
    return building.session()


def advance(session: Session, events: Iterable[Event]) -> Session:
    """The session after more events; `fold` of all of them gives the same. `ValueError`: a version is missing."""
    building = _Building.of(session)
    for event in events:
        building.take(event)
    return building.session()


def apply(session: Session, event: Event) -> Session:
    """The session after one more event."""
    return advance(session, (event,))


@dataclass(slots=True, kw_only=True)
class _Building:
    """The parts of a session while they change; `seed` holds those that never do."""

    seed: Session
    goals: dict[str, Goal]
    kept: dict[str, dict[str, Kept]]
    findings: dict[tuple[str, bool], Finding]
    explored: dict[tuple[str, str], Explored]
    children: list[str]
    keys: dict[str, int]
    head: Head
    at: float

    @classmethod
    def opened(cls, event: Event) -> "_Building":
        body = event.body
        seed = Session(
            handle=body["handle"],
            owner=event.actor,
            label=body.get("label"),
            ttl_s=body["ttl_s"],
            parent=body.get("parent"),
            parent_version=body.get("parent_version", 0),
            level=body.get("level", 1),
            created_at=event.at,
            moved_at=event.at,
            last_access_at=event.at,
            expires_at=event.at + body["ttl_s"],
            version=event.version,
            etag=Head(version=event.version, nonce=event.nonce).etag,
        )
        building = cls.of(seed)
        for text in body.get("goals", ()):
            _open_goal(building, event, text)
        for kind in (CONTEXT, PREFERENCE):
            for key, value in body.get(kind, {}).items():
                building.kept[kind][key] = Kept(value=value, at=event.at, version=event.version)
        return building

    @classmethod
    def of(cls, session: Session) -> "_Building":
        version, _, nonce = session.etag.partition("-")
        return cls(
            seed=session,
            goals={goal.id: goal for goal in session.goals},
            kept={CONTEXT: dict(session.context), PREFERENCE: dict(session.preferences)},
            findings={_place(finding): finding for finding in session.findings},
            explored={(each.source, each.schema): each for each in session.explored},
            children=list(session.children),
            keys=dict(session.keys),
            head=Head(version=int(version), nonce=nonce),
            at=session.moved_at,
        )

    def take(self, event: Event) -> None:
        if event.version != self.head.version + 1:
            raise ValueError(f"version {event.version} does not follow {self.head.version}")
        step = _STEPS.get(event.kind)
        if step is not None:
            step(self, event)
        if event.key is not None:
            self.keys.setdefault(event.key, event.version)
        self.head = Head(version=event.version, nonce=event.nonce)
        self.at = event.at

    def session(self) -> Session:
        return replace(
            self.seed,
            goals=tuple(self.goals.values()),
            context=MappingProxyType(self.kept[CONTEXT]),
            preferences=MappingProxyType(self.kept[PREFERENCE]),
            findings=tuple(self.findings.values()),
            explored=tuple(self.explored.values()),
            children=tuple(self.children),
            keys=MappingProxyType(self.keys),
            moved_at=self.at,
            last_access_at=self.at,
            expires_at=self.at + self.seed.ttl_s,
            version=self.head.version,
            etag=self.head.etag,
        )


def _place(finding: Finding) -> tuple[str, bool]:
    """Where a finding belongs: under its key, or under its own id."""
    return (finding.id, False) if finding.key is None else (finding.key, True)


def _open_goal(building: _Building, event: Event, text: str) -> None:
    goal_id = f"g{len(building.goals) + 1}"
    building.goals[goal_id] = Goal(id=goal_id, text=text, status="active", opened_at=event.at, version=event.version)


def _goal_opened(building: _Building, event: Event) -> None:
    _open_goal(building, event, event.body["text"])


def _goal_moved(building: _Building, event: Event) -> None:
    goal, status = building.goals.get(event.body["id"]), event.body["status"]
    if goal is not None:
        closed_at = None if status == "active" else event.at
        building.goals[goal.id] = replace(goal, status=status, closed_at=closed_at, version=event.version)


def _kept(building: _Building, event: Event) -> None:
    body = event.body
    kept = Kept(value=body["value"], at=body.get("at", event.at), version=event.version)
    building.kept[event.kind][body["key"]] = kept


def _found(building: _Building, event: Event) -> None:
    body = event.body
    finding = Finding(
        id=body.get("id", f"f{event.version}"),
        key=body.get("key"),
        value=body["value"],
        evidence=body.get("evidence"),
        at=body.get("at", event.at),
        version=event.version,
    )
    place = _place(finding)
    building.findings.pop(place, None)
    building.findings[place] = finding


def _explored(building: _Building, event: Event) -> None:
    source, schema = event.body["source"], event.body["schema"]
    earlier = building.explored.pop((source, schema), None)
    seen: dict[str, Any] = dict.fromkeys(() if earlier is None else earlier.attributes)
    seen.update(dict.fromkeys(event.body["attributes"]))
    building.explored[source, schema] = Explored(source=source, schema=schema, attributes=tuple(seen), last_at=event.at)


def _child_opened(building: _Building, event: Event) -> None:
    building.children.append(event.body["child"])


_STEPS: Final[dict[str, Callable[[_Building, Event], None]]] = {
    FINDING: _found,
    CONTEXT: _kept,
    PREFERENCE: _kept,
    GOAL_OPENED: _goal_opened,
    GOAL_MOVED: _goal_moved,
    EXPLORED: _explored,
    CHILD_OPENED: _child_opened,
}
