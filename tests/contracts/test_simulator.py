"""What the simulated NerdGraph promises: shapes, errors and limits as New Relic documents them, and counts."""

import asyncio
import threading
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from graphql import GraphQLInputObjectType
from graphql import GraphQLInterfaceType
from graphql import GraphQLObjectType
from graphql import build_schema
from graphql import parse
from graphql import validate

from server.simulator.accounts import Account
from server.simulator.accounts import Entity
from server.simulator.background import Pace
from server.simulator.entities import made_guid
from server.simulator.limits import Limits
from server.simulator.received import Received
from server.simulator.sdl import schema
from sources.errors import QueryRejected
from sources.newrelic.texts import every_text
from sources.nrdb.local import LocalNrdb
from sources.nrql.errors import NrqlError
from tests.conftest import ManualClock
from tests.nerdgraph_server import Simulated
from tests.nerdgraph_server import simulated

pytestmark = pytest.mark.anyio

_PUBLIC = Path(__file__).parents[3] / "shared" / "nerdgraph" / "schema.graphql"
_ONE = "query($q: Nrql!, $t: Seconds, $a: Boolean) { actor { account(id: 1) { nrql(query: $q, timeout: $t, async: $a)"
_ROWS = _ONE + " { results } } } }"
_LASTING = _ONE + " { results queryProgress { completed queryId retryAfter retryDeadline resultExpiration } } } } }"


class Canned:
    """Rows that are there without a database. `answers`: by text; whatever is not among them counts 7."""

    def __init__(
        self, answers: Mapping[str, object] | None = None, event_types: tuple[str, ...] = ("Transaction",)
    ) -> None:
        self._answers = dict(answers or {})
        self._event_types = event_types
        self.hold: threading.Event | None = None

    def run(self, text: str) -> Mapping[str, Any]:
        if self.hold is not None:
            assert self.hold.wait(timeout=10)
        answer = self._answers.get(text, [{"count": 7}])
        if isinstance(answer, Exception):
            raise answer
        return {"results": answer, "metadata": {"eventTypes": ["Transaction"], "facets": None, "messages": []}}

    def event_types(self) -> tuple[str, ...]:
        return self._event_types


def _account(answers: Mapping[str, object] | None = None, *, number: int = 1, **told: Any) -> Account:
    return Account(id=number, nrdb=Canned(answers), **told)


async def _post(
    server: Simulated, text: str, variables: Mapping[str, Any] | None = None, **headers: str
) -> httpx.Response:
    async with httpx.AsyncClient(timeout=10) as client:
        told = {"Api-Key": server.key, **headers}
        return await client.post(server.url, json={"query": text, "variables": variables or {}}, headers=told)


