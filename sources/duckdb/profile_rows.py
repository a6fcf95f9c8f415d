"""Measured rows read back into a profile: pure."""

import math
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from typing import Final
from typing import cast

from sources.duckdb.describe_rows import Measured
from sources.duckdb.describe_rows import described
from sources.duckdb.describe_rows import whole
from sources.duckdb.describe_shown import cut
from sources.duckdb.describe_shown import displayed
from sources.duckdb.describe_types import Family
from sources.duckdb.describe_types import family
from sources.duckdb.profile import QUANTILES
from sources.duckdb.profile import Grid
from sources.duckdb.profile import grid
from sources.duckdb.sampling import wilson
from sources.protocol import Attribute
from sources.protocol import Bucket
from sources.protocol import Format
from sources.protocol import Json
from sources.protocol import Profile
from sources.protocol import Provenance
from sources.protocol import TopValue

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS_US: Final = (-62_135_596_800e6, 253_402_300_799e6)
"""Microseconds since 1970 of the years 1 and 9999: moments beyond have no RFC 3339 text, so they get no histogram."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The three lists of `profile.details`."""

    top: Json
    buckets: Json
    formats: Json


def histogram_grid(attribute: Attribute, measured: Measured) -> Grid | None:
    """The buckets to count. None: the attribute has no place on a number line, or no finite value."""
    counts = measured.counts.get(attribute.name, {})
    low, high = counts.get("low"), counts.get("high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    of = family(attribute.type)
    if of == "moment" and not _YEARS_US[0] <= low <= high <= _YEARS_US[1]:
        return None
    return grid(float(low), float(high), of)


def profiled(
    schema: str,
    attribute: Attribute,
    measured: Measured,
    details: Details,
    *,
    provenance: Provenance,
    hints: tuple[str, ...],
) -> Profile:
    """The profile of one attribute."""
    of = family(attribute.type)
    brief = described(attribute, measured)
    counts = measured.counts.get(attribute.name, {})
    stddev = counts.get("stddev")
    return Profile(
        schema=schema,
        attribute=attribute.name,
        type=attribute.type,
        rows=measured.rows,
        null_share=brief.null_share,
        null_interval=brief.null_interval,
        distinct=brief.distinct,
        distinct_is_exact=brief.distinct_is_exact,
        distinct_error=brief.distinct_error,
        min=brief.min,
        max=brief.max,
        mean=counts.get("mean"),
        stddev=float(stddev) if isinstance(stddev, int | float) and math.isfinite(stddev) else None,
        quantiles=_quantiles(counts.get("quantiles"), of),
        top_values=_top_values(details.top, of, measured),
        histogram=_histogram(details.buckets, attribute, measured),
        formats=_formats(details.formats),
        semantic_type=brief.semantic_type,
        unit=brief.unit,
        flags=brief.flags,
        provenance=provenance,
        hints=hints,
    )


def _quantiles(values: Json, of: Family) -> dict[str, Json] | None:
    if not isinstance(values, list) or len(values) != len(QUANTILES):
        return None
    return {key: displayed(value, of) for key, value in zip(QUANTILES, values, strict=True)}


def _top_values(rows: Json, of: Family, measured: Measured) -> tuple[TopValue, ...]:
    return tuple(
        TopValue(
            value=displayed(row["v"], of),
            rows=whole(row["n"]),
            share=whole(row["n"]) / measured.inspected,
            interval=wilson(whole(row["n"]), measured.inspected) if measured.is_sample else None,
        )
        for row in _rows(rows)
    )


def _histogram(rows: Json, attribute: Attribute, measured: Measured) -> tuple[Bucket, ...] | None:
    found = histogram_grid(attribute, measured)
    if found is None or not isinstance(rows, list):
        return None
    counted = {whole(row["v"]): whole(row["n"]) for row in _rows(rows)}
    bounds = [found.low + number * found.width for number in range(found.buckets)] + [found.high]
    return tuple(
        Bucket(
            low=_bound(bounds[number], attribute.type),
            high=_bound(bounds[number + 1], attribute.type),
            rows=counted.get(number, 0),
        )
        for number in range(found.buckets)
    )


def _bound(at: float, kind: str) -> Json:
    of = family(kind)
    if of == "moment":
        zone = "Z" if kind == "TIMESTAMP WITH TIME ZONE" else ""
        return (_EPOCH + timedelta(microseconds=at)).replace(tzinfo=None).isoformat() + zone
    if of == "whole":
        return int(at) if abs(at) < 2**53 else str(int(at))
    return float(f"{at:.12g}")


def _formats(rows: Json) -> tuple[Format, ...] | None:
    if rows is None:
        return None
    found = _rows(rows)
    total = sum(whole(row["all"]) for row in found[:1])
    return tuple(
        Format(pattern=cut(str(row["v"])), share=whole(row["n"]) / total, example=cut(str(row["example"])))
        for row in found
    )


def _rows(rows: Json) -> Sequence[Mapping[str, Json]]:
    return cast("Sequence[Mapping[str, Json]]", rows) if isinstance(rows, list) else ()
