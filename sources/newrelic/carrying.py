"""Carries a load of flights there and back: attempts, pauses, splits, and the outcome of each flight."""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Coroutine
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from itertools import count
from typing import Any
from typing import Final

from sources.errors import QueryTimeout
from sources.errors import QuotaSpent
from sources.errors import SourceError
from sources.errors import SourceUnreachable
from sources.newrelic.batching import Piece
from sources.newrelic.batching import Width
from sources.newrelic.batching import fields
from sources.newrelic.batching import in_halves
from sources.newrelic.batching import loads
from sources.newrelic.batching import pieces
from sources.newrelic.batching import request
from sources.newrelic.faults import Kind
from sources.newrelic.faults import Setback
from sources.newrelic.faults import Trouble
from sources.newrelic.flights import Answered
from sources.newrelic.flights import Flight
from sources.newrelic.flights import Statement
from sources.newrelic.flights import statement_timeout_s
from sources.newrelic.pace import Key
from sources.newrelic.pace import Pace
from sources.newrelic.polling import Polling
from sources.newrelic.polling import Unfinished
from sources.newrelic.polling import unfinished
from sources.newrelic.posting import Posting
from sources.newrelic.redaction import Secret
from sources.newrelic.refusals import NARROWER
from sources.newrelic.refusals import Circumstances
from sources.newrelic.refusals import refusal
from sources.newrelic.regions import Endpoint
from sources.newrelic.retrying import Retrying

_TO_SPLIT: Final[frozenset[Kind]] = frozenset({"slow", "large"})
_WIDE: Final[frozenset[Kind]] = frozenset({"wide"})