async def _ask(server: Simulated, text: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return (await _post(server, text, variables)).json()


def _rows(answer: Mapping[str, Any]) -> Any:
    return answer["data"]["actor"]["account"]["nrql"]["results"]


async def test_statements_of_one_request_are_answered_under_their_aliases() -> None:
    accounts = [_account({"SELECT a": [{"a": 2**60}]}), _account({"SELECT b": [{"b": 2}]}, number=5_000_000_000)]
    async with simulated(accounts) as server:
        answer = await _ask(
            server,
            "query($i: Int!, $q: Nrql!) { actor { a0: account(id: $i) { nrql(query: $q) { results nrql } }"
            ' a1: account(id: 5000000000) { id name nrql(query: "SELECT b") { results otherResult } } } }',
            {"i": 1, "q": "SELECT a"},
        )
    assert "errors" not in answer
    assert answer["data"]["actor"] == {
        "a0": {"nrql": {"results": [{"a": 2**60}], "nrql": "SELECT a"}},
        "a1": {"id": 5_000_000_000, "name": "Simulated account", "nrql": {"results": [{"b": 2}], "otherResult": None}},
    }
    assert [(each.alias, each.accounts, each.text) for each in server.received[0].asked] == [
        ("a0", (1,), "SELECT a"),
        ("a1", (5_000_000_000,), "SELECT b"),
    ]
    assert server.received[0].fields == ("account.id", "account.name", "account.nrql")
    assert server.statements == ["SELECT a", "SELECT b"]


async def test_one_statement_that_fails_leaves_the_others_alone() -> None:
    wrong = "SELECT count(*)\nFORM Transaction"
    async with simulated([_account({wrong: NrqlError("no", position=wrong.index("FORM"))})]) as server:
        answer = await _ask(
            server,
            "query($q: Nrql!) { actor { good: account(id: 1) { nrql(query: $q) { results } }"
            ' bad: account(id: 1) { nrql(query: "SELECT count(*)\\nFORM Transaction") { results } }'
            " foreign: account(id: 2) { name nrql(query: $q) { results } } } }",
            {"q": "SELECT 1"},
        )
    actor = answer["data"]["actor"]
    assert actor["good"]["nrql"]["results"] == [{"count": 7}]
    assert actor["bad"] == {"nrql": None}
    assert actor["foreign"] == {"name": None, "nrql": None}
    told = {tuple(each["path"]): each["message"] for each in answer["errors"]}
    assert told["actor", "bad", "nrql"] == "NRQL Syntax Error: Error at line 2 position 1, unexpected 'FORM'"
    assert told["actor", "foreign", "nrql"] == "You are not authorized to query account 2"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (NrqlError("no more", position=8), "NRQL Syntax Error: Error at line 1 position 9, unexpected end of query"),
        (NrqlError("at most 366 buckets", position=0), "TIMESERIES supports a maximum of 366 buckets"),
        (QueryRejected("funnel() is not run locally"), "The simulator cannot run this statement: funnel() is not run"),
    ],
)
async def test_what_cannot_be_run_says_whose_fault_it_is(failure: Exception, told: str) -> None:
    async with simulated([_account({"SELECT a": failure})]) as server:
        answer = await _ask(server, _ROWS, {"q": "SELECT a"})
    assert answer["errors"][0]["message"].startswith(told)
    assert answer["errors"][0]["path"] == ["actor", "account", "nrql"]


async def test_keys_are_judged_and_never_kept() -> None:
    async with simulated([_account()], key="NRAK-RIGHT") as server:
        missing = await _post(server, _ROWS, {"q": "x"}, **{"Api-Key": ""})
        wrong = await _post(server, _ROWS, {"q": "x"}, **{"Api-Key": "NRAK-WRONG"})
        right = await _post(server, _ROWS, {"q": "x"})
    assert (missing.status_code, missing.json()) == (401, {"error": {"title": "No API key specified"}})
    assert wrong.status_code == 401
    assert wrong.json()["errors"][0]["extensions"] == {"error_code": "BAD_API_KEY"}
    assert right.status_code == 200
    assert [each.key for each in server.received] == ["missing", "wrong", "right"]
    assert "NRAK" not in repr(server.received)


async def test_a_key_of_another_region_is_told_so_without_any_answer() -> None:
    async with simulated([_account()], region="US", key_region="EU") as server:
        answer = await _ask(server, _ROWS, {"q": "x"})
    assert answer == {"errors": [{"message": "not authorized for account region"}]}


@pytest.mark.parametrize(
    "text",
    [
        'query { actor { account(id: 1) { nrql(query: "SELECT 1") { query } } } }',
        "query($id: Int!) { actor { account(id: 1) { nrqlQueryProgress(queryId: $id) { results } } } }",
        "query { actor { account { name } } }",
        "query { actor {",
        "query { actor { users } }",
    ],
)
async def test_texts_that_the_schema_does_not_allow_are_refused_as_a_whole(text: str) -> None:
    async with simulated([_account()]) as server:
        answer = await _ask(server, text, {"id": 1})
    assert "data" not in answer
    assert answer["errors"][0]["locations"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"query": 1}', b'{"query": "{actor{user{id}}}", "variables": []}', b"\xff"]
)
async def test_a_body_that_is_no_question_is_a_bad_request(body: bytes) -> None:
    async with simulated([_account()]) as server, httpx.AsyncClient() as client:
        answer = await client.post(server.url, content=body, headers={"Api-Key": server.key})
    assert answer.status_code == 400


