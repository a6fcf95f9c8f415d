"""Why a query gave nothing, measured in the same window: which names hold no value, which condition no event passes.

At most three rounds of questions, and at most ten seconds; an explanation that cannot be measured is not given.
"""

import asyncio
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from sources.errors import SourceError
from sources.newrelic.asking import Asking
from sources.newrelic.names import twins
from sources.newrelic.query_counts import Counts
from sources.newrelic.query_counts import counted
from sources.newrelic.query_counts import last_seen_text
from sources.newrelic.query_counts import probe
from sources.newrelic.query_counts import range_text
from sources.newrelic.query_counts import values_text
from sources.newrelic.query_findings import between
from sources.newrelic.query_findings import blamed
from sources.newrelic.query_findings import compared
from sources.newrelic.query_findings import equality
from sources.newrelic.query_findings import nothing_at_all
from sources.newrelic.query_findings import thin
from sources.newrelic.query_findings import unlike
from sources.nrql.answers import Answers
from sources.nrql.answers_rows import Row
from sources.nrql.answers_rows import mapping
from sources.nrql.answers_rows import sequence
from sources.nrql.check import attributes_of
from sources.nrql.check import checked
from sources.nrql.check import schemas_of
from sources.nrql.tree import Expression
from sources.nrql.tree import Query
from sources.nrql.tree import Statement

_WITHIN_S: Final = 10.0
_LEAST_S: Final = 0.2
_TEXT_CHARS: Final = 1_500
_SCHEMAS_MOST: Final = 5
_NAMES_MOST: Final = 12
_AROUND: Final = frozenset({"comparison", "begin", "end", "inspected"})
_LIMITS: Final = frozenset({"implicit_limit", "implicit_window"})
"""Remarks of the check that are about statements as they were written, not as they are sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """`text` None: there is nothing to explain, or nothing measured helps."""

    text: str | None = None
    queries: tuple[str, ...] = ()


async def why(asking: Asking, statement: Statement | None, answers: Answers, *, left_s: float) -> Explained:
    """Never raises: the rows are right without it."""
    if not isinstance(statement, Query) or left_s < _LEAST_S:
        return Explained()
    empty, hollow = _is_empty(answers), _hollow(answers)
    if not empty and not hollow:
        return Explained()
    within_s = min(left_s, _WITHIN_S)
    try:
        async with asyncio.timeout(within_s):
            return await _explained(_Case(asking=asking, query=statement, within_s=within_s), empty=empty)
    except (SourceError, TimeoutError):
        return Explained()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    asking: Asking
    query: Query
    within_s: float

    async def rows(self, text: str) -> list[Row]:
        answer = await self.asking.graph.nrql(self.asking.account, text, within_s=self.within_s, stats=False)
        return [mapping(row) for row in sequence(answer.container.get("results"))]


def _is_empty(answers: Answers) -> bool:
    """No row, or nothing but nulls and zeros where values were selected."""
    return not answers.rows or all(
        cell in (None, 0, "", []) for place in _selected(answers) for row in answers.rows for cell in [row[place]]
    )


def _hollow(answers: Answers) -> bool:
    """Some column has no value in any row."""
    return any(all(row[place] is None for row in answers.rows) for place in _selected(answers))


def _selected(answers: Answers) -> list[int]:
    return [place for place, column in enumerate(answers.columns) if column.name not in _AROUND]


async def _explained(case: _Case, *, empty: bool) -> Explained:
    keysets = await _keysets(case)
    said = await _names(case, keysets)
    examined = _examined(case.query, keysets)
    made = probe(case.query if empty else replace(case.query, where=None), examined) if empty or not said else None
    if made is None or not (empty or examined):
        return _told(said, [])
    counts = counted(made, await case.rows(made.text))
    if counts is None:
        return _told(said, [made.text])
    found, asked = await _measured(case, counts) if empty else (thin(counts, _read(case.query)), [])
    return _told([*said, *found], [made.text, *asked])


def _told(said: Sequence[str], queries: Sequence[str]) -> Explained:
    text = " ".join(dict.fromkeys(said))[:_TEXT_CHARS]
    return Explained(text=text or None, queries=tuple(queries))


async def _measured(case: _Case, counts: Counts) -> tuple[list[str], list[str]]:
    """What the counts say, and what else was asked to say it."""
    if counts.total == 0:
        text = last_seen_text(case.query, int(case.asking.clock() * 1_000))
        rows = await case.rows(text) if text else []
        return [nothing_at_all(schemas_of(case.query), rows)], [text] if text else []
    found = [*blamed(counts), *thin(counts, _read(case.query))]
    near, asked = await _instead(case, [each for each, rows in counts.conditions if rows == 0])
    return [*found[:1], *near, *found[1:]], asked


async def _instead(case: _Case, failing: Sequence[Expression]) -> tuple[list[str], list[str]]:
    """What there is in place of what the first condition that nothing passes wants, and what was asked for that."""
    wanted = equality(failing[0]) if failing else None
    measured = compared(failing[0]) if failing else None
    if wanted is not None:
        text = values_text(case.query, wanted[0])
        said = unlike(wanted, await case.rows(text))
    elif measured is not None:
        text = range_text(case.query, measured)
        said = between(measured, await case.rows(text))
    else:
        return [], []
    return [said] if said else [], [text]


async def _keysets(case: _Case) -> Mapping[str, Mapping[str, str]]:
    """Names and kinds of the attributes of each event type."""
    schemas = schemas_of(case.query)[:_SCHEMAS_MOST]
    known = await asyncio.gather(*(_keyset(case, schema) for schema in schemas))
    return {schema: keyset for schema, keyset in zip(schemas, known, strict=True) if keyset}


async def _keyset(case: _Case, schema: str) -> Mapping[str, str]:
    """Empty: it is not known."""
    try:
        known = await case.asking.catalogue.keyset_with(schema, _read(case.query))
        return {each.name: each.type for each in known}
    except SourceError:
        return {}


async def _names(case: _Case, keysets: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What a look at the names and kinds alone says."""
    types = await case.asking.catalogue.event_types()
    remarks = checked(case.query, event_types=types or tuple(keysets), attributes=keysets)
    return [remark.text for remark in remarks if remark.kind not in _LIMITS][:4]


def _read(query: Query) -> tuple[str, ...]:
    """The attributes the query reads."""
    return tuple(each.name for each in attributes_of(query) if each.name != "timestamp")


def _examined(query: Query, keysets: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Attributes the query reads, each followed by those that are called nearly the same."""
    known = {name for keyset in keysets.values() for name in keyset}
    named = [name for name in _read(query) if name in known]
    examined = dict.fromkeys(name for each in named for name in (each, *sorted(twins(each, known))[:2]))
    return tuple(examined)[:_NAMES_MOST]
