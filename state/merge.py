"""What a child session gives back to its parent: pure strategies, and a report of everything that lost."""

import hashlib
import json
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Literal
from typing import cast

from state.session import Finding
from state.session import Kept
from state.session import Session

Strategy = Literal["parent_wins", "child_wins", "merge_objects", "keep_latest"]
Side = Kept | Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One value to write to the parent, as the body of an event of that kind."""

    kind: Literal["finding", "context", "preference"]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The outcome of a merge."""

    exports: tuple[Export, ...]
    conflicts: tuple[dict[str, Any], ...]
    """`{key, parent, child, kept}` for every value that both sides had set, whatever became of it."""


def merge(parent: Session, child: Session, strategy: Strategy) -> Merged:
    """All findings of the child, and the context and preferences it changed.

    A value collides when the parent holds another one that the child did not start from. Merging again what was
    merged before exports nothing.
    """
    conflicts: list[dict[str, Any]] = []
    exports = [
        *_kept("context", parent, child, strategy, conflicts),
        *_kept("preference", parent, child, strategy, conflicts),
        *_findings(parent, child, strategy, conflicts),
    ]
    return Merged(exports=tuple(exports), conflicts=tuple(conflicts))


def resolve(strategy: Strategy, parent: Side, child: Side) -> Any:
    """The value to keep of two that collide."""
    return _RESOLVE[strategy](parent, child)


def _kept(
    kind: Literal["context", "preference"],
    parent: Session,
    child: Session,
    strategy: Strategy,
    conflicts: list[dict[str, Any]],
) -> Iterator[Export]:
    ours, theirs = (parent.context, child.context) if kind == "context" else (parent.preferences, child.preferences)
    for key, made in theirs.items():
        there = ours.get(key)
        if made.version == 1 or (there is not None and _same(there.value, made.value)):
            continue
        value, at = made.value, made.at
        if there is not None and there.version > child.parent_version:
            value, at = _collide(f"{kind}.{key}", strategy, there, made, conflicts)
            if _same(value, there.value):
                continue
        yield Export(kind=kind, body={"key": key, "value": value, "at": at})


def _findings(parent: Session, child: Session, strategy: Strategy, conflicts: list[dict[str, Any]]) -> Iterator[Export]:
    origin = hashlib.sha256(child.handle.encode()).hexdigest()[:8]
    taken = {each.id for each in parent.findings}
    keyed = {each.key: each for each in parent.findings if each.key is not None}
    for made in child.findings:
        there = None if made.key is None else keyed.get(made.key)
        export_id = f"{origin}.{made.id}"
        if export_id in taken or (there is not None and _same(there.value, made.value)):
            continue
        value, at = made.value, made.at
        if there is not None:
            value, at = _collide(f"finding.{made.key}", strategy, there, made, conflicts)
            if _same(value, there.value):
                continue
        body = {"id": export_id, "key": made.key, "value": value, "evidence": made.evidence, "at": at}
        yield Export(
            kind="finding", body={name: part for name, part in body.items() if part is not None or name == "value"}
        )


def _collide(
    field: str, strategy: Strategy, parent: Side, child: Side, conflicts: list[dict[str, Any]]
) -> tuple[Any, float]:
    value = resolve(strategy, parent, child)
    conflicts.append({"key": field, "parent": parent.value, "child": child.value, "kept": value})
    return value, max(parent.at, child.at)


def _latest(parent: Side, child: Side) -> Any:
    """Both instants come from one clock as long as a parent and its children live in one process."""
    return child.value if child.at >= parent.at else parent.value


def _objects(parent: Side, child: Side) -> Any:
    """Objects are joined key by key, at every depth; where both have something else, the later of the two is kept."""
    return _joined(parent.value, child.value, child_is_later=child.at >= parent.at)


def _joined(parent: Any, child: Any, *, child_is_later: bool) -> Any:
    if not isinstance(parent, Mapping) or not isinstance(child, Mapping):
        return cast("Any", child if child_is_later else parent)
    ours, theirs = cast("Mapping[str, Any]", parent), cast("Mapping[str, Any]", child)
    both = {key: _joined(ours[key], theirs[key], child_is_later=child_is_later) for key in ours if key in theirs}
    return {**ours, **theirs, **both}


def _same(left: Any, right: Any) -> bool:
    """As JSON: unlike for Python, 1 and true differ."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


_RESOLVE: Final[dict[Strategy, Callable[[Side, Side], Any]]] = {
    "parent_wins": lambda parent, _child: parent.value,
    "child_wins": lambda _parent, child: child.value,
    "merge_objects": _objects,
    "keep_latest": _latest,
}