async def test_other_places_and_methods_are_no_nerdgraph() -> None:
    async with simulated([_account()], limits=Limits(body_bytes=1_000)) as server, httpx.AsyncClient() as client:
        assert (await client.get(server.url)).status_code == 405
        assert (await client.post(server.url + "2")).status_code == 404
        assert (await client.post(server.url, content=b" " * 1_001)).status_code == 413
    assert server.received == []


async def test_a_user_may_have_25_requests_in_flight_and_no_more() -> None:
    nrdb = Canned()
    nrdb.hold = threading.Event()
    full = asyncio.Event()

    def told(received: Received) -> None:
        if received.number == 25:
            full.set()

    async with simulated([Account(id=1, nrdb=nrdb)], script=told) as server:
        asked = [asyncio.create_task(_ask(server, _ROWS, {"q": f"SELECT {number}"})) for number in range(25)]
        with anyio.fail_after(10):
            await full.wait()
        refused = await _post(server, _ROWS, {"q": "SELECT 25"})
        nrdb.hold.set()
        answers = await asyncio.gather(*asked)
    assert refused.status_code == 429
    assert refused.json()["errors"][0]["extensions"] == {"errorClass": "TOO_MANY_REQUESTS"}
    assert [_rows(answer) for answer in answers] == [[{"count": 7}]] * 25


async def test_statements_are_counted_by_the_minute(clock: ManualClock) -> None:
    limits = Limits(per_minute=4, same_per_minute=2)
    async with simulated([_account(), _account(number=2)], clock=clock, limits=limits) as server:

        async def refused(text: str) -> bool:
            answer = await _ask(server, _ROWS, {"q": text})
            return [each["extensions"]["errorClass"] for each in answer.get("errors", ())] == ["TOO_MANY_REQUESTS"]

        assert [await refused("SELECT a") for _ in range(3)] == [False, False, True]
        clock.advance(30)
        assert [await refused(f"SELECT {number}") for number in range(3)] == [False, False, True]
        clock.advance(30)
        assert [await refused("SELECT a") for _ in range(3)] == [False, False, True]


async def test_one_statement_may_name_five_accounts_and_is_put_together_where_that_is_true() -> None:
    answers: dict[str, object] = {
        "SHOW EVENT TYPES": [{"eventType": "Transaction"}],
        "SELECT average(a)": [{"average.a": 1.5}],
    }
    accounts = [_account(answers, number=number) for number in range(1, 7)]
    text = "query($q: Nrql!, $n: [Int!]!) { actor { nrql(accounts: $n, query: $q) { results } } }"
    async with simulated(accounts) as server:

        async def results(query: str, numbers: list[int]) -> Any:
            answer = await _ask(server, text, {"q": query, "n": numbers})
            if "errors" in answer:
                return answer["errors"][0]["message"]
            return answer["data"]["actor"]["nrql"]["results"]

        assert await results("SELECT count(*)", [1, 2, 3, 4, 5]) == [{"count": 35}]
        assert await results("SHOW EVENT TYPES", [1, 2]) == [{"eventType": "Transaction"}]
        assert await results("SELECT average(a)", [1]) == [{"average.a": 1.5}]
        assert "The simulator cannot run this" in await results("SELECT average(a)", [1, 2])
        assert "1 to 5 accounts" in await results("SELECT count(*)", [1, 2, 3, 4, 5, 6])
        assert await results("SELECT count(*)", [1, 9]) == "You are not authorized to query account 9"


