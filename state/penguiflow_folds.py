"""What the records of one place come to: a roll, which only grows, or a board, where the newest of each id stands."""

import json
from typing import Any
from typing import TypeAlias

from state.journal import Event

_SPARE_EVENTS = 64
_SPARE_BYTES = 2**20


class Roll:
    """The first record with an id counts; beyond `most` the oldest are forgotten. Only places are kept, not texts."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._versions: dict[str, int] = {}

    def text(self, record_id: str) -> str | None:
        """What stands under the id: here only whether something does. None: nothing."""
        return "" if record_id in self._versions else None

    def wants(self, before: str | None, text: str) -> bool:
        """Whether a record is worth writing when `before` stands under its id."""
        _ = text
        return before is None

    def version(self, record_id: str) -> int | None:
        """Of the record with this id. None: there is none, or it was forgotten."""
        return self._versions.get(record_id)

    def take(self, record_id: str, text: str, version: int) -> None:
        """Take in what was written as this version."""
        _ = text
        self._versions.setdefault(record_id, version)
        if len(self._versions) > self.most:
            del self._versions[next(iter(self._versions))]

    def state(self) -> bytes:
        """What a checkpoint keeps: nothing, because what events of a roll are left says all."""
        return b"[]"

    def droppable(self, *, first: int, newest: int, size_bytes: int) -> int | None:
        """The version up to which events are not needed any more. None: too few are to be worth it."""
        _ = size_bytes
        spare = newest - first - self.most
        if spare <= self.most // 4 + _SPARE_EVENTS or not self._versions:
            return None
        return next(iter(self._versions.values())) - 1


class Board:
    """The newest record of each id, in the order in which ids first came, or last came if `moves`."""

    def __init__(self, most: int, *, moves: bool = False) -> None:
        self.most = most
        self._moves = moves
        self._texts: dict[str, str] = {}
        self._bytes = 0

    @property
    def texts(self) -> dict[str, str]:
        """By id. The caller's own."""
        return dict(self._texts)

    def text(self, record_id: str) -> str | None:
        return self._texts.get(record_id)

    def wants(self, before: str | None, text: str) -> bool:
        return self._moves or before != text

    def take(self, record_id: str, text: str, version: int) -> None:
        _ = version
        before = self._texts.pop(record_id, "") if self._moves else self._texts.get(record_id, "")
        self._texts[record_id] = text
        self._bytes += len(text) - len(before)
        if len(self._texts) > self.most:
            self._bytes -= len(self._texts.pop(next(iter(self._texts))))

    def restore(self, state: bytes) -> None:
        """Begin with what `state` gave."""
        for record_id, text in json.loads(state):
            self.take(record_id, text, 0)

    def state(self) -> bytes:
        return json.dumps([*self._texts.items()], ensure_ascii=False, separators=(",", ":")).encode()

    def droppable(self, *, first: int, newest: int, size_bytes: int) -> int | None:
        many = newest - first > 4 * len(self._texts) + _SPARE_EVENTS
        large = size_bytes > 4 * self._bytes + _SPARE_BYTES
        return newest if many or large else None


Fold: TypeAlias = Roll | Board


def record_of(event: Event) -> tuple[str, Any] | None:
    """The id and the record of an event. None: it has none, as those that say that others were dropped."""
    try:
        return event.body["id"], event.body["record"]
    except KeyError:
        return None
