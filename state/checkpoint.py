"""A session as JSON, and back: what checkpoints, restores and branches keep.

Parts are objects with named fields, so that a later release reads what an earlier one wrote: fields it does not know
are left out, and fields that are missing get their defaults.
"""

import json
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any
from typing import Final
from typing import TypeVar

from state.goals import Goal
from state.layers import Layers
from state.session import Explored
from state.session import Finding
from state.session import Kept
from state.session import OpenConflict
from state.session import Session

T = TypeVar("T")

_PARTS: Final = frozenset(
    {"goals_by_id", "context", "preferences", "findings_by_place", "explored_by_schema", "conflicts"}
)


def state_of(session: Session) -> dict[str, Any]:
    """What a session knows, as JSON: what a restore brings back and a branch begins with."""
    return {
        "goals": [_written(each) for each in session.goals],
        "context": {key: _written(each) for key, each in session.context.items()},
        "preferences": {key: _written(each) for key, each in session.preferences.items()},
        "findings": [_written(each) for each in session.findings],
        "explored": [_written(each) for each in session.explored],
        "conflicts": [_written(each) for each in session.conflicts],
    }


def parts_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `Session` that `state_of` wrote. `KeyError`, `TypeError`: it did not write this."""
    goals = _read_all(Goal, state["goals"])
    findings = _read_all(Finding, state["findings"])
    explored = _read_all(Explored, state["explored"])
    return {
        "goals_by_id": MappingProxyType({each.id: each for each in goals}),
        "context": Layers({key: _read(Kept, each) for key, each in state["context"].items()}),
        "preferences": Layers({key: _read(Kept, each) for key, each in state["preferences"].items()}),
        "findings_by_place": Layers({each.place: each for each in findings}),
        "explored_by_schema": Layers({(each.source, each.schema): each for each in explored}),
        "conflicts": tuple(_read_all(OpenConflict, state["conflicts"])),
    }


def encoded(session: Session) -> bytes:
    """The whole session."""
    whole = {"format": 1, "state": state_of(session)}
    whole["session"] = {name: getattr(session, name) for name in _PLAIN}
    whole["session"]["keys"] = dict(session.keys)
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def decoded(text: bytes) -> Session | None:
    """The session again. None: this is not the text of one, or a later release wrote it in another way."""
    try:
        whole = json.loads(text)
        if whole["format"] != 1:
            return None
        plain = {name: value for name, value in whole["session"].items() if name in _NAMES[Session]}
        plain |= {"keys": Layers(plain["keys"]), "children": tuple(plain["children"])}
        return Session(**plain, **parts_of(whole["state"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _written(part: Any) -> dict[str, Any]:
    return {name: getattr(part, name) for name in _NAMES[type(part)]}


def _read(kind: type[T], written: Mapping[str, Any]) -> T:
    made = {name: value for name, value in written.items() if name in _NAMES[kind]}
    if kind is Explored:
        made["attributes"] = tuple(made["attributes"])
    return kind(**made)


def _read_all(kind: type[T], written: Iterable[Mapping[str, Any]]) -> list[T]:
    return [_read(kind, each) for each in written]


_NAMES: Final[dict[type[object], tuple[str, ...]]] = {
    kind: tuple(each.name for each in fields(kind)) for kind in (Goal, Finding, Kept, Explored, OpenConflict, Session)
}
_PLAIN: Final = tuple(name for name in _NAMES[Session] if name not in _PARTS | {"keys", "local"})
