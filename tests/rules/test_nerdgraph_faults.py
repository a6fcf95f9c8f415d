"""What New Relic says is understood: kinds of errors, their places, times to wait, and when to try again."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.newrelic.batching import pieces
from sources.newrelic.faults import Kind
from sources.newrelic.faults import Trouble
from sources.newrelic.faults import graph_errors
from sources.newrelic.flights import Flight
from sources.newrelic.flights import Statement
from sources.newrelic.polling import unfinished
from sources.newrelic.refusals import offset_of
from sources.newrelic.retrying import Retrying
from sources.newrelic.texts import Selection

_AT = ["actor", "a0", "nrql"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "some error", "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}, "rate"),
        ({"message": "NRQL query rate limit reached for account", "path": _AT}, "rate"),
        ({"message": "some error", "extensions": {"errorClass": "TIMEOUT"}}, "slow"),
        ({"message": "NRDB:1101002 - your query timed out", "extensions": {"errorClass": "SERVER_ERROR"}}, "slow"),
        ({"message": "some error", "extensions": {"errorClass": "INTERNAL_SERVER_ERROR"}}, "broken"),
        ({"message": "some error", "extensions": {"errorClass": "SERVER_ERROR"}}, "broken"),
        ({"message": "", "extensions": {"error_code": "BAD_API_KEY"}}, "key"),
        ({"title": "No API key specified"}, "key"),
        ({"message": "The API key provided is invalid"}, "key"),
        ({"message": "not authorized for account region"}, "region"),
        ({"message": "not authorized to query account 12", "path": _AT}, "account"),
        ({"message": "User is not authorised to access account 12", "path": _AT}, "account"),
        ({"message": "Account 12 not found", "path": _AT}, "account"),
        ({"message": "Access denied."}, "denied"),
        ({"message": "x", "extensions": {"errorClass": "ACCESS_DENIED"}}, "denied"),
        ({"message": "NRQL Syntax Error: Error at line 1 position 8, unexpected 'timeout'"}, "syntax"),
        ({"message": "NRQL Syntax Error: Error at line 1 position 8, unexpected 'account access'"}, "syntax"),
        ({"message": "TIMESERIES is limited to 366 buckets", "path": _AT}, "bounds"),
        ({"message": "The query is a little too big for us", "path": _AT}, "bounds"),
        ({"message": "This field is deprecated! Please use `queryHistory`."}, "deprecated"),
        ({"message": "The request has 376 fields, 200 are allowed"}, "wide"),
        ({"message": "You may not ask for more than 200 fields"}, "wide"),
        ({"message": "Operation exceeds the maximum of 200 fields"}, "wide"),
        ({"message": "Operation Batch is too complex: complexity is 376 and maximum is 200"}, "wide"),
        ({"message": "Query is too large"}, "wide"),
        ({"message": "Too many aliases"}, "wide"),
        ({"message": "Document contains more that 15000 tokens. Parsing aborted."}, "wide"),
        ({"message": "Query is too complex", "extensions": {"errorClass": "TIMEOUT"}}, "slow"),
        ({"message": "Rate limit for field nrql reached"}, "rate"),
        ({"message": "A statement may name 255 fields, the maximum is 254", "path": _AT}, "rejected"),
        ({"message": "Cannot query field 'query' on type 'NrdbResultContainer'"}, "broken"),
        ({"message": "Async queries are not available for this account", "path": _AT}, "no_async"),
        ({"message": "Unknown function", "path": _AT}, "rejected"),
        ({"message": "hm"}, "broken"),
        ("a string where an object should be", "broken"),
    ],
)
def test_errors_are_known_by_their_class_or_their_words(error: object, kind: Kind) -> None:
    (found,) = graph_errors({"errors": [error]})
    assert found.trouble.kind == kind


@pytest.mark.parametrize("body", [{}, {"errors": []}, {"errors": None}, {"data": {}}])
def test_an_answer_without_errors_has_none(body: dict[str, Any]) -> None:
    assert graph_errors(body) == ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["data", "errors", "error", "actor", "a0", "nrql", "path", "message", "extensions", "errorClass", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(data=_JSON, errors=_JSON, account=_JSON, error=_JSON)
def test_no_answer_is_so_odd_that_reading_it_fails(data: Any, errors: Any, account: Any, error: Any) -> None:
    bodies: list[dict[str, Any]] = [
        {"data": data, "errors": errors, "error": error},
        {"data": {"actor": {"a0": account}}, "errors": [error]},
    ]
    loop = asyncio.new_event_loop()
    try:
        flights = [_flight(loop), _flight(loop)]
        for body in bodies:
            for piece in pieces(flights, body):
                assert (piece.content is None) != (piece.trouble is None)
                unfinished(piece.content or {})
    finally:
        loop.close()


def _flight(loop: asyncio.AbstractEventLoop, *, deadline_s: float = 100.0) -> Flight:
    statement = Statement(
        account=1, text="x", selection=Selection(stats=False, whole=False, lasting=False), timeout_s=5
    )
    return Flight(question=statement, outcome=loop.create_future(), began_s=0.0, deadline_s=deadline_s)


@given(told=_JSON)
def test_any_progress_gives_a_pause_that_can_be_waited_for(told: Any) -> None:
    progress = {"completed": False, "queryId": "q", "retryAfter": told, "retryDeadline": told}
    found = unfinished({"queryProgress": progress})
    assert found is not None
    assert 0.25 <= found.pause_s <= 10


@pytest.mark.parametrize(
    ("text", "line", "position", "unexpected", "offset"),
    [
        ("SELECT FORM X", 1, 8, "FORM", 7),
        ("SELECT FORM X", 1, 7, "FORM", 7),
        ("SELECT count(*)\nFORM X", 2, 1, "FORM", 16),
        ("SELECT a FROM a WHERE a", 1, 23, "a", 22),
        ("SELECT 1", 1, 9, "<EOF>", 7),
        ("SELECT 1", 1, 400, "", 7),
        ("SELECT 1", 7, 1, "x", None),
        ("", 1, 1, "x", None),
    ],
)
def test_a_place_is_found_whether_positions_count_from_0_or_1(
    text: str, line: int, position: int, unexpected: str, offset: int | None
) -> None:
    assert offset_of(text, line, position, unexpected) == offset


@given(
    attempt=st.integers(0, 2),
    chance=st.floats(0, 1),
    retry_after_s=st.none() | st.floats(0, 300),
    now_s=st.floats(0, 99),
)
def test_a_pause_ends_before_the_deadline_and_not_before_new_relic_says(
    attempt: int, chance: float, retry_after_s: float | None, now_s: float
) -> None:
    loop = asyncio.new_event_loop()
    flight = _flight(loop)
    loop.close()
    retrying = Retrying(clock=lambda: now_s, chance=lambda: chance)
    pause_s = retrying.pause_s(flight, Trouble(kind="rate", retry_after_s=retry_after_s), attempt)
    if pause_s is None:
        assert now_s + max(retry_after_s or 0, 0.5 * 2**attempt) >= flight.deadline_s
    else:
        assert pause_s >= (retry_after_s or 0)
        assert now_s + pause_s < flight.deadline_s
        assert pause_s <= max(0.5 * 2**attempt, retry_after_s or 0)


@pytest.mark.parametrize(
    "kind", ["key", "unpaid", "region", "account", "denied", "syntax", "bounds", "wide", "elsewhere", "rejected"]
)
def test_what_stays_wrong_is_not_tried_again(kind: Kind) -> None:
    loop = asyncio.new_event_loop()
    flight = _flight(loop)
    loop.close()
    assert Retrying(clock=lambda: 0.0, chance=lambda: 0.0).pause_s(flight, Trouble(kind=kind), 0) is None
