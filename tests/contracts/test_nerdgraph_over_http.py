"""The client and the simulated NerdGraph over real sockets: what fakes of a transport cannot show."""

import asyncio
from collections.abc import AsyncGenerator
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from server.simulator.accounts import Account
from server.simulator.app import KEY
from server.simulator.background import Pace
from server.simulator.faults import Cut
from server.simulator.faults import Dribble
from server.simulator.faults import Errors
from server.simulator.faults import Fails
from server.simulator.faults import Fault
from server.simulator.faults import Flood
from server.simulator.faults import Garbled
from server.simulator.faults import Hang
from server.simulator.faults import Reset
from server.simulator.faults import Status
from server.simulator.faults import Without
from server.simulator.received import Received
from sources.errors import AccessDenied
from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import SourceError
from sources.errors import TooLarge
from sources.newrelic.client import NerdGraph
from sources.newrelic.regions import endpoint
from sources.nrql.errors import NrqlError
from tests.conftest import ManualClock
from tests.nerdgraph_server import Simulated
from tests.nerdgraph_server import simulated

pytestmark = pytest.mark.anyio

_WITHIN_S = 8.0


class _Rows:
    def run(self, text: str) -> Mapping[str, Any]:
        if "FORM" in text:
            raise NrqlError("no", position=text.index("FORM"))
        return {"results": [{"asked": text, "count": 2**60}]}

    def event_types(self) -> tuple[str, ...]:
        return ("Transaction",)


def _endlessly(_text: str) -> float:
    return 500.0


def _long_or_not(text: str) -> float:
    return 150.0 if "LONG" in text else 0.0


def _breaks(_received: Received) -> Fault:
    return Reset()


def _hangs(_received: Received) -> Fault:
    return Hang()


async def _at_once(_delay_s: float) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def _both(*accounts: Account, **told: Any) -> AsyncGenerator[tuple[NerdGraph, Simulated]]:
    held = accounts or (Account(id=1, name="One", nrdb=_Rows()), Account(id=2, name="Two", nrdb=_Rows()))
    key = told.pop("client_key", KEY)
    async with simulated(held, **told) as server:
        graph = NerdGraph(endpoint=endpoint(server.url), key=key, sleep=_at_once, answer_bytes=1_000_000)
        try:
            with anyio.fail_after(20):
                yield graph, server
        finally:
            await graph.aclose()


async def test_sixty_statements_of_two_accounts_are_three_requests_over_one_or_more_connections() -> None:
    async with _both() as (graph, server):
        asking = (
            graph.nrql(1 + number % 2, f"SELECT {number}", within_s=_WITHIN_S, stats=False) for number in range(60)
        )
        answers = await asyncio.gather(*asking)
        assert [answer.container["results"][0]["asked"] for answer in answers] == [f"SELECT {n}" for n in range(60)]
        assert answers[0].container["results"][0]["count"] == 2**60
        assert sorted(len(each.asked) for each in server.received) == [10, 25, 25]
        assert {account for each in server.received for asked in each.asked for account in asked.accounts} == {1, 2}


@pytest.mark.parametrize(
    "fault",
    [
        Status(status=500, body='{"errors":[{"message":"Internal Server Error"}]}'),
        Status(status=503, body="<html>", content_type="text/html"),
        Status(status=429, headers={"retry-after": "0"}),
        Status(status=200, body="<html>", content_type="text/html"),
        Status(status=200),
        *(Errors(message="some error", error_class=each) for each in ("TOO_MANY_REQUESTS", "SERVER_ERROR", "TIMEOUT")),
        *(Cut(), Cut(share=0), Garbled(), Reset(), Reset(when="within")),
        Fails(message="some error", error_class="INTERNAL_SERVER_ERROR"),
    ],
    ids=repr,
)
async def test_what_passes_is_asked_once_more_and_not_noticed(fault: Fault) -> None:
    async with _both(script=[fault]) as (graph, server):
        answer = await graph.nrql(1, "SELECT 1", within_s=_WITHIN_S)
        assert answer.container["results"][0]["asked"] == "SELECT 1"
        assert len(server.received) == 2


async def test_a_connection_that_always_breaks_is_told_after_four_attempts_without_the_key() -> None:
    async with _both(script=_breaks) as (graph, server):
        with pytest.raises(SourceError) as told:
            await graph.nrql(1, "SELECT 1", within_s=_WITHIN_S)
        assert len(server.received) == 4
        assert KEY not in repr(told.value) + str(told.value) + repr(graph)


