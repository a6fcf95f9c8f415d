"""What an account dropped and how much it took in, as New Relic itself reports it."""

import asyncio
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final

from sources.abilities import Intake
from sources.abilities import Loss
from sources.newrelic.asking import Asking
from sources.nrql.answers_cells import Cells
from sources.nrql.answers_remarks import stats
from sources.nrql.answers_rows import Line
from sources.nrql.answers_rows import lines
from sources.protocol import Provenance

_LOSSES_MOST: Final = 20
_KINDS_MOST: Final = 50
_MESSAGE_CHARS: Final = 400
_LOSSES: Final = f"SELECT count(*) FROM NrIntegrationError FACET category, limitName, message LIMIT {_LOSSES_MOST}"
"""Source: docs.newrelic.com, nrintegrationerror and query-limits: category, limitName and message of its events."""
_INTAKE: Final = f"SELECT sum(GigabytesIngested) FROM NrConsumption FACET usageMetric LIMIT {_KINDS_MOST}"
"""Source: docs.newrelic.com, usage queries: GigabytesIngested by usageMetric, written about once an hour."""
_SHOWN_CHARS: Final = 100
_NAMED_CHARS: Final = 60
_BELIEVABLE: Final = 1e15
_GIGABYTE: Final = 1_000_000_000
"""Source: docs.newrelic.com, data ingest billing: a gigabyte is 10^9 bytes."""


async def intake(asking: Asking, *, within_s: float) -> Intake:
    """Both statements travel together. Raises as every question to New Relic."""
    window = asking.window()
    texts = tuple(f"{text} {window.clause}" for text in (_LOSSES, _INTAKE))
    asked_at = asking.clock()
    dropped, taken = await asyncio.gather(
        *(asking.graph.nrql(asking.account, text, within_s=within_s) for text in texts)
    )
    told = [stats(dropped.container), stats(taken.container)]
    return Intake(
        losses=losses(dropped.container),
        bytes_by_kind=bytes_by_kind(taken.container),
        provenance=Provenance(
            source=asking.source,
            queries=texts,
            rows_inspected=sum(each.inspected or 0 for each in told),
            method="exact",
            window=window.shown,
            as_of_at=asked_at,
            truncated=any(each.is_partial for each in told),
            took_ms=max(dropped.took_ms, taken.took_ms),
        ),
    )


async def warning(asking: Asking, *, within_s: float) -> str:
    """One sentence about what the account lost in the window, for whoever trusts its counts. Empty: nothing.

    One statement, which travels with whatever else is asked in the same turn. Raises as every question to New Relic.
    """
    text = f"{_LOSSES} {asking.window().clause}"
    answer = await asking.graph.nrql(asking.account, text, within_s=within_s, stats=False)
    found = losses(answer.container)
    if not found:
        return ""
    reports = sum(each.reports for each in found)
    worst, cells = found[0], Cells()
    parts = (worst.category, worst.limit)
    cause = ", ".join(f'"{cells.name(part, most=_NAMED_CHARS)}"' for part in parts if part)
    said = cells.name(worst.message, most=_SHOWN_CHARS)
    return (
        f"New Relic says {reports} times that it dropped or cut data of this account in this window, most often "
        f'{cause}: "{said}". Counts may be too low; see NrIntegrationError.'
    )


def losses(container: Mapping[str, Any]) -> tuple[Loss, ...]:
    """The most frequent first."""
    cells = Cells()
    found = [_loss(line, cells) for line in lines(container, ("category", "limitName", "message")).rows]
    return tuple(sorted((each for each in found if each.reports), key=lambda each: -each.reports))[:_LOSSES_MOST]


def bytes_by_kind(container: Mapping[str, Any]) -> dict[str, int]:
    """The largest first."""
    cells = Cells()
    found = {
        cells.name(str(line.facets[0])): round(_number(line) * _GIGABYTE)
        for line in lines(container, ("usageMetric",)).rows
        if line.facets[0]
    }
    return dict(sorted(found.items(), key=lambda each: -each[1])[:_KINDS_MOST])


def _loss(line: Line, cells: Cells) -> Loss:
    category, limit, message = (_text(part, cells) for part in line.facets)
    return Loss(
        category=category or "unknown",
        limit=limit or None,
        message=message,
        reports=int(_number(line)),
    )


def _text(part: object, cells: Cells) -> str:
    return cells.text(part)[:_MESSAGE_CHARS] if isinstance(part, str) else ""


def _number(line: Line) -> float:
    """The only number that was selected; 0 when there is none."""
    told: Sequence[object] = list(line.selected.values())
    numbers = [each for each in told if isinstance(each, int | float) and not isinstance(each, bool)]
    return numbers[0] if numbers and 0 <= numbers[0] < _BELIEVABLE else 0
