"""Both eras of the protocol are spoken over stdio and HTTP, legacy SSE behind its flag, and strangers are refused."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import anyio
import pytest
from mcp import Client
from mcp import StdioServerParameters
from mcp.client.sse import sse_client

import server

Mode = Literal["auto", "legacy"]

_WITHIN_S = 20
_REVISION_OF = {"auto": "2026-07-28", "legacy": "2025-11-25"}

_NOISY_LIBRARY = """\
import atexit, os, sys
class Noisy:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("mcp", "pydantic", "anyio")):
            print("a library prints", name)
            os.write(1, b"a library writes to descriptor 1\\n")
            if name == "mcp":
                os.system("echo a child prints")
sys.meta_path.insert(0, Noisy())
atexit.register(print, "a library says goodbye")
"""


def _script() -> str:
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "the project is not installed in this environment"
    return script


@contextmanager
def _serving(*arguments: str, **environ: str) -> Generator[str]:
    """An HTTP server on a free port; gives `http://host:port`."""
    command = [_script(), "serve", "--http", "--port", "0", *arguments]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environ})
    assert running.stderr is not None
    try:
        for line in running.stderr:
            if found := re.search(r"listening: (http://\S+)/mcp", line):
                yield found[1]
                return
        pytest.fail("the server ended before it listened")
    finally:
        running.terminate()
        running.stderr.close()
        try:
            running.wait(_WITHIN_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with _serving("--legacy-sse", UDS_ALLOWED_HOSTS="uds.example", UDS_ALLOWED_ORIGINS="https://app.example") as found:
        yield found


def _request(
    address: str, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; the body of a stream is not waited for, because it may never end."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=_WITHIN_S)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        is_endless = told.get("content-type", "").startswith("text/event-stream")
        return answer.status, told, b"" if is_endless else answer.read()
    finally:
        connection.close()


def _initialize(address: str, **headers: str) -> int:
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    wanted = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    return _request(address, "POST", "/mcp", json.dumps(body).encode(), **wanted, **headers)[0]


async def _explores(client: Client) -> None:
    """A conversation that needs tools, the engine, and memory kept between calls."""
    tools = {tool.name for tool in (await client.list_tools()).tools}
    assert {"list_schemas", "open_session"} <= tools
    opened = await client.call_tool("open_session", {"goal": "late flights"})
    assert opened.structured_content is not None
    session = opened.structured_content["session"]
    counted = await client.call_tool("run_query", {"query": "SELECT count(*) FROM flights", "session": session})
    assert counted.structured_content is not None, counted
    assert counted.structured_content["rows"][0][0] > 20_000
    recalled = await client.call_tool("recall", {"session": session})
    assert recalled.structured_content is not None
    assert recalled.structured_content["goals"][0]["text"] == "late flights"


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "arguments"), [("auto", []), ("legacy", ["stdio"])])
async def test_stdio_serves_both_eras(mode: Mode, arguments: list[str]) -> None:
    with anyio.fail_after(_WITHIN_S):
        async with Client(StdioServerParameters(command=_script(), args=arguments), mode=mode) as client:
            assert client.protocol_version == _REVISION_OF[mode]
            await _explores(client)


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_streamable_http_serves_both_eras(address: str, mode: Mode) -> None:
    with anyio.fail_after(_WITHIN_S):
        async with Client(f"{address}/mcp", mode=mode) as client:
            assert client.protocol_version == _REVISION_OF[mode]
            await _explores(client)


@pytest.mark.anyio
async def test_legacy_sse_serves_old_clients_when_asked_for(address: str) -> None:
    with anyio.fail_after(_WITHIN_S):
        async with Client(sse_client(f"{address}/sse"), mode="legacy") as client:
            await _explores(client)


@pytest.mark.anyio
async def test_what_one_connection_remembers_another_one_recalls(address: str) -> None:
    with anyio.fail_after(_WITHIN_S):
        async with Client(f"{address}/mcp") as modern:
            opened = await modern.call_tool("open_session", {"goal": "kept across connections"})
        assert opened.structured_content is not None
        async with Client(sse_client(f"{address}/sse"), mode="legacy") as legacy:
            recalled = await legacy.call_tool("recall", {"session": opened.structured_content["session"]})
    assert recalled.structured_content is not None
    assert recalled.structured_content["goals"][0]["text"] == "kept across connections"


def test_legacy_sse_is_off_unless_asked_for() -> None:
    with _serving() as plain:
        assert _request(plain, "GET", "/sse")[0] == 404
        assert _request(plain, "POST", "/messages/", b"{}")[0] == 404
        assert _initialize(plain) == 200


def test_nothing_but_json_rpc_reaches_standard_output(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_NOISY_LIBRARY)
    opening = {
        "jsonrpc": "2.0",
        "id": "first",
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }
    sent = [
        json.dumps(opening),
        "this is no JSON",
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
    ]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    running = subprocess.Popen(
        [_script()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )
    received, noise = running.communicate("\n".join(sent) + "\n", timeout=_WITHIN_S)
    assert running.returncode == 0
    messages = [json.loads(line) for line in received.splitlines()]
    assert all(message["jsonrpc"] == "2.0" for message in messages)
    assert "first" in [message.get("id") for message in messages]
    for said in ("a library prints mcp", "writes to descriptor 1", "a child prints", "says goodbye"):
        assert said in noise


def test_health_answers_with_the_version(address: str) -> None:
    status, headers, body = _request(address, "GET", "/health")
    assert (status, json.loads(body)) == (200, {"status": "ok", "version": server.__version__})
    assert "server" not in headers


def test_ready_tells_the_state_of_every_source(address: str) -> None:
    status, _, body = _request(address, "GET", "/ready")
    assert (status, json.loads(body)) == (200, {"status": "ready", "sources": {"duckdb": "ok"}, "state": "ok"})


def test_health_and_ready_answer_probes_that_call_by_address(address: str) -> None:
    assert _request(address, "GET", "/health", Host="10.0.0.7:8000")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "uds.example"}, 200),
        ({"Host": "uds.example:8443"}, 200),
        ({"Host": "attacker.example"}, 421),
        ({"Host": "localhost.attacker.example"}, 421),
        ({"Origin": "http://localhost:5173"}, 200),
        ({"Origin": "https://app.example"}, 200),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_allowed_hosts_and_origins_are_answered(address: str, headers: dict[str, str], status: int) -> None:
    assert _initialize(address, **headers) == status


def test_legacy_sse_refuses_strangers_too(address: str) -> None:
    assert _request(address, "GET", "/sse", Host="attacker.example")[0] == 421


def test_a_body_that_is_too_large_is_refused(address: str) -> None:
    body = b'{"x":"' + b"x" * (4 * 1024 * 1024) + b'"}'
    wanted = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    assert _request(address, "POST", "/mcp", body, **wanted)[0] == 413
