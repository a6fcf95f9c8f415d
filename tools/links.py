"""Which schemas ids connect: `customer_id` leads to `customers`, and two schemas that share `trip_id` to each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from tools.language import name_words

_ID: Final = frozenset({"id", "key", "code", "no", "num", "nr", "number", "uuid", "guid"})
_SHARED_MOST: Final = 6
"""An id that nobody is named after and that more schemas than these share says little about any two of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What links are drawn from: the words of a schema's name, and of each of its attributes' names."""

    source: str
    name: tuple[str, ...]
    attributes: tuple[tuple[str, ...], ...]


def links(schemas: Sequence[Named]) -> dict[int, set[int]]:
    """The places of schemas that ids connect, both ways; only within one source. From names alone, so a guess."""
    owners: dict[tuple[str, tuple[str, ...]], int] = {}
    for place, schema in enumerate(schemas):
        owners.setdefault((schema.source, schema.name), place)
    found: dict[int, set[int]] = {}
    sharing: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for place, schema in enumerate(schemas):
        for name in {name for name in schema.attributes if len(name) > 1 and name[-1] in _ID}:
            owner = _owner(owners, schema.source, name[:-1])
            if owner is None:
                sharing.setdefault((schema.source, name), []).append(place)
            elif owner != place:
                _connect(found, place, owner)
    for places in sharing.values():
        for one, other in permutations(places, 2) if len(places) <= _SHARED_MOST else ():
            _connect(found, one, other)
    return found


def subject(name: str) -> tuple[str, ...]:
    """The words of what an id identifies. Empty: it is no id, or names nothing."""
    found = name_words(name)
    return found[:-1] if found and found[-1] in _ID else ()


def _owner(owners: dict[tuple[str, tuple[str, ...]], int], source: str, named: tuple[str, ...]) -> int | None:
    """The schema of that name; of `manager_staff` without one that of `staff`."""
    for begin in range(len(named)):
        owner = owners.get((source, named[begin:]))
        if owner is not None:
            return owner
    return None


def _connect(found: dict[int, set[int]], one: int, other: int) -> None:
    found.setdefault(one, set()).add(other)
    found.setdefault(other, set()).add(one)