@dataclass(slots=True)
class Counts:
    """How much went over the network so far."""

    requests: int = 0
    statements: int = 0
    coalesced: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """All loads of one client."""

    endpoint: Endpoint
    key: Secret
    posting: Posting
    pace: Pace
    retrying: Retrying
    polling: Polling
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]
    spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
    """Runs something beside, and ends it with the client."""
    counts: Counts = field(default_factory=Counts)
    width: Width = field(default_factory=Width)
    without_lasting: set[int] = field(default_factory=set[int])
    """Accounts that refused a lasting query."""

    async def carry(self, load: Sequence[Flight], *, may_split: bool = True) -> None:
        """Land every flight of the load, or leave it to be polled."""
        for attempt in count():
            going = self._admitted([flight for flight in load if not flight.over])
            if not going:
                return
            if len(going) > 1 and fields(going) > self.width.fields_most:  # as another load has found out meanwhile
                await self._apart(loads(going, fields_most=self.width.fields_most), may_split=may_split)
                return
            found = await self._attempt(going)
            if _fails_by(found, _WIDE):
                self.counts.retries += 1
                await self._apart(self.width.halved(going), may_split=may_split)
                return
            if may_split and _fails_by(found, _TO_SPLIT):
                await self._halved(going)
                return
            pauses_s = [self._settled(flight, piece, attempt) for flight, piece in zip(going, found, strict=True)]
            if all(flight.over or flight.stage == "polling" for flight in going):
                return
            load = [flight for flight, pause_s in zip(going, pauses_s, strict=True) if pause_s is not None]
            self.counts.retries += 1
            await self.sleep(max(pause_s for pause_s in pauses_s if pause_s is not None))

    def late(self, flight: Flight, within_s: float) -> SourceError:
        """Why there is no outcome after `within_s`."""
        match flight.stage:
            case "waiting":
                return QuotaSpent(
                    f"{self.pace.under_way} requests to New Relic are under way, and none ended in {within_s:g} s", 1.0
                )
            case "reading":
                return SourceUnreachable(f"New Relic ({self.endpoint.host}) answers too slowly", within_s)
            case "pausing" if flight.trouble is not None:
                return self._refusal(flight, flight.trouble)
            case _:
                return QueryTimeout(within_s, NARROWER)

    def _admitted(self, flights: Sequence[Flight]) -> list[Flight]:
        """Those whose turn within the limits comes before their deadline; the others hear at once when to come back."""
        admitted: list[Flight] = []
        ahead: list[Key] = []
        for flight in flights:
            if isinstance(flight.question, Statement):
                key = (flight.question.account, flight.question.text)
                wait_s = self.pace.wait_s(key, ahead=ahead)
                if wait_s > 0 and self.clock() + wait_s > flight.deadline_s:
                    flight.land(QuotaSpent("the limit of NRQL statements per minute is used up", round(wait_s, 1)))
                    continue
                ahead.append(key)
            admitted.append(flight)
        return admitted

    async def _attempt(self, flights: Sequence[Flight]) -> list[Piece]:
        keys = [(each.question.account, each.question.text) for each in flights if isinstance(each.question, Statement)]
        for flight in flights:
            flight.stage = "waiting"
        async with self.pace.going(keys):
            self.counts.requests += 1
            self.counts.statements += len(keys)
            for flight in flights:
                flight.stage = "asking"
                flight.asked_s = self.clock() if flight.asked_s is None else flight.asked_s
            text, variables = request(flights)
            left_s = max(flight.deadline_s for flight in flights) - self.clock()
            try:
                body = await self.posting.post(
                    text, variables, within_s=left_s, answering=lambda: _reached(flights, "reading")
                )
            except Setback as fault:
                return [Piece(content=None, trouble=fault.trouble) for _ in flights]
        return pieces(flights, body)

    async def _halved(self, flights: Sequence[Flight]) -> None:
        """What is too much together may be fine in two requests; each of them is the one further attempt."""
        self.counts.retries += 1
        for flight in flights:
            flight.slow += 1
        await self._apart(in_halves(flights), may_split=False)

    async def _apart(self, parts: Iterable[Sequence[Flight]], *, may_split: bool) -> None:
        await asyncio.gather(*(self.carry(part, may_split=may_split) for part in parts))

    def _settled(self, flight: Flight, piece: Piece, attempt: int) -> float | None:
        """Land the flight if it can be. Returns the pause before another attempt, in seconds; None: none is needed."""
        if piece.content is not None:
            self._arrived(flight, piece.content, piece.warnings)
            return None
        trouble = piece.trouble or Trouble(kind="broken")
        trouble = replace(trouble, message=self.key.without(trouble.message))
        flight.trouble = trouble
        flight.slow += trouble.kind == "slow"
        if self._goes_without_lasting(flight, trouble):
            return 0.0
        pause_s = self.retrying.pause_s(flight, trouble, attempt)
        if pause_s is None:
            flight.land(self._refusal(flight, trouble))
        else:
            flight.stage = "pausing"
        return pause_s

    def _arrived(self, flight: Flight, content: Mapping[str, Any], remarks: tuple[str, ...]) -> None:
        if not isinstance(flight.question, Statement):
            flight.land(content)
            return
        warnings = tuple(self.key.without(remark) for remark in remarks)
        query = unfinished(content) if flight.question.selection.lasting else None
        if query is None:
            flight.land(self._answered(flight, content, warnings))
            return
        flight.stage = "polling"
        flight.abandoned = self.spawn(self._poll(flight, flight.question.account, query, warnings)).cancel

    async def _poll(self, flight: Flight, account: int, query: Unfinished, warnings: tuple[str, ...]) -> None:
        try:
            container = await self.polling.finished(flight, account, query)
        except SourceError as fault:
            flight.land(fault)
        else:
            flight.land(self._answered(flight, container, warnings))

    def _answered(self, flight: Flight, container: Mapping[str, Any], warnings: tuple[str, ...]) -> Answered:
        asked_s = flight.began_s if flight.asked_s is None else flight.asked_s
        return Answered(container=container, took_ms=(self.clock() - asked_s) * 1_000, warnings=warnings)

    def _goes_without_lasting(self, flight: Flight, trouble: Trouble) -> bool:
        """An account that has no lasting queries, or ends them like others, is asked for an answer at once."""
        question = flight.question
        if not isinstance(question, Statement) or not question.selection.lasting:
            return False
        if trouble.kind not in {"no_async", "slow"}:
            return False
        if trouble.kind == "no_async":
            self.without_lasting.add(question.account)
        timeout_s = statement_timeout_s(flight.deadline_s - self.clock(), lasting=False)
        flight.question = replace(question, selection=replace(question.selection, lasting=False), timeout_s=timeout_s)
        return True

    def _refusal(self, flight: Flight, trouble: Trouble) -> SourceError:
        question = flight.question
        waited_s = self.clock() - flight.began_s
        return refusal(
            trouble,
            Circumstances(
                endpoint=self.endpoint,
                text=question.text if isinstance(question, Statement) else "",
                limit_s=float(question.timeout_s) if isinstance(question, Statement) else round(waited_s, 1),
                waited_s=waited_s,
            ),
        )


def _fails_by(found: Sequence[Piece], reasons: frozenset[Kind]) -> bool:
    """Whether the load failed as a whole, for one reason that half of it may not have."""
    kinds = {piece.trouble.kind if piece.trouble else None for piece in found}
    return len(found) > 1 and len(kinds) == 1 and kinds <= reasons


def _reached(flights: Sequence[Flight], stage: str) -> None:
    for flight in flights:
        if stage == "reading" and flight.stage == "asking":
            flight.stage = "reading"
