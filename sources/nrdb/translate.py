"""NRQL to SQL: a statement becomes a plan of a few texts that give exactly what NRDB would, or is refused by name.

Lean on purpose: a short statement takes tens of microseconds, since SQL is only put together, never parsed here; what
several steps hold is made once; and `tuple()` and `join()` get lists, as a generator costs 0.3 us more.
"""

from collections.abc import Mapping
from typing import Final

from sources.nrdb.events import Events
from sources.nrdb.grouped import grouped
from sources.nrdb.grouped import steps
from sources.nrdb.inner import as_members
from sources.nrdb.inner import as_rows
from sources.nrdb.inner import as_value
from sources.nrdb.keys import facet_key
from sources.nrdb.keys import key_of
from sources.nrdb.measures import is_aggregated
from sources.nrdb.origin import Origin
from sources.nrdb.origin import Setting
from sources.nrdb.origin import opened
from sources.nrdb.origin import window_of
from sources.nrdb.plan import Cell
from sources.nrdb.plan import Plan
from sources.nrdb.plan import Shape
from sources.nrdb.plan import Step
from sources.nrdb.raw import event_types
from sources.nrdb.raw import keyset
from sources.nrdb.raw import raw
from sources.nrdb.refused import NotTranslated
from sources.nrdb.windows import Window
from sources.nrdb.windows import is_relative
from sources.nrdb.windows import told
from sources.nrql.tree import Call
from sources.nrql.tree import Duration
from sources.nrql.tree import Expression
from sources.nrql.tree import Name
from sources.nrql.tree import Query
from sources.nrql.tree import Show
from sources.nrql.tree import Star
from sources.nrql.tree import Statement

_SQL_CHARS: Final = 2_000_000
_OWN: Final = frozenset({"facet", "comparison", "beginTimeSeconds", "endTimeSeconds", "inspectedCount"})
"""Keys that every answer may have."""


def translate(
    statement: Statement,
    events: Mapping[str, Events],
    *,
    now_ms: int,
    default_ms: int | None,
    is_approximate: bool = False,
) -> Plan:
    """What to run for a statement over these event types.

    `default_ms`: length of the window when the statement says none (NRDB: an hour); None reads all rows.
    `is_approximate`: count distinct values as NRDB does, exactly up to 256 and estimated above.
    Unknown event types and attributes are no errors: they hold nothing. Raises `NotTranslated`, `NrqlError`.
    """
    setting = Setting(events, now_ms, default_ms, is_approximate, as_value, as_members, as_rows, {})
    window = window_of(statement, setting)
    plan = _shown(statement, setting, window) if isinstance(statement, Show) else _queried(statement, setting, window)
    if sum([len(step.sql) for step in plan.steps]) > _SQL_CHARS:
        raise NotTranslated("the statement is too large", 0, "Read fewer event types or attributes at a time.")
    return plan


def _shown(show: Show, setting: Setting, window: Window | None) -> Plan:
    if show.what != "event types":
        raise NotTranslated(f"SHOW {show.what.upper()} is not run locally", show.span.start, "SHOW EVENT TYPES is.")
    found = event_types(setting, window)
    return Plan(
        steps=found,
        schemas=tuple(setting.schemas),
        event_types=(),
        repeatable=not (is_relative(show.since) or is_relative(show.until)) and setting.repeatable,
        window=window,
        shape="types",
    )


def _queried(query: Query, setting: Setting, window: Window | None) -> Plan:
    _check(query)
    origin = opened(query, setting, window)
    first = query.select[0].value
    if isinstance(first, Call) and first.function == "keyset" and len(query.select) == 1:
        return _planned(query, setting, window, "keyset", keyset(query, origin))
    if is_aggregated(query):
        return _aggregated(query, origin, setting)
    if query.facet is not None or query.timeseries is not None or query.compare_with is not None:
        raise NotTranslated(
            "FACET, TIMESERIES or COMPARE WITH without an aggregate", query.select[0].span.start, "Select count(*)."
        )
    return _planned(query, setting, window, "rows", raw(query, origin))


def _aggregated(query: Query, origin: Origin, setting: Setting) -> Plan:
    found = grouped(query, origin, setting)
    compare_ms = _compare_ms(query, origin.window)
    return Plan(
        steps=steps(found, compare_ms),
        schemas=tuple(setting.schemas),
        event_types=_event_types(query),
        repeatable=setting.repeatable,
        window=origin.window,
        shape="aggregate",
        cells=found.cells,
        facets=() if found.facets is None else found.facets.names,
        buckets=found.buckets,
        compare_ms=compare_ms,
        told=told(query),
    )


def _planned(
    query: Query,
    setting: Setting,
    window: Window | None,
    shape: Shape,
    found: tuple[tuple[Cell, ...], tuple[Step, ...]],
) -> Plan:
    cells, found_steps = found
    return Plan(
        steps=found_steps,
        schemas=tuple(setting.schemas),
        event_types=_event_types(query),
        repeatable=setting.repeatable,
        window=window,
        shape=shape,
        cells=cells,
        whole_rows=isinstance(query.select[0].value, Star),
        told=told(query),
    )


def _event_types(query: Query) -> tuple[str, ...]:
    return tuple([each.name for each in query.sources if isinstance(each, Name)])


def _check(query: Query) -> None:
    _check_keys(query)
    if query.extrapolate:
        raise NotTranslated(
            "EXTRAPOLATE is not run locally", query.span.start, "Leave it out: no row was left out here."
        )
    if query.predict:
        raise NotTranslated("PREDICT is not run locally", query.span.start, "Leave it out.")
    if query.order_by and is_aggregated(query):
        raise NotTranslated("ORDER BY with aggregates", query.order_by[0].span.start, "FACET orders by itself.")


def _check_keys(query: Query) -> None:
    """Rows are objects: of two things under one key only one would be seen."""
    if query.facet is None and len(query.select) == 1 and not query.select[0].alias:
        return
    taken: dict[str, Expression] = {}
    if query.facet is not None and len(query.facet.items) == 1:
        (item,) = query.facet.items
        taken[facet_key(item)] = item.value
    for item in query.select:
        key = key_of(item)
        earlier = taken.setdefault(key, item.value)
        # Comparing a tree with itself costs a microsecond.
        if (earlier is not item.value and earlier != item.value) or (item.alias and key in _OWN):
            raise NotTranslated(
                f"two things in the answer are called {key}", item.span.start, "Name one otherwise: AS x."
            )


def _compare_ms(query: Query, window: Window | None) -> int | None:
    if query.compare_with is None:
        return None
    if window is None or not isinstance(query.compare_with.value, Duration):
        raise NotTranslated("COMPARE WITH needs a window", query.compare_with.span.start, "Add SINCE and UNTIL.")
    return round(query.compare_with.value.ms)