@pytest.mark.parametrize(
    ("takes_s", "timeout_s", "in_time"),
    [
        (4, None, True),
        (6, None, False),
        (4, 1, True),
        (6, 30, True),
        (31, 30, False),
        (119, 500, True),
        (121, 500, False),
    ],
)
async def test_timeouts_are_from_5_to_120_seconds(takes_s: float, timeout_s: int | None, in_time: bool) -> None:  # noqa: FBT001
    async with simulated([_account()], takes_s=lambda _: takes_s) as server:
        answer = await _ask(server, _ROWS, {"q": "SELECT 1", "t": timeout_s})
    classes = [each["extensions"]["errorClass"] for each in answer.get("errors", ())]
    assert classes == ([] if in_time else ["TIMEOUT"])


async def test_a_long_statement_goes_on_in_the_background_until_it_is_asked_for(clock: ManualClock) -> None:
    pace = Pace(retry_after_s=2, retry_deadline_s=20, result_expiration_s=100)
    look = (
        "query($i: ID!, $n: Int!) { actor { account(id: $n) { nrqlQueryProgress(queryId: $i)"
        " { results queryProgress { completed queryId retryAfter } } } } }"
    )
    accounts = [_account(), _account(number=2)]
    async with simulated(accounts, clock=clock, pace=pace, takes_s=lambda _: 30.0) as server:
        begun = await _ask(server, _LASTING, {"q": "SELECT 1", "t": 5, "a": True})
        held = begun["data"]["actor"]["account"]["nrql"]
        query_id = held["queryProgress"]["queryId"]

        async def looked(number: int = 1) -> Any:
            answer = await _ask(server, look, {"i": query_id, "n": number})
            return answer["data"]["actor"]["account"]["nrqlQueryProgress"]

        clock.advance(15)
        assert await looked() == {
            "results": None,
            "queryProgress": {"completed": False, "queryId": query_id, "retryAfter": 2},
        }
        clock.advance(15)
        assert await looked(2) is None
        done = await looked()
        clock.advance(101)
        assert await looked() is None
    assert held == {
        "results": None,
        "queryProgress": {
            "completed": False,
            "queryId": query_id,
            "retryAfter": 2,
            "retryDeadline": 20,
            "resultExpiration": 100,
        },
    }
    assert done["results"] == [{"count": 7}]
    assert done["queryProgress"]["completed"] is True


async def test_a_statement_in_the_background_that_nobody_asks_for_is_cancelled(clock: ManualClock) -> None:
    async with simulated([_account()], clock=clock, takes_s=lambda _: 90.0) as server:
        begun = await _ask(server, _LASTING, {"q": "SELECT 1", "a": True})
        query_id = begun["data"]["actor"]["account"]["nrql"]["queryProgress"]["queryId"]
        clock.advance(61)
        look = f'{{ actor {{ account(id: 1) {{ nrqlQueryProgress(queryId: "{query_id}") {{ results }} }} }} }}'
        answer = await _ask(server, look)
    assert "was cancelled" in answer["errors"][0]["message"]


async def test_a_short_statement_is_answered_at_once_though_it_might_have_gone_on() -> None:
    async with simulated([_account()]) as server:
        answer = await _ask(server, _LASTING, {"q": "SELECT 1", "a": True})
    assert answer["data"]["actor"]["account"]["nrql"]["queryProgress"]["completed"] is True
    assert server.received[0].asked[0].in_background


async def test_an_account_without_data_plus_refuses_the_background() -> None:
    async with simulated([_account(data_plus=False)]) as server:
        answer = await _ask(server, _LASTING, {"q": "SELECT 1", "a": True})
    assert "Data Plus" in answer["errors"][0]["message"]


async def test_accounts_tell_their_event_types() -> None:
    counted = [{"facet": "Log", "count": 2}]
    text = "SELECT count(*) FROM `Log`, `Transaction` FACET eventType() LIMIT MAX SINCE 1 UNTIL 2"
    nrdb = Canned({text: counted}, ("Log", "Transaction"))
    async with simulated([Account(id=1, name="One", nrdb=nrdb)]) as server:
        answer = await _ask(
            server,
            "{ actor { accounts(scope: IN_REGION) { id name reportingEventTypes"
            ' log: reportingEventTypes(filter: ["Log", "Ghost"])'
            " early: reportingEventTypes(timeWindow: {startTime: 1, endTime: 2}) } } }",
        )
    assert answer["data"]["actor"]["accounts"] == [
        {"id": 1, "name": "One", "reportingEventTypes": ["Log", "Transaction"], "log": ["Log"], "early": ["Log"]}
    ]


