"""Several workers are one server: any of them answers any request, and they stop together."""

import http.client
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import Literal

import anyio
import pytest
from mcp import Client
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import CallToolResult
from mcp_types import InputRequiredResult

from server.mcp_server import build_server
from server.parts import open_parts
from server.request_keys import ring_of
from server.settings import Settings
from server.settings import read_settings
from tests.uds_process import UdsProcess

Mode = Literal["auto", "legacy"]

_WITHIN_S = 30
_WORKERS = 3
_WANTED = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sockets cannot be handed to other processes there")


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UdsProcess]:
    serving = UdsProcess(tmp_path_factory.mktemp("crew"), {}, arguments=("--workers", str(_WORKERS)))
    serving.start()
    yield serving
    serving.stop()


def _refused(*arguments: str, **environ: str) -> tuple[int, str]:
    """What the command says when it does not serve."""
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None
    told = subprocess.run(
        [script, "serve", "--http", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_WITHIN_S,
        env={"HOME": "/nonexistent", **environ},
    )
    return told.returncode, told.stderr


def _posted(crew: UdsProcess, method: str, **params: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
    """One request of the 2025 era, on a connection of its own and without any `Mcp-Session-Id`."""
    connection = http.client.HTTPConnection(crew.address.removeprefix("http://"), timeout=_WITHIN_S)
    try:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        connection.request("POST", "/mcp", body, {**_WANTED, "MCP-Protocol-Version": "2025-11-25"})
        answer = connection.getresponse()
        text = answer.read().decode()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        found = re.search(r"^(?:data: )?(\{.*\})\r?$", text, re.MULTILINE)
        assert found is not None, text
        return answer.status, headers, json.loads(found[1])
    finally:
        connection.close()


def _tool(crew: UdsProcess, name: str, **arguments: Any) -> dict[str, Any]:
    status, _, told = _posted(crew, "tools/call", name=name, arguments=arguments)
    assert status == 200
    answer: dict[str, Any] = told["result"]["structuredContent"]
    return answer


def test_they_announce_themselves_once_when_all_of_them_answer(crew: UdsProcess) -> None:
    assert crew.log.count("listening") == 1
    assert f"with {_WORKERS} workers" in crew.log


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_clients_of_both_eras_explore_over_connections_to_different_workers(crew: UdsProcess, mode: Mode) -> None:
    """Each client opens its own connections, which the system spreads over the workers."""
    with anyio.fail_after(_WITHIN_S):
        async with Client(f"{crew.address}/mcp", mode=mode) as first:
            opened = await first.call_tool("open_session", {"goal": "shared by all workers"})
        assert opened.structured_content is not None
        session = opened.structured_content["session"]
        for number in range(4):
            async with Client(f"{crew.address}/mcp", mode=mode) as client:
                kept = await client.call_tool(
                    "remember", {"session": session, "kind": "finding", "key": f"k{number}", "value": number}
                )
                assert not kept.is_error, kept
                told = await client.call_tool("recall", {"session": session})
                assert told.structured_content is not None
                assert len(told.structured_content["findings"]) == number + 1


@pytest.mark.anyio
async def test_a_client_that_listens_at_one_worker_hears_what_is_written_through_any(crew: UdsProcess) -> None:
    with anyio.fail_after(_WITHIN_S):
        async with Client(f"{crew.address}/mcp") as listening:
            opened = await listening.call_tool("open_session", {"goal": "heard by all"})
            assert opened.structured_content is not None
            session = opened.structured_content["session"]
            uri = f"uds://sessions/{session}"
            async with listening.listen(resource_subscriptions=[uri]) as events:
                for number in range(2 * _WORKERS):
                    async with Client(f"{crew.address}/mcp") as writing:
                        about = {"session": session, "kind": "finding", "key": f"k{number}", "value": number}
                        assert not (await writing.call_tool("remember", about)).is_error
                    assert await anext(events) == ResourceUpdated(uri=uri)


def test_a_client_of_the_2025_era_gets_no_session_of_the_transport_and_needs_none(crew: UdsProcess) -> None:
    client = {"name": "test", "version": "1"}
    status, headers, told = _posted(
        crew, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client
    )
    assert (status, told["result"]["protocolVersion"]) == (200, "2025-11-25")
    assert "mcp-session-id" not in headers
    session = _tool(crew, "open_session", goal="without a session id")["session"]
    for number in range(2 * _WORKERS):
        _tool(crew, "remember", session=session, kind="finding", key=f"k{number}", value=number)
    assert len(_tool(crew, "recall", session=session)["findings"]) == 2 * _WORKERS


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_any_worker_answers_probes(crew: UdsProcess, path: str) -> None:
    for _ in range(2 * _WORKERS):
        connection = http.client.HTTPConnection(crew.address.removeprefix("http://"), timeout=_WITHIN_S)
        connection.request("GET", path)
        assert connection.getresponse().status == 200
        connection.close()


def test_memory_cannot_be_shared_by_workers_and_the_command_says_so() -> None:
    code, told = _refused("--workers", "2", STATE_STORE_TYPE="memory")
    assert code == 2
    assert "inside one process" in told
    assert "sqlite" in told


def test_legacy_sse_with_several_workers_is_refused_with_its_reason() -> None:
    code, told = _refused("--workers", "2", "--legacy-sse")
    assert code == 2
    assert "--legacy-sse ties each client to the process" in told


@pytest.mark.parametrize("number", ["0", "33", "two", "-1"])
def test_a_number_of_workers_that_makes_no_sense_is_a_wrong_command_line(number: str) -> None:
    code, told = _refused(f"--workers={number}")
    assert code == 2
    assert "1 to 32" in told


def test_a_port_that_other_workers_serve_is_in_use(crew: UdsProcess) -> None:
    """Workers share their port among themselves, and with nobody else."""
    for workers in ("1", "2"):
        code, told = _refused("--workers", workers, "--port", str(crew.port))
        assert code == 1
        assert f"port {crew.port}" in told


def _asking(server: MCPServer) -> MCPServer:
    """With a tool that needs two rounds: it gives the client something to carry, and is given it back."""

    @server.tool()
    async def two_rounds(ctx: Context[Any, Any]) -> CallToolResult | InputRequiredResult:  # pyright: ignore[reportUnusedFunction]
        state = ctx.request_state
        return InputRequiredResult(request_state="from the first round") if state is None else _said(state)

    return server


def _said(text: str) -> CallToolResult:
    return CallToolResult(content=[], structured_content={"carried": text})


async def _rounds(one: Settings, other: Settings) -> dict[str, Any] | None:
    """What comes of a call whose first round one process answers, and the second another."""
    async with open_parts(one) as first_parts, open_parts(other) as second_parts:
        first = _asking(build_server(first_parts, one, ring=ring_of(one)))
        second = _asking(build_server(second_parts, other, ring=ring_of(other)))
        async with Client(first) as client, Client(second) as another:
            asked = await client.session.call_tool("two_rounds", {}, allow_input_required=True)
            assert isinstance(asked, InputRequiredResult)
            assert asked.request_state is not None
            assert "first round" not in asked.request_state
            try:
                done = await another.call_tool("two_rounds", {}, request_state=asked.request_state)
            except MCPError as fault:
                return {"refused": str(fault)}
            return done.structured_content


@pytest.mark.anyio
async def test_a_call_of_two_rounds_is_finished_by_another_process_of_the_same_state_directory(tmp_path: Path) -> None:
    settings = read_settings({"UDS_STATE_DIR": str(tmp_path)})
    with anyio.fail_after(_WITHIN_S):
        assert await _rounds(settings, settings) == {"carried": "from the first round"}


@pytest.mark.anyio
async def test_a_server_of_another_state_directory_cannot_finish_it(tmp_path: Path) -> None:
    settings = [read_settings({"UDS_STATE_DIR": str(tmp_path / name)}) for name in ("one", "two")]
    with anyio.fail_after(_WITHIN_S):
        assert await _rounds(*settings) == {"refused": "Invalid or expired requestState"}
