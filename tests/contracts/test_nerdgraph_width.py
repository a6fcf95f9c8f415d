"""Where New Relic takes fewer fields in a request than UDS would send, requests become narrower, and stay so."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from server.simulator.accounts import Account
from server.simulator.limits import Limits
from sources.errors import QueryTimeout
from sources.errors import SourceError
from sources.errors import TooLarge
from sources.newrelic.client import NerdGraph
from sources.newrelic.flights import Answered
from sources.newrelic.regions import endpoint
from sources.nrql.errors import NrqlError
from tests.nerdgraph_server import Simulated
from tests.nerdgraph_server import simulated
from tests.nerdgraph_wire import Asked
from tests.nerdgraph_wire import Reply
from tests.nerdgraph_wire import answer
from tests.nerdgraph_wire import echoed
from tests.nerdgraph_wire import nerdgraph

pytestmark = pytest.mark.anyio

_WITHIN_S = 10.0
_TOO_COMPLEX = {"errors": [{"message": "Operation is too complex: complexity is 76 and maximum is 50"}]}


class _Counted:
    """Rows that repeat the statement; how often each was run is counted."""

    def __init__(self) -> None:
        self.run_by_text: Counter[str] = Counter()

    def run(self, text: str) -> Mapping[str, Any]:
        if "FORM" in text:
            raise NrqlError("no", position=text.index("FORM"))
        self.run_by_text[text] += 1
        return {"results": [{"asked": text}]}

    def event_types(self) -> tuple[str, ...]:
        return ("Transaction",)


@asynccontextmanager
async def _both(fields: int | None) -> AsyncGenerator[tuple[NerdGraph, Simulated, _Counted]]:
    rows = _Counted()
    async with simulated([Account(id=1, nrdb=rows)], limits=Limits(fields=fields)) as server:
        graph = NerdGraph(endpoint=endpoint(server.url), key=server.key)
        try:
            with anyio.fail_after(20):
                yield graph, server, rows
        finally:
            await graph.aclose()


async def _asked(
    graph: NerdGraph, texts: list[str], *, stats: bool = True, whole: bool = True
) -> list[Answered | BaseException]:
    asking = (graph.nrql(1, text, within_s=_WITHIN_S, stats=stats, whole=whole) for text in texts)
    return await asyncio.gather(*asking, return_exceptions=True)


def _texts(answers: list[Answered | BaseException]) -> list[str]:
    return [each.container["results"][0]["asked"] for each in answers if isinstance(each, Answered)]


def _keysets(number: int) -> list[str]:
    return [f"SELECT keyset() FROM Kind{each}" for each in range(number)]


async def test_200_keysets_are_8_requests_also_where_200_fields_are_the_most() -> None:
    async with _both(200) as (graph, server, rows):
        assert _texts(await _asked(graph, _keysets(200), stats=False)) == _keysets(200)
        assert [len(each.asked) for each in server.received] == [25] * 8
        assert set(rows.run_by_text.values()) == {1}


@pytest.mark.parametrize(("whole", "most"), [(True, 13), (False, 25)])
async def test_no_request_has_more_than_200_fields_in_the_first_place(*, whole: bool, most: int) -> None:
    async with _both(200) as (graph, server, _):
        assert _texts(await _asked(graph, _keysets(50), whole=whole)) == _keysets(50)
        assert max(len(each.asked) for each in server.received) == most
        assert graph.statistics().retries == 0


async def test_a_request_with_too_many_fields_is_halved_until_it_passes_and_nothing_is_run_twice() -> None:
    async with _both(50) as (graph, server, rows):
        assert _texts(await _asked(graph, _keysets(25), stats=False)) == _keysets(25)
        assert [len(each.asked) for each in server.received] == [25, 12, 13]
        assert rows.run_by_text == Counter(_keysets(25))


async def test_the_size_that_passed_is_remembered() -> None:
    async with _both(30) as (graph, server, rows):
        await _asked(graph, _keysets(25), stats=False)
        refused = len(server.received)
        again = [text.replace("Kind", "Type") for text in _keysets(25)]
        assert _texts(await _asked(graph, again, stats=False)) == again
        assert refused <= 8
        assert max(len(each.asked) for each in server.received[refused:]) in (6, 7)  # whichever half came first
        assert len(server.received) - refused in (4, 5)
        assert rows.run_by_text == Counter([*_keysets(25), *again])


async def test_what_is_narrow_enough_is_no_narrower_because_others_were_too_wide() -> None:
    async with _both(110) as (graph, server, _):
        await _asked(graph, _keysets(13))
        refused = len(server.received)
        await _asked(graph, [f"{text} LIMIT 1" for text in _keysets(25)], stats=False)
        assert [len(each.asked) for each in server.received[:refused]] == [13, 6, 7]
        assert [len(each.asked) for each in server.received[refused:]] == [25]


async def test_200_keysets_where_only_50_fields_pass_are_still_few_requests() -> None:
    async with _both(50) as (graph, server, rows):
        assert _texts(await _asked(graph, _keysets(200), stats=False)) == _keysets(200)
        assert len(server.received) <= 8 + 2 * 8
        assert set(rows.run_by_text.values()) == {1}
        before = len(server.received)
        await _asked(graph, [f"{text} LIMIT 1" for text in _keysets(200)], stats=False)
        assert len(server.received) - before == -(-200 // 13)


async def test_a_statement_that_fails_in_a_half_spoils_no_other() -> None:
    async with _both(50) as (graph, _, rows):
        texts = [*_keysets(24), "SELECT count(*) FORM X"]
        answers = await _asked(graph, texts, stats=False)
        assert _texts(answers) == _keysets(24)
        assert isinstance(answers[-1], SourceError)
        assert set(rows.run_by_text.values()) == {1}


async def test_one_statement_that_is_too_wide_alone_is_told_and_not_asked_again() -> None:
    async with _both(3) as (graph, server, rows):
        answers = await _asked(graph, _keysets(2), stats=False)
        assert [type(each) for each in answers] == [TooLarge, TooLarge]
        assert "the request as too large" in str(answers[0])
        assert len(server.received) == 3
        assert not rows.run_by_text


@pytest.mark.parametrize(
    "reply",
    [answer(_TOO_COMPLEX), answer(_TOO_COMPLEX, 400), httpx.Response(413, text="<html>too large</html>")],
    ids=["told", "told with status 400", "status 413"],
)
async def test_complexity_and_size_are_refused_and_halved_alike(reply: httpx.Response) -> None:
    def respond(asked: Asked) -> Reply:
        return httpx.Response(reply.status_code, content=reply.content) if len(asked.statements) > 5 else None

    async with nerdgraph(respond) as far:
        for _ in range(2):
            await asyncio.gather(*(far.graph.nrql(1, f"SELECT {n}", within_s=10, stats=False) for n in range(20)))
    assert [len(each.statements) for each in far.asked] == [20, 10, 5, 5, 5, 5, 5, 5, 5, 5]
    assert far.time.slept_s == []


async def test_a_remark_about_fields_beside_the_rows_is_no_refusal() -> None:
    def respond(asked: Asked) -> Reply:
        return echoed(asked, errors=[{"message": "more than 50 fields will be refused soon"}])

    async with nerdgraph(respond) as far:
        asking = (far.graph.nrql(1, f"SELECT {n}", within_s=10, stats=False) for n in range(20))
        answers = await asyncio.gather(*asking)
    assert {each.warnings for each in answers} == {("more than 50 fields will be refused soon",)}
    assert len(far.asked) == 1


class _Halves:
    """Refuses more than five statements, and never answers what is left; counts what waits, and what was ended."""

    def __init__(self) -> None:
        self.both = asyncio.Event()
        self.none = asyncio.Event()
        self._waiting = 0

    async def __call__(self, asked: Asked) -> Reply:
        if len(asked.statements) > 5:
            return answer(_TOO_COMPLEX)
        self._wait(1)
        try:
            await asyncio.Event().wait()
        finally:
            self._wait(-1)
        return None

    def _wait(self, more: int) -> None:
        self._waiting += more
        (self.both if self._waiting == 2 else self.none if self._waiting == 0 else asyncio.Event()).set()


async def test_halves_take_no_more_time_than_their_callers_have() -> None:
    async with nerdgraph(_Halves()) as far:
        asking = (far.graph.nrql(1, f"SELECT {n}", within_s=0.2, stats=False) for n in range(10))
        with anyio.fail_after(5):
            answers = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(each) for each in answers} == {QueryTimeout}
        assert [len(each.statements) for each in far.asked] == [10, 5, 5]
        assert far.graph.statistics().under_way == 0


async def test_halves_that_nobody_waits_for_are_ended() -> None:
    halves = _Halves()
    async with nerdgraph(halves) as far:
        callers = [asyncio.create_task(far.graph.nrql(1, f"SELECT {n}", within_s=9, stats=False)) for n in range(10)]
        with anyio.fail_after(5):
            await halves.both.wait()
            for caller in callers:
                caller.cancel()
            await asyncio.wait(callers)
            await halves.none.wait()
        assert far.graph.statistics().under_way == 0
