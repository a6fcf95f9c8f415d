"""The client of NerdGraph: what travels together, what is shared, what is tried again, and what failures say."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from sources.errors import AccessDenied
from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import QuotaSpent
from sources.errors import SourceError
from sources.errors import SourceUnreachable
from sources.errors import TooLarge
from sources.newrelic.pace import Limits
from sources.newrelic.texts import ACCOUNTS
from sources.newrelic.texts import QUERY_HISTORY
from tests.nerdgraph_wire import Asked
from tests.nerdgraph_wire import Far
from tests.nerdgraph_wire import Reply
from tests.nerdgraph_wire import answer
from tests.nerdgraph_wire import echoed
from tests.nerdgraph_wire import failing
from tests.nerdgraph_wire import nerdgraph

pytestmark = pytest.mark.anyio

TOO_MANY = {"errors": [{"message": "some error", "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}]}
TIMEOUT = {"errors": [{"message": "some error", "extensions": {"errorClass": "TIMEOUT"}}]}
BROKEN = {"errors": [{"message": "some error", "extensions": {"errorClass": "INTERNAL_SERVER_ERROR"}}]}
SYNTAX = "NRQL Syntax Error: Error at line 1 position 8, unexpected 'FORM'"


def held() -> tuple[asyncio.Event, asyncio.Event, Callable[[Asked], Awaitable[Reply]]]:
    """A New Relic that says when it was asked, and answers when it is told to."""
    reached = asyncio.Event()
    released = asyncio.Event()

    async def reply(_asked: Asked) -> Reply:
        reached.set()
        await released.wait()
        return None

    return reached, released, reply


async def failure(far: Far, text: str = "SELECT 1 FROM X", *, account: int = 1, within_s: float = 30) -> SourceError:
    with pytest.raises(SourceError) as told:
        await far.graph.nrql(account, text, within_s=within_s)
    return told.value


# What travels together


async def test_statements_asked_in_one_turn_travel_in_one_request() -> None:
    async with nerdgraph() as far:
        answers = await asyncio.gather(
            *(far.graph.nrql(n, f"SELECT {n} FROM X", within_s=10, stats=False) for n in range(20))
        )
    assert [each.container["results"][0]["asked"] for each in answers] == [f"SELECT {n} FROM X" for n in range(20)]
    assert len(far.asked) == 1
    assert [far.asked[0].variables[f"i{n}"] for n in range(20)] == list(range(20))


async def test_a_request_carries_at_most_25_statements() -> None:
    async with nerdgraph() as far:
        await asyncio.gather(*(far.graph.nrql(1, f"SELECT {n} FROM X", within_s=10, stats=False) for n in range(60)))
    assert sorted(len(asked.statements) for asked in far.asked) == [10, 25, 25]


async def test_very_long_statements_do_not_share_one_endless_request() -> None:
    async with nerdgraph() as far:
        await asyncio.gather(*(far.graph.nrql(1, f"SELECT {n} {'x' * 90_000}", within_s=10) for n in range(4)))
    assert [len(asked.statements) for asked in far.asked] == [2, 2]


async def test_who_waits_long_does_not_keep_who_waits_shortly() -> None:
    async with nerdgraph() as far:
        await asyncio.gather(
            far.graph.nrql(1, "SELECT 1 FROM X", within_s=5), far.graph.nrql(1, "SELECT 2 FROM X", within_s=110)
        )
    assert len(far.asked) == 2


@pytest.mark.parametrize(("within_s", "timeout_s"), [(0.5, 5), (5, 5), (29.9, 29), (120, 120), (600, 120)])
async def test_the_timeout_of_a_statement_is_what_new_relic_allows(within_s: float, timeout_s: int) -> None:
    async with nerdgraph() as far:
        await far.graph.nrql(1, "SELECT 1 FROM X", within_s=within_s)
    assert far.asked[0].variables["t0"] == timeout_s


async def test_the_raw_response_is_only_asked_for_when_it_is_wanted() -> None:
    async with nerdgraph() as far:
        await far.graph.nrql(1, "SELECT 1 FROM X", within_s=5, stats=False)
        await far.graph.nrql(1, "SELECT 1 FROM X", within_s=5)
    assert ["rawResponse" in asked.text for asked in far.asked] == [False, True]


@pytest.mark.parametrize(
    ("stats", "whole", "fields"),
    [
        (False, True, {"results"}),
        (True, False, {"results", "metadata", "messages", "rawResponse"}),
    ],
)
async def test_only_what_will_be_read_is_selected(*, stats: bool, whole: bool, fields: set[str]) -> None:
    async with nerdgraph() as far:
        await far.graph.nrql(1, "SELECT 1 FROM X", within_s=5, stats=stats, whole=whole)
    selected = far.asked[0].text.rpartition("t0)")[2]
    assert set(re.findall(r"\w+", selected)) == fields


async def test_what_is_already_on_its_way_is_not_asked_again() -> None:
    reached, released, reply = held()
    async with nerdgraph(reply) as far:
        first = asyncio.create_task(far.graph.nrql(1, "SELECT 1 FROM X", within_s=10))
        await asyncio.wait_for(reached.wait(), 5)
        second = asyncio.create_task(far.graph.nrql(1, "SELECT 1 FROM X", within_s=9))
        other = asyncio.create_task(far.graph.nrql(2, "SELECT 1 FROM X", within_s=10))
        await asyncio.sleep(0)
        released.set()
        assert (await first) is (await second)
        await other
    assert [asked.variables["i0"] for asked in far.asked] == [1, 2]
    assert far.graph.statistics().coalesced == 1


async def test_an_answer_is_not_given_to_who_asks_after_it_came() -> None:
    async with nerdgraph() as far:
        for _ in range(2):
            await far.graph.nrql(1, "SELECT 1 FROM X", within_s=10)
    assert len(far.asked) == 2


async def test_a_caller_that_is_cancelled_takes_nobody_with_it() -> None:
    reached, released, reply = held()
    async with nerdgraph(reply) as far:
        leaving, staying, sharing = (
            asyncio.create_task(far.graph.nrql(1, text, within_s=10))
            for text in ("SELECT 1 FROM X", "SELECT 1 FROM X", "SELECT 2 FROM X")
        )
        await asyncio.wait_for(reached.wait(), 5)
        leaving.cancel()
        await asyncio.wait({leaving})
        released.set()
        assert (await staying).container["results"] == [{"asked": "SELECT 1 FROM X"}]
        assert (await sharing).container["results"] == [{"asked": "SELECT 2 FROM X"}]
    assert leaving.cancelled()
    assert len(far.asked) == 1


async def test_a_request_that_nobody_waits_for_is_ended() -> None:
    reached = asyncio.Event()
    ended = asyncio.Event()

    async def reply(_asked: Asked) -> Reply:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return None

    async with nerdgraph(reply) as far:
        callers = [asyncio.create_task(far.graph.nrql(1, f"SELECT {n} FROM X", within_s=10)) for n in range(3)]
        await asyncio.wait_for(reached.wait(), 5)
        for caller in callers[:2]:
            caller.cancel()
        await asyncio.wait(callers[:2])
        assert not ended.is_set()
        callers[2].cancel()
        await asyncio.wait_for(ended.wait(), 5)
        assert far.graph.statistics().under_way == 0


@pytest.mark.parametrize("turns", range(8))
async def test_who_asks_what_is_just_being_given_up_is_answered(turns: int) -> None:
    reached, released, reply = held()
    async with nerdgraph(reply) as far:
        leaving = asyncio.create_task(far.graph.nrql(1, "SELECT 1 FROM X", within_s=10))
        await asyncio.wait_for(reached.wait(), 5)
        leaving.cancel()
        released.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        again = await far.graph.nrql(1, "SELECT 1 FROM X", within_s=10)
        assert again.container["results"] == [{"asked": "SELECT 1 FROM X"}]


# What comes back


async def test_one_statement_that_fails_spoils_no_other() -> None:
    def reply(asked: Asked) -> Reply:
        return echoed(asked, but={1: None}, errors=[{"message": SYNTAX, "path": ["actor", "a1", "nrql"]}])

    async with nerdgraph(reply) as far:
        texts = ("SELECT 1 FROM X", "SELECT FORM X", "SELECT 2 FROM X")
        calls = (far.graph.nrql(1, text, within_s=10) for text in texts)
        one, bad, two = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(bad, QueryRejected)
    assert str(bad) == f"{SYNTAX}\nSELECT FORM X\n       ^\n"
    assert [getattr(each, "container", None) for each in (one, two)] == [
        {"results": [{"asked": "SELECT 1 FROM X"}]},
        {"results": [{"asked": "SELECT 2 FROM X"}]},
    ]
    assert len(far.asked) == 1


async def test_an_error_that_names_no_statement_fails_all() -> None:
    def reply(asked: Asked) -> Reply:
        return echoed(asked, errors=[{"message": "Access denied."}])

    async with nerdgraph(reply) as far:
        calls = (far.graph.nrql(1, f"SELECT {n} FROM X", within_s=10) for n in range(3))
        faults = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(fault) for fault in faults] == [AccessDenied] * 3


async def test_a_deprecated_field_is_a_remark_beside_the_rows() -> None:
    remark = "This field is deprecated! Use another."

    def reply(asked: Asked) -> Reply:
        return echoed(asked, errors=[{"message": remark, "path": ["actor", "a0", "nrql"]}])

    async with nerdgraph(reply) as far:
        found = await far.graph.nrql(1, "SELECT 1 FROM X", within_s=10)
    assert found.container["results"] == [{"asked": "SELECT 1 FROM X"}]
    assert found.warnings == (remark,)


async def test_rows_without_some_part_of_the_answer_are_rows() -> None:
    def reply(asked: Asked) -> Reply:
        errors = [{"message": "no statistics", "path": ["actor", "a0", "nrql", "rawResponse"]}]
        return echoed(asked, but={0: {"results": [{"n": 1}], "rawResponse": None}}, errors=errors)

    async with nerdgraph(reply) as far:
        found = await far.graph.nrql(1, "SELECT 1 FROM X", within_s=10)
    assert found.container["results"] == [{"n": 1}]
    assert found.warnings == ("no statistics",)


async def test_numbers_come_back_as_they_were_sent() -> None:
    body = (
        b'{"data": {"actor": {"a0": {"nrql": {"results": [{"id": 9223372036854775809, "x": NaN, "y": -Infinity}]}}}}}'
    )
    async with nerdgraph(failing(httpx.Response(200, content=body))) as far:
        row = (await far.graph.nrql(1, "SELECT 1 FROM X", within_s=10)).container["results"][0]
    assert row["id"] == 9223372036854775809
    assert row["x"] != row["x"]
    assert row["y"] == float("-inf")


async def test_half_a_character_does_not_come_through() -> None:
    body = b'{"data": {"actor": {"a0": {"nrql": {"results": [{"x\\ud800": "\\uDC00y", "z": "\\ud83d\\ude00"}]}}}}}'
    async with nerdgraph(failing(httpx.Response(200, content=body))) as far:
        found = await far.graph.nrql(1, "SELECT 1 FROM X", within_s=10)
    assert found.container["results"] == [{"x?": "?y", "z": "\N{GRINNING FACE}"}]


async def test_who_has_no_time_left_asks_nothing() -> None:
    async with nerdgraph() as far:
        for within_s in (0.0, -3.0):
            assert isinstance(await failure(far, within_s=within_s), QueryTimeout)
    assert far.asked == []


async def test_a_text_that_is_no_statement_brings_its_whole_answer() -> None:
    async with nerdgraph(failing(answer({"data": {"actor": {"accounts": [{"id": 7, "name": "seven"}]}}}))) as far:
        found = await far.graph.graphql(ACCOUNTS, within_s=5)
    assert found == {"actor": {"accounts": [{"id": 7, "name": "seven"}]}}
    assert far.asked[0].text == ACCOUNTS


async def test_a_part_that_is_refused_is_an_error_though_the_rest_came() -> None:
    refused = {"message": "Access denied.", "path": ["actor", "queryHistory"]}
    body = {"data": {"actor": {"queryHistory": None}}, "errors": [refused]}
    async with nerdgraph(failing(answer(body))) as far:
        with pytest.raises(AccessDenied):
            await far.graph.graphql(QUERY_HISTORY, {"limit": 5}, within_s=5)


# What is tried again


@pytest.mark.parametrize(
    "reply",
    [
        answer(TOO_MANY),
        answer(BROKEN),
        answer({"errors": [{"message": "x", "extensions": {"errorClass": "SERVER_ERROR"}}]}),
        answer(TOO_MANY, 429),
        answer({"errors": [{"message": "Internal Server Error"}]}, 500),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(503),
        httpx.Response(200, text=""),
        httpx.Response(200, text="<html>maintenance</html>"),
        httpx.Response(200, text='{"data": {"actor": {"a0"'),
        httpx.Response(200, text="[1, 2]"),
        httpx.Response(200, text="{}"),
        httpx.Response(200, content=b'{"data": "\xff\xfe"}'),
        answer({"data": None}),
        answer({"data": {"actor": None}}),
        answer({"data": {"actor": {"a0": {"nrql": None}}}}),
        httpx.ConnectError("connection refused"),
        httpx.ReadError("reset by peer"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
    ],
    ids=lambda reply: repr(reply)[:60],
)
async def test_what_may_pass_is_tried_four_times_and_then_told(reply: httpx.Response | Exception) -> None:
    async with nerdgraph(lambda _asked: reply) as far:
        fault = await failure(far)
    assert isinstance(fault, SourceUnreachable | QuotaSpent)
    assert len(far.asked) == 4
    assert far.time.slept_s == [0.5, 1.0, 2.0]
    assert far.graph.statistics().retries == 3


async def test_an_answer_that_cannot_be_unpacked_is_no_answer() -> None:
    def reply(_asked: Asked) -> Reply:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"not packed at all"))

    async with nerdgraph(reply) as far:
        fault = await failure(far)
    assert isinstance(fault, SourceUnreachable)
    assert len(far.asked) == 4


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_a_failure_that_passes_is_not_noticed(failures: int) -> None:
    async with nerdgraph(failing(*[answer(BROKEN)] * failures)) as far:
        found = await far.graph.nrql(1, "SELECT 1 FROM X", within_s=30)
    assert found.container["results"] == [{"asked": "SELECT 1 FROM X"}]
    assert len(far.asked) == failures + 1


async def test_only_the_statements_that_failed_are_tried_again() -> None:
    def reply(asked: Asked) -> Reply:
        if len(far.asked) > 1:
            return None
        limited = {"message": "x", "path": ["actor", "a1", "nrql"], "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}
        return echoed(asked, but={1: None}, errors=[limited])

    async with nerdgraph(reply) as far:
        await asyncio.gather(*(far.graph.nrql(1, f"SELECT {n} FROM X", within_s=10) for n in range(3)))
    assert [len(asked.statements) for asked in far.asked] == [3, 1]
    assert far.asked[1].statements == ["SELECT 1 FROM X"]


async def test_who_is_told_when_to_come_back_comes_back_then() -> None:
    limited = answer(TOO_MANY, 429, {"Retry-After": "7"})
    async with nerdgraph(failing(limited)) as far:
        await far.graph.nrql(1, "SELECT 1 FROM X", within_s=30)
    assert far.time.slept_s == [7.0]


async def test_a_date_to_come_back_at_is_read_by_the_clock_of_the_answer() -> None:
    dates = {"Retry-After": "Fri, 02 Jan 2026 10:00:09 GMT", "Date": "Fri, 02 Jan 2026 10:00:00 GMT"}
    async with nerdgraph(failing(answer(TOO_MANY, 429, dates))) as far:
        await far.graph.nrql(1, "SELECT 1 FROM X", within_s=30)
    assert far.time.slept_s == [9.0]


async def test_nobody_waits_for_a_time_that_is_too_late() -> None:
    async with nerdgraph(failing(answer(TOO_MANY, 429, {"Retry-After": "45"}))) as far:
        fault = await failure(far, within_s=30)
    assert isinstance(fault, QuotaSpent)
    assert fault.retry_after_s == 45
    assert far.time.slept_s == []


async def test_no_attempt_begins_after_the_deadline() -> None:
    async with nerdgraph(lambda _asked: answer(BROKEN)) as far:
        await failure(far, within_s=1.0)
        assert far.time() - 1_000.0 <= 1.0
    assert len(far.asked) == 2


async def test_a_query_that_new_relic_stopped_is_tried_once_more_only() -> None:
    async with nerdgraph(lambda _asked: answer(TIMEOUT)) as far:
        fault = await failure(far)
    assert isinstance(fault, QueryTimeout)
    assert "shorter window" in fault.remedy
    assert len(far.asked) == 2


@pytest.mark.parametrize("reply", [answer(TIMEOUT), httpx.Response(413, text="too much")], ids=["slow", "large"])
async def test_what_is_too_much_together_is_asked_in_two_halves(reply: httpx.Response) -> None:
    def respond(asked: Asked) -> Reply:
        return httpx.Response(reply.status_code, content=reply.content) if len(asked.statements) > 5 else None

    async with nerdgraph(respond) as far:
        await asyncio.gather(*(far.graph.nrql(1, f"SELECT {n} FROM X", within_s=10) for n in range(10)))
    assert [len(asked.statements) for asked in far.asked] == [10, 5, 5]


async def test_halves_are_not_halved_again() -> None:
    async with nerdgraph(lambda _asked: answer(TIMEOUT)) as far:
        calls = (far.graph.nrql(1, f"SELECT {n} FROM X", within_s=60) for n in range(8))
        faults = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(fault) for fault in faults} == {QueryTimeout}
    assert [len(asked.statements) for asked in far.asked] == [8, 4, 4]


# What stays as it is

_AT_STATEMENT = ["actor", "a0", "nrql"]
STAYS: list[tuple[Any, type[SourceError], str]] = [
    (answer({"error": {"title": "No API key specified"}}, 401), AccessDenied, "user key (it begins with NRAK-)"),
    (
        answer({"errors": [{"message": "x", "extensions": {"error_code": "BAD_API_KEY"}}]}),
        AccessDenied,
        "user key (it begins with NRAK-)",
    ),
    (httpx.Response(401), AccessDenied, "NEW_RELIC_API_KEY"),
    (httpx.Response(402), AccessDenied, "payment is due"),
    (httpx.Response(403, text="<html>"), AccessDenied, "may not do that"),
    (answer({"errors": [{"message": "not authorized for account region"}]}), AccessDenied, "NEW_RELIC_REGION=EU"),
    (answer({"errors": [{"message": "not authorized for account region"}]}, 403), AccessDenied, "NEW_RELIC_REGION=EU"),
    (answer({"errors": [{"message": SYNTAX, "path": _AT_STATEMENT}]}), QueryRejected, SYNTAX),
    (
        answer({"errors": [{"message": "TIMESERIES needs 400 buckets, 366 is the most", "path": _AT_STATEMENT}]}),
        QueryRejected,
        "366",
    ),
    (answer({"errors": [{"message": "Your query is a little too big.", "path": _AT_STATEMENT}]}), QueryRejected, "big"),
    (
        answer({"errors": [{"message": "Unknown function frob()", "path": _AT_STATEMENT}]}),
        QueryRejected,
        "New Relic refused: Unknown function frob()",
    ),
    (answer({"errors": [{"message": 'Variable "$q" is not defined'}]}, 400), QueryRejected, "is not defined"),
    (httpx.Response(501), SourceUnreachable, "HTTP status 501"),
    (httpx.Response(404, text="<html>"), SourceUnreachable, "is no NerdGraph"),
    (httpx.Response(302, headers={"Location": "https://elsewhere.example/"}), SourceUnreachable, "HTTP status 302"),
]


@pytest.mark.parametrize(("reply", "kind", "words"), STAYS, ids=lambda value: str(value)[:50])
async def test_what_does_not_pass_is_told_at_once(reply: httpx.Response, kind: type[SourceError], words: str) -> None:
    async with nerdgraph(failing(reply)) as far:
        fault = await failure(far)
    assert type(fault) is kind
    assert words in f"{fault} {getattr(fault, 'remedy', '')}"
    assert len(far.asked) == 1


async def test_a_message_of_new_relic_is_bounded_and_clean() -> None:
    message = "no \x1b[31mway\x00\n" + "x" * 5_000
    body = {"errors": [{"message": message, "path": _AT_STATEMENT}]}
    async with nerdgraph(failing(answer(body))) as far:
        fault = await failure(far)
    assert str(fault).startswith("New Relic refused: no  [31mway xxx")
    assert len(str(fault)) < 700


REFUSED = {"errors": [{"message": "not authorized to query account 99", "path": _AT_STATEMENT}]}


async def test_an_account_that_is_refused_is_told_with_those_that_are_not() -> None:
    accounts = [{"id": 100 + n, "name": f"account {n}"} for n in range(14)]

    def reply(asked: Asked) -> Reply:
        return answer({"data": {"actor": {"accounts": accounts}}} if asked.text == ACCOUNTS else REFUSED)

    async with nerdgraph(reply) as far:
        first = await failure(far, account=99)
        second = await failure(far, account=98)
    assert isinstance(first, AccessDenied)
    assert "100 (account 0), " in str(first)
    assert "109 (account 9) and 4 more" in str(first)
    assert "NEW_RELIC_ACCOUNT_ID" in str(second)
    assert [asked.text == ACCOUNTS for asked in far.asked] == [False, True, False]


async def test_accounts_that_cannot_be_listed_spoil_no_message() -> None:
    def reply(asked: Asked) -> Reply:
        return httpx.Response(403) if asked.text == ACCOUNTS else answer(REFUSED)

    async with nerdgraph(reply) as far:
        fault = await failure(far, account=99)
    assert "not authorized to query account 99" in str(fault)
    assert "NEW_RELIC_ACCOUNT_ID" in str(fault)


# Time and size


async def test_a_query_that_gets_no_answer_in_time_was_too_slow() -> None:
    _, _, reply = held()
    async with nerdgraph(reply) as far:
        fault = await failure(far, within_s=0.05)
    assert isinstance(fault, QueryTimeout)
    assert fault.limit_s == 0.05


class _Dribble(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"data": '
        await asyncio.Event().wait()


async def test_an_answer_that_does_not_end_is_the_fault_of_the_network() -> None:
    async with nerdgraph(lambda _asked: httpx.Response(200, stream=_Dribble())) as far:
        fault = await failure(far, within_s=0.05)
    assert isinstance(fault, SourceUnreachable)
    assert "too slowly" in str(fault)


async def test_who_finds_no_free_place_in_time_hears_that_and_asks_nothing() -> None:
    reached, released, reply = held()
    async with nerdgraph(reply, limits=Limits(at_once=1)) as far:
        first = asyncio.create_task(far.graph.nrql(1, "SELECT 1 FROM X", within_s=10))
        await asyncio.wait_for(reached.wait(), 5)
        fault = await failure(far, "SELECT 2 FROM X", within_s=0.05)
        released.set()
        await first
    assert isinstance(fault, QuotaSpent)
    assert len(far.asked) == 1


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_over_the_limit_is_not_read_to_its_end(*, packed: bool) -> None:
    content = json.dumps({"data": "x" * 50_000}).encode()
    headers = {"Content-Encoding": "gzip"} if packed else {}
    stream = httpx.ByteStream(gzip.compress(content) if packed else content)
    async with nerdgraph(failing(httpx.Response(200, headers=headers, stream=stream)), answer_bytes=10_000) as far:
        fault = await failure(far)
    assert isinstance(fault, TooLarge)
    assert "smaller LIMIT" in str(fault)


async def test_at_most_25_requests_are_under_way() -> None:
    released = asyncio.Event()
    full = asyncio.Event()

    async def reply(_asked: Asked) -> Reply:
        if far.at_once == 25:
            full.set()
        await released.wait()
        return None

    async with nerdgraph(reply) as far:
        calls = [asyncio.create_task(far.graph.nrql(1, f"SELECT {n}", within_s=60, stats=False)) for n in range(1_000)]
        await asyncio.wait_for(full.wait(), 10)
        released.set()
        await asyncio.gather(*calls)
    assert far.at_once_most == 25
    assert len(far.asked) == 40


async def test_who_would_wait_too_long_for_the_limit_per_minute_hears_when_to_come_back() -> None:
    async with nerdgraph(limits=Limits(per_account=10)) as far:
        calls = (far.graph.nrql(1, f"SELECT {n} FROM X", within_s=30) for n in range(12))
        found = await asyncio.gather(*calls, return_exceptions=True)
        refused = [each for each in found if isinstance(each, QuotaSpent)]
        assert [each.retry_after_s for each in refused] == [60.0, 60.0]
        assert len(far.statements) == 10
        await far.graph.nrql(2, "SELECT 1 FROM X", within_s=30)
        await far.graph.nrql(1, "SELECT 1 FROM X", within_s=90)
        assert far.time() == 1_060.0


async def test_the_same_statement_is_asked_120_times_a_minute_at_most() -> None:
    async with nerdgraph() as far:
        for _ in range(120):
            await far.graph.nrql(1, "SELECT 1 FROM X", within_s=5)
        fault = await failure(far, "SELECT 1 FROM X", within_s=5)
        await far.graph.nrql(1, "SELECT 2 FROM X", within_s=5)
    assert isinstance(fault, QuotaSpent)
    assert len(far.asked) == 121


# Lasting queries


def progress(*, completed: bool, after_s: float = 3, query_id: str | None = "q-1") -> dict[str, Any]:
    told = {"completed": completed, "queryId": query_id, "retryAfter": after_s, "retryDeadline": 60}
    return {"results": [{"n": 1}] if completed else [], "queryProgress": told}


def lasting(*polls: object) -> Callable[[Asked], Reply]:
    """A query that is not done at first; `polls` are what asking about it brings."""
    waiting = list(polls)

    def reply(asked: Asked) -> Reply:
        if "nrqlQueryProgress" not in asked.text:
            return echoed(asked, but={0: progress(completed=False)})
        return answer({"data": {"actor": {"account": {"nrqlQueryProgress": waiting.pop(0)}}}})

    return reply


async def test_a_lasting_query_is_asked_about_until_it_is_done() -> None:
    told: list[tuple[float, str]] = []
    polls = (progress(completed=False, after_s=5), progress(completed=False), progress(completed=True))
    async with nerdgraph(lasting(*polls)) as far:
        found = await far.graph.nrql(
            7, "SELECT 1 FROM X", within_s=100, lasting=True, progress=lambda share, words: told.append((share, words))
        )
    assert found.container["results"] == [{"n": 1}]
    assert far.asked[0].variables == {"i0": 7, "q0": "SELECT 1 FROM X", "t0": 10, "y0": True}
    assert [asked.variables for asked in far.asked[1:]] == [{"account": 7, "queryId": "q-1"}] * 3
    assert far.time.slept_s == [3, 5, 3]
    assert [share for share, _ in told] == [0.0, 0.03, 0.08]


async def test_a_lasting_query_that_is_done_at_once_is_not_asked_about() -> None:
    async with nerdgraph() as far:
        await far.graph.nrql(1, "SELECT 1 FROM X", within_s=100, lasting=True)
    assert len(far.asked) == 1


async def test_a_lasting_query_is_given_up_at_the_deadline() -> None:
    async with nerdgraph(lasting(*[progress(completed=False, after_s=8)] * 20)) as far:
        with pytest.raises(QueryTimeout):
            await far.graph.nrql(1, "SELECT 1 FROM X", within_s=20, lasting=True)
    assert far.time() - 1_000 <= 20


async def test_a_query_that_is_no_longer_known_is_told() -> None:
    async with nerdgraph(lasting(None)) as far:
        with pytest.raises(SourceUnreachable, match="no longer knows"):
            await far.graph.nrql(1, "SELECT 1 FROM X", within_s=20, lasting=True)


async def test_nobody_asks_about_a_query_that_nobody_waits_for() -> None:
    reached = asyncio.Event()
    ended = asyncio.Event()

    async def reply(asked: Asked) -> Reply:
        if "nrqlQueryProgress" not in asked.text:
            return echoed(asked, but={0: progress(completed=False)})
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return None

    async with nerdgraph(reply) as far:
        caller = asyncio.create_task(far.graph.nrql(1, "SELECT 1 FROM X", within_s=100, lasting=True))
        await asyncio.wait_for(reached.wait(), 5)
        caller.cancel()
        await asyncio.wait_for(ended.wait(), 5)


async def test_an_account_without_lasting_queries_is_asked_for_them_once() -> None:
    refused = {"message": "Asynchronous queries require Data Plus", "path": ["actor", "a0", "nrql"]}

    def reply(asked: Asked) -> Reply:
        return answer({"data": None, "errors": [refused]}) if "async:" in asked.text else None

    async with nerdgraph(reply) as far:
        for text in ("SELECT 1 FROM X", "SELECT 2 FROM X"):
            found = await far.graph.nrql(1, text, within_s=100, lasting=True)
            assert found.container["results"] == [{"asked": text}]
        await far.graph.nrql(2, "SELECT 1 FROM X", within_s=100, lasting=True)
    assert ["async:" in asked.text for asked in far.asked] == [True, False, False, True, False]
    assert far.asked[1].variables["t0"] == 100


# Beginning and end


async def test_closing_ends_what_is_on_its_way_and_says_so() -> None:
    reached, _, reply = held()
    async with nerdgraph(reply) as far:
        caller = asyncio.create_task(far.graph.nrql(1, "SELECT 1 FROM X", within_s=10))
        await asyncio.wait_for(reached.wait(), 5)
        await far.graph.aclose()
        with pytest.raises(SourceUnreachable, match="closed"):
            await caller
        with pytest.raises(SourceUnreachable, match="closed"):
            await far.graph.nrql(1, "SELECT 1 FROM X", within_s=10)


async def test_a_defect_of_ours_is_raised_where_somebody_waits() -> None:
    async with nerdgraph(lambda _asked: ZeroDivisionError("ours")) as far:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(far.graph.nrql(1, "SELECT 1 FROM X", within_s=30), 5)
