"""The parts of an answer about a session's history: which events a page holds, and as much of a state as fits."""

import json
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from state.journal import Event
from tools.tokens import tokens_about

_CHARS_PER_TOKEN = 8
"""A longer text has more tokens than that, unless it is mostly blanks: not worth counting."""
_PLACES_NAMED = 3
_PLACE_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which events were asked for: those after one version, through another."""

    after: int
    through: int
    oldest_first: bool

    def from_place(self, version: int) -> "Window":
        """What is left of it once the event of this version was shown. 0: nothing was."""
        if not version:
            return self
        if self.oldest_first:
            return Window(after=min(max(self.after, version), self.through), through=self.through, oldest_first=True)
        return Window(after=self.after, through=min(self.through, version - 1), oldest_first=False)

    def first_read(self, limit: int) -> int:
        """The version behind which to read, so that a page of the newest events does not read all before them."""
        return self.after if self.oldest_first else max(self.after, self.through - limit)

    def page(self, events: Sequence[Event], limit: int) -> list[Event]:
        """The events of a page, in its order."""
        inside = [each for each in events if self.after < each.version <= self.through]
        return (inside if self.oldest_first else inside[::-1])[:limit]

    def goes_on(self, shown: int, dropped: int) -> bool:
        """Whether more events follow the one of the version `shown`; those up to `dropped` are not kept any more."""
        return shown < self.through if self.oldest_first else shown - 1 > max(self.after, dropped)


@dataclass(frozen=True, slots=True)
class Cut:
    """What fits, and the places of what does not."""

    kept: Any
    left_out: tuple[str, ...]

    @property
    def told(self) -> str:
        """How many places were left out, with the names of the first."""
        named = [each if len(each) <= _PLACE_CHARS else f"{each[:_PLACE_CHARS]}…" for each in self.left_out]
        more = ", …" if len(named) > _PLACES_NAMED else ""
        return f"{len(named)} did not fit ({', '.join(named[:_PLACES_NAMED])}{more})"


def cut_state(state: dict[str, dict[str, Any]], budget: int) -> Cut:
    """The entries of a state that fit the budget together, each one whole, and of each part the last ones first."""
    places = [(part, name) for part, entries in state.items() for name in reversed(entries)]
    fits = dict(zip(places, _fitting(({name: state[part][name]} for part, name in places), budget), strict=True))
    kept = {
        part: {name: value for name, value in entries.items() if fits[part, name]} for part, entries in state.items()
    }
    return Cut(kept, tuple(f"{part}/{name}" for (part, name), fit in fits.items() if not fit))


def cut_changes(changes: Sequence[dict[str, Any]], budget: int) -> Cut:
    """The operations that fit the budget together, each one whole; each stands for itself."""
    fits = _fitting(changes, budget)
    kept = [each for each, fit in zip(changes, fits, strict=True) if fit]
    return Cut(kept, tuple(each["path"][1:] for each, fit in zip(changes, fits, strict=True) if not fit))


def _fitting(items: Iterable[Any], budget: int) -> list[bool]:
    """Which of the items to take, in their order, leaving out each one that is too large for what is left."""
    fits: list[bool] = []
    for item in items:
        text = json.dumps(item, ensure_ascii=False, separators=(",", ":")) if budget > 0 else ""
        tokens = tokens_about(text) if text and len(text) <= budget * _CHARS_PER_TOKEN else budget + 1
        fits.append(tokens <= budget)
        budget -= tokens if tokens <= budget else 0
    return fits
