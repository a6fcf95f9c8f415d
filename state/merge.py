"""What a child session gives back to its parent, and a report of everything that both had set."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Literal

from state.session import Finding
from state.session import Kept
from state.session import Session
from state.strategies import RESOLVE
from state.strategies import Stamped
from state.strategies import Strategy
from state.strategies import canonical

__all__ = ["Export", "Merged", "Strategy", "merge", "origin_of"]

Side = Kept | Finding
Field = Literal["finding", "context", "preference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One value to write to the parent, as the body of an event of that kind."""

    kind: Literal["finding", "context", "preference", "explored"]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The outcome of a merge."""

    exports: tuple[Export, ...]
    conflicts: tuple[dict[str, Any], ...]
    """`{key, parent, child, kept}` for every value that both sides had set, whatever became of it."""
    open: tuple[dict[str, Any], ...] = ()
    """`{kind, key, parent, child}` for those of them that are left for somebody to settle."""

    @property
    def exported(self) -> int:
        """Values given to the parent; what was explored is not counted."""
        return sum(1 for each in self.exports if each.kind != "explored")


@dataclass(slots=True)
class _Merging:
    parent: Session
    child: Session
    strategy: Strategy
    conflicts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    open: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def kept(self, kind: Field, key: str, parent: Side, child: Side) -> Stamped | None:
        """What to write of two values that collide; the collision is reported. None: the parent's stays."""
        if self.strategy == "manual":
            self.open.append({"kind": kind, "key": key, "parent": parent.value, "child": child.value})
        ours, theirs = Stamped(value=parent.value, at=parent.at), Stamped(value=child.value, at=child.at)
        kept = RESOLVE[self.strategy](ours, theirs)
        told = {"key": f"{kind}.{key}", "parent": parent.value, "child": child.value, "kept": kept.value}
        self.conflicts.append(told)
        if _same(kept.value, parent.value):
            return None
        return Stamped(value=kept.value, at=max(parent.at, child.at))


def merge(parent: Session, child: Session, strategy: Strategy) -> Merged:
    """All findings of the child, the context and preferences it changed, and what it explored.

    A value collides when the parent holds another one that the child did not start from. Merging again what was
    merged before exports nothing.
    """
    merging = _Merging(parent, child, strategy)
    exports = (*_kept("context", merging), *_kept("preference", merging), *_findings(merging), *_explored(merging))
    return Merged(exports=exports, conflicts=tuple(merging.conflicts), open=tuple(merging.open))


def origin_of(handle: str) -> str:
    """What the ids of a session's findings begin with in another session."""
    return hashlib.sha256(handle.encode()).hexdigest()[:8]


def _kept(kind: Literal["context", "preference"], merging: _Merging) -> Iterator[Export]:
    parent, child = merging.parent, merging.child
    ours, theirs = (parent.context, child.context) if kind == "context" else (parent.preferences, child.preferences)
    for key, made in theirs.items():
        there = ours.get(key)
        if made.version == 1 or (there is not None and _same(there.value, made.value)):
            continue
        wanted: Stamped | None = Stamped(value=made.value, at=made.at)
        if there is not None and there.version > child.parent_version:
            wanted = merging.kept(kind, key, there, made)
        if wanted is not None:
            yield Export(kind=kind, body={"key": key, "value": wanted.value, "at": wanted.at})


def _findings(merging: _Merging) -> Iterator[Export]:
    origin = origin_of(merging.child.handle)
    taken = {each.id for each in merging.parent.findings}
    for made in merging.child.findings:
        there = None if made.key is None else merging.parent.findings_by_place.get(made.place)
        export_id = f"{origin}.{made.id}"
        if export_id in taken or (there is not None and _same(there.value, made.value)):
            continue
        wanted: Stamped | None = Stamped(value=made.value, at=made.at)
        if there is not None and made.key is not None:
            wanted = merging.kept("finding", made.key, there, made)
        if wanted is not None:
            body = {"id": export_id, "key": made.key, "evidence": made.evidence, "at": wanted.at}
            kept = {name: part for name, part in body.items() if part is not None}
            yield Export(kind="finding", body={**kept, "value": wanted.value})


def _explored(merging: _Merging) -> Iterator[Export]:
    """The union of what both have seen: the parent need not look again."""
    for place, made in merging.child.explored_by_schema.items():
        there = merging.parent.explored_by_schema.get(place)
        fresh = [each for each in made.attributes if there is None or each not in set(there.attributes)]
        if there is None or fresh:
            yield Export(kind="explored", body={"source": made.source, "schema": made.schema, "attributes": fresh})


def _same(left: Any, right: Any) -> bool:
    return canonical(left) == canonical(right)
