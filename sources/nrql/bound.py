"""How far a statement reaches: in time, and in rows. What it does not say itself is filled in; what it says stays."""

from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from sources.nrql.errors import NrqlError
from sources.nrql.moments import Reckoning
from sources.nrql.moments import instant_ms
from sources.nrql.moments import zone_named
from sources.nrql.tree import Call
from sources.nrql.tree import Limit
from sources.nrql.tree import Moment
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Statement
from sources.nrql.walk import walk
from sources.nrql.words import AGGREGATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What holds for a statement that does not say it, and the most it can have."""

    window_ms: int
    limit_most: int
    limit_of_rows: int
    limit_of_facets: int


NRDB: Final = Bounds(window_ms=3_600_000, limit_most=5_000, limit_of_rows=100, limit_of_facets=10)
"""Source: docs.newrelic.com, "NRQL reference", SINCE and LIMIT."""


def bounded(statement: Statement, *, since_ms: int | None, until_ms: int | None, limit: int | None) -> Statement:
    """The statement with what it lacks of SINCE, UNTIL and LIMIT; None leaves that out.

    LIMIT is only given to what can have many rows, and never more than NRDB takes. Nested statements stay as they are:
    those in FROM cannot have a window of their own, and all others take that of the statement around them.
    """
    if statement.since is None and since_ms is not None:
        statement = replace(statement, since=_at(since_ms))
    if statement.until is None and until_ms is not None:
        statement = replace(statement, until=_at(until_ms))
    if isinstance(statement, Query) and statement.limit is None and limit is not None and has_many_rows(statement):
        statement = replace(statement, limit=Limit(rows=min(limit, NRDB.limit_most)))
    return statement


def has_many_rows(query: Query) -> bool:
    """Whether LIMIT rules how many rows there are: for rows as they are, and for facets."""
    return query.facet is not None or not is_aggregated(query)


def is_aggregated(query: Query) -> bool:
    """Whether the rows are made of many others."""
    return query.timeseries is not None or any(
        isinstance(each, Call) and each.function in AGGREGATES for item in query.select for each in walk(item.value)
    )


def window_ms(statement: Statement, *, now_ms: int, default_ms: int) -> tuple[int, int]:
    """Begin and end of the statement's window. UNTIL is now without being said, and SINCE `default_ms` before that.

    Raises: NrqlError when a time cannot be read, or when the window ends before it begins.
    """
    zone = zone_named(statement.timezone if isinstance(statement, Query) else None)
    end_ms = now_ms
    if statement.until is not None:
        end_ms = instant_ms(statement.until, Reckoning(now_ms, zone, past=False))
    begin_ms = end_ms - default_ms
    if statement.since is not None:
        begin_ms = instant_ms(statement.since, Reckoning(now_ms, zone))
    if begin_ms > end_ms:
        position = (statement.since or statement.until or statement).span.start
        raise NrqlError("the window ends before it begins", position, "let UNTIL be later than SINCE, or leave it out")
    return begin_ms, end_ms


def _at(ms: int) -> Moment:
    return Moment(kind="at", value=Number(text=str(ms)))
