"""What becomes of two values for one place: pure functions, and which of them goes for which kind of field.

A *stamp* is when a value was written, by a hybrid clock: at least the writer's wall clock, and always later than
everything the writer had seen. So what follows from something is later than it, however wrong a machine's clock is.
Source of the idea: Kulkarni et al., "Logical Physical Clocks", 2014.
"""

import json
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Literal
from typing import cast

Strategy = Literal["parent_wins", "child_wins", "merge_objects", "keep_latest", "manual"]
"""How a child's value meets a parent's."""

STEP_S: Final = 1e-6
"""The least by which a stamp is later than what it follows; a double holds it until the year 2200."""

OUTCOMES: Final[Mapping[str, str]] = {
    "finding": "keep_both",
    "finding with a key": "keep_latest",
    "context": "keep_latest",
    "preference": "keep_latest",
    "goal": "keep_latest",
    "explored": "union",
}
"""What two writers of one field of a session get who do not pass `expect`. What lost stays in the history.

Within one journal the order of its events decides, which is the order of their stamps, so there these hold without
being called. They are functions for histories that were written apart.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """A value and when it was written."""

    value: Any
    """JSON."""
    at: float


def stamp(now: float, *seen_at: float) -> float:
    """When something is written by someone whose clock says `now` and who has seen what was written at `seen_at`."""
    return max((now, *(each + STEP_S for each in seen_at)))


def keep_latest(one: Stamped, other: Stamped) -> Stamped:
    """The later of the two; of two with one stamp, the one whose JSON text is greater. Whichever comes first."""
    return max(one, other, key=_order)


def merge_objects(one: Stamped, other: Stamped) -> Stamped:
    """Objects joined key by key at every depth; where both have something else, the later is kept. In either order."""
    later = keep_latest(one, other)
    earlier = other if later is one else one
    return Stamped(value=_joined(earlier.value, later.value), at=later.at)


def union(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """Everything that is in either, once, in the order of its JSON text: the same whichever comes first."""
    return [json.loads(text) for text in sorted({canonical(each) for each in (*one, *other)})]


def keep_both(one: Sequence[Stamped], other: Sequence[Stamped]) -> list[Stamped]:
    """Every value of both, oldest first; equal values with one stamp are one."""
    return sorted({_order(each): each for each in (*one, *other)}.values(), key=_order)


def parent_wins(parent: Stamped, _child: Stamped) -> Stamped:
    return parent


def child_wins(_parent: Stamped, child: Stamped) -> Stamped:
    return child


RESOLVE: Final[Mapping[Strategy, Callable[[Stamped, Stamped], Stamped]]] = {
    "parent_wins": parent_wins,
    "child_wins": child_wins,
    "merge_objects": merge_objects,
    "keep_latest": keep_latest,
    "manual": parent_wins,
}
"""From a strategy to what is kept of a parent's and a child's value; with `manual`, until somebody chooses."""


def canonical(value: Any) -> str:
    """The value as JSON text that is the same for equal values: unlike for Python, 1 and true differ."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _order(stamped: Stamped) -> tuple[float, str]:
    return stamped.at, canonical(stamped.value)


def _joined(earlier: Any, later: Any) -> Any:
    if not isinstance(earlier, Mapping) or not isinstance(later, Mapping):
        return later
    old, new = cast("Mapping[str, Any]", earlier), cast("Mapping[str, Any]", later)
    both = {key: _joined(old[key], new[key]) for key in old if key in new}
    return {**old, **new, **both}