async def test_the_dictionary_knows_meanings_and_units() -> None:
    text = """query($n: [String]) { docs { dataDictionary { events(names: $n) {
        name definition dataSources { name } attributes { name definition marked: definition(format: MARKDOWN)
        units { label } docsUrl events } } } } }"""
    async with simulated([_account()]) as server:
        answer = await _ask(server, text, {"n": ["Transaction", "Unheard"]})
        everything = await _ask(server, "{ docs { dataDictionary { events { name } } } }")
    (event,) = answer["data"]["docs"]["dataDictionary"]["events"]
    told = {each["name"]: each for each in event["attributes"]}
    assert told["duration"]["units"] == {"label": "Seconds (s)"}
    assert told["appName"]["units"] is None
    assert "](" in told["entityGuid"]["marked"]
    assert "](" not in told["entityGuid"]["definition"]
    assert told["timestamp"]["events"][:2] == ["Transaction", "TransactionError"]
    assert len(everything["data"]["docs"]["dataDictionary"]["events"]) == 5


_SEARCH = """query($q: String, $c: String, $l: Int) { actor { entitySearch(query: $q, options: {limit: $l}) {
    count query types { domain type count } results(cursor: $c) { nextCursor entities {
    __typename guid name accountId reporting domain type tags { key values } account { id name } } } } } }"""


def _entity(name: str, **told: Any) -> Entity:
    return Entity(guid=made_guid(1, "APM", "APPLICATION", name), name=name, **told)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["Billing", "checkout", "Checkout EU"]),
        ("name = 'checkout'", ["checkout"]),
        ("name LIKE 'out'", ["checkout", "Checkout EU"]),
        ("name LIKE 'checkout%'", ["checkout", "Checkout EU"]),
        ("name LIKE '%out'", ["checkout"]),
        ("name IN ('Billing', \"checkout eu\")", ["Billing", "Checkout EU"]),
        ("domain = 'APM' AND type IN ('APPLICATION') AND name != 'Billing'", ["checkout", "Checkout EU"]),
        ("tags.`team` = 'pay' and accountId = 1", ["Billing"]),
        ("tags.team = 'nobody'", []),
        ("reporting = 'false'", ["Checkout EU"]),
        (f"id = '{made_guid(1, 'APM', 'APPLICATION', 'Billing')}'", ["Billing"]),
        ("accountId = 2", []),
    ],
)
async def test_entities_are_searched(query: str, found: list[str]) -> None:
    entities = (
        *(_entity("checkout"), _entity("Billing", tags={"team": ("pay",)})),
        _entity("Checkout EU", reporting=False),
    )
    async with simulated([_account(entities=entities)]) as server:
        answer = await _ask(server, _SEARCH, {"q": query})
    held = answer["data"]["actor"]["entitySearch"]
    assert [each["name"] for each in held["results"]["entities"]] == found
    assert held["count"] == len(found)


@pytest.mark.parametrize(
    "query",
    ["name", "name =", "name = x", "name ~ 'x'", "name = 'x' OR name = 'y'", "colour = 'x'", "name IN 'x'", "'"],
)
async def test_a_search_beyond_the_simulator_says_so(query: str) -> None:
    async with simulated([_account(entities=(_entity("a"),))]) as server:
        answer = await _ask(server, _SEARCH, {"q": query})
    assert "The simulator cannot run this" in answer["errors"][0]["message"]


