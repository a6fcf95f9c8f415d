"""What can be made to go wrong with an answer of the simulated NerdGraph, on the wire and in its words."""

import asyncio
import json
import threading
from collections.abc import Mapping
from typing import Any

import anyio
import httpx
import pytest

from server.simulator.accounts import Account
from server.simulator.faults import Cut
from server.simulator.faults import Dribble
from server.simulator.faults import Errors
from server.simulator.faults import Fails
from server.simulator.faults import Fault
from server.simulator.faults import Flood
from server.simulator.faults import Garbled
from server.simulator.faults import Hang
from server.simulator.faults import Late
from server.simulator.faults import Partial
from server.simulator.faults import Reset
from server.simulator.faults import Slow
from server.simulator.faults import Status
from server.simulator.faults import Without
from server.simulator.received import Received
from tests.nerdgraph_server import Simulated
from tests.nerdgraph_server import simulated

pytestmark = pytest.mark.anyio

_TEXT = """query($a: Nrql!, $b: Nrql!) { actor {
    a0: account(id: 1) { nrql(query: $a) { results rawResponse metadata { messages } } }
    a1: account(id: 1) { nrql(query: $b) { results rawResponse metadata { messages } } } } }"""
_ROW = {"count": 3}


class _Rows:
    def run(self, text: str) -> Mapping[str, Any]:
        return {
            "results": [{**_ROW, "not": float("nan")} if "nan" in text else _ROW],
            "metadata": {"messages": ["of its own"]},
            "rawResponse": {"performanceStats": {"inspectedCount": 9, "omittedCount": 0}},
        }

    def event_types(self) -> tuple[str, ...]:
        return ()


class _Stuck(_Rows):
    def __init__(self) -> None:
        self.free = threading.Event()

    def run(self, text: str) -> Mapping[str, Any]:
        assert self.free.wait(timeout=10)
        return super().run(text)


_ACCOUNT = Account(id=1, nrdb=_Rows())


async def _ask(server: Simulated, client: httpx.AsyncClient, b: str = "SELECT b", **headers: str) -> httpx.Response:
    asked = {"query": _TEXT, "variables": {"a": "SELECT a", "b": b}}
    return await client.post(server.url, json=asked, headers={"Api-Key": server.key, **headers})


async def _through(fault: Fault | None, b: str = "SELECT b") -> httpx.Response:
    async with simulated([_ACCOUNT], script=[fault]) as server, httpx.AsyncClient(timeout=10) as client:
        return await _ask(server, client, b)


def _containers(answer: httpx.Response) -> tuple[Any, Any]:
    actor = answer.json()["data"]["actor"]
    return actor["a0"]["nrql"], actor["a1"]["nrql"]


async def test_without_a_fault_both_statements_are_answered() -> None:
    answer = await _through(None)
    assert [held["results"] for held in _containers(answer)] == [[_ROW], [_ROW]]


async def test_a_script_is_a_sequence_that_ends_or_a_function_that_decides() -> None:
    def decides(received: Received) -> Fault | None:
        return Status(status=503) if "SELECT bad" in received.texts else None

    async with simulated([_ACCOUNT], script=[Status(status=500)]) as server, httpx.AsyncClient() as client:
        assert [(await _ask(server, client)).status_code for _ in range(3)] == [500, 200, 200]
        server.simulator.script = decides
        assert (await _ask(server, client, "SELECT bad")).status_code == 503
        assert (await _ask(server, client)).status_code == 200
        assert [each.number for each in server.received] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "fault",
    [
        Status(status=429, body="{}", headers={"retry-after": "7"}),
        Status(status=502, body="<html>bad gateway</html>", content_type="text/html"),
        Status(status=302, headers={"location": "http://127.0.0.1:9/"}),
        Status(status=200, body=""),
    ],
)
async def test_any_status_with_any_body(fault: Status) -> None:
    answer = await _through(fault)
    assert answer.status_code == fault.status
    assert answer.text == fault.body
    assert answer.headers["content-type"] == fault.content_type
    assert fault.headers.items() <= answer.headers.items()


