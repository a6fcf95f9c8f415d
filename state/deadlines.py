"""What falls due when: a wheel of whole seconds, so that due things are found in bounded steps, never by scanning."""

import heapq
import math
from collections.abc import Hashable
from typing import Generic
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """Keys by the second in which they are due. Nothing is reported early; up to a second late."""

    def __init__(self) -> None:
        self._slots: dict[int, set[K]] = {}
        self._order: list[int] = []

    def add(self, key: K, deadline: float) -> None:
        slot = math.ceil(deadline)
        keys = self._slots.get(slot)
        if keys is None:
            keys = self._slots[slot] = set()
            heapq.heappush(self._order, slot)
        keys.add(key)

    def discard(self, key: K, deadline: float) -> None:
        """Forget a key; `deadline` must be the one it was added with."""
        keys = self._slots.get(math.ceil(deadline))
        if keys is not None:
            keys.discard(key)

    def move(self, key: K, old: float, new: float) -> None:
        """Cheap when both fall into the same second."""
        if math.ceil(old) != math.ceil(new):
            self.discard(key, old)
            self.add(key, new)

    def due(self, now: float, most: int) -> list[K]:
        """Take out up to `most` keys whose deadline has come. Also bounds the empty seconds it steps over."""
        found: list[K] = []
        for _ in range(most):
            if not self._order or self._order[0] > now:
                break
            keys = self._slots[self._order[0]]
            while keys and len(found) < most:
                found.append(keys.pop())
            if keys:
                break
            del self._slots[heapq.heappop(self._order)]
        return found
