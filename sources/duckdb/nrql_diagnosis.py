"""Why NRQL gave nothing on files, measured: no rows at all, none in the window, or a condition that no row passes."""

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from datetime import datetime
from typing import Final

from sources.duckdb.source_catalogue import Known
from sources.errors import QueryRejected
from sources.nrdb.events import Events
from sources.nrdb.plan import Plan
from sources.nrdb.plan import Row
from sources.nrdb.plan import Step
from sources.nrdb.translate import translate
from sources.nrql.text import expression_text
from sources.nrql.tree import Argument
from sources.nrql.tree import Binary
from sources.nrql.tree import Call
from sources.nrql.tree import Expression
from sources.nrql.tree import Moment
from sources.nrql.tree import Number
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import Star
from sources.nrql.tree import Statement
from sources.nrql.tree import Where

Run = Callable[[Step], Awaitable[list[Row]]]

_CONDITIONS: Final = 8
_SHOWN_CHARS: Final = 120


async def emptiness(
    statement: Statement, plan: Plan, matched: int, events: Mapping[str, Events], known: Mapping[str, Known], run: Run
) -> str | None:
    """One sentence or two. None: rows passed, or nothing that can be measured explains it."""
    if not isinstance(statement, Query) or matched or not plan.schemas:
        return None
    conditions = _conjuncts(statement.where)[:_CONDITIONS] if statement.where is not None else []
    counts = await _counted(statement, plan, conditions, events, run)
    if counts is None:
        return None
    total, *kept = counts
    if not total:
        return _nothing(plan, known)
    named = [(f"`{expression_text(each)[:_SHOWN_CHARS]}`", rows) for each, rows in zip(conditions, kept, strict=True)]
    alone = next((name for name, rows in named if not rows), None)
    if alone is not None:
        return f"No row passes: {alone} alone removes all {total:,} rows."
    if not named:
        return None
    shown = ", ".join(f"{name} keeps {rows:,}" for name, rows in named)
    return f"No row passes all conditions together; alone, of {total:,} rows: {shown}."


def _conjuncts(where: Expression) -> list[Expression]:
    if isinstance(where, Binary) and where.operator == "and":
        return [*_conjuncts(where.left), *_conjuncts(where.right)]
    return [where]


async def _counted(
    query: Query, plan: Plan, conditions: list[Expression], events: Mapping[str, Events], run: Run
) -> list[int] | None:
    """How many rows there are without WHERE, and with each condition alone, in one scan."""
    rows = Call(function="count", arguments=(Argument(value=Star()),))
    counts = [
        Call(function="filter", arguments=(Argument(value=rows), Argument(value=Where(condition=each))))
        for each in conditions
    ]
    begin, end = (None, None) if plan.window is None else (_at(ms) for ms in plan.window)
    asked = replace(
        query,
        select=tuple(Selected(value=each) for each in (rows, *counts)),
        where=None,
        facet=None,
        timeseries=None,
        compare_with=None,
        order_by=(),
        limit=None,
        offset=None,
        since=begin,
        until=end,
    )
    try:
        probe = translate(asked, events, now_ms=0, default_ms=None)
    except QueryRejected:
        return None
    found = await run(probe.steps[0])
    return [int(str(count)) for count in found[0][: 1 + len(conditions)]]


def _at(ms: int) -> Moment:
    return Moment(kind="at", value=Number(text=str(ms)))


def _nothing(plan: Plan, known: Mapping[str, Known]) -> str:
    """There are no rows even without WHERE: where those are that there are."""
    if plan.window is None:
        return "There are no rows even without WHERE."
    spans = [_span(known[name]) for name in plan.schemas if name in known]
    told = "".join(span for span in spans if span)
    return f"There are no rows between {instant(plan.window[0])} and {instant(plan.window[1])}.{told}"


def _span(known: Known) -> str | None:
    schema = known.schema
    if schema.first_at is None or schema.last_at is None:
        return None
    there_are = f" Those of {schema.name} are of {schema.first_at} to {schema.last_at}"
    return f"{there_are}: name such a window with SINCE and UNTIL."


def instant(at_ms: int) -> str:
    """RFC 3339 in UTC. What it cannot say stays a number of milliseconds."""
    try:
        at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(at_ms)
    return at.isoformat(timespec="milliseconds" if at_ms % 1_000 else "seconds").replace("+00:00", "Z")
