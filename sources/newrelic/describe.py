"""The statements that measure attributes: many counts in one, and a look at rows from all over the window. Pure."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any
from typing import Final

from sources.newrelic.answered import count
from sources.newrelic.answered import first
from sources.newrelic.answered import rows
from sources.newrelic.names import TEXT_CHARS
from sources.newrelic.names import Place
from sources.newrelic.names import chunks
from sources.newrelic.window import Window
from sources.nrql.text import name_text
from sources.protocol import Attribute

SLICES: Final = 8
SLICE_ROWS: Final = 25
"""Rows looked at in each slice; NRDB answers the newest of it."""
_TOGETHER: Final = 40
"""Expressions in one statement."""
_LOOKED_TOGETHER: Final = 60

Values = Mapping[str, Mapping[str, Any]]
"""What was measured, by attribute, then by measure. `rows`: of the statement that counted its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One expression of a statement and the place its value belongs to."""

    attribute: str
    key: str
    nrql: str


def counts(place: Place, attributes: Iterable[Attribute], *, exact: bool) -> Iterator[Measure]:
    """Values and distinct values of each attribute; with `exact` also what takes more: ranges and odd values."""
    for each in attributes:
        if each.name == place.metric:
            yield from _of_value(each.name)
            continue
        yield filled(each.name)
        yield Measure(attribute=each.name, key="distinct", nrql=f"uniqueCount({name_text(each.name)})")
        if exact:
            yield from _more(each)


def ends() -> tuple[Measure, ...]:
    """When the first and the last row happened; kept under no attribute's name."""
    return (
        Measure(attribute="", key="first", nrql="earliest(timestamp)"),
        Measure(attribute="", key="last", nrql="latest(timestamp)"),
    )


def filled(name: str) -> Measure:
    """How many rows have a value."""
    return Measure(attribute=name, key="values", nrql=_where(f"{name_text(name)} IS NOT NULL"))


def latest(name: str) -> Measure:
    """Its newest value, for one that no row which was looked at has."""
    return Measure(attribute=name, key="latest", nrql=f"latest({name_text(name)})")


def measuring(place: Place, measures: Sequence[Measure], clause: str) -> tuple[str, ...]:
    """As few statements as hold all measures; each also counts the rows."""
    return tuple(
        place.asked(
            ", ".join(["count(*) AS n", *(_aliased(measures[number].nrql, number) for number in range(begin, end))]),
            rest=clause,
        )
        for begin, end in _parts(place, measures)
    )


def measured(place: Place, measures: Sequence[Measure], containers: Sequence[Mapping[str, Any]]) -> Values:
    """The answers to `measuring`, in its order, by attribute and measure."""
    found: dict[str, dict[str, Any]] = {}
    for (begin, end), container in zip(_parts(place, measures), containers, strict=True):
        row = first(container)
        for number in range(begin, end):
            measure = measures[number]
            held = found.setdefault(measure.attribute, {})
            held[measure.key] = row.get(f"m{number}")
            if measure.key == "values":
                held["rows"] = count(row.get("n"))
    return found


def row_count(containers: Sequence[Mapping[str, Any]]) -> int:
    """The rows that the first measuring statement counted."""
    return count(first(containers[0]).get("n")) if containers else 0


def looking(place: Place, names: Sequence[str], window: Window) -> tuple[str, ...]:
    """Statements that read some rows of every slice of the window: never only the newest.

    Of one attribute alone, rows that have it.
    """
    written = [name_text(each) for each in names]
    where = f"{written[0]} IS NOT NULL" if len(written) == 1 else ""
    return tuple(
        place.asked(", ".join(written[begin:end]), rest=f"{each.clause} LIMIT {SLICE_ROWS}", where=where)
        for begin, end in chunks(written, most=_LOOKED_TOGETHER, chars=TEXT_CHARS - 700)
        for each in window.sliced(SLICES)
    )


def looked_shown(texts: Sequence[str], window: Window) -> str:
    """The first of the statements of `looking`, and what the others are."""
    if not texts:
        return ""
    return f"{texts[0]} -- and {len(texts) - 1} more like it, in {SLICES} slices until {window.end_ms}"


def seen(names: Sequence[str], containers: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The non-null values of each attribute in the rows that were looked at: of every slice one, then the next ones."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    for rank in zip_longest(*(rows(container) for container in containers), fillvalue={}):
        for row in rank:
            for name in row.keys() & found.keys():
                if row[name] is not None:
                    found[name].append(row[name])
    return found


def filled_slices(containers: Sequence[Mapping[str, Any]]) -> int:
    """In how many of the first slices there were rows."""
    return sum(1 for container in containers[:SLICES] if rows(container))


def _parts(place: Place, measures: Sequence[Measure]) -> tuple[tuple[int, int], ...]:
    around = len(place.asked("count(*) AS n", rest="")) + 50
    texts = [_aliased(each.nrql, number) for number, each in enumerate(measures)]
    return chunks(texts, most=_TOGETHER, chars=TEXT_CHARS - around) or ((0, 0),)


def _aliased(nrql: str, number: int) -> str:
    return f"{nrql} AS m{number}"


def _more(attribute: Attribute) -> Iterator[Measure]:
    name = name_text(attribute.name)
    if attribute.type == "string":
        yield Measure(attribute=attribute.name, key="empty", nrql=_where(f"{name} = ''"))
    if attribute.type == "numeric":
        yield from _range(attribute.name)
        yield Measure(attribute=attribute.name, key="minus_one", nrql=_where(f"{name} = -1"))
        yield Measure(attribute=attribute.name, key="negative", nrql=_where(f"{name} < 0"))


def _of_value(metric: str) -> Iterator[Measure]:
    """Of a metric's value: every row of the metric has it, and it is a summary that has no distinct values."""
    yield from _range(metric)
    yield Measure(attribute=metric, key="mean", nrql=f"average({name_text(metric)})")


def _range(attribute: str) -> Iterator[Measure]:
    name = name_text(attribute)
    yield Measure(attribute=attribute, key="min", nrql=f"min({name})")
    yield Measure(attribute=attribute, key="max", nrql=f"max({name})")


def _where(condition: str) -> str:
    return f"filter(count(*), WHERE {condition})"
