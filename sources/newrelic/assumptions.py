"""What UDS takes for granted about New Relic and no public recording shows, put to the test on a real account.

Only shapes are noted: names of keys and kinds of values. What might name something of the owner's stays apart.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Literal

from sources.errors import AccessDenied
from sources.errors import QueryRejected
from sources.errors import SourceError
from sources.newrelic.client import NerdGraph
from sources.newrelic.shapes import objects
from sources.newrelic.shapes import shape

Status = Literal["confirmed", "differs", "not available"]

_EACH_S: Final = 10.0
_FIRST_S: Final = 6.0
"""For each of the two questions that the others build on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One assumption and what was found."""

    name: str
    status: Status
    expected: str
    seen: str
    """A shape, or the kind of an error."""
    detail: str = ""
    """What New Relic said, as it is: may name accounts, types and attributes. Not for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account that is asked, and an event type of it that has rows."""

    number: int
    event_types: tuple[str, ...]
    """With rows in the last hour, most first, at most 2; their names are not for others."""
    now_ms: int

    @property
    def event_type(self) -> str:
        return f"`{self.event_types[0]}`" if self.event_types else "Transaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a check found."""

    holds: bool | None
    """None: there was nothing to judge by, such as rows."""
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One assumption. `look` asks, and may raise what sources raise."""

    name: str
    expected: str
    look: Callable[["Looking"], Awaitable[Seen]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What checks ask with."""

    graph: NerdGraph
    account: Account
    accounts: tuple[int, ...]
    within_s: float = _EACH_S

    async def container(self, text: str, *, lasting: bool = False) -> Mapping[str, Any]:
        answered = await self.graph.nrql(self.account.number, text, within_s=self.within_s, lasting=lasting)
        return answered.container

    async def rows(self, text: str) -> list[Mapping[str, Any]]:
        return objects((await self.container(text)).get("results"))


async def examined(looking: Looking, rounds: Sequence[Sequence[Check]], *, until_s: float) -> tuple[Finding, ...]:
    """All checks, round after round; those of a round travel together. `until_s`: of the loop's clock, and hard."""
    findings: list[Finding] = []
    for checks in rounds:
        findings.extend(await asyncio.gather(*(_finding(check, looking, until_s) for check in checks)))
    return tuple(findings)


async def _finding(check: Check, looking: Looking, until_s: float) -> Finding:
    status: Status = "not available"
    detail = ""
    try:
        async with asyncio.timeout_at(until_s):
            seen = await check.look(looking)
    except TimeoutError:
        shown = "no time was left"
    except SourceError as fault:
        shown, detail = type(fault).__name__, str(fault)
        status = "differs" if isinstance(fault, QueryRejected) else "not available"
    else:
        shown = seen.shown
        status = "not available" if seen.holds is None else "confirmed" if seen.holds else "differs"
    return Finding(name=check.name, status=status, expected=check.expected, seen=shown, detail=detail)


async def busiest(graph: NerdGraph, number: int, *, now_ms: int) -> tuple[Account, Finding]:
    """The account with its busiest event types, and what listing them looked like."""
    expected = "[{eventType: string}]"
    nobody = Account(number=number, event_types=(), now_ms=now_ms)
    try:
        listed = await graph.nrql(number, "SHOW EVENT TYPES SINCE 1 day ago", within_s=_FIRST_S, stats=False)
    except SourceError as fault:
        status: Status = "not available" if isinstance(fault, AccessDenied) else "differs"
        told = Finding(
            name="SHOW EVENT TYPES", status=status, expected=expected, seen=type(fault).__name__, detail=str(fault)
        )
        return nobody, told
    rows: object = listed.container.get("results")
    seen = shape(rows)
    names = _event_types(rows)
    finding = Finding(
        name="SHOW EVENT TYPES",
        status="confirmed" if seen == expected else "not available" if not rows else "differs",
        expected=expected,
        seen=seen,
    )
    return Account(number=number, event_types=await _with_rows(graph, number, names), now_ms=now_ms), finding


async def _with_rows(graph: NerdGraph, number: int, names: Sequence[str]) -> tuple[str, ...]:
    """The names of those that have most rows; in doubt the first."""
    asked = ", ".join(f"`{name}`" for name in names[:40])
    if not asked:
        return ()
    text = f"SELECT count(*) FROM {asked} FACET eventType() LIMIT MAX"
    try:
        answered = await graph.nrql(number, text, within_s=_FIRST_S, stats=False)
    except SourceError:
        return tuple(names[:2])
    found = [row.get("facet") for row in objects(answered.container.get("results"))]
    known = [name for name in found if isinstance(name, str) and name in names]
    return tuple(known[:2]) or tuple(names[:2])


def _event_types(rows: object) -> list[str]:
    found = [row.get("eventType") for row in objects(rows)]
    return [name for name in found if isinstance(name, str) and "`" not in name]