async def test_an_error_of_the_whole_request_comes_with_200() -> None:
    answer = await _through(Errors(message="some error", error_class="TOO_MANY_REQUESTS"))
    assert answer.status_code == 200
    assert answer.json() == {"errors": [{"message": "some error", "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}]}


async def test_a_warning_comes_beside_the_whole_answer() -> None:
    answer = await _through(Errors(message="This field is deprecated!", with_answer=True))
    assert answer.json()["errors"] == [{"message": "This field is deprecated!"}]
    assert [held["results"] for held in _containers(answer)] == [[_ROW], [_ROW]]


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        (Fails(message="no", error_class="SERVER_ERROR"), ["a0", "a1"]),
        (Fails(message="no", aliases=frozenset({"a1"}), error_class="SERVER_ERROR"), ["a1"]),
        (Fails(message="no", containing="SELECT a", error_class="SERVER_ERROR"), ["a0"]),
    ],
)
async def test_single_statements_fail_with_their_path(fault: Fails, failed: list[str]) -> None:
    answer = await _through(fault)
    errors = answer.json()["errors"]
    assert sorted(each["path"][1] for each in errors) == failed
    assert [each["extensions"] for each in errors] == [{"errorClass": "SERVER_ERROR"}] * len(failed)
    assert [held is None for held in _containers(answer)] == ["a0" in failed, "a1" in failed]


async def test_a_partial_answer_says_what_it_left_out() -> None:
    fault = Partial(omitted=5, messages=("cut short",), exceeds_retention=True)
    held, _ = _containers(await _through(fault))
    assert held["rawResponse"]["performanceStats"] == {
        "inspectedCount": 9,
        "omittedCount": 5,
        "exceedsRetentionWindow": True,
    }
    assert held["metadata"]["messages"] == ["of its own", "cut short"]


async def test_fields_of_a_container_may_be_missing() -> None:
    held, _ = _containers(await _through(Without(fields=frozenset({"metadata", "rawResponse"}))))
    assert held == {"results": [_ROW]}


async def test_a_slow_statement_times_out_without_anybody_waiting() -> None:
    with anyio.fail_after(4):
        answer = await _through(Slow(takes_s=6))
    assert [each["extensions"]["errorClass"] for each in answer.json()["errors"]] == ["TIMEOUT", "TIMEOUT"]


async def test_no_json_has_what_json_lacks() -> None:
    _, held = _containers(await _through(None, "SELECT nan"))
    assert held["results"] == [{"count": 3, "not": None}]


async def test_a_late_answer_is_a_whole_one() -> None:
    answer = await _through(Late(seconds=0.01))
    assert _containers(answer)[0]["results"] == [_ROW]


async def test_a_body_that_arrives_drop_by_drop_is_a_whole_one() -> None:
    answer = await _through(Dribble(piece_bytes=100, pause_s=0.001))
    assert _containers(answer)[0]["results"] == [_ROW]


async def test_a_garbled_body_has_its_length_and_is_no_json() -> None:
    answer = await _through(Garbled())
    assert len(answer.content) == int(answer.headers["content-length"])
    with pytest.raises(ValueError, match=r"codec|Expecting|Invalid"):
        json.loads(answer.content)


@pytest.mark.parametrize(
    "fault", [Cut(), Cut(share=0), Reset(), Reset(when="within")], ids=["cut", "cut at once", "reset", "reset within"]
)
async def test_a_broken_connection_is_an_error_of_the_transport_and_the_next_one_works(fault: Fault) -> None:
    async with simulated([_ACCOUNT], script=[fault]) as server, httpx.AsyncClient(timeout=10) as client:
        with pytest.raises(httpx.TransportError):
            await _ask(server, client)
        assert (await _ask(server, client)).status_code == 200


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
async def test_a_flood_is_one_document_of_the_size_that_was_asked_for(accepted: str) -> None:
    fault = Flood(size_bytes=3_000_000)
    async with simulated([_ACCOUNT], script=[fault]) as server, httpx.AsyncClient(timeout=10) as client:
        answer = await _ask(server, client, **{"Accept-Encoding": accepted})
    assert len(answer.json()["data"]["padding"]) >= fault.size_bytes
    assert answer.headers.get("content-encoding") == ("gzip" if accepted == "gzip" else None)


async def _leaving(server: Simulated, arrived: asyncio.Event) -> None:
    """Ask, and leave once the request has arrived."""
    async with httpx.AsyncClient() as client:
        asking = asyncio.create_task(_ask(server, client))
        with anyio.fail_after(10):
            await arrived.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_a_client_that_leaves_is_noticed_and_its_place_is_free_again() -> None:
    arrived = asyncio.Event()

    def hangs(_received: Received) -> Fault:
        arrived.set()
        return Hang()

    async with simulated([_ACCOUNT], script=hangs) as server:
        await _leaving(server, arrived)
        server.simulator.script = ()
        async with httpx.AsyncClient() as client:
            assert (await _ask(server, client)).status_code == 200
        assert server.simulator.abandoned == 1
        assert server.simulator.in_flight == 0


async def test_the_simulator_ends_while_clients_still_wait() -> None:
    stuck = _Stuck()
    arrived = asyncio.Event()
    with anyio.fail_after(10):
        async with httpx.AsyncClient() as client:
            async with simulated([Account(id=1, nrdb=stuck)], script=lambda _: arrived.set()) as server:
                asking = asyncio.create_task(_ask(server, client))
                await arrived.wait()
                stuck.free.set()
            with pytest.raises(httpx.TransportError):
                await asking


def _raw(server: Simulated) -> tuple[int, bytes]:
    """The port, and a small request as it goes over the wire."""
    body = json.dumps({"query": "{ actor { user { id } } }"}).encode()
    head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nApi-Key: {server.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    return int(server.url.split(":")[2].split("/")[0]), head.encode() + body


@pytest.mark.parametrize("fault", [Reset(), Reset(when="within")], ids=["before", "within"])
async def test_a_reset_is_no_mere_end_of_the_connection(fault: Fault) -> None:
    async with simulated([_ACCOUNT], script=[fault]) as server:
        port, request = _raw(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        with anyio.fail_after(10), pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()


async def test_requests_share_a_connection() -> None:
    async with simulated([_ACCOUNT]) as server:
        port, request = _raw(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(request)
            with anyio.fail_after(10):
                answer = await reader.readuntil(b'{"data":{"actor":{"user":{"id":1}}}}')
            assert answer.startswith(b"HTTP/1.1 200")
        writer.write(b"no HTTP at all\r\n\r\n")
        with anyio.fail_after(10):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert [each.fields for each in server.received] == [("user",)] * 3
