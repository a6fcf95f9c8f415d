"""The columns of an answer: facets, comparison and bucket first, then what was selected, spread where it is nested."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from typing import cast

from sources.nrql.answers_matching import Match
from sources.nrql.answers_rows import Line
from sources.nrql.answers_rows import Lines
from sources.nrql.answers_rows import mapping
from sources.nrql.answers_wanted import PARTED
from sources.nrql.answers_wanted import is_number

_PARTS_MOST: Final = 20
_MS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, still in the answer's own values."""

    name: str
    values: Sequence[object]
    otherwise: str = "string"
    """Its type when all values are null."""
    is_instant: bool = False
    """Milliseconds since 1970, when they can be that."""


def columns(lines: Lines, matched: Sequence[Match], *, weighed: bool) -> list[Column]:
    """All columns. `weighed`: the rows are buckets that can only be put together by their weights."""
    spread = [column for match in matched for column in _selected(lines.rows, match)]
    return [*around(lines, weighed=weighed), *spread]


def around(lines: Lines, *, weighed: bool) -> list[Column]:
    """What stands before the selected: which facet, which half of a comparison, which bucket."""
    rows = lines.rows
    found = [Column(name=name, values=[row.facets[place] for row in rows]) for place, name in enumerate(lines.facets)]
    if lines.has("comparison"):
        found.append(Column(name="comparison", values=[row.comparison for row in rows]))
    if lines.has("begin_s"):
        found.append(Column(name="begin", values=[_ms(row.begin_s) for row in rows], is_instant=True))
        found.append(Column(name="end", values=[_ms(row.end_s) for row in rows], is_instant=True))
    if weighed and lines.has("inspected"):
        found.append(Column(name="inspected", values=[row.inspected for row in rows], otherwise="numeric"))
    return found


def values(rows: Sequence[Line], match: Match) -> list[object]:
    """The values of one selected thing; null in a bucket without data, where the answer only fills in a 0."""
    key, void = match.key, match.wanted.is_void_when_empty
    if key is None:
        return [None] * len(rows)
    if not void:
        return [row.selected.get(key) for row in rows]
    return [None if row.is_empty else row.selected.get(key) for row in rows]


def _ms(seconds: object) -> object:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return seconds
    return seconds * _MS


def _selected(rows: Sequence[Line], match: Match) -> list[Column]:
    found = values(rows, match)
    parts = _parts(match, found)
    otherwise = match.wanted.type_otherwise
    if not parts:
        return [Column(name=match.name, values=found, otherwise=otherwise, is_instant=match.wanted.is_instant)]
    alone = len(parts) == 1 and (match.wanted.alias is not None or match.wanted.function == "median")
    part_of = _part_of(parts)
    return [
        Column(
            name=match.name if alone else f"{match.name}.{part}",
            values=[part_of(value, part) for value in found],
            otherwise="numeric",
        )
        for part in parts
    ]


def _parts(match: Match, found: Sequence[object]) -> tuple[str, ...]:
    """The parts that become columns of their own. Empty: the value is one column as it is."""
    keys = dict.fromkeys(str(key) for value in found for key in mapping(value))
    function, said = match.wanted.function, match.wanted.parts
    if not keys:
        return said if not any(value is not None for value in found) else ()
    numbers = all(is_number(key) for key in keys)
    if function not in PARTED and (function is not None or not numbers or len(keys) > _PARTS_MOST):
        return ()
    return _ordered(keys, said, numbers=numbers)


def _ordered(keys: dict[str, None], said: Sequence[str], *, numbers: bool) -> tuple[str, ...]:
    """As the statement says them, then by size."""
    places = {part: place for place, part in enumerate(said)}
    by_size: Callable[[str], float] = float if numbers else lambda _key: 0.0
    return tuple(sorted(keys, key=lambda key: (places.get(key, len(places)), by_size(key))))[:_PARTS_MOST]


def _part_of(parts: Sequence[str]) -> Callable[[object, str], object]:
    first = parts[0]

    def part_of(value: object, part: str) -> object:
        if isinstance(value, dict):
            return cast("dict[str, object]", value).get(part)
        return value if part == first else None

    return part_of
