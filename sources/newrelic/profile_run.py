"""Which statements a profile takes: numbers, frequent values and looks in one round, the histogram in another."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from sources.duckdb.profile import Grid
from sources.duckdb.profile import grid
from sources.newrelic import describe
from sources.newrelic import profile
from sources.newrelic.answered import number
from sources.newrelic.describe_rows import Measured
from sources.newrelic.describe_rows import described
from sources.newrelic.describe_rows import filled
from sources.newrelic.describe_rows import hints
from sources.newrelic.describe_rows import is_instant
from sources.newrelic.describe_rows import seen
from sources.newrelic.describe_rows import shown
from sources.newrelic.describe_run import chosen
from sources.newrelic.describe_run import measure
from sources.newrelic.describe_run import told
from sources.newrelic.inquiry import Inquiry
from sources.newrelic.looks import formats
from sources.newrelic.names import Place
from sources.newrelic.names import place_of
from sources.newrelic.together import both
from sources.protocol import Attribute
from sources.protocol import Bucket
from sources.protocol import Json
from sources.protocol import Profile
from sources.protocol import TopValue

_MOST_TOP: Final = 50
_FARTHEST: Final = 1e300
"""Numbers beyond have no useful buckets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Details:
    top: tuple[TopValue, ...]
    histogram: tuple[Bucket, ...] | None
    texts: Sequence[Any]


async def profile_attribute(inquiry: Inquiry, schema: str, name: str, *, top: int) -> Profile:
    """Measure one attribute in full. Raises `UnknownSchema`, `UnknownAttribute`, and what asking raises."""
    inquiry.steps = 3
    known = await inquiry.asking.catalogue.keyset_with(schema, (name,))
    (attribute,) = chosen(schema, (name,), known)
    place = place_of(schema)
    measures = [*describe.counts(place, (attribute,), exact=True), *_numbers(place, attribute)]
    (measured, values), facets = await both(
        measure(inquiry, place, (attribute,), known, measures),
        _facets(inquiry, place, attribute, min(top, _MOST_TOP)),
    )
    details = _Details(
        top=profile.top_read(attribute, facets, measured.rows),
        histogram=await _histogram(inquiry, attribute, measured),
        texts=values[name],
    )
    inquiry.stepped()
    hinted = await told(inquiry, measured, [*_hints(attribute, measured, details), *hints((attribute,), measured)])
    return _profile(inquiry, attribute, measured, details, hinted)


def _numbers(place: Place, attribute: Attribute) -> Iterator[describe.Measure]:
    """Of a metric's value the mean is measured already, and its distribution may not be known."""
    return iter(()) if attribute.name == place.metric else profile.numbers(attribute)


async def _facets(inquiry: Inquiry, place: Place, attribute: Attribute, top: int) -> Mapping[str, Any]:
    if top < 1 or attribute.name == place.metric:
        return {}
    (found,) = await inquiry.counted([profile.top_values(place, attribute, top, inquiry.window.clause)])
    return found


async def _histogram(inquiry: Inquiry, attribute: Attribute, measured: Measured) -> tuple[Bucket, ...] | None:
    of = _grid(attribute, measured)
    if of is None:
        return None
    measures = profile.buckets(attribute, of)
    answers = await inquiry.counted(describe.measuring(measured.place, measures, inquiry.window.clause))
    found = describe.measured(measured.place, measures, answers)[attribute.name]
    look = seen(attribute, measured)
    return profile.histogram(of, found, whole=look.family == "whole", instants=is_instant(look))


def _grid(attribute: Attribute, measured: Measured) -> Grid | None:
    """None: no numbers, or a metric's value, whose rows are summaries that lie in no one bucket."""
    found = measured.values.get(attribute.name, {})
    low, high = number(found.get("min")), number(found.get("max"))
    if attribute.type != "numeric" or attribute.name == measured.place.metric or low is None or high is None:
        return None
    if not filled(attribute.name, measured) or not low <= high or max(abs(low), abs(high)) > _FARTHEST:
        return None
    return grid(float(low), float(high), seen(attribute, measured).family)


def _profile(
    inquiry: Inquiry, attribute: Attribute, measured: Measured, details: _Details, hinted: tuple[str, ...]
) -> Profile:
    brief = described(attribute, measured)
    found = measured.values.get(attribute.name, {})
    values = filled(attribute.name, measured)
    deviation = number(found.get("stddev"))
    return Profile(
        schema=measured.place.schema,
        attribute=attribute.name,
        type=attribute.type,
        rows=measured.rows,
        null_share=brief.null_share,
        distinct=brief.distinct,
        distinct_is_exact=brief.distinct_is_exact,
        distinct_error=brief.distinct_error,
        min=brief.min,
        max=brief.max,
        mean=shown(found.get("mean"), seen(attribute, measured)) if values else None,
        stddev=float(deviation) if deviation is not None and values > 1 else None,
        quantiles=_quantiles(attribute, measured),
        top_values=details.top,
        histogram=details.histogram,
        formats=formats(details.texts) if attribute.type == "string" else None,
        semantic_type=brief.semantic_type,
        unit=brief.unit,
        flags=brief.flags,
        provenance=inquiry.provenance(),
        hints=hinted,
    )


def _quantiles(attribute: Attribute, measured: Measured) -> dict[str, Json] | None:
    found = profile.quantiles(measured.values.get(attribute.name, {}).get("quantiles"))
    if found is None or not filled(attribute.name, measured):
        return None
    look = seen(attribute, measured)
    return {key: shown(value, look) for key, value in found.items()}


def _hints(attribute: Attribute, measured: Measured, details: _Details) -> Iterator[str]:
    if _quantiles(attribute, measured) is not None:
        yield "Quantiles are estimates, as percentile() gives them; all counts are of every row of the window."
    brief = described(attribute, measured)
    if brief.distinct > profile.FACETS_EXACT and details.top:
        yield "Over 5,000 distinct values: the frequent values and their counts may be off."
