"""NRQL over files: a statement is translated, its texts run behind the same walls as SQL, and the answer is one table.

Nothing is approximate here, and without SINCE all rows are read: files are no stream of events that ends now.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from sources.duckdb.engine import Engine
from sources.duckdb.nrql_diagnosis import emptiness
from sources.duckdb.nrql_diagnosis import instant
from sources.duckdb.nrql_events import events_of
from sources.duckdb.source_catalogue import Known
from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import TooLarge
from sources.nrdb.answer import container
from sources.nrdb.events import Events
from sources.nrdb.plan import Plan
from sources.nrdb.plan import Row
from sources.nrdb.plan import Step
from sources.nrdb.refused import NotTranslated
from sources.nrdb.translate import translate
from sources.nrql.answers import Answers
from sources.nrql.answers import tabled
from sources.nrql.bound import bounded
from sources.nrql.check import checked
from sources.nrql.errors import NrqlError
from sources.nrql.errors import caret
from sources.nrql.parse import parse
from sources.nrql.tree import Statement
from sources.protocol import Progress
from sources.protocol import Provenance
from sources.protocol import Table
from sources.protocol import silent

LIMIT_MOST: Final = 5_000
_STEP_ROWS: Final = 100_000
"""Rows of one text: of 270 facets in 366 buckets each."""
_TEXT_CHARS: Final = 2_000
_UNWINDOWED: Final = "All rows were read: on files there is no window unless SINCE names one."
_UNSAID: Final = frozenset({"implicit_limit", "implicit_window", "unknown_event_type"})
"""Remarks about defaults of NRDB, which do not hold here, and those that are told in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A caller's NRQL, and what it is to be run on."""

    text: str
    limit: int
    offset: int
    within_s: float
    progress: Progress = silent
    source: str
    engine: Engine
    known: Mapping[str, Known]
    now_s: float
    """Wall-clock, seconds since 1970: what `ago` counts from."""


async def answered(asked: Asked) -> Table:
    """As `Source.query`. Raises `QueryRejected` with a caret under what it is about, `QueryTimeout`, `TooLarge`."""
    try:
        statement = bounded(parse(asked.text), since_ms=None, until_ms=None, limit=_rows_wanted(asked))
        events = events_of(statement, asked.known)
        plan = _plan(asked, statement, events)
    except (NrqlError, NotTranslated) as fault:
        raise QueryRejected(f"{fault.reason}\n{caret(asked.text, fault.position)}", fault.remedy) from fault
    running = _Running(asked)
    rows = {step.name: await running.rows(step) for step in plan.steps}
    told = container(plan, rows, missing=None, took_ms=running.took_ms)
    statistics = told["rawResponse"]["performanceStats"]
    diagnosis = await _diagnosis(asked, statement, events, plan, int(statistics["matchCount"]), running)
    answers = tabled(statement, told)
    if plan.window is None and any(events[name].has_time for name in plan.schemas) and plan.shape != "types":
        answers = replace(answers, remarks=(*answers.remarks, _UNWINDOWED))
    return _table(asked, plan, answers, int(statistics["inspectedCount"]), running, diagnosis)


def _rows_wanted(asked: Asked) -> int:
    return min(LIMIT_MOST, asked.offset + asked.limit + 1)


def _plan(asked: Asked, statement: Statement, events: Mapping[str, Events]) -> Plan:
    unknown = [each for each in checked(statement, event_types=tuple(asked.known), attributes={}) if each.fatal]
    if unknown:
        first = unknown[0]
        raise NotTranslated(first.text, first.position, "SHOW EVENT TYPES lists what there is.")
    return translate(statement, events, now_ms=int(asked.now_s * 1_000), default_ms=None)


class _Running:
    """Runs texts one after the other until the caller's time is over."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + asked.within_s
        self.took_ms = 0.0
        self.cut = False

    @property
    def left_s(self) -> float:
        return self._ends_at - self._loop.time()

    async def rows(self, step: Step) -> list[Row]:
        """Raises `QueryTimeout`, `TooLarge` and as `Engine.run`."""
        if step.known is not None:
            return list(step.known)
        if self.left_s <= 0:
            raise QueryTimeout(self._asked.within_s)
        found = await self._asked.engine.run(
            step.sql, within_s=self.left_s, limit=_STEP_ROWS, progress=self._asked.progress
        )
        if found.more:
            raise TooLarge("the answer is over the limit: make buckets wider, LIMIT smaller, or select less")
        self.took_ms += found.took_ms
        self.cut |= found.cut
        return [tuple(row) for row in found.rows]


async def _diagnosis(
    asked: Asked, statement: Statement, events: Mapping[str, Events], plan: Plan, matched: int, running: _Running
) -> str | None:
    kinds = {name: each.kinds for name, each in events.items()}
    remarks = checked(statement, event_types=(), attributes=kinds)
    said = [each.text for each in remarks if each.kind not in _UNSAID][:4]
    reason = await emptiness(statement, plan, matched, events, asked.known, running.rows)
    return " ".join([*([reason] if reason else []), *said])[:_TEXT_CHARS] or None


def _table(
    asked: Asked, plan: Plan, answers: Answers, inspected: int, running: _Running, diagnosis: str | None
) -> Table:
    end = asked.offset + asked.limit
    return Table(
        columns=answers.columns,
        rows=answers.rows[asked.offset : end],
        more=len(answers.rows) > end,
        cut=answers.cut or running.cut,
        repeatable=plan.repeatable,
        schemas=plan.schemas,
        diagnosis=diagnosis,
        remarks=answers.remarks,
        provenance=Provenance(
            source=asked.source,
            queries=(asked.text[:_TEXT_CHARS],),
            rows_inspected=inspected,
            method="exact",
            window=None if plan.window is None else f"{instant(plan.window[0])} to {instant(plan.window[1])}",
            as_of_at=asked.now_s,
            truncated=running.cut,
            took_ms=running.took_ms,
        ),
    )
