"""The rows of an NRDB answer in one form, whatever came: facets, bucket and comparison apart from what was selected.

Every field of a container may be missing, null or of another kind than documented; then it counts as absent.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Final
from typing import Literal
from typing import cast

Row = Mapping[str, object]

_BUCKET: Final = ("beginTimeSeconds", "endTimeSeconds", "inspectedCount")
_APART: Final = frozenset({"facet", "comparison", *_BUCKET})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row."""

    facets: tuple[object, ...]
    """In the order of the facets' names; None where it is missing."""
    comparison: str | None
    begin_s: object
    end_s: object
    inspected: object
    """Events behind the bucket; a bucket of 0 holds no data, whatever its averages say. None: not said."""
    selected: Row

    @property
    def is_empty(self) -> bool:
        return self.inspected == 0 and self.inspected is not False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """All rows of an answer."""

    rows: tuple[Line, ...]
    facets: tuple[str, ...]
    unreadable: int = 0
    """Rows that are no objects."""
    keys: tuple[str, ...] = field(default=())
    """What was selected, as the rows call it, in the order of their first appearance."""

    def has(self, what: Literal["comparison", "begin_s", "inspected"]) -> bool:
        return any(getattr(row, what) is not None for row in self.rows)


def mapping(value: object) -> Row:
    """The object, or an empty one when it is none."""
    return cast("Row", value) if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[object]:
    """The list, or an empty one when it is none."""
    return cast("Sequence[object]", value) if isinstance(value, list) else ()


def objects(values: Sequence[object]) -> list[Row]:
    """Those of the values that are objects."""
    return [cast("Row", value) for value in values if isinstance(value, dict)]


def lines(container: Row, facets: Sequence[str] | None) -> Lines:
    """`facets`: the names that a statement gives them. None: there is no statement, so the answer's own are taken."""
    rows = [*_rows(container)]
    read_rows = objects(rows)
    told = _told_facets(container)
    names = _facet_names(read_rows, told, facets)
    repeated = frozenset({*told, *names}) if names else frozenset[str]()
    read = tuple(_line(row, names, told, repeated) for row in read_rows)
    keys = dict.fromkeys(key for line in read for key in line.selected)
    return Lines(rows=read, facets=names, unreadable=len(rows) - len(read_rows), keys=tuple(keys))


def _rows(container: Row) -> Sequence[object]:
    """`results`; or both halves of a comparison, marked, where the answer has them apart only."""
    results = sequence(container.get("results"))
    current, previous = (sequence(container.get(key)) for key in ("currentResults", "previousResults"))
    marked = any("comparison" in mapping(row) for row in results)
    if marked or not (current or previous):
        return _unwrapped(results)
    halves = (("current", current), ("previous", previous))
    return [{**row, "comparison": name} for name, half in halves for row in objects(half)]


def _unwrapped(results: Sequence[object]) -> Sequence[object]:
    """Rows of what some answers bring in one row: raw events, names of event types, and keysets as NRDB has them."""
    only = mapping(results[0] if len(results) == 1 else None)
    if len(only) == 1 and (events := sequence(only.get("events"))):
        return events
    if len(only) == 1 and (types := sequence(only.get("eventTypes"))):
        return [{"eventType": each} for each in types]
    if "allKeys" in only:
        kinds = (("string", "stringKeys"), ("numeric", "numericKeys"), ("boolean", "booleanKeys"))
        return [{"key": key, "type": kind} for kind, under in kinds for key in sequence(only.get(under))]
    return results


def _told_facets(container: Row) -> tuple[str, ...]:
    told = mapping(container.get("metadata")).get("facets")
    return tuple(str(each) for each in ([told] if isinstance(told, str) else sequence(told)))


def _facet_names(rows: Sequence[Row], told: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    if wanted is not None:
        return tuple(wanted)
    if told:
        return tuple(told)
    width = max((len(_parts(row["facet"])) for row in rows if "facet" in row), default=0)
    return ("facet",) if width == 1 else tuple(f"facet_{place + 1}" for place in range(width))


def _parts(facet: object) -> Sequence[object]:
    return cast("Sequence[object]", facet) if isinstance(facet, list) else (facet,)


def _line(row: Row, names: Sequence[str], told: Sequence[str], repeated: frozenset[str]) -> Line:
    comparison = row.get("comparison")
    in_bucket = "beginTimeSeconds" in row
    bucket = [row.get(key) for key in _BUCKET] if in_bucket else [None, None, None]
    apart = {key for key in _APART if key in row and (key != "inspectedCount" or in_bucket)}
    if not isinstance(comparison, str):
        apart.discard("comparison")
    if not names:
        apart.discard("facet")
    unseen = repeated.union(apart)
    return Line(
        facets=_facet_values(row, names, told) if names else (),
        comparison=comparison if isinstance(comparison, str) else None,
        begin_s=bucket[0],
        end_s=bucket[1],
        inspected=bucket[2],
        selected={key: value for key, value in row.items() if key not in unseen} if unseen else row,
    )


def _facet_values(row: Row, names: Sequence[str], told: Sequence[str]) -> tuple[object, ...]:
    """From `facet`; where it is missing, from the attributes' own names."""
    if "facet" in row:
        parts = _parts(row["facet"])
        return tuple(parts[place] if place < len(parts) else None for place in range(len(names)))
    called = told if len(told) == len(names) else names
    return tuple(row.get(called[place], row.get(names[place])) for place in range(len(names)))
