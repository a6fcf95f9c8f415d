"""Measures and looks read back into descriptions, with what is worth saying about them. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from sources.duckdb.semantics import Look
from sources.duckdb.semantics import is_date_text
from sources.duckdb.semantics import is_number_text
from sources.duckdb.semantics import semantic_type
from sources.duckdb.semantics import unit
from sources.newrelic.answered import count
from sources.newrelic.answered import number
from sources.newrelic.describe import Values
from sources.newrelic.dictionary import Words
from sources.newrelic.looks import Looked
from sources.newrelic.names import Place
from sources.newrelic.window import instant
from sources.nrql.text import name_text
from sources.protocol import Attribute
from sources.protocol import AttributeDescription
from sources.protocol import Json

EXACT_DISTINCT: Final = 255
"""Up to so many distinct values uniqueCount() is exact.

Source: docs.newrelic.com, NRQL reference, uniqueCount(): approximate when 256 or more unique values are inspected.
"""
DISTINCT_ERROR: Final = 0.05
"""Relative error to expect beyond. New Relic publishes none; this is what sketches of that kind are built for."""
_TWIN_SHARE: Final = 0.95
"""A twin is better when this attribute has less than so much of its values."""
_MILLISECONDS: Final = (1e12, 2.2e12)
"""Milliseconds since 1970 of the years 2001 to 2039."""
_SAFE: Final = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that was measured for a description or a profile."""

    place: Place
    rows: int
    values: Values
    looks: Mapping[str, Looked]
    words: Words
    twins: Mapping[str, tuple[str, ...]]
    """Names that only differ in their spelling, whose values were counted as well."""


def described(attribute: Attribute, measured: Measured) -> AttributeDescription:
    """The description of one attribute."""
    look = seen(attribute, measured)
    found = measured.values.get(attribute.name, {})
    distinct, is_exact = _distinct(attribute, measured)
    is_estimate = not is_exact and attribute.name != measured.place.metric
    meant = measured.words.attributes.get(attribute.name)
    return AttributeDescription(
        name=attribute.name,
        type=attribute.type,
        null_share=null_share(attribute.name, measured),
        distinct=distinct,
        distinct_is_exact=is_exact,
        distinct_error=DISTINCT_ERROR if is_estimate else None,
        examples=measured.looks[attribute.name].examples,
        min=shown(found.get("min"), look) if look.values else None,
        max=shown(found.get("max"), look) if look.values else None,
        semantic_type=semantic_type(look),
        unit=(meant.unit if meant is not None else None) or unit(attribute.name, look.family),
        meaning=attribute.meaning,
        flags=tuple(_flags(attribute, look, measured)),
    )


def seen(attribute: Attribute, measured: Measured) -> Look:
    """What is known of an attribute when its meaning is asked: ranges are measured, or those of the rows looked at."""
    looked = measured.looks[attribute.name]
    found = measured.values.get(attribute.name, {})
    values = filled(attribute.name, measured)
    distinct, is_exact = _distinct(attribute, measured)
    low, high = number(found.get("min")), number(found.get("max"))
    return Look(
        name=attribute.name,
        type=attribute.type,
        family=looked.family,
        values=values,
        distinct=distinct,
        is_unique=is_exact and values > 1 and distinct == values,
        min=looked.low if low is None else low,
        max=looked.high if high is None else high,
        measures=looked.measures,
    )


def filled(name: str, measured: Measured) -> int:
    """Rows with a value."""
    if name == measured.place.metric:
        return measured.rows
    return count(measured.values.get(name, {}).get("values"))


def null_share(name: str, measured: Measured) -> float:
    """The share of rows without a value, counted; 0 when there are no rows."""
    if name == measured.place.metric:
        return 0.0
    of = count(measured.values.get(name, {}).get("rows"))
    return max(0.0, 1 - filled(name, measured) / of) if of else 0.0


def is_instant(look: Look) -> bool:
    """Whether its numbers are milliseconds since 1970."""
    ends = (look.min, look.max)
    return semantic_type(look) == "timestamp" and all(
        isinstance(each, int | float) and _MILLISECONDS[0] <= each < _MILLISECONDS[1] for each in ends
    )


def shown(value: Any, look: Look) -> Json:
    """One measured number as it is shown: instants as RFC 3339, whole numbers beyond 2**53 - 1 as text."""
    found = number(value)
    if found is None:
        return None
    if is_instant(look):
        return instant(found)
    if isinstance(found, float) and look.family == "whole" and found.is_integer():
        found = int(found)
    return str(found) if isinstance(found, int) and abs(found) > _SAFE else found


