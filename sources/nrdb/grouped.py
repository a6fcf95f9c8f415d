"""Aggregates as SQL: plain, by facet, by bucket of time, by both, and the same of an earlier window.

Every text reads the rows through `uds:e`. `uds:g` holds the groups with what they are ranked by, `uds:t` those that
LIMIT picks; what is left over becomes `otherResult`.
"""

from typing import Final

from sources.nrdb.facets import FACETS_MOST
from sources.nrdb.facets import Facets
from sources.nrdb.facets import faceted
from sources.nrdb.keys import named
from sources.nrdb.literals import name_sql
from sources.nrdb.measures import measured
from sources.nrdb.measures_shaped import ASK
from sources.nrdb.measures_shaped import Asked
from sources.nrdb.measures_shaped import Measure
from sources.nrdb.origin import Origin
from sources.nrdb.origin import Setting
from sources.nrdb.plan import Buckets
from sources.nrdb.plan import Cell
from sources.nrdb.plan import Step
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import TIME_SQL
from sources.nrdb.values import condition
from sources.nrdb.windows import Window
from sources.nrdb.windows import buckets
from sources.nrql.tree import Call
from sources.nrql.tree import Limit
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import node

LIMIT_MOST: Final = 5_000
_FACET_LIMIT: Final = 10
_BUCKET: Final = '"uds:b"'
_PLACES: Final = tuple(f'"uds:f{place}"' for place in range(FACETS_MOST))


@node
class Grouped:
    """The pieces of an aggregating query, all in SQL."""

    origin: Origin
    measures: tuple[Measure, ...]
    cells: tuple[Cell, ...]
    facets: Facets | None
    buckets: Buckets | None
    where: str
    limit: int

    values: str
    """What is selected, and `count(*)` behind it."""
    places: tuple[str, ...]
    """The columns of the facets."""
    rows: str
    """The rows of the window, with the columns in use."""

    def events(self, name: str, window: Window | None) -> str:
        """The rows as a named part of a statement: attributes in use, facets and the bucket of each."""
        scope = self.origin.scope
        rows = self.rows if window == self.origin.window else self.origin.rows(window)
        picked = [name_sql(each) for each in sorted(scope.used)]
        picked += [name_sql(each) for each in scope.specials]
        if self.facets is not None:
            picked += [f"{sql} AS {place}" for sql, place in zip(self.facets.sqls, self.places, strict=True)]
        if self.buckets is not None and window is not None:
            picked.append(f"CAST(({TIME_SQL} - {window[0]}) // {self.buckets.width_ms} AS BIGINT) AS {_BUCKET}")
        return f'"{name}" AS (SELECT {", ".join(picked) or "1"} FROM {rows}{self.where})'

    def same(self, left: str, right: str) -> str:
        """The condition that two relations speak of the same facet."""
        return " AND ".join([f'"{left}".{place} IS NOT DISTINCT FROM "{right}".{place}' for place in self.places])

    def picked(self, *, whole: bool) -> str:
        """The groups and those of them that are picked; with all values when `whole`."""
        facets = self.facets
        if facets is None:
            return ""
        by = ", ".join(self.places)
        shown = [*self.places, f'{facets.rank} AS "uds:r"', f'{facets.pick} AS "uds:p"']
        if whole:
            shown += [f'{measure.sql} AS "uds:v{place}"' for place, measure in enumerate(self.measures)]
            shown.append('count(*) AS "uds:n"')
        return (
            f', "uds:g" AS (SELECT {", ".join(shown)} FROM "uds:e" GROUP BY {by}{facets.kept})'
            f', "uds:t" AS (SELECT * FROM "uds:g" ORDER BY "uds:p" DESC NULLS LAST, {by} LIMIT {self.limit})'
        )


def grouped(query: Query, origin: Origin, setting: Setting, *, limit: int | None = None) -> Grouped:
    """Raises `NotTranslated`. `limit`: of the facets when the query says none."""
    found = None
    if query.timeseries is not None:
        found = buckets(query.timeseries, origin.window)
        origin.scope.time("TIMESERIES", query.timeseries.span)
    asked = _asked(origin, found, setting)
    measures = [measured(item.value, asked) for item in query.select]
    facets = None if query.facet is None else faceted(query, query.facet, asked, measures[0])
    return Grouped(
        origin=origin,
        measures=tuple(measures),
        cells=tuple([cell(item, measure) for item, measure in zip(query.select, measures, strict=True)]),
        facets=facets,
        buckets=found,
        where="" if query.where is None else f" WHERE {condition(query.where, origin.scope)}",
        limit=rows_of(query.limit, limit or _FACET_LIMIT),
        values="".join([f"{measure.sql}, " for measure in measures]) + "count(*)",
        places=() if facets is None else _PLACES[: len(facets.sqls)],
        rows=origin.rows(origin.window),
    )


def _asked(origin: Origin, found: Buckets | None, setting: Setting) -> Asked:
    window = origin.window
    if window is None:
        return Asked(origin.scope, is_approximate=setting.is_approximate)
    end_ms = window[1] if found is None else None
    return Asked(origin.scope, None, _span(found, window), end_ms, setting.is_approximate)


def cell(item: Selected, measure: Measure) -> Cell:
    """How the value of a measure is shown."""
    value = item.value
    is_apdex = isinstance(value, Call) and value.function == "apdex"
    return Cell(item.alias or named(value), measure.read, measure.placeholder, is_apdex)


