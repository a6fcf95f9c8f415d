"""A caller's own NRQL: read, checked against what the account has, bounded, run, and explained when it gives nothing.

What is sent says its window in milliseconds wherever the caller named none, so an answer can be measured again; windows
that the caller named relative to now move with the time, and how long an answer is kept is for the cache's TTL to say.
What looks at less than an hour is never kept.
"""

import asyncio
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from sources.errors import QueryTimeout
from sources.errors import SourceUnreachable
from sources.newrelic.asking import Asking
from sources.newrelic.describe_rows import EXACT_DISTINCT
from sources.newrelic.graph import Answer
from sources.newrelic.query_diagnosis import why
from sources.newrelic.query_entities import by_guid
from sources.newrelic.query_reading import known_types
from sources.newrelic.query_reading import read
from sources.newrelic.query_reading import refuse_unknown
from sources.newrelic.query_reading import rejected
from sources.newrelic.query_reading import window_of
from sources.newrelic.query_sent import ROWS_MOST
from sources.newrelic.query_sent import Sent
from sources.newrelic.query_sent import sent
from sources.newrelic.window import Window
from sources.nrql.answers import Answers
from sources.nrql.answers import tabled
from sources.nrql.answers_remarks import stats
from sources.nrql.answers_remarks import time_window
from sources.nrql.answers_rows import mapping
from sources.nrql.answers_rows import sequence
from sources.nrql.answers_wanted import AGGREGATES
from sources.nrql.check import schemas_of
from sources.nrql.errors import NrqlError
from sources.nrql.tree import Call
from sources.nrql.tree import Query
from sources.nrql.tree import Statement
from sources.nrql.walk import queries
from sources.nrql.walk import values
from sources.nrql.walk import walk
from sources.protocol import Json
from sources.protocol import Progress
from sources.protocol import Provenance
from sources.protocol import Table
from sources.protocol import silent

