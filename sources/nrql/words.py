"""The vocabulary of NRQL: keywords, units, and its functions as they are documented.

Source: docs.newrelic.com, "NRQL reference".
"""

from typing import Final

from sources.nrql.tree import Unit

_RESERVED_TEXT: Final = """
select from where facet since until timeseries with and or not in is like rlike as null true false
"""
RESERVED: Final = frozenset(_RESERVED_TEXT.split())
"""Words that cannot stand bare for an attribute."""

_KEYWORDS_TEXT: Final = """
limit offset order by compare slide ago extrapolate predict join inner left on show asc desc between distinct group
having case when using timezone metric_format
"""
KEYWORDS: Final = RESERVED | frozenset(_KEYWORDS_TEXT.split())
"""Words with a meaning of their own somewhere; printed in backticks when they are names."""

UNITS: Final[dict[str, Unit]] = {
    spelling: unit
    for unit in ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
    for spelling in (unit, f"{unit}s")
}
"""Every spelling of a unit of time that NRQL knows, all of them in full."""

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYS: Final = frozenset(("today", "yesterday", *WEEKDAYS))
"""Words for a day, which may have `AT 'hh:mm'` behind them."""
PERIODS: Final[tuple[Unit, ...]] = ("minute", "hour", "day", "week", "month", "quarter", "year")
"""What `this` and `last` may stand before."""

_LABELS_TEXT: Final = """
t width buckets start ceiling precision timezone include exclude insensitive seasonality alpha beta gamma phi field
end limit format
"""
LABELS: Final = frozenset(_LABELS_TEXT.split())
"""Names of labelled arguments, as in `width: 10`."""

_AGGREGATES_TEXT: Final = """
aggregationendtime apdex average bucketpercentile bytecountestimate cardinality cdfpercentage count derivative earliest
filter funnel histogram keyset latest latestrate max median min percentage percentile predictlinear rate stddev stdvar
sum uniquecount uniques
"""
AGGREGATES: Final = frozenset(_AGGREGATES_TEXT.split())
"""Functions that make one value of many rows, in lower case."""

_SPELLED_TEXT: Final = """
accountId allColumnSearch bucketPercentile cdfPercentage cidrAddress cidrContains dateOf dayOfMonthOf eventType
getCdfCount getField hourOf latestRate mapKeys mapValues minuteOf monthOf predictLinear quarterOf toDatetime toTimestamp
uniqueCount weekdayOf weekOf yearOf
"""
_SPELLED: Final = {each.lower(): each for each in _SPELLED_TEXT.split()}


def spelled(function: str) -> str:
    """A function as it is documented: `uniquecount` becomes `uniqueCount`."""
    return _SPELLED.get(function, function)