async def test_entities_come_in_pages_of_at_most_200() -> None:
    entities = tuple(_entity(f"app-{number:03}") for number in range(450))
    names: list[str] = []
    sizes: list[int] = []
    async with simulated([_account(entities=entities)]) as server:
        cursor: str | None = None
        while True:
            answer = await _ask(server, _SEARCH, {"q": "name LIKE 'app'", "c": cursor, "l": 1_000})
            held = answer["data"]["actor"]["entitySearch"]
            sizes.append(len(held["results"]["entities"]))
            names += [each["name"] for each in held["results"]["entities"]]
            cursor = held["results"]["nextCursor"]
            if cursor is None:
                break
        wrong = await _ask(server, _SEARCH, {"q": "", "c": "?"})
    assert sizes == [200, 200, 50]
    assert names == [entity.name for entity in entities]
    assert "cursor" in wrong["errors"][0]["message"]


async def test_entities_are_found_in_rows_where_none_are_given() -> None:
    guid = made_guid(1, "INFRA", "HOST", "9")
    answers: dict[str, object] = {
        "SELECT keyset() FROM `Transaction` SINCE 30 days ago": [
            {"key": "appName", "type": "string"},
            {"key": "entityGuid", "type": "string"},
        ],
        "SELECT count(*) FROM `Transaction` FACET `entityGuid`, `appName` LIMIT MAX SINCE 30 days ago": [
            {"facet": [guid, "web-1"], "count": 2},
            {"facet": ["no guid", "web-2"], "count": 2},
        ],
        "SELECT keyset() FROM `PageView` SINCE 30 days ago": [{"key": "appName", "type": "string"}],
        "SELECT count(*) FROM `PageView` FACET `appName` LIMIT MAX SINCE 30 days ago": [{"facet": "shop", "count": 1}],
        "SELECT keyset() FROM `Log` SINCE 30 days ago": [{"key": "level", "type": "string"}],
    }
    nrdb = Canned(answers, ("Transaction", "PageView", "Log"))
    async with simulated([Account(id=1, nrdb=nrdb)]) as server:
        answer = await _ask(server, _SEARCH, {"q": ""})
    held = answer["data"]["actor"]["entitySearch"]
    assert [(each["name"], each["domain"], each["type"]) for each in held["results"]["entities"]] == [
        ("shop", "APM", "APPLICATION"),
        ("web-1", "INFRA", "HOST"),
    ]
    assert held["types"] == [
        {"domain": "APM", "type": "APPLICATION", "count": 1},
        {"domain": "INFRA", "type": "HOST", "count": 1},
    ]


async def test_what_was_asked_is_history_newest_first(clock: ManualClock) -> None:
    text = "{ actor { queryHistory { nrql(options: {limit: 2}) { accountIds createdAt query } } user { name } } }"
    async with simulated([_account()], clock=clock) as server:
        for query in ("SELECT 1", "SELECT 2", "SELECT 3"):
            await _ask(server, _ROWS, {"q": query})
        answer = await _ask(server, text)
    assert answer["data"]["actor"]["queryHistory"]["nrql"] == [
        {"accountIds": [1], "createdAt": "1970-01-01T00:16:40+00:00", "query": "SELECT 3"},
        {"accountIds": [1], "createdAt": "1970-01-01T00:16:40+00:00", "query": "SELECT 2"},
    ]


async def test_keysets_may_list_names_that_no_row_has() -> None:
    listed = [{"key": "appName", "type": "string"}]
    account = _account(
        {"SELECT keyset() FROM Transaction": listed}, ghost_attributes={"Transaction": {"dropped": "numeric"}}
    )
    async with simulated([account]) as server:
        keyset = await _ask(server, _ROWS, {"q": "SELECT keyset() FROM Transaction"})
        count = await _ask(server, _ROWS, {"q": "SELECT count(*) FROM Transaction"})
    assert _rows(keyset) == [*listed, {"key": "dropped", "type": "numeric"}]
    assert _rows(count) == [{"count": 7}]


async def test_a_request_may_be_limited_in_fields() -> None:
    async with simulated([_account()], limits=Limits(fields=4)) as server:
        enough = await _ask(server, _ROWS, {"q": "SELECT 1"})
        more = await _ask(server, _ONE + " { results nrql } } } }", {"q": "SELECT 1"})
    assert _rows(enough) == [{"count": 7}]
    assert "5 fields" in more["errors"][0]["message"]


