"""The key is seen by New Relic only: not in errors, logs, values or whatever a failure leaves behind."""

import logging
import pickle
import traceback

import httpx
import pytest

from sources.errors import SourceError
from sources.newrelic.client import NerdGraph
from sources.newrelic.redaction import NOT_SHOWN
from sources.newrelic.redaction import Secret
from sources.newrelic.regions import endpoint
from tests.nerdgraph_wire import KEY
from tests.nerdgraph_wire import Reply
from tests.nerdgraph_wire import answer
from tests.nerdgraph_wire import echoed
from tests.nerdgraph_wire import nerdgraph

pytestmark = pytest.mark.anyio

_AT = ["actor", "a0", "nrql"]
FAULTS: list[Reply] = [
    *(
        answer({"errors": [{"message": f"the key {KEY} is bad", "path": _AT}]}, status)
        for status in (200, 400, 401, 403, 500)
    ),
    answer({"errors": [{"message": f"key {KEY}", "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}]}),
    answer({"error": {"title": f"Invalid API key {KEY}"}}, 401),
    answer({"errors": [{"message": f"not authorized for account region with {KEY}"}]}),
    answer({"errors": [{"message": f"not authorized to query account with {KEY}", "path": _AT}]}),
    answer({"errors": [{"message": f"Error at line 1 position 1, unexpected '{KEY}'", "path": _AT}]}),
    answer({"errors": [{"message": f"x{' ' * 590}{KEY}", "path": _AT}]}),
    httpx.Response(200, text=f"<html>{KEY}</html>"),
    httpx.Response(302, headers={"Location": f"https://elsewhere.example/{KEY}"}),
    httpx.ConnectError(f"no route with {KEY}"),
    httpx.LocalProtocolError(f"Illegal header value {KEY.encode()!r}"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[str(number) for number in range(len(FAULTS))])
async def test_no_failure_shows_the_key(fault: Reply, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with nerdgraph(lambda _asked: fault) as far:
        with pytest.raises(SourceError) as told:
            await far.graph.nrql(1, "SELECT 1 FROM X", within_s=30)
        seen = [str(told.value), repr(told.value), repr(vars(told.value)), getattr(told.value, "remedy", "")]
        seen += traceback.format_exception(told.value)
        seen += [repr(far.graph), repr(vars(far.graph)), repr(far.graph.statistics()), caplog.text]
    assert not [text for text in seen if KEY in text or KEY[5:15] in text]


async def test_a_remark_beside_rows_does_not_show_the_key() -> None:
    remark = {"message": f"This field is deprecated! {KEY}", "path": _AT}
    async with nerdgraph(lambda asked: echoed(asked, errors=[remark])) as far:
        found = await far.graph.nrql(1, "SELECT 1 FROM X", within_s=30)
    assert found.warnings == (f"This field is deprecated! {NOT_SHOWN}",)


@pytest.mark.parametrize("key", ["", "NRAK-A B", "NRAK-A\n", "NRAK-\u00e4", "NRAK-A\x00"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="NEW_RELIC_API_KEY") as told:
        NerdGraph(endpoint=endpoint("US"), key=key)
    assert not key.strip() or key.strip() not in str(told.value)


def test_a_secret_shows_and_keeps_nothing() -> None:
    secret = Secret(KEY)
    assert f"{secret} {secret!r} {secret!s}" == f"{NOT_SHOWN} {NOT_SHOWN} {NOT_SHOWN}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_keys_of_others_in_messages_are_not_shown_either() -> None:
    shown = Secret(KEY).without("of NRAK-ABCDEFGH1234 and NRII-0123456789abc")
    assert shown == f"of {NOT_SHOWN} and {NOT_SHOWN}"


def test_a_key_that_looks_like_none_is_not_shown_either() -> None:
    assert Secret("odd+key").without("the key odd+key is bad") == f"the key {NOT_SHOWN} is bad"
