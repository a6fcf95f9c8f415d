"""The statements that measure one attribute in full, and the reading of values and buckets. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any
from typing import Final
from typing import cast

from sources.duckdb.describe_shown import cut
from sources.duckdb.profile import QUANTILES
from sources.duckdb.profile import Grid
from sources.newrelic.answered import count
from sources.newrelic.answered import facet
from sources.newrelic.answered import number
from sources.newrelic.answered import rows
from sources.newrelic.describe import Measure
from sources.newrelic.names import Place
from sources.newrelic.window import instant
from sources.nrql.text import name_text
from sources.protocol import Attribute
from sources.protocol import Bucket
from sources.protocol import Json
from sources.protocol import TopValue

FACETS_EXACT: Final = 5_000
"""Beyond so many values the most frequent ones are only nearly so. Source: docs.newrelic.com, NRQL FACET clause."""
_POINTS: Final = {key: round(share * 100) for key, share in QUANTILES.items()}


def numbers(attribute: Attribute) -> Iterator[Measure]:
    """Mean, deviation and percentiles of a numeric attribute; nothing of others."""
    if attribute.type != "numeric":
        return
    name = name_text(attribute.name)
    points = ", ".join(str(point) for point in _POINTS.values())
    yield Measure(attribute=attribute.name, key="mean", nrql=f"average({name})")
    yield Measure(attribute=attribute.name, key="stddev", nrql=f"stddev({name})")
    yield Measure(attribute=attribute.name, key="quantiles", nrql=f"percentile({name}, {points})")


def top_values(place: Place, attribute: Attribute, top: int, clause: str) -> str:
    """The most frequent values. Numbers as text: a FACET cuts off what is behind the point.

    Source: docs.newrelic.com, NRQL reference, string(): facets of floating-point numbers lose their decimal places.
    """
    name = name_text(attribute.name)
    by = f"string({name})" if attribute.type == "numeric" else name
    return place.asked("count(*) AS c", where=f"{name} IS NOT NULL", rest=f"{clause} FACET {by} LIMIT {top}")


def top_read(attribute: Attribute, container: Mapping[str, Any], of: int) -> tuple[TopValue, ...]:
    """The values of `top_values`, the most frequent first. `of`: all rows."""
    found = ((facet(row, ("c",)), count(row.get("c"))) for row in rows(container))
    read = [
        TopValue(value=_value(attribute, value), rows=seen, share=seen / of if of else 0.0)
        for value, seen in found
        if value is not None and seen > 0
    ]
    return tuple(sorted(read, key=lambda each: -each.rows))


def buckets(attribute: Attribute, grid: Grid) -> tuple[Measure, ...]:
    """One count for each bucket; the last one includes its end."""
    name = name_text(attribute.name)
    bounds = _bounds(grid)
    return tuple(
        Measure(
            attribute=attribute.name,
            key=f"bucket{place}",
            nrql=f"filter(count(*), WHERE {name} >= {_written(low)} AND {name} "
            f"{'<=' if place == grid.buckets - 1 else '<'} {_written(high)})",
        )
        for place, (low, high) in enumerate(pairwise(bounds))
    )


def histogram(grid: Grid, found: Mapping[str, Any], *, whole: bool, instants: bool) -> tuple[Bucket, ...]:
    """The counts of `buckets`; bounds are whole numbers or instants where the values are."""
    bounds = [_bound(each, whole=whole, instants=instants) for each in _bounds(grid)]
    return tuple(
        Bucket(low=bounds[place], high=bounds[place + 1], rows=count(found.get(f"bucket{place}")))
        for place in range(grid.buckets)
    )


def quantiles(found: Any) -> dict[str, int | float] | None:
    """The percentiles by their keys p01 to p99. None: NRDB gave none."""
    if not isinstance(found, Mapping):
        return None
    by_point = {_point(key): number(value) for key, value in cast("Mapping[Any, Any]", found).items()}
    read = {key: by_point.get(point) for key, point in _POINTS.items()}
    return {key: value for key, value in read.items() if value is not None} or None


def _point(key: Any) -> float | None:
    """`"50"` and `"50.0"` both occur."""
    try:
        return float(key)
    except (TypeError, ValueError):
        return None


def _value(attribute: Attribute, value: Any) -> Json:
    """A facet is text, whatever the type of the attribute."""
    if attribute.type == "boolean" and isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), cut(value))
    if attribute.type == "numeric" and isinstance(value, str):
        return _number(value)
    return cut(value) if isinstance(value, str) else number(value) if not isinstance(value, bool) else value


def _number(text: str) -> Json:
    for read in (int, float):
        try:
            found = number(read(text))
        except (ValueError, OverflowError):
            continue
        if found is not None and abs(found) < 2**53:
            return found
    return cut(text)


def _bounds(grid: Grid) -> Sequence[float]:
    return [*(grid.low + place * grid.width for place in range(grid.buckets)), grid.high]


def _written(value: float) -> str:
    """A number without an exponent, which NRQL does not read."""
    return format(Decimal(repr(float(value))).normalize(), "f")


def _bound(value: float, *, whole: bool, instants: bool) -> Json:
    if instants:
        return instant(value)
    if whole:
        return int(value) if abs(value) < 2**53 else str(int(value))
    return float(f"{value:.12g}")