def rows_of(limit: Limit | None, otherwise: int) -> int:
    """How many rows LIMIT asks for. Raises `NotTranslated` above 5,000, as NRDB refuses it."""
    if limit is None:
        return otherwise
    if limit.rows == "max":
        return LIMIT_MOST
    if limit.rows > LIMIT_MOST:
        raise NotTranslated(f"LIMIT {limit.rows}: {LIMIT_MOST:,} is the most", limit.span.start, "Write LIMIT MAX.")
    return limit.rows


def _span(found: Buckets | None, window: Window) -> str:
    """The length of what a rate is over; of the last bucket it is what the window leaves of it."""
    if found is None:
        return str(max(1, window[1] - window[0]))
    last = found.end_ms - found.begin_ms - (found.count - 1) * found.width_ms
    if last == found.width_ms:
        return str(found.width_ms)
    return f"(CASE WHEN min({_BUCKET}) = {found.count - 1} THEN {last} ELSE {found.width_ms} END)"


def steps(query: Grouped, compare_ms: int | None) -> tuple[Step, ...]:
    """All texts that the answer needs."""
    window = query.origin.window
    begun = f"WITH {query.events('uds:e', window)}"
    picking = f"{begun}{query.picked(whole=False)}" if query.facets else begun
    found = [Step("rows", _rows(query, begun, picking))]
    if query.facets is not None:
        found.append(_rest(query, picking, "uds:e"))
        if query.buckets is not None:
            found.append(Step(name="top", sql=_top(query, picking)))
    if query.facets is not None or query.buckets is not None or compare_ms is not None:
        found.append(_empty(query, begun))
    if query.where:
        found.append(Step("inspected", f"SELECT count(*) FROM {query.rows}"))
    if compare_ms is not None:
        found += _before(query, picking, query.origin.earlier(compare_ms))
    return tuple(found)


def _rows(query: Grouped, begun: str, picking: str) -> str:
    if query.facets is None and query.buckets is None:
        return f'{begun} SELECT {query.values} FROM "uds:e"'
    if query.facets is None:
        return f'{begun} SELECT {_BUCKET}, {query.values} FROM "uds:e" GROUP BY {_BUCKET} ORDER BY {_BUCKET}'
    if query.buckets is not None:
        return f"{picking} {_per_facet(query, 'uds:e')}"
    shown = [*query.places, *[f'"uds:v{place}"' for place in range(len(query.measures))], '"uds:n"']
    return f'{begun}{query.picked(whole=True)} SELECT {", ".join(shown)} FROM "uds:t" ORDER BY {_order(query)}'


def _empty(query: Grouped, begun: str) -> Step:
    """What no rows give. Mostly that is known, and the engine need not be asked."""
    nothing = [measure.nothing for measure in query.measures]
    if ASK in nothing:
        return Step("empty", f'{begun} SELECT {query.values} FROM "uds:e" WHERE false')
    return Step("empty", "", ((*nothing, 0),))


def _order(query: Grouped) -> str:
    return f'"uds:r" DESC NULLS LAST, {", ".join(query.places)}'


def _top(query: Grouped, picking: str) -> str:
    """The picked facets in their order."""
    return f'{picking} SELECT {", ".join(query.places)} FROM "uds:t" ORDER BY {_order(query)}'


def _per_facet(query: Grouped, rows: str) -> str:
    """The values of the picked facets, per bucket when there are buckets; `rows`: the events to take them from."""
    by = [f'"uds:t".{place}' for place in query.places] + ([_BUCKET] if query.buckets else [])
    joined = f'"{rows}" JOIN "uds:t" ON {query.same(rows, "uds:t")}'
    return f"SELECT {', '.join(by)}, {query.values} FROM {joined} GROUP BY {', '.join(by)}"


def _before(query: Grouped, picking: str, earlier: Window) -> list[Step]:
    """The earlier window; its facets are those that the window itself picked."""
    if query.facets is None:
        by = f" GROUP BY {_BUCKET}" if query.buckets else ""
        bucket = f"{_BUCKET}, " if query.buckets else ""
        begun = f"WITH {query.events('uds:e', earlier)}"
        return [Step(name="before.rows", sql=f'{begun} SELECT {bucket}{query.values} FROM "uds:e"{by}')]
    both = f"{picking}, {query.events('uds:q', earlier)}"
    return [Step(name="before.rows", sql=f"{both} {_per_facet(query, 'uds:q')}")]


def _rest(query: Grouped, picking: str, rows: str) -> Step:
    """Totals and what the picked facets leave over, for each bucket when there are buckets."""
    inside, bucket, shown = (f'"uds:i", {_BUCKET}', _BUCKET, f"{_BUCKET}, ") if query.buckets else ('"uds:i"', "", "")
    marked = (
        f'SELECT "{rows}".*, "uds:m"."uds:one" IS NOT NULL AS "uds:i" FROM "{rows}" LEFT JOIN (SELECT *, 1 AS "uds:one"'
        f' FROM "uds:t") AS "uds:m" ON {query.same(rows, "uds:m")}'
    )
    sql = (
        f'{picking} SELECT grouping("uds:i"), "uds:i", {shown}{query.values}'
        f" FROM ({marked}) GROUP BY GROUPING SETS (({inside}), ({bucket}))"
    )
    return Step("rest", sql)
