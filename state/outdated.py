"""What was lately declared outdated, as far as this process has heard: numbered, and bounded. Pure values.

Every result carries the position under which its load began. It is outdated if anything after that touches it, or if
nobody knows any more what came after. Each entry has a random nonce, so that a store which lost its newest entries and
counts on from an older number is not mistaken for the one from before.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import cast

from state.changes import ResultsOutdated
from state.shelf import globbed

KEPT: Final = 500
"""Entries that are remembered; a result that was loaded before the oldest of them counts as outdated."""
EVERYTHING: Final = ResultsOutdated()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One declaration. `change`: None in the first one, which nothing precedes."""

    number: int
    nonce: str
    change: ResultsOutdated | None

    @property
    def position(self) -> str:
        return f"{self.number}-{self.nonce}"


def placed(position: str) -> tuple[int, str]:
    """Number and nonce of a position; -1 if it is none."""
    number, _, nonce = position.partition("-")
    return (int(number), nonce) if number.isdigit() else (-1, "")


def touches(change: ResultsOutdated, tags: Sequence[str]) -> bool:
    """Whether a result that carries these tags is outdated by it."""
    if change.tags is None and change.pattern is None:
        return True
    if change.tags is not None and not set(change.tags).isdisjoint(tags):
        return True
    pattern = None if change.pattern is None else globbed(change.pattern)
    return pattern is not None and any(pattern.match(tag) for tag in tags)


def written(change: ResultsOutdated) -> str:
    """As text that `read` reads."""
    return json.dumps([change.tags, change.pattern], ensure_ascii=False, separators=(",", ":"))


def read(text: str) -> ResultsOutdated | None:
    """What `written` wrote; None for an empty text. What nobody can read may concern everything."""
    if not text:
        return None
    try:
        tags, pattern = cast("tuple[Any, Any]", json.loads(text))
    except (ValueError, TypeError):
        return EVERYTHING
    if not isinstance(tags, list | None) or not isinstance(pattern, str | None):
        return EVERYTHING
    listed = cast("list[Any] | None", tags)
    return ResultsOutdated(tags=None if listed is None else tuple(map(str, listed)), pattern=pattern)


class Heard:
    """A copy of the newest entries of a store."""

    def __init__(self) -> None:
        self._entries: OrderedDict[int, Entry] = OrderedDict()

    @property
    def position(self) -> str:
        """Of the newest entry. Empty: nothing was heard yet."""
        return next(reversed(self._entries.values())).position if self._entries else ""

    def take(self, entries: Iterable[Entry], *, whole: bool) -> None:
        """Add the entries that came after those known; `whole`: they are all there are, and others are forgotten."""
        added = tuple(entries)
        if whole:
            known = self._entries.get(added[-1].number) if added else None
            if known is not None and known == added[-1]:
                return  # asked for earlier and answered later than what is known already
            self._entries.clear()
        for entry in added:
            self._entries[entry.number] = entry
        while len(self._entries) > KEPT + 1:
            self._entries.popitem(last=False)

    def outdates(self, under: str, tags: Sequence[str]) -> bool:
        """Whether a result with these tags, loaded under that position, must not be served."""
        if under == self.position:
            return False
        number, nonce = placed(under)
        known = self._entries.get(number)
        if known is None or known.nonce != nonce:
            return True
        later = (each.change for each in reversed(self._entries.values()) if each.number > number)
        return any(change is None or touches(change, tags) for change in later)
