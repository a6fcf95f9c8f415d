"""NerdGraph as the source sees it: ask a statement or a text, get an answer or an error that says what to do.

Whatever is asked in one turn of the event loop travels together; what is already on its way is not asked again. The
answer to a question that nobody waits for any more is not waited for either.
"""

import asyncio
import random
import time
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Coroutine
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from typing import Final
from typing import cast

import httpx

from sources.errors import AccessDenied
from sources.errors import QueryTimeout
from sources.errors import SourceError
from sources.errors import SourceUnreachable
from sources.newrelic.batching import loads
from sources.newrelic.carrying import Carrier
from sources.newrelic.flights import Answered
from sources.newrelic.flights import Flight
from sources.newrelic.flights import Outcome
from sources.newrelic.flights import Question
from sources.newrelic.flights import Statement
from sources.newrelic.flights import Whole
from sources.newrelic.flights import statement_timeout_s
from sources.newrelic.pace import LIMITS
from sources.newrelic.pace import Limits
from sources.newrelic.pace import Pace
from sources.newrelic.polling import Polling
from sources.newrelic.posting import ANSWER_BYTES
from sources.newrelic.posting import Posting
from sources.newrelic.redaction import Secret
from sources.newrelic.refusals import NARROWER
from sources.newrelic.refusals import AccountRefused
from sources.newrelic.regions import Endpoint
from sources.newrelic.retrying import Retrying
from sources.newrelic.texts import ACCOUNTS
from sources.newrelic.texts import Selection
from sources.protocol import Progress
from sources.protocol import silent

