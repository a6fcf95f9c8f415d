"""Statements in parentheses: as rows of FROM and JOIN, as a set of IN, as one value.

Source: docs.newrelic.com, "Use nested aggregation", "Use subqueries" and "Use subquery joins": a statement in FROM has
the window of the whole; others may say their own; none may have COMPARE WITH, only those in FROM may have TIMESERIES;
the LIMIT of a joined statement is 10 when it says none. That of others is not documented, so it must be said.
"""

from typing import Final

from sources.nrdb.events import TIMESTAMP
from sources.nrdb.events import Column
from sources.nrdb.events import Events
from sources.nrdb.events import Kind
from sources.nrdb.grouped import Grouped
from sources.nrdb.grouped import grouped
from sources.nrdb.literals import name_sql
from sources.nrdb.literals import plain_sql
from sources.nrdb.measures import is_aggregate
from sources.nrdb.measures import is_aggregated
from sources.nrdb.origin import Origin
from sources.nrdb.origin import Setting
from sources.nrdb.origin import opened
from sources.nrdb.origin import window_of
from sources.nrdb.plan import Buckets
from sources.nrdb.raw import columns
from sources.nrdb.raw import rows
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import Sort
from sources.nrdb.scope import Value
from sources.nrdb.values import condition
from sources.nrdb.values import value
from sources.nrdb.windows import Window
from sources.nrql.tree import Call
from sources.nrql.tree import In
from sources.nrql.tree import Nested
from sources.nrql.tree import Number
from sources.nrql.tree import Query

_SUBQUERY_ROWS: Final = 5_000
_UNIQUES: Final = 1_000


def as_rows(setting: Setting, query: Query, window: Window | None) -> Events:
    """The rows of an inner statement, as if they were events. Raises `NotTranslated`."""
    window = _checked(setting, query, window)
    origin = opened(query, setting, window)
    if is_aggregated(query):
        return _aggregated(query, origin, setting)
    if query.limit is None:
        raise _unlimited(query)
    found = columns(query, origin)
    if origin.scope.has_time and TIMESTAMP not in dict(found):
        at: Value = (origin.scope.time("SELECT", query.span), "numeric")
        found = (*found, (TIMESTAMP, at))
    named = ", ".join(f'"uds:v{place}" AS {name_sql(key)}' for place, (key, _) in enumerate(found))
    return Events(
        name="",
        relation=f"(SELECT {named} FROM ({rows(query, origin, found)}))",
        columns=_columns([(key, sort) for key, (_, sort) in found]),
        has_time=TIMESTAMP in dict(found),
    )


def _aggregated(query: Query, origin: Origin, setting: Setting) -> Events:
    if query.facet is not None and query.limit is None:
        raise _unlimited(query)
    found = grouped(query, origin, setting)
    for item, measure in zip(query.select, found.measures, strict=True):
        if measure.read is not None and measure.single is None:
            raise NotTranslated("a value of several parts in an inner statement", item.span.start)
    begun = f"WITH {found.events('uds:e', origin.window)}{found.picked(whole=False)}"
    return Events(
        name="",
        relation=f"({begun}{_grid(found, found.buckets) if found.buckets else _groups(found)})",
        columns=_columns(_named(found)),
        has_time=found.buckets is not None,
    )


def _named(found: Grouped) -> list[tuple[str, Sort]]:
    facets = found.facets
    named: list[tuple[str, Sort]] = []
    if facets is not None:
        named.extend(zip(facets.names, facets.sorts, strict=True))
    named.extend((cell.key, measure.sort) for cell, measure in zip(found.cells, found.measures, strict=True))
    if found.buckets is not None:
        named.append((TIMESTAMP, "numeric"))
    return named


def _values(found: Grouped) -> list[str]:
    return [measure.single or measure.sql for measure in found.measures]


def _groups(found: Grouped) -> str:
    names = [*(found.facets.names if found.facets else ()), *(cell.key for cell in found.cells)]
    by = [f'"uds:t".{place}' for place in found.places]
    shown = ", ".join(f"{sql} AS {name_sql(name)}" for sql, name in zip([*by, *_values(found)], names, strict=True))
    if not by:
        return f' SELECT {shown} FROM "uds:e"'
    return f' SELECT {shown} FROM "uds:e" JOIN "uds:t" ON {found.same("uds:e", "uds:t")} GROUP BY {", ".join(by)}'