@pytest.mark.parametrize(
    ("told", "text", "kind", "words"),
    [
        ({"client_key": "NRAK-WRONG"}, "SELECT 1", AccessDenied, "user key"),
        ({"key_region": "EU"}, "SELECT 1", AccessDenied, "NEW_RELIC_REGION"),
        ({"script": [Status(status=402)]}, "SELECT 1", AccessDenied, "402|paid"),
        ({}, "SELECT 1 FORM Transaction", QueryRejected, "FORM"),
        ({"script": [Flood(size_bytes=3_000_000)]}, "SELECT 1", TooLarge, "MiB"),
        ({"takes_s": _endlessly}, "SELECT 1", QueryTimeout, "stopped"),
    ],
)
async def test_what_does_not_pass_says_what_to_do(
    told: dict[str, Any], text: str, kind: type[SourceError], words: str
) -> None:
    async with _both(**told) as (graph, server):
        with pytest.raises(kind, match=words):
            await graph.nrql(1, text, within_s=_WITHIN_S)
        assert len(server.received) <= 2


async def test_an_account_that_may_not_be_asked_is_told_with_those_that_may() -> None:
    async with _both() as (graph, _):
        with pytest.raises(AccessDenied, match=r"3.*It may query: 1 \(One\), 2 \(Two\)"):
            await graph.nrql(3, "SELECT 1", within_s=_WITHIN_S)


async def test_one_bad_statement_of_a_request_spoils_no_other() -> None:
    async with _both() as (graph, server):
        good, bad = await asyncio.gather(
            graph.nrql(1, "SELECT 1", within_s=_WITHIN_S),
            graph.nrql(1, "SELECT 1 FORM x", within_s=_WITHIN_S),
            return_exceptions=True,
        )
        assert not isinstance(good, BaseException)
        assert isinstance(bad, QueryRejected)
        assert len(server.received) == 1


async def test_a_slow_body_and_missing_parts_are_an_answer_all_the_same() -> None:
    script = [Dribble(piece_bytes=64, pause_s=0.001), Without(fields=frozenset({"metadata", "rawResponse"}))]
    async with _both(script=script) as (graph, server):
        slow = await graph.nrql(1, "SELECT 1", within_s=_WITHIN_S)
        bare = await graph.nrql(1, "SELECT 1", within_s=_WITHIN_S)
        assert slow.container["results"] == bare.container["results"]
        assert ("metadata" in slow.container, "metadata" in bare.container) == (True, False)
        assert len(server.received) == 2


async def test_a_server_that_never_answers_costs_no_more_than_the_deadline() -> None:
    async with _both(script=_hangs) as (graph, _):
        with pytest.raises(SourceError):
            await graph.nrql(1, "SELECT 1", within_s=0.2)


async def test_a_caller_that_leaves_ends_the_request_on_the_other_side() -> None:
    arrived = asyncio.Event()

    def hangs(received: Received) -> Fault | None:
        arrived.set()
        return Hang() if received.number == 1 else None

    async with _both(script=hangs) as (graph, server):
        asking = asyncio.create_task(graph.nrql(1, "SELECT 1", within_s=_WITHIN_S))
        await arrived.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await graph.nrql(1, "SELECT 2", within_s=_WITHIN_S)
        assert (server.simulator.abandoned, server.simulator.in_flight) == (1, 0)


async def test_a_long_query_is_polled_until_it_is_done_where_the_account_may(clock: ManualClock) -> None:
    def later(_received: Received) -> None:
        clock.advance(40)

    accounts = [Account(id=1, nrdb=_Rows()), Account(id=2, nrdb=_Rows(), data_plus=False)]
    pace = Pace(retry_after_s=1)
    async with _both(*accounts, clock=clock, script=later, takes_s=_long_or_not, pace=pace) as (graph, server):
        answer = await graph.nrql(1, "SELECT LONG", within_s=400.0, lasting=True)
        assert answer.container["results"][0]["asked"] == "SELECT LONG"
        assert [each.fields for each in server.received][1:] == [("account.nrqlQueryProgress",)] * 4
        short = await graph.nrql(2, "SELECT short", within_s=_WITHIN_S, lasting=True)
        assert short.container["results"][0]["asked"] == "SELECT short"
