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

from sources.errors import QueryRejected
from sources.errors import SourceError
from sources.newrelic.client import NerdGraph
from sources.newrelic.shapes import objects
from sources.nrql.text import literal
from sources.nrql.text import name_text

Status = Literal["confirmed", "differs", "not available"]

_EACH_S: Final = 10.0
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One assumption and what was found."""

    name: str
    rank: int
    """How much depends on it; as that of its check."""
    status: Status
    expected: str
    seen: str
    """A shape, or the kind of an error."""
    detail: str = ""
    """What New Relic said, as it is: may name accounts, types and attributes. Not for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account that is asked, and what of it can be asked about; none of the names is for others."""

    number: int
    event_types: tuple[str, ...]
    """With rows in the last hour, most first, at most 2."""
    now_ms: int
    text: str | None = None
    """An attribute of the busiest event type that holds text with letters, and one of its values."""
    text_value: str | None = None
    sparse: str | None = None
    """An attribute that only some rows have."""
    number_name: str | None = None
    """A numeric attribute, with decimals if there is one."""
    many: str | None = None
    """An attribute with more values than `uniqueCount` counts exactly, and fewer than `uniques` lists."""
    metric: str | None = None
    """The name of a dimensional metric."""

    @property
    def event_type(self) -> str:
        return f"`{self.event_types[0]}`" if self.event_types else "Transaction"

    def filled(self, asked: str) -> str | None:
        """The statement with what stands in braces put in. None: the account has nothing to put there."""
        names = {"text": self.text, "sparse": self.sparse, "number": self.number_name, "many": self.many}
        swapped = self.text_value.swapcase() if self.text_value is not None else None
        values = {"value": self.text_value, "swapped": swapped, "metric": self.metric}
        found = {
            "type": self.event_type,
            "types": ", ".join(f"`{name}`" for name in self.event_types) or self.event_type,
            "end": str(self.now_ms),
            "begin": str(self.now_ms - _HOUR_MS),
            **{key: name_text(name) for key, name in names.items() if name is not None},
            **{key: literal(value) for key, value in values.items() if value is not None},
        }
        try:
            return asked.format(**found)
        except KeyError:
            return None


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
    rank: int = 2
    """1: answers would be wrong without it. 2: something would not work, or be slower. 3: good to know."""


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
        answered = await self.graph.nrql(self.account.number, text, within_s=self.within_s, stats=False)
        return objects(answered.container.get("results"))


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
    except (ArithmeticError, LookupError, TypeError, ValueError):
        shown, status = "nothing that can be read", "differs"  # whatever it was, the others are still looked at
    else:
        shown = seen.shown
        status = "not available" if seen.holds is None else "confirmed" if seen.holds else "differs"
    return Finding(name=check.name, rank=check.rank, status=status, expected=check.expected, seen=shown, detail=detail)


def by_importance(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """What differs first, and within that what most depends on."""
    order: tuple[Status, ...] = ("differs", "confirmed", "not available")
    return tuple(sorted(findings, key=lambda each: (each.status != order[0], each.rank, order.index(each.status))))