def _grid(found: Grouped, buckets: Buckets) -> str:
    """Every bucket of every facet, those without rows included; `timestamp` is where the bucket begins."""
    by = [f'"uds:t".{place}' for place in found.places]
    groups = ", ".join([*by, '"uds:b"'])
    valued = ", ".join([f'{sql} AS "uds:v{place}"' for place, sql in enumerate(_values(found))])
    joined = f' JOIN "uds:t" ON {found.same("uds:e", "uds:t")}' if by else ""
    shown = [
        f"{sql} AS {name_sql(name)}" for sql, name in zip(by, found.facets.names if found.facets else (), strict=True)
    ]
    shown += [
        f'CASE WHEN "uds:a"."uds:b" IS NULL THEN "uds:z"."uds:v{place}" ELSE "uds:a"."uds:v{place}" END'
        f" AS {name_sql(cell.key)}"
        for place, cell in enumerate(found.cells)
    ]
    same = f" AND {found.same('uds:a', 'uds:t')}" if by else ""
    return (
        f', "uds:a" AS (SELECT {groups}, {valued} FROM "uds:e"{joined} GROUP BY {groups})'
        f', "uds:z" AS (SELECT {valued} FROM "uds:e" WHERE false)'
        f' SELECT {", ".join(shown)}, {buckets.begin_ms} + "uds:w"."uds:at" * {buckets.width_ms}'
        f" AS {name_sql(TIMESTAMP)}"
        f' FROM (SELECT range AS "uds:at" FROM range({buckets.count})) AS "uds:w" CROSS JOIN "uds:z"'
        f"{' CROSS JOIN ' + chr(34) + 'uds:t' + chr(34) if by else ''}"
        f' LEFT JOIN "uds:a" ON "uds:a"."uds:b" = "uds:w"."uds:at"{same}'
    )


def as_value(setting: Setting, nested: Nested, window: Window | None) -> Value:
    """The one number or text an inner statement gives. Raises `NotTranslated`."""
    query = nested.query
    window = _checked(setting, query, window)
    if len(query.select) != 1 or query.facet or query.timeseries or not is_aggregate(query.select[0].value):
        remedy = "Select one aggregate, without FACET."
        raise NotTranslated("a statement as a value that gives more than one value", nested.span.start, remedy)
    found = grouped(query, opened(query, setting, window), setting)
    measure = found.measures[0]
    if measure.read is not None and measure.single is None:
        raise NotTranslated("a statement as a value that gives more than one value", nested.span.start)
    sql = measure.single or measure.sql
    return f'(WITH {found.events("uds:e", window)} SELECT {sql} FROM "uds:e")', measure.sort


def as_members(setting: Setting, found: In, window: Window | None) -> Value:
    """The values an inner statement gives, as what stands in the parentheses of IN. Raises `NotTranslated`."""
    if not isinstance(found.options, Nested):
        raise NotTranslated("IN", found.span.start)
    query = found.options.query
    window = _checked(setting, query, window)
    if len(query.select) != 1 or query.facet or query.timeseries:
        raise NotTranslated("IN a statement of several columns", found.options.span.start, "Select uniques(x).")
    origin = opened(query, setting, window)
    item = query.select[0].value
    if isinstance(item, Call) and item.function == "uniques":
        return _distinct(query, item, origin)
    if is_aggregate(item) or query.limit is None:
        raise NotTranslated("IN a statement without uniques() or LIMIT", found.options.span.start, "Select uniques(x).")
    selected = columns(query, origin)
    return f'SELECT * FROM ({rows(query, origin, selected)}) WHERE "uds:v0" IS NOT NULL', selected[0][1][1]


def _distinct(query: Query, call: Call, origin: Origin) -> Value:
    arguments = [argument.value for argument in call.arguments]
    most = arguments.pop() if len(arguments) > 1 else Number(text=str(_UNIQUES))
    if len(arguments) != 1 or not isinstance(most, Number):
        raise NotTranslated("uniques() with these arguments is not run locally", call.span.start)
    sql, sort = value(arguments[0], origin.scope)
    where = f" AND {condition(query.where, origin.scope)}" if query.where is not None else ""
    rows_sql = origin.rows(origin.window)
    limit = min(int(most.value), _SUBQUERY_ROWS)
    return f"SELECT DISTINCT {sql} FROM {rows_sql} WHERE {sql} IS NOT NULL{where} ORDER BY 1 LIMIT {limit}", sort


def _checked(setting: Setting, query: Query, window: Window | None) -> Window | None:
    """Its own window when it says one. Raises `NotTranslated` for clauses that only the outermost may have."""
    setting.deeper(query.span.start)
    if query.compare_with is not None or query.extrapolate or query.predict:
        raise NotTranslated("COMPARE WITH, EXTRAPOLATE or PREDICT in an inner statement", query.span.start)
    return window if query.since is None and query.until is None else window_of(query, setting)


def _unlimited(query: Query) -> NotTranslated:
    return NotTranslated(
        "an inner statement without LIMIT", query.span.start, "Say how many it gives: LIMIT MAX, at most 5,000."
    )


def _columns(named: list[tuple[str, Sort]]) -> tuple[Column, ...]:
    for name, _ in named:
        plain_sql(name)  # what no text can hold is no name either
    kinds: dict[Sort, Kind] = {"string": "string", "numeric": "numeric", "boolean": "boolean"}
    return tuple([Column(name, kinds[sort]) for name, sort in named if sort in kinds])