@pytest.mark.parametrize("named", list(every_text()), ids=lambda named: named[0])
def test_every_text_that_the_product_sends_is_understood(named: tuple[str, str]) -> None:
    assert validate(schema(), parse(named[1])) == []


async def test_rows_of_files_are_answered_as_nrdb_shapes_them(tmp_path: Path) -> None:
    lines = ["appName,entityGuid,duration,at"]
    guid = made_guid(1, "APM", "APPLICATION", "5")
    lines += [f"shop,{guid},{number},2026-01-01T00:0{number}:00" for number in range(6)]
    (tmp_path / "Transaction.csv").write_text("\n".join(lines))
    nrdb = LocalNrdb(tmp_path)
    try:
        async with simulated(
            [Account(id=1, nrdb=nrdb, ghost_attributes={"Transaction": {"gone": "boolean"}})]
        ) as server:

            async def rows(query: str) -> Any:
                return _rows(await _ask(server, _ROWS, {"q": query}))

            assert await rows("SHOW EVENT TYPES") == [{"eventType": "Transaction"}]
            assert await rows("SELECT max(duration) FROM Transaction") == [{"max.duration": 5}]
            (faceted,) = await rows("SELECT count(*) FROM Transaction FACET appName")
            assert faceted == {"facet": "shop", "appName": "shop", "count": 6}
            keys = {each["key"]: each["type"] for each in await rows("SELECT keyset() FROM Transaction")}
            assert keys.items() >= {"appName": "string", "duration": "numeric", "gone": "boolean"}.items()
            assert await rows("SELECT count(*) FROM Unheard") == [{"count": 0}]
            wrong = await _ask(server, _ROWS, {"q": "SELECT count(*) FORM Transaction"})
            many = await _ask(server, _ROWS, {"q": "SELECT count(*) FROM Transaction TIMESERIES 1 second"})
            funnel = await _ask(server, _ROWS, {"q": "SELECT derivative(duration, 1 minute) FROM Transaction"})
            search = await _ask(server, _SEARCH, {"q": "name LIKE 'sho'"})
            kinds = await _ask(
                server,
                "query($w: TimeWindowInput) { actor { accounts { reportingEventTypes(timeWindow: $w) } } }",
                {"w": {"startTime": 0, "endTime": 1}},
            )
    finally:
        nrdb.close()
    assert wrong["errors"][0]["message"].startswith("NRQL Syntax Error: Error at line 1 position 17, unexpected 'FORM'")
    assert many["errors"][0]["message"] == "TIMESERIES supports a maximum of 366 buckets"
    assert "The simulator cannot run this" in funnel["errors"][0]["message"]
    assert search["data"]["actor"]["entitySearch"]["results"]["entities"][0]["guid"] == guid
    assert kinds["data"]["actor"]["accounts"] == [{"reportingEventTypes": []}]


def _typed(fields: Mapping[str, Any], mine: Callable[[str], bool]) -> dict[str, Any]:
    return {
        name: (
            str(held.type),
            {argument: str(each.type) for argument, each in getattr(held, "args", {}).items()},
        )
        for name, held in fields.items()
        if mine(name)
    }


@pytest.mark.skipif(not _PUBLIC.exists(), reason="the public schema is not at hand")
def test_every_type_field_and_argument_is_as_in_the_public_schema() -> None:
    public = build_schema(_PUBLIC.read_text(), assume_valid=True).type_map
    checked = 0
    for name, ours in schema().type_map.items():
        assert name in public or name.startswith("__"), name
        theirs = public.get(name)
        if isinstance(ours, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType) and theirs is not None:
            assert type(ours) is type(theirs), name
            all_theirs = _typed(theirs.fields, lambda _: True)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
            for field, (kind, arguments) in _typed(ours.fields, lambda _: True).items():
                assert (name, field, kind) == (name, field, all_theirs[field][0])
                assert arguments.items() <= all_theirs[field][1].items(), f"{name}.{field}"
                checked += 1
    assert checked > 80
