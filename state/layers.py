"""A map that never changes and of which another is cheaply made: what was written lately lies on top of the rest."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Final
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

_TOP_MOST = 48
"""Entries on top before they may be folded into those below: copying so many takes about half a microsecond."""
_BELOW_TIMES = 8
"""They are folded once they are an eighth of those below, so that a write copies little on average."""


_NOTHING: Final[dict[Any, Any]] = {}
"""Shared by all that are empty, so that the garbage collector has less to look at. Never written to."""


class Layers(Mapping[K, V]):
    """Iterates in the order in which entries were last written. Equal to every mapping with the same entries."""

    __slots__ = ("_below", "_length", "_top")

    def __init__(self, below: dict[K, V] | None = None, top: dict[K, V] | None = None, length: int = -1) -> None:
        """What is passed in is its own from now on. `top`: entries that go last and hide those below.

        `length`: of both together, which must be passed if there are both.
        """
        self._below = below or _NOTHING
        self._top = top or _NOTHING
        self._length = len(self._below) if length < 0 else length

    @property
    def below(self) -> int:
        """How many entries lie below; those on top are copied at every write, these only now and then."""
        return len(self._below)

    def having(self, entries: Mapping[K, V]) -> "Layers[K, V]":
        """These entries as well, which go last, also those whose keys are there already."""
        top = _put_last(self._top.copy(), entries)
        if len(top) > _TOP_MOST and len(top) * _BELOW_TIMES > len(self._below):
            return Layers(_put_last(self._below.copy(), top))
        return Layers(self._below, top, self._length + sum(1 for key in entries if key not in self))

    def listed(self) -> tuple[V, ...]:
        """The values in order: as `values()` of a dict, and as fast."""
        if not self._top:
            return tuple(self._below.values())
        top = self._top
        return (*[value for key, value in self._below.items() if key not in top], *top.values())

    def __getitem__(self, key: K) -> V:
        return self._top[key] if key in self._top else self._below[key]

    def __contains__(self, key: object) -> bool:
        return key in self._top or key in self._below

    def get(self, key: K, default: Any = None) -> Any:
        """As a dict's, without asking twice."""
        found = self._top.get(key, self)
        return self._below.get(key, default) if found is self else found

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self._below if key not in self._top)
        yield from self._top

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"Layers({dict(self)!r})"


def _put_last(entries: dict[K, V], more: Mapping[K, V]) -> dict[K, V]:
    for key, value in more.items():
        entries.pop(key, None)
        entries[key] = value
    return entries
