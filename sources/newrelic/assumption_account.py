"""What of an account the assumptions are put to the test on: busy event types, and attributes that have what it takes.

Names that are found here are the owner's: they go into statements, and into nothing that is shown.
"""

import asyncio
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Final
from typing import TypeGuard
from typing import cast

from sources.errors import AccessDenied
from sources.errors import SourceError
from sources.newrelic.assumptions import Account
from sources.newrelic.assumptions import Finding
from sources.newrelic.assumptions import Status
from sources.newrelic.client import NerdGraph
from sources.newrelic.shapes import is_number
from sources.newrelic.shapes import objects
from sources.newrelic.shapes import shape
from sources.newrelic.together import together
from sources.newrelic.together import tolerated
from sources.nrql.text import name_text

_EACH_S: Final = 6.0
_TYPES: Final = 40
_ATTRIBUTES: Final = 24
"""Of each kind that are looked at, four in one statement."""
_TOGETHER: Final = 4
MANY: Final = range(300, 9_001)
"""So many values `uniqueCount` estimates, and `uniques` still lists."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """One attribute in the last hour."""

    name: str
    rows: float
    values: float
    distinct: float
    latest: object


async def busiest(graph: NerdGraph, number: int, *, now_ms: int, until_s: float) -> tuple[Account, Finding]:
    """The account with what can be asked of it by `until_s` (of the loop's clock), and what listing it looked like."""
    account = Account(number=number, event_types=(), now_ms=now_ms)
    finding = _listing(status="not available", seen="no time was left")
    try:
        async with asyncio.timeout_at(until_s):
            names, finding = await _listed(graph, number)
            account = replace(account, event_types=await _with_rows(graph, number, names))
            account = await _with_attributes(graph, account)
    except TimeoutError:
        pass
    return account, finding


async def _listed(graph: NerdGraph, number: int) -> tuple[list[str], Finding]:
    try:
        listed = await graph.nrql(number, "SHOW EVENT TYPES SINCE 1 day ago", within_s=_EACH_S, stats=False)
    except SourceError as fault:
        status: Status = "not available" if isinstance(fault, AccessDenied) else "differs"
        return [], _listing(status=status, seen=type(fault).__name__, detail=str(fault))
    rows: object = listed.container.get("results")
    names = [name for row in objects(rows) if _is_usable(name := row.get("eventType"))]
    fits = len(names) == len(objects(rows)) and all(set(row) == {"eventType"} for row in objects(rows))
    status = "not available" if not rows else "confirmed" if fits else "differs"
    return names, _listing(status=status, seen=shape(rows))


def _listing(*, status: Status, seen: str, detail: str = "") -> Finding:
    return Finding(
        name="SHOW EVENT TYPES", rank=1, status=status, expected="[{eventType: string}]", seen=seen, detail=detail
    )


async def _with_rows(graph: NerdGraph, number: int, names: Sequence[str]) -> tuple[str, ...]:
    """The names of those that have most rows; in doubt the first."""
    asked = ", ".join(name_text(name) for name in names[:_TYPES])
    if not asked:
        return ()
    found = await _rows(graph, number, f"SELECT count(*) FROM {asked} FACET eventType() LIMIT MAX")
    known = [name for row in found if isinstance(name := row.get("facet"), str) and name in names]
    return tuple(known[:2]) or tuple(names[:2])


async def _with_attributes(graph: NerdGraph, account: Account) -> Account:
    if not account.event_types:
        return account
    keys, metrics = await together(
        _rows(graph, account.number, text)
        for text in (
            f"SELECT keyset() FROM {account.event_type} SINCE 1 hour ago",
            "SELECT uniques(metricName, 5) AS v FROM Metric SINCE 1 hour ago",
        )
    )
    texts = list(_keys(keys, "string"))[:_ATTRIBUTES]
    numbers = [name for name in _keys(keys, "numeric") if name != "timestamp"][:_ATTRIBUTES]
    found = await _measured(graph, account, [*texts, *numbers, "timestamp"])
    of_texts = [each for each in found if each.name in texts]
    listed: object = metrics[0].get("v") if metrics else None
    return replace(
        account,
        text=next((each.name for each in of_texts if _has_letters(each.latest)), None),
        text_value=next((str(each.latest) for each in of_texts if _has_letters(each.latest)), None),
        sparse=next((each.name for each in of_texts if 0 < each.values < each.rows), None),
        number_name=_fractional([each for each in found if each.name in numbers]),
        many=next((each.name for each in found if MANY.start <= each.distinct < MANY.stop), None),
        metric=next((each for each in _items(listed) if _is_usable(each)), None),
    )


async def _measured(graph: NerdGraph, account: Account, names: Sequence[str]) -> list[_Measured]:
    groups = [names[place : place + _TOGETHER] for place in range(0, len(names), _TOGETHER)]
    answers = await together(
        _rows(graph, account.number, f"SELECT {_measures(group)} FROM {account.event_type}") for group in groups
    )
    return [found for group, rows in zip(groups, answers, strict=True) if rows for found in _read(group, rows[0])]


def _measures(names: Sequence[str]) -> str:
    each = (
        f"count({name}) AS c{place}, uniqueCount({name}) AS u{place}, latest({name}) AS l{place}"
        for place, name in enumerate(map(name_text, names))
    )
    return ", ".join(["count(*) AS n", *each])


def _read(names: Sequence[str], row: Row) -> Iterator[_Measured]:
    for place, name in enumerate(names):
        rows, values, distinct = (row.get(key) for key in ("n", f"c{place}", f"u{place}"))
        if is_number(rows) and is_number(values) and is_number(distinct):
            yield _Measured(name=name, rows=rows, values=values, distinct=distinct, latest=row.get(f"l{place}"))


def _fractional(found: Sequence[_Measured]) -> str | None:
    """One with a decimal point, if there is any."""
    filled = [each for each in found if each.values]
    fractional = [each.name for each in filled if isinstance(each.latest, float) and not each.latest.is_integer()]
    return next(iter([*fractional, *(each.name for each in filled)]), None)


def _has_letters(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and value.lower() != value.upper() and len(value) <= 200  # noqa: PLR2004 - one name or word


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _keys(rows: Sequence[Row], kind: str) -> Iterator[str]:
    for row in rows:
        name = row.get("key")
        if row.get("type") == kind and _is_usable(name):
            yield name


def _is_usable(name: object) -> TypeGuard[str]:
    return isinstance(name, str) and bool(name) and name.isprintable() and "`" not in name


async def _rows(graph: NerdGraph, number: int, text: str) -> list[Row]:
    """None where it is not answered."""
    answered = await tolerated(graph.nrql(number, text, within_s=_EACH_S, stats=False))
    return [] if isinstance(answered, SourceError) else objects(answered.container.get("results"))