_ACCOUNTS_SHOWN: Final = 10
_ACCOUNTS_WITHIN_S: Final = 5.0
_NO_VARIABLES: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a client asked so far."""

    requests: int
    """Over the network, repeated ones included."""
    statements: int
    """NRQL statements in them."""
    coalesced: int
    """Questions that were answered by one already on its way."""
    retries: int
    under_way: int
    """Requests now."""


class NerdGraph:
    """One user of New Relic. Belongs to one event loop; safe to call from many tasks of it at once.

    Raises everywhere: `AccessDenied`, `QuotaSpent`, `SourceUnreachable`, `QueryRejected`, `QueryTimeout`, `TooLarge`.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        key: str,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        limits: Limits = LIMITS,
        answer_bytes: int = ANSWER_BYTES,
    ) -> None:
        """`ValueError`: no header can carry the key."""
        secret = Secret(key)
        self._endpoint = endpoint
        self._digest = secret.digest
        self._clock = clock
        self._posting = Posting(endpoint=endpoint, key=secret, transport=transport, answer_bytes=answer_bytes)
        self._pace = Pace(clock=clock, sleep=sleep, limits=limits)
        self._carrier = Carrier(
            endpoint=endpoint,
            key=secret,
            posting=self._posting,
            pace=self._pace,
            retrying=Retrying(clock=clock, chance=chance),
            polling=Polling(
                ask=lambda text, variables, within_s: self.graphql(text, variables, within_s=within_s),
                clock=clock,
                sleep=sleep,
            ),
            clock=clock,
            sleep=sleep,
            spawn=self._spawn,
        )
        self._flights: dict[object, Flight] = {}
        self._gathered: list[Flight] = []
        self._running: set[asyncio.Task[None]] = set()
        self._accounts: tuple[tuple[int, str], ...] | None = None
        self._closed = False

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    @property
    def identity(self) -> str:
        """Where it asks and with whose eyes; a digest stands for the key."""
        return f"{self._endpoint.url} {self._digest}"

    async def nrql(
        self,
        account: int,
        text: str,
        *,
        within_s: float,
        stats: bool = True,
        whole: bool = True,
        lasting: bool = False,
        progress: Progress = silent,
    ) -> Answered:
        """The answer to one NRQL statement.

        `stats` also brings NRDB's messages and `rawResponse` with its performance statistics, and the rows a second
        time; with it, `whole` brings what stands beside the rows. `lasting` lets the query run on for longer than
        New Relic's two minutes, as long as `within_s` says, where the account may.
        """
        lasting = lasting and account not in self._carrier.without_lasting
        statement = Statement(
            account=account,
            text=text,
            selection=Selection(stats=stats, whole=stats and whole, lasting=lasting),
            timeout_s=statement_timeout_s(within_s, lasting=lasting),
        )
        began_s = self._clock()
        outcome = await self._outcome(statement, within_s, progress)
        if isinstance(outcome, AccountRefused):
            raise AccessDenied(f"{outcome} {await self._accounts_shown(within_s - self._clock() + began_s)}")
        if isinstance(outcome, SourceError):
            raise outcome
        return cast("Answered", outcome)

    async def graphql(
        self, text: str, variables: Mapping[str, Any] = _NO_VARIABLES, *, within_s: float
    ) -> Mapping[str, Any]:
        """The `data` of the answer to one of the texts of `texts.py`."""
        outcome = await self._outcome(Whole(text=text, variables=variables), within_s, silent)
        if isinstance(outcome, SourceError):
            raise outcome
        return cast("Mapping[str, Any]", outcome)

    async def accounts(self, *, within_s: float) -> tuple[tuple[int, str], ...]:
        """Id and name of each account the key may query; asked once."""
        if self._accounts is None:
            answer = await self.graphql(ACCOUNTS, within_s=within_s)
            self._accounts = tuple(
                (number, self._carrier.key.without(name, most=80)) for number, name in _accounts(answer)
            )
        return self._accounts

    def statistics(self) -> Statistics:
        counts = self._carrier.counts
        return Statistics(
            requests=counts.requests,
            statements=counts.statements,
            coalesced=counts.coalesced,
            retries=counts.retries,
            under_way=self._pace.under_way,
        )

    async def aclose(self) -> None:
        """End whatever is on its way; who waits for it hears so."""
        self._closed = True
        self._pace.close()
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for flight in tuple(self._flights.values()):
            flight.land(SourceUnreachable("the connection to New Relic was closed"))
        await self._posting.aclose()

    async def _outcome(self, question: Question, within_s: float, progress: Progress) -> Outcome:
        if self._closed:
            raise SourceUnreachable("the connection to New Relic was closed")
        if within_s <= 0:
            return QueryTimeout(0.0, NARROWER)
        flight = self._boarded(question, self._clock() + within_s, progress)
        try:
            await asyncio.wait({flight.outcome}, timeout=within_s)
            return flight.outcome.result() if flight.over else self._carrier.late(flight, within_s)
        finally:
            flight.leave(progress)

    def _boarded(self, question: Question, deadline_s: float, progress: Progress) -> Flight:
        """The flight that is already on its way with this question, or a new one that departs with this turn."""
        flight = self._flights.get(question.same)
        if flight is None or flight.over:
            flight = self._announced(question, deadline_s)
        else:
            self._carrier.counts.coalesced += 1
        flight.board(deadline_s, progress)
        return flight

    def _announced(self, question: Question, deadline_s: float) -> Flight:
        loop = asyncio.get_running_loop()
        flight = Flight(question=question, outcome=loop.create_future(), began_s=self._clock(), deadline_s=deadline_s)
        self._flights[question.same] = flight
        flight.outcome.add_done_callback(lambda _: self._forget(question, flight))
        if not self._gathered:
            loop.call_soon(self._depart)
        self._gathered.append(flight)
        return flight

    def _forget(self, question: Question, flight: Flight) -> None:
        if self._flights.get(question.same) is flight:
            del self._flights[question.same]

    def _depart(self) -> None:
        gathered, self._gathered = self._gathered, []
        waited_for = [flight for flight in gathered if not flight.over]
        for load in loads(waited_for, fields_most=self._carrier.width.fields_most):
            task = self._spawn(self._carrier.carry(load))
            task.add_done_callback(lambda task, load=load: _crashed(task, load))
            for flight in load:
                flight.abandoned = _last_one_out(load, task)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _accounts_shown(self, within_s: float) -> str:
        """A sentence for a caller whose account was refused; never an error of its own."""
        try:
            known = await self.accounts(within_s=max(0.0, min(within_s, _ACCOUNTS_WITHIN_S)))
        except SourceError:
            return "Set NEW_RELIC_ACCOUNT_ID to an account that the user of the key may query."
        if not known:
            return "The user of the key may query no account of this region; check NEW_RELIC_REGION and the key."
        shown = ", ".join(f"{number} ({name})" if name else str(number) for number, name in known[:_ACCOUNTS_SHOWN])
        more = len(known) - _ACCOUNTS_SHOWN
        return (
            f"It may query: {shown}{f' and {more} more' if more > 0 else ''}. Set NEW_RELIC_ACCOUNT_ID to one of them."
        )


def _accounts(answer: Mapping[str, Any]) -> list[tuple[int, str]]:
    actor = answer.get("actor")
    listed = cast("dict[str, object]", actor).get("accounts") if isinstance(actor, dict) else None
    found: list[tuple[int, str]] = []
    for each in cast("list[object]", listed) if isinstance(listed, list) else []:
        if isinstance(each, dict):
            fields = cast("dict[str, object]", each)
            number = fields.get("id")
            if isinstance(number, int):
                found.append((number, str(fields.get("name") or "")))
    return found


def _last_one_out(load: Sequence[Flight], task: "asyncio.Task[None]") -> Callable[[], None]:
    """Ends the request once none of its flights is waited for."""

    def leave() -> None:
        if all(flight.over for flight in load):
            task.cancel()

    return leave


def _crashed(task: "asyncio.Task[None]", load: Sequence[Flight]) -> None:
    """A defect of ours is raised where somebody waits, not lost in a task."""
    fault = None if task.cancelled() else task.exception()
    for flight in load if fault is not None else ():
        if not flight.over:
            flight.outcome.set_exception(cast("BaseException", fault))