_LONG_S: Final = 60.0
"""Who allows longer lets the query last beyond what New Relic runs while one waits."""
_LARGE_ROWS: Final = 500
_LONG_MS: Final = 7 * 86_400_000
_STANDS_MS: Final = 3_600_000
"""Who looks at less than an hour wants it as it is now: five minutes would be a tenth of it."""
_QUERY_CHARS: Final = 2_000
_SCHEMAS_MOST: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When the caller stops waiting."""

    within_s: float
    ends_at: float
    clock: Callable[[], float]

    def left_s(self) -> float:
        """Raises `QueryTimeout` when it is over."""
        left_s = self.ends_at - self.clock()
        if left_s <= 0:
            raise QueryTimeout(self.within_s)
        return left_s


async def run(
    asking: Asking, text: str, *, limit: int, offset: int = 0, within_s: float, progress: Progress = silent
) -> Table:
    """As `Source.query`. Raises `QueryRejected`, `QueryTimeout`, `TooLarge` and what a question may raise."""
    asked_at = asking.clock()
    deadline = Deadline(within_s=within_s, ends_at=asked_at + within_s, clock=asking.clock)
    reading = read(text)
    remarked = (reading.remark,) if reading.remark else ()
    if reading.statement is None:
        bound = Sent(statement=None, text=text)
    else:
        bound = await _bound(asking, reading.statement, text, rows=offset + limit + 1, deadline=deadline)
    window = window_of(asking, bound.statement) if bound.statement else None
    answer = await asking.graph.nrql(
        asking.account,
        bound.text,
        within_s=deadline.left_s(),
        lasting=_is_long(window, within_s),
        progress=progress,
    )
    _refuse_rowless(bound.statement, answer.container)
    answers = await _tabled(bound.statement, answer.container)
    explained = await why(asking, bound.statement, answers, left_s=deadline.ends_at - asking.clock())
    page = answers.rows[offset : offset + limit]
    return Table(
        columns=answers.columns,
        rows=page,
        more=len(answers.rows) > offset + limit,
        cut=answers.cut,
        repeatable=window is not None and window.end_ms - window.begin_ms >= _STANDS_MS,
        schemas=_schemas(bound.statement, answer.container),
        diagnosis=explained.text or _behind(answers, offset),
        remarks=(
            *remarked,
            *bound.remarks,
            *answers.remarks,
            *_estimated(bound.statement, page),
            *_at_most(answers, offset + limit),
            *answer.warnings[:3],
        ),
        provenance=_provenance(
            asking, answer, (bound.text, *explained.queries), window=window, rows=len(page), as_of_at=asked_at
        ),
    )


def _provenance(
    asking: Asking, answer: Answer, queries: Sequence[str], *, window: Window | None, rows: int, as_of_at: float
) -> Provenance:
    told = stats(answer.container)
    return Provenance(
        source=asking.source,
        queries=tuple(each[:_QUERY_CHARS] for each in queries),
        rows_inspected=rows if told.inspected is None else told.inspected,
        method="exact",
        window=time_window(answer.container) or (window.shown if window else None),
        as_of_at=as_of_at,
        truncated=told.is_partial,
        took_ms=answer.took_ms,
    )


async def _bound(asking: Asking, statement: Statement, text: str, *, rows: int, deadline: Deadline) -> Sent:
    """What is sent for a statement. Raises `QueryRejected`."""
    refuse_unknown(asking, statement, await known_types(asking, deadline.left_s()))
    meant, remarks = await by_guid(asking, statement, left_s=deadline.left_s())
    try:
        return sent(meant, window=asking.window(), rows=rows, remarks=remarks)
    except NrqlError as fault:
        raise rejected(text, fault) from fault


def _refuse_rowless(statement: Statement | None, container: Mapping[str, Any]) -> None:
    """Raises `SourceUnreachable` when what always has a row came without a list of rows: nothing would be a guess."""
    if isinstance(container.get("results"), list) or container.get("currentResults"):
        return
    if _is_one_row(statement):
        raise SourceUnreachable("New Relic answered without the row that was asked for")


def _is_one_row(statement: Statement | None) -> bool:
    if not isinstance(statement, Query) or statement.facet or statement.timeseries:
        return False
    return any(isinstance(each.value, Call) and each.value.function in AGGREGATES for each in statement.select)


async def _tabled(statement: Statement | None, container: Mapping[str, Any]) -> Answers:
    """A large answer is read on a thread, so that nobody else waits for it."""
    if len(sequence(container.get("results"))) < _LARGE_ROWS:
        return tabled(statement, container)
    return await asyncio.to_thread(tabled, statement, container)


def _estimated(statement: Statement | None, page: Sequence[Sequence[Json]]) -> Iterator[str]:
    """What NRDB only estimates, where it could matter."""
    nodes = (
        (node for query in queries(statement) for value in values(query) for node in walk(value)) if statement else ()
    )
    called = {node.function for node in nodes if isinstance(node, Call)}
    if "uniquecount" in called and any(
        isinstance(cell, int | float) and cell > EXACT_DISTINCT for row in page for cell in row
    ):
        yield f"uniqueCount() is an estimate beyond {EXACT_DISTINCT} values."
    if called & {"percentile", "median"}:
        yield "Percentiles are estimates."


def _is_long(window: Window | None, within_s: float) -> bool:
    return within_s > _LONG_S or (window is not None and window.end_ms - window.begin_ms > _LONG_MS)


def _schemas(statement: Statement | None, container: object) -> tuple[str, ...]:
    if statement is not None:
        return schemas_of(statement)
    told = sequence(mapping(mapping(container).get("metadata")).get("eventTypes"))
    return tuple(each for each in told if isinstance(each, str))[:_SCHEMAS_MOST]


def _behind(answers: Answers, offset: int) -> str | None:
    if answers.rows and offset >= len(answers.rows):
        return f"The query gives {len(answers.rows):,} rows; nothing is left behind offset {offset}."
    return None


def _at_most(answers: Answers, end: int) -> tuple[str, ...]:
    if len(answers.rows) < ROWS_MOST or end < ROWS_MOST:
        return ()
    return (f"New Relic gives at most {ROWS_MOST:,} rows: narrow the window, or aggregate.",)
