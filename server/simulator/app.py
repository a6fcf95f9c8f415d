"""A simulated NerdGraph: takes a request as it came off the wire, says what is answered, and remembers what was asked.

Its answers come from rows that run NRQL on this machine. They show how UDS behaves, not how New Relic does.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from typing import Final
from typing import Literal
from typing import cast

from graphql import GraphQLError

from server.simulator.accounts import Account
from server.simulator.answering import Turn
from server.simulator.answering import extensions
from server.simulator.background import Background
from server.simulator.background import Pace
from server.simulator.documents import Documents
from server.simulator.documents import Read
from server.simulator.documents import carried_out
from server.simulator.documents import formatted
from server.simulator.estate import Estate
from server.simulator.faults import Errors
from server.simulator.faults import Fault
from server.simulator.faults import Hang
from server.simulator.faults import Late
from server.simulator.faults import Reset
from server.simulator.faults import Script
from server.simulator.faults import Status
from server.simulator.faults import Without
from server.simulator.faults import scripted
from server.simulator.limits import Limits
from server.simulator.limits import Quota
from server.simulator.received import Received
from server.simulator.received import asked_at
from server.simulator.replies import Reply
from server.simulator.replies import json_reply

KEY: Final = "NRAK-SIMULATED"
PATH: Final = "/graphql"
_THREADS: Final = 4
_KEPT: Final = 10_000
_NO_KEY: Final[Mapping[str, Any]] = {"error": {"title": "No API key specified"}}
_BAD_KEY: Final[Mapping[str, Any]] = {
    "errors": [{"message": "Bad API Key or no API Key provided", "extensions": {"error_code": "BAD_API_KEY"}}]
}
_ELSEWHERE: Final[Mapping[str, Any]] = {"errors": [{"message": "not authorized for account region"}]}


def instantly(_text: str) -> float:
    """Statements take no time of note."""
    return 0.0


class Simulator:
    """Accounts behind one key. Lives on one loop; rows are asked on threads of its own. Call `close` at the end."""

    def __init__(  # noqa: PLR0913 - each is a way in which tests and benches differ
        self,
        accounts: Sequence[Account],
        *,
        key: str = KEY,
        region: str = "US",
        key_region: str | None = None,
        script: Script = (),
        latency_s: float = 0.0,
        clock: Callable[[], float] = time.time,
        limits: Limits | None = None,
        pace: Pace | None = None,
        takes_s: Callable[[str], float] = instantly,
    ) -> None:
        """`key_region`: where the key belongs, if not here. `latency_s`: of each request, in real seconds.

        `takes_s`: how long a statement would take in New Relic; what is over its timeout times out, or goes on in the
        background, without anybody waiting here for real.
        """
        self.script: Script = script
        """May be replaced while requests arrive."""
        self.received: deque[Received] = deque(maxlen=_KEPT)
        """What was asked, oldest first; requests of which nothing could be read are among them, without statements."""
        self.abandoned = 0
        """Requests whose client left before it was answered."""
        self.in_flight = 0
        self._key = key
        self._is_elsewhere = key_region not in (None, region)
        self._latency_s = latency_s
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="simulated-nrdb")
        self._documents = Documents()
        self._number = 0
        self._limits = limits or Limits()
        self._estate = Estate(
            accounts={account.id: account for account in accounts},
            limits=self._limits,
            quota=Quota(self._limits),
            background=Background(pace or Pace()),
            history=deque(maxlen=_KEPT),
            threads=self._threads,
            clock=clock,
            takes_s=takes_s,
        )

    @property
    def body_bytes_most(self) -> int:
        """Of a request."""
        return self._limits.body_bytes

    def close(self) -> None:
        """Ends the threads, after what they are doing. The rows belong to whoever made them."""
        self._threads.shutdown(cancel_futures=True)

    async def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """What is answered to a request, and what is to go wrong with it on the wire."""
        if target.partition("?")[0] != PATH:
            return json_reply({"errors": [{"message": f"NerdGraph is at {PATH}"}]}, status=404)
        if method != "POST":
            return json_reply({"errors": [{"message": "NerdGraph takes POST"}]}, status=405)
        question = _question(body)
        read = self._documents.read(question["query"]) if question else None
        received = self._receive(headers, question, read)
        fault = scripted(self.script, received)
        self.in_flight += 1
        try:
            return await self._answer(received, read, question, fault)
        finally:
            self.in_flight -= 1

    def _receive(self, headers: Mapping[str, str], question: dict[str, Any] | None, read: Read | None) -> Received:
        self._number += 1
        variables = cast("dict[str, Any]", (question or {}).get("variables") or {})
        found = read.places if read else ()
        received = Received(
            number=self._number,
            at=self._estate.clock(),
            key=self._judged(headers.get("api-key")),
            document=question["query"] if question else "",
            variables=variables,
            asked=asked_at(found, variables),
            fields=tuple(sorted({".".join(place.path[1:]) for place in found})),
            headers={name: value for name, value in headers.items() if name != "api-key"},
        )
        self.received.append(received)
        return received

    def _judged(self, key: str | None) -> Literal["right", "wrong", "missing", "elsewhere"]:
        if not key:
            return "missing"
        if key != self._key:
            return "wrong"
        return "elsewhere" if self._is_elsewhere else "right"

    async def _answer(
        self, received: Received, read: Read | None, question: dict[str, Any] | None, fault: Fault | None
    ) -> Reply:
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        early = await _instead(fault) or self._refused(received)
        if early is not None:
            return early
        if read is None or question is None:
            return json_reply({"errors": [{"message": "The body is no JSON object with a text `query`"}]}, status=400)
        return await self._carry_out(read, question, fault)

    def _refused(self, received: Received) -> Reply | None:
        most = self._limits.in_flight
        match received.key:
            case "missing":
                return json_reply(_NO_KEY, status=401)
            case "wrong":
                return json_reply(_BAD_KEY, status=401)
            case "elsewhere":
                return json_reply(_ELSEWHERE)
            case "right" if most is not None and self.in_flight > most:
                why = f"Too many requests: a user may have {most} in flight"
                errors = [{"message": why, "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}]
                return json_reply({"errors": errors}, status=429)  # Source: docs.newrelic.com, NerdGraph usage limits
            case "right":
                return None

    async def _carry_out(self, read: Read, question: dict[str, Any], fault: Fault | None) -> Reply:
        most = self._limits.fields
        wrong = read.wrong
        if most is not None and read.fields > most:
            wrong = (*wrong, GraphQLError(f"The request has {read.fields} fields, {most} are allowed"))
        if wrong or read.document is None:
            return json_reply({"errors": [error.formatted for error in wrong]})
        root = Turn(estate=self._estate, fault=fault).root()
        result = await carried_out(read.document, root, question.get("variables") or {}, question.get("operationName"))
        warned = [_told(fault)] if isinstance(fault, Errors) else []
        body = formatted(result, warned)
        return json_reply(_without(body, fault.fields) if isinstance(fault, Without) else body, fault=fault)


async def _instead(fault: Fault | None) -> Reply | None:
    """What comes instead of an answer, or before one. None: the answer."""
    match fault:
        case Hang():
            await asyncio.Event().wait()
        case Late():
            await asyncio.sleep(fault.seconds)
        case Status():
            headers = {"content-type": fault.content_type, **fault.headers}
            return Reply(status=fault.status, headers=headers, body=fault.body.encode())
        case Errors(with_answer=False):
            return json_reply({"errors": [_told(fault)]})
        case Reset(when="before"):
            return json_reply({}, fault=fault)
        case _:
            pass
    return None


def _told(fault: Errors) -> dict[str, Any]:
    beside = extensions(fault.error_class, fault.error_code)
    return {"message": fault.message, **({"extensions": beside} if beside else {})}


def _without(body: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """The body without these fields of its containers; not without a container, which may be called `nrql` as well."""
    return {
        name: _without(cast("dict[str, Any]", value), names) if isinstance(value, dict) else value
        for name, value in body.items()
        if name not in names or (isinstance(value, dict) and "results" in value)
    }


def _question(body: bytes) -> dict[str, Any] | None:
    try:
        asked: object = json.loads(body)
    except ValueError:
        return None
    if not isinstance(asked, dict):
        return None
    question = cast("dict[str, Any]", asked)
    variables = question.get("variables")
    if not isinstance(question.get("query"), str) or not isinstance(variables, dict | None):
        return None
    return question