def hints(attributes: Sequence[Attribute], measured: Measured) -> Iterator[str]:
    """What to do next, from what was measured."""
    metric = measured.place.metric
    if metric is not None and metric in measured.looks:
        yield _metric_hint(metric, measured.looks[metric].point)
    numbers = [each for each in attributes if is_numbers_text(seen(each, measured))]
    if numbers:
        name = name_text(numbers[0].name)
        verb = "holds" if len(numbers) == 1 else "hold"
        yield f"{_named(numbers)} {verb} numbers as text: {name} > 1 matches nothing, write numeric({name}) > 1."
    better = [(each, twin) for each in attributes if (twin := _better_twin(each.name, measured)) is not None]
    for each, twin in better[:2]:
        share, of_twin = (1 - null_share(name, measured) for name in (each.name, twin))
        yield f"{each.name} is filled in {share:.1%} of the rows, {twin} in {of_twin:.1%}: prefer {name_text(twin)}."
    if not all(_distinct(each, measured)[1] for each in attributes):
        assumed = f"an error of {DISTINCT_ERROR:.0%} is assumed, since it tells none"
        yield f"Distinct counts over {EXACT_DISTINCT} are New Relic's estimates; {assumed}."


def is_numbers_text(look: Look) -> bool:
    return is_number_text(look) and not is_date_text(look)


def _metric_hint(metric: str, point: str | None) -> str:
    name = name_text(metric)
    kind = "" if point is None else f" of type {point}"
    asked = f"latest({name})" if point == "gauge" else f"rate(sum({name}), 1 minute)"
    return f"{metric} is a metric{kind}: ask for average({name}) or {asked}; count(*) counts data points."


def _named(attributes: Sequence[Attribute]) -> str:
    more = f" and {len(attributes) - 3} more" if len(attributes) > 3 else ""  # noqa: PLR2004  # as cut
    return ", ".join(each.name for each in attributes[:3]) + more


def _distinct(attribute: Attribute, measured: Measured) -> tuple[int, bool]:
    """Distinct values and whether that is exact; of a metric's value only those that were looked at."""
    found = measured.values.get(attribute.name, {})
    if attribute.name == measured.place.metric:
        return measured.looks[attribute.name].distinct, False
    distinct = min(count(found.get("distinct")), count(found.get("values")))
    return distinct, distinct <= EXACT_DISTINCT


def _flags(attribute: Attribute, look: Look, measured: Measured) -> Iterator[str]:
    """Remarks, each of them measured; what stands for missing values is seen in the rows that were looked at."""
    share = null_share(attribute.name, measured)
    looked = measured.looks[attribute.name]
    found = measured.values.get(attribute.name, {})
    _, is_exact = _distinct(attribute, measured)
    remarks = {
        "constant": is_exact and look.distinct == 1 and look.values > 1,
        "all_null": measured.rows > 0 and look.values == 0,
        "mostly_null": look.values > 0 and share > 0.5,  # noqa: PLR2004  # a half
        "unique": look.is_unique,
        "empty_strings": looked.empty > 0 or count(found.get("empty")) > 0,
        "sentinel_values": looked.sentinels > 0 or _has_minus_one(look, looked, found),
        "numbers_as_text": is_numbers_text(look),
        "dates_as_text": is_date_text(look),
    }
    yield from (remark for remark, holds in remarks.items() if holds)
    twin = _better_twin(attribute.name, measured)
    if twin is not None:
        yield f"twin_of_better:{twin}"


def _has_minus_one(look: Look, looked: Looked, found: Mapping[str, Any]) -> bool:
    """-1 stands for a missing value when it is the only negative number among larger ones."""
    if look.family == "text" or look.distinct <= 3:  # noqa: PLR2004  # -1, 0, 1
        return False
    if "minus_one" in found:
        return count(found["minus_one"]) > 0 and found["minus_one"] == found["negative"]
    return looked.minus_one > 0 and looked.minus_one == looked.negative


def _better_twin(name: str, measured: Measured) -> str | None:
    """The twin with clearly more values, the fullest one. None: there is none."""
    counted = {each: filled(each, measured) for each in measured.twins.get(name, ())}
    best = max(counted, key=lambda each: counted[each], default=None)
    if best is None or filled(name, measured) >= _TWIN_SHARE * counted[best]:
        return None
    return best
