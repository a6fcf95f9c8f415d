"""What a caller's text is before anything is asked: a statement, something only NRDB can read, or a slip.

Event types the account does not have are refused here: NRDB would answer them with success and nothing.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sources.errors import QueryRejected
from sources.errors import SourceError
from sources.names import nearest
from sources.newrelic.asking import Asking
from sources.newrelic.names import place_of
from sources.newrelic.window import Window
from sources.nrql.answers_cells import Cells
from sources.nrql.bound import window_ms
from sources.nrql.check import checked
from sources.nrql.check import schemas_of
from sources.nrql.errors import NrqlError
from sources.nrql.errors import caret
from sources.nrql.parse import parse
from sources.nrql.text import literal
from sources.nrql.tree import Statement

_HOUR_MS: Final = 3_600_000
"""NRDB's own window when a statement names none. Source: docs.newrelic.com, NRQL reference, SINCE."""
_READS: Final = re.compile(r"\s*(?:select|from|show|with)\b", re.IGNORECASE)
_TOLD: Final = frozenset({"epoch_seconds"})
"""What the check remarks that matters although the statement is right."""
_OWN: Final = ("Nr", "Metric")
"""Beginnings of names that New Relic writes itself; not all of them are listed where others are."""
_NAMES_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """`statement` None: it is sent as it stands. `remark`: what the caller should know of that, or of the statement."""

    statement: Statement | None
    remark: str | None = None


def read(text: str) -> Reading:
    """Raises `QueryRejected` for what is no statement that reads, and for slips that are known."""
    try:
        statement = parse(text)
    except NrqlError as fault:
        if fault.remedy or not _READS.match(text):
            raise rejected(text, fault) from fault
        remark = (
            f"This statement could not be read here ({fault.reason[:200]}), so it went to New Relic as it stands: "
            "without SINCE it covers the last hour, and LIMIT is New Relic's own."
        )
        return Reading(statement=None, remark=remark)
    remarks = checked(statement, event_types=(), attributes={})
    for each in remarks:
        if each.fatal:
            raise rejected(text, NrqlError(each.text.rstrip("."), each.position))
    return Reading(statement=statement, remark=next((each.text for each in remarks if each.kind in _TOLD), None))


def rejected(text: str, fault: NrqlError) -> QueryRejected:
    """The error with the place in the caller's own text."""
    remedy = f"{fault.remedy[0].upper()}{fault.remedy[1:]}." if fault.remedy else ""
    return QueryRejected(f"{fault.reason}:\n{caret(text, fault.position)}\n", remedy)


async def known_types(asking: Asking, left_s: float) -> tuple[str, ...]:
    """Event types of the account. Empty: they could not be had in time, so nothing is unknown."""
    try:
        async with asyncio.timeout(min(left_s, _NAMES_WITHIN_S)):
            return await asking.catalogue.event_types()
    except (SourceError, TimeoutError):
        return ()


def refuse_unknown(asking: Asking, statement: Statement, known: Sequence[str]) -> None:
    """Raises `QueryRejected` for an event type that is not there, when the list of them covers the window."""
    named = schemas_of(statement)
    for schema in named:
        metric = place_of(schema).metric
        if metric is not None:
            wanted = f"Write FROM Metric and WHERE metricName = {literal(metric)}; its values are the attribute itself."
            raise QueryRejected(f'"{_shown(schema)}" is a metric, and no event type', wanted)
    unknown = [schema for schema in named if schema not in known and not schema.startswith(_OWN)]
    if not known or not unknown or not _is_covered(asking, statement):
        return
    schema = unknown[0]
    near = [_shown(name) for name in nearest(schema, known)]
    meant = f" Did you mean {', '.join(near)}?" if near else ""
    raise QueryRejected(
        f'this account has no events of type "{_shown(schema)}" in {asking.window().shown}',
        f"{meant} Call list_schemas to see all, or say SINCE to look further back.".strip(),
    )


def window_of(asking: Asking, statement: Statement) -> Window | None:
    """What SINCE and UNTIL mean now. None: they say it in a way that only New Relic understands."""
    try:
        begin_ms, end_ms = window_ms(statement, now_ms=int(asking.clock() * 1_000), default_ms=_HOUR_MS)
    except NrqlError:
        return None
    return Window(begin_ms=begin_ms, end_ms=end_ms)


def _is_covered(asking: Asking, statement: Statement) -> bool:
    """Whether the statement looks back no further than the list of event types does."""
    if statement.since is None and statement.until is None:
        return True
    window = window_of(asking, statement)
    return window is not None and window.begin_ms >= asking.window().begin_ms


def _shown(name: str) -> str:
    return Cells().name(name)[:100]
