"""Rows as they are, the attributes of an event type, and the event types of an account, as SQL.

Source: docs.newrelic.com, NRQL reference: 100 rows unless LIMIT says otherwise, the newest first unless ORDER BY says
otherwise, which is upwards.
"""

from typing import Final

from sources.nrdb.events import TIMESTAMP
from sources.nrdb.events import Events
from sources.nrdb.grouped import rows_of
from sources.nrdb.keys import key_of
from sources.nrdb.literals import plain_sql
from sources.nrdb.origin import Origin
from sources.nrdb.origin import Setting
from sources.nrdb.origin import within
from sources.nrdb.plan import Cell
from sources.nrdb.plan import Step
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import PRESENT
from sources.nrdb.scope import Value
from sources.nrdb.values import condition
from sources.nrdb.values import value
from sources.nrdb.windows import Window
from sources.nrql.tree import Name
from sources.nrql.tree import Query
from sources.nrql.tree import Star

_ROWS: Final = 100
_DIRECTIONS: Final = {False: " ASC NULLS LAST", True: " DESC NULLS LAST"}
_TIES: Final = 8
"""So many columns decide the order of rows of one moment, so that pages neither repeat nor lose any."""


def columns(query: Query, origin: Origin) -> tuple[tuple[str, Value], ...]:
    """What is selected of each row, by key. Raises `NotTranslated`."""
    scope = origin.scope
    if any(isinstance(item.value, Star) for item in query.select):
        if len(query.select) > 1:
            raise NotTranslated("* beside attributes", query.select[0].span.start, "Select * alone, or name them.")
        names = dict.fromkeys(name for each in scope.events for name in each.kinds)
        ordered = sorted(names, key=lambda name: name != TIMESTAMP)
        return tuple([(name, scope.attribute(Name(name))) for name in ordered])
    return tuple([(key_of(item), value(item.value, scope)) for item in query.select])


def rows(query: Query, origin: Origin, found: tuple[tuple[str, Value], ...], limit: int | None = None) -> str:
    """The text that gives the rows, each column under its key."""
    where = _where(query, origin)
    order = _order(query, origin, len(found))
    return _text(query, found, f"{origin.rows(origin.window)}{where}{order}", limit or _ROWS)


def _text(query: Query, found: tuple[tuple[str, Value], ...], source: str, most: int) -> str:
    """`source`: what stands between FROM and LIMIT; `most`: the rows when LIMIT says nothing."""
    offset = f" OFFSET {rows_of(query.offset, 0)}" if query.offset else ""
    shown = ", ".join([f'{sql} AS "uds:v{place}"' for place, (_, (sql, _)) in enumerate(found)])
    return f"SELECT {shown} FROM {source} LIMIT {rows_of(query.limit, most)}{offset}"


def _where(query: Query, origin: Origin) -> str:
    return "" if query.where is None else f" WHERE {condition(query.where, origin.scope)}"


def _order(query: Query, origin: Origin, selected: int) -> str:
    """By what ORDER BY says, else the newest first; rows that are equal in that by what is selected."""
    # A bare constant would be the place of a column to DuckDB, or an error.
    orders = [
        f"(CASE WHEN true THEN {value(each.value, origin.scope)[0]} END){_DIRECTIONS[each.descending]}"
        for each in query.order_by
    ]
    if not orders and origin.scope.has_time and origin.scope.events:
        orders = [f"{origin.scope.time('ORDER BY', query.span)} DESC NULLS LAST"]
    ties = [f'"uds:v{place}"' for place in range(min(selected, _TIES))] if orders else []
    return f" ORDER BY {', '.join([*orders, *ties])}" if orders else ""


def raw(query: Query, origin: Origin) -> tuple[tuple[Cell, ...], tuple[Step, ...]]:
    """The columns and the texts of a query that aggregates nothing."""
    found = columns(query, origin)
    where = _where(query, origin)
    order = _order(query, origin, len(found)) if found else ""
    source = origin.rows(origin.window)
    matched = where.removeprefix(" ") or "WHERE true"
    counted = Step("matched", f"SELECT count(*) FILTER ({matched}), count(*) FROM {source}")
    if not found:
        return (), (counted,)
    return tuple([Cell(key) for key, _ in found]), (
        Step("rows", _text(query, found, f"{source}{where}{order}", _ROWS)),
        counted,
    )


def keyset(query: Query, origin: Origin) -> tuple[tuple[Cell, ...], tuple[Step, ...]]:
    """One cell for each attribute; the text counts the values that each has in the window."""
    if query.facet or query.timeseries or query.compare_with:
        raise NotTranslated("keyset() with FACET, TIMESERIES or COMPARE WITH is not run locally", query.span.start)
    lone = origin.scope.events[0] if len(origin.scope.events) == 1 and not origin.scope.variables else None
    if lone is not None and lone.present is not None:
        return _present(query, origin, lone)
    names = sorted({name for each in origin.scope.events for name in each.kinds})
    found = [(name, origin.scope.attribute(Name(name))) for name in names]
    where = _where(query, origin)
    counts = ", ".join(["count(*)", *(f"count({sql})" for _, (sql, _) in found)])
    cells = tuple([Cell(name, placeholder=sort) for name, (_, sort) in found])
    return cells, (Step(name="rows", sql=f"SELECT {counts} FROM {origin.rows(origin.window)}{where}"),)


def _present(query: Query, origin: Origin, events: Events) -> tuple[tuple[Cell, ...], tuple[Step, ...]]:
    """As `keyset`, where each row knows what it has: one look at it instead of one count for each attribute."""
    where = _where(query, origin)
    counted = f"count(*), CAST(bit_or({origin.scope.special(PRESENT)}) AS VARCHAR)"
    cells = tuple(Cell(key=name, placeholder=events.kinds[name]) for name in sorted(events.kinds))
    return cells, (Step(name="rows", sql=f"SELECT {counted} FROM {origin.rows(origin.window)}{where}"),)


def event_types(setting: Setting, window: Window | None) -> tuple[Step, ...]:
    """The event types that have rows in the window; where their extent tells, nothing is looked up."""
    setting.schemas.update(dict.fromkeys(setting.events))
    found: list[str] = []
    for each in setting.events.values():
        known = _has_rows(each, window)
        if known is None:
            bounded = within(window) if window is not None and each.has_time else ""
            found.append(f"SELECT {plain_sql(each.name)} WHERE EXISTS (SELECT 1 FROM {each.relation}{bounded})")
        elif known:
            found.append(f"SELECT {plain_sql(each.name)}")
    return (Step(name="rows", sql=" UNION ALL ".join(found)),) if found else ()


def _has_rows(events: Events, window: Window | None) -> bool | None:
    """Whether there are rows in the window; None when the extent does not tell."""
    if events.extent_ms is None:
        return None
    first, last = events.extent_ms
    if window is None or window[0] <= first < window[1] or window[0] <= last < window[1]:
        return True
    return None if first < window[0] and last >= window[1] else False
