"""Measured rows read back into descriptions: pure."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Final

from sources.duckdb.describe import Measure
from sources.duckdb.describe_shown import displayed
from sources.duckdb.describe_types import family
from sources.duckdb.sampling import wilson
from sources.duckdb.semantics import Look
from sources.duckdb.semantics import is_date_text
from sources.duckdb.semantics import is_number_text
from sources.duckdb.semantics import semantic_type
from sources.duckdb.semantics import unit
from sources.protocol import Attribute
from sources.protocol import AttributeDescription
from sources.protocol import Interval
from sources.protocol import Json

SKETCH_ERROR: Final = 0.05
"""Relative error to expect of approx_count_distinct; its mean is 0.02, 0.11 was seen at 10 M rows."""

Found = Mapping[str, Mapping[str, Json]]
"""Values by attribute, then by measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that was measured for a description."""

    rows: int
    """Of the schema."""
    inspected: int
    """Rows the counts are of."""
    counts: Found
    looks: Found
    sketched: frozenset[str] = frozenset()
    """Attributes whose distinct count is an estimate over all rows."""
    exact_nulls: Mapping[str, int] = field(default_factory=dict[str, int])
    """Null rows of the whole schema, known from footers although the rest is sampled."""
    exact_ranges: Found = field(default_factory=dict[str, Mapping[str, Json]])

    @property
    def is_sample(self) -> bool:
        return self.inspected < self.rows


def gathered(measures: Sequence[Measure], row: Sequence[Json]) -> dict[str, dict[str, Json]]:
    """The values of a measuring row (after its row count), by attribute and measure."""
    found: dict[str, dict[str, Json]] = {}
    for measure, value in zip(measures, row, strict=True):
        found.setdefault(measure.attribute, {})[measure.key] = value
    return found


def described(attribute: Attribute, measured: Measured) -> AttributeDescription:
    """The description of one attribute."""
    of = family(attribute.type)
    counts = measured.counts.get(attribute.name, {})
    look = seen(attribute, measured)
    examples = measured.looks.get(attribute.name, {}).get("examples")
    interval = null_interval(attribute.name, measured)
    return AttributeDescription(
        name=attribute.name,
        type=attribute.type,
        meaning=attribute.meaning,
        null_share=null_share(attribute.name, measured),
        null_interval=interval,
        distinct=look.distinct,
        distinct_is_exact=not measured.is_sample and attribute.name not in measured.sketched,
        distinct_error=SKETCH_ERROR if attribute.name in measured.sketched else None,
        examples=tuple(displayed(value, of) for value in examples) if isinstance(examples, list) else (),
        min=displayed(look.min, of),
        max=displayed(look.max, of),
        semantic_type=semantic_type(look),
        unit=unit(attribute.name, of),
        flags=flags(look, counts, measured, interval),
    )


def seen(attribute: Attribute, measured: Measured) -> Look:
    """What is known of an attribute when its meaning is asked."""
    counts = measured.counts.get(attribute.name, {})
    values = whole(counts.get("values"))
    distinct = min(whole(counts.get("distinct")), values)
    is_exact = not measured.is_sample and attribute.name not in measured.sketched
    ends = measured.exact_ranges.get(attribute.name, {}) if measured.is_sample else counts
    return Look(
        name=attribute.name,
        type=attribute.type,
        family=family(attribute.type),
        values=values,
        distinct=distinct,
        is_unique=is_exact and values > 1 and distinct == values,
        min=ends.get("min"),
        max=ends.get("max"),
        measures=measured.looks.get(attribute.name, {}),
    )


def null_share(name: str, measured: Measured) -> float:
    """The share of null rows, exact where it is known."""
    if measured.rows == 0 or measured.inspected == 0:
        return 0.0
    if name in measured.exact_nulls:
        return measured.exact_nulls[name] / measured.rows
    values = whole(measured.counts.get(name, {}).get("values"))
    return (measured.inspected - values) / measured.inspected


def null_interval(name: str, measured: Measured) -> Interval | None:
    """The interval of the share of null rows. None: it is exact."""
    if not measured.is_sample or name in measured.exact_nulls:
        return None
    values = whole(measured.counts.get(name, {}).get("values"))
    return wilson(measured.inspected - values, measured.inspected)


def whole(value: Json) -> int:
    """A count. Counts beyond 2**53 - 1 cross the wire as text."""
    return int(value) if isinstance(value, int | str) else 0


def flags(look: Look, counts: Mapping[str, Json], measured: Measured, nulls: Interval | None) -> tuple[str, ...]:
    """Remarks, each of them measured."""
    rows = measured.rows
    share = null_share(look.name, measured)
    is_exact = not measured.is_sample and look.name not in measured.sketched
    remarks = {
        "constant": is_exact and look.distinct == 1 and look.values > 1,
        "all_null": rows > 0 and nulls is None and share == 1.0,
        "mostly_null": share < 1.0 and (share if nulls is None else nulls.low) > 0.5,  # noqa: PLR2004  # a half
        "unique": look.is_unique,
        "empty_strings": whole(counts.get("empty")) > 0,
        "sentinel_values": _has_sentinels(look, counts),
        "has_nan": whole(counts.get("nan")) > 0,
        "has_infinity": whole(counts.get("infinite")) > 0,
        "future_dates": whole(counts.get("future")) > 0,
        "numbers_as_text": is_number_text(look) and not is_date_text(look),
        "dates_as_text": is_date_text(look),
    }
    return tuple(remark for remark, holds in remarks.items() if holds)


def _has_sentinels(look: Look, counts: Mapping[str, Json]) -> bool:
    """-1 stands for a missing value when it is the only negative number among larger ones."""
    minus_one = whole(counts.get("minus_one"))
    alone = minus_one > 0 and minus_one == whole(counts.get("negative")) and look.distinct > 3  # noqa: PLR2004  # -1, 0, 1
    return alone or any(whole(counts.get(key)) > 0 for key in ("sentinels", "epoch", "forever"))
