"""Windows of time: what a query looks at, and the buckets that TIMESERIES makes of it.

Source: docs.newrelic.com, NRQL reference: SINCE is inclusive and 1 hour ago by default, UNTIL is exclusive; at most 366
buckets; a day by itself comes in parts of 30 minutes, a week in parts of 6 hours, TIMESERIES MAX of a day in parts of 4
minutes.
"""

from typing import Final

from sources.nrdb.plan import Buckets
from sources.nrdb.plan import Told
from sources.nrdb.refused import NotTranslated
from sources.nrql.tree import Duration
from sources.nrql.tree import Moment
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Timeseries

BUCKETS_MOST: Final = 366
_AUTO_BUCKETS: Final = 60
_WIDTHS_S: Final = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 21_600, 43_200, 86_400, 604_800, 2_592_000)

Window = tuple[int, int]


def buckets(timeseries: Timeseries, window: Window | None) -> Buckets:
    """The parts of the window. Raises `NotTranslated`."""
    at = timeseries.span.start
    if timeseries.slide_by is not None:
        raise NotTranslated("SLIDE BY is not run locally", at, "Leave it out.")
    if window is None:
        raise NotTranslated("TIMESERIES needs a window", at, "Add SINCE and UNTIL, as dates or as milliseconds.")
    begin, end = window
    width = _width(timeseries, end - begin)
    count = max(1, -((begin - end) // width))
    if count > BUCKETS_MOST:
        raise NotTranslated(
            f"TIMESERIES would give {count:,} buckets, and {BUCKETS_MOST} are the most",
            at,
            "Make the buckets wider, or the window narrower.",
        )
    return Buckets(begin, end, width, count)


def _width(timeseries: Timeseries, span_ms: int) -> int:
    if isinstance(timeseries.width, Duration):
        width = round(timeseries.width.ms)
        if width < 1:
            raise NotTranslated("TIMESERIES of no width", timeseries.span.start, "Say for example 5 minutes.")
        return width
    if timeseries.width == "max":
        unit = 1_000 if span_ms <= BUCKETS_MOST * 60_000 else 60_000
        return max(1, -(-span_ms // (BUCKETS_MOST * unit))) * unit
    found = next((each for each in _WIDTHS_S if span_ms <= each * 1_000 * _AUTO_BUCKETS), None)
    return found * 1_000 if found else -(-span_ms // _AUTO_BUCKETS)


def told(query: Query) -> Told:
    """The window in words."""
    since = "60 MINUTES AGO" if query.since is None else _words(query.since)
    until = "NOW" if query.until is None else _words(query.until)
    return Told(since, until, None if query.compare_with is None else _words(query.compare_with))


def _words(moment: Moment) -> str:
    value = moment.value
    if isinstance(value, Duration):
        amount = value.amount.text
        return f"{amount} {value.unit.upper()}{'' if amount == '1' else 'S'} AGO"
    if isinstance(value, str):
        return value.upper()
    return value.text if isinstance(value, Number) else value.value


def is_relative(moment: Moment | None) -> bool:
    """Whether it moves with the clock."""
    return moment is not None and moment.kind != "at"
