"""What a statement leaves to NRDB's defaults, and what goes beyond its limits.

Source: docs.newrelic.com, "NRQL reference", "Nested aggregation", and "Rate limits for NRQL queries".
"""

from collections.abc import Iterator
from typing import Final

from sources.nrql.bound import NRDB
from sources.nrql.bound import has_many_rows
from sources.nrql.remark import Remark
from sources.nrql.tree import Duration
from sources.nrql.tree import Moment
from sources.nrql.tree import Nested
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Statement
from sources.nrql.tree import Timeseries
from sources.nrql.walk import queries

BUCKETS_MOST: Final = 366
FACETS_MOST: Final = 5
_SECONDS: Final = range(100_000_000, 100_000_000_000)
"""Numbers that, as milliseconds, are of the early seventies, and as seconds of our time."""


def limits(statement: Statement) -> Iterator[Remark]:
    """What is implicit in the statement, and what is too much."""
    yield from _window(statement)
    if not isinstance(statement, Query):
        return
    yield from _implicit_limit(statement)
    for query in queries(statement):
        yield from _too_much(query)
        yield from _inner_windows(query)
        if query.join:
            yield from _implicit_limit(query.join.query.query)


def _window(statement: Statement) -> Iterator[Remark]:
    start = statement.span.start
    if statement.since is None and statement.until is None:
        said = "Without SINCE only the last hour is looked at."
        yield Remark(kind="implicit_window", text=said, position=start)
        if isinstance(statement, Query) and statement.compare_with:
            said = "COMPARE WITH wants SINCE or UNTIL beside it."
            yield Remark(kind="compare_without_window", text=said, position=statement.compare_with.span.start)
    for moment in (statement.since, statement.until):
        if moment is not None and moment.kind == "at" and _is_seconds(moment):
            said = "The time is given in seconds, and NRQL counts milliseconds: write three more digits."
            yield Remark(kind="epoch_seconds", text=said, position=moment.span.start)


def _is_seconds(moment: Moment) -> bool:
    return isinstance(moment.value, Number) and moment.value.text.isdigit() and int(moment.value.text) in _SECONDS


def _implicit_limit(query: Query) -> Iterator[Remark]:
    if query.limit is not None or not has_many_rows(query):
        return
    most = NRDB.limit_of_facets if query.facet else NRDB.limit_of_rows
    what = "groups" if query.facet else "rows"
    said = f"Without LIMIT only {most} {what} come back; LIMIT MAX gives up to {NRDB.limit_most:,}."
    place = query.facet.span if query.facet else query.span
    yield Remark(kind="implicit_limit", text=said, position=place.start)


def _too_much(query: Query) -> Iterator[Remark]:
    limit = query.limit
    if limit and limit.rows != "max" and limit.rows > NRDB.limit_most:
        said = f"LIMIT takes {NRDB.limit_most:,} at most: write LIMIT MAX, and read further in narrower windows."
        yield Remark(kind="limit_too_high", text=said, position=limit.span.start, fatal=True)
    if query.facet and len(query.facet.items) > FACETS_MOST:
        said = f"FACET takes {FACETS_MOST} attributes at most: join some by concat(a, ' ', b)."
        yield Remark(kind="too_many_facets", text=said, position=query.facet.span.start, fatal=True)
    if query.timeseries and query.since and query.until is None:
        yield from _buckets(query.timeseries, query.since)


def _buckets(timeseries: Timeseries, since: Moment) -> Iterator[Remark]:
    step = timeseries.slide_by or timeseries.width
    if not (isinstance(step, Duration) and isinstance(since.value, Duration)) or step.ms <= 0:
        return
    buckets = since.value.ms / step.ms
    if buckets > BUCKETS_MOST:
        said = f"TIMESERIES has {BUCKETS_MOST} buckets at most, and this would make {buckets:,.0f}: make them wider."
        yield Remark(kind="too_many_buckets", text=said, position=timeseries.span.start, fatal=True)


def _inner_windows(query: Query) -> Iterator[Remark]:
    for source in query.sources:
        if isinstance(source, Nested) and (moment := _own_window(source.query)) is not None:
            said = "SINCE, UNTIL and COMPARE WITH stand outside of a statement in FROM, and hold for all of it."
            yield Remark(kind="nested_window", text=said, position=moment.span.start, fatal=True)


def _own_window(query: Query) -> Moment | None:
    return query.since or query.until or query.compare_with
