"""A query that goes on after its timeout: asked about until it is done, as often as New Relic wants to be asked.

Source: docs.newrelic.com, async-queries-nrql-tutorial; all times of `queryProgress` are seconds.
"""

import math
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import cast

from sources.errors import QueryTimeout
from sources.errors import SourceUnreachable
from sources.newrelic.flights import Flight
from sources.newrelic.refusals import NARROWER
from sources.newrelic.texts import PROGRESS

_PAUSE_S: Final = (0.25, 10.0)
_UNSAID_S: Final = 1.0
_SHARE_MOST: Final = 0.99

Ask = Callable[[str, Mapping[str, Any], float], Awaitable[Mapping[str, Any]]]
"""GraphQL text, variables and seconds; the `data` of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What NerdGraph said of a query that is not done."""

    query_id: str
    pause_s: float
    """When to ask again; sooner than the server would give the query up."""


def unfinished(container: Mapping[str, Any]) -> Unfinished | None:
    """None: it is done, or there is nothing to ask about."""
    told = container.get("queryProgress")
    if not isinstance(told, dict):
        return None
    progress = cast("dict[str, object]", told)
    if progress.get("completed") is not False or not progress.get("queryId"):
        return None
    wanted_s = _seconds(progress.get("retryAfter"), _UNSAID_S)
    deadline_s = _seconds(progress.get("retryDeadline"), math.inf)
    pause_s = min(wanted_s, deadline_s / 2, _PAUSE_S[1])
    return Unfinished(query_id=str(progress["queryId"]), pause_s=max(pause_s, _PAUSE_S[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """Asks until a query is done."""

    ask: Ask
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]

    async def finished(self, flight: Flight, account: int, query: Unfinished) -> Mapping[str, Any]:
        """The container with the rows. Raises `QueryTimeout` at the deadline of the flight, and what asking raises."""
        while True:
            left_s = flight.deadline_s - self.clock()
            if query.pause_s >= left_s:
                raise QueryTimeout(flight.deadline_s - flight.began_s, NARROWER)
            self._tell(flight)
            await self.sleep(query.pause_s)
            left_s = max(flight.deadline_s - self.clock(), 0.0)
            answer = await self.ask(PROGRESS, {"account": account, "queryId": query.query_id}, left_s)
            container = _container(answer)
            again = unfinished(container)
            if again is None:
                return container
            query = again

    def _tell(self, flight: Flight) -> None:
        passed_s = self.clock() - flight.began_s
        share = min(passed_s / max(flight.deadline_s - flight.began_s, 1e-9), _SHARE_MOST)
        flight.tell(share, f"New Relic has worked on the query for {passed_s:.0f} s")


def _container(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    found: object = answer
    for step in ("actor", "account", "nrqlQueryProgress"):
        found = cast("dict[str, object]", found).get(step) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise SourceUnreachable("New Relic no longer knows the query it was working on; ask again")
    return cast("Mapping[str, Any]", found)


def _seconds(told: object, otherwise: float) -> float:
    if isinstance(told, bool) or not isinstance(told, int | float) or not math.isfinite(told) or told < 0:
        return otherwise
    return float(told)
