"""What New Relic APM is told of a server: every call once, what it cost, and nothing of what was asked or answered.

The agent runs as it would, in its rehearsal mode, and what it hands to its wire is read.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from collections.abc import Generator
from collections.abc import Iterator
from contextlib import asynccontextmanager
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp import StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.shared.subscriptions import ResourceUpdated

from tests.apm_sent import Sent
from tests.apm_sent import watched
from tests.redis_server import redis_binary
from tests.redis_server import redis_server
from tests.uds_process import UdsProcess
from tests.uds_process import uds_processes

pytest.importorskip("newrelic", reason="the APM agent is an extra")
pytestmark = pytest.mark.anyio

_ROOT = Path(__file__).parents[2]
_WITHIN_S = 60
_TURNS = 6
_USER_KEY = "NRAK-SIMULATED"
_TALKATIVE = """\
[newrelic]
developer_mode = true
capture_params = true
attributes.include = request.parameters.* request.headers.*
transaction_tracer.record_sql = raw
transaction_tracer.transaction_threshold = 0
strip_exception_messages.enabled = false
strip_exception_messages.allowlist = sources.errors:UnknownSchema
application_logging.forwarding.enabled = true
application_logging.forwarding.context_data.enabled = true
error_collector.capture_source = true
ai_monitoring.enabled = true
ai_monitoring.record_content.enabled = true
"""
"""Whatever the agent can be asked to send besides."""
_NOISY = {"NEW_RELIC_LOG": "stdout", "NEW_RELIC_LOG_LEVEL": "debug"}
"""Where the wire would be, had it not been claimed."""
_LICENCE = "d0ce5ec2e7" * 4
_SECRETS = (
    "PLANTED-GOAL",
    "PLANTED-LABEL",
    "PLANTED-FINDING",
    "PLANTED-KEY",
    "PLANTED-VALUE",
    "PLANTED_LITERAL",
    "PLANTED_SCHEMA",
    "PLANTED_ATTRIBUTE",
    "PLANTED_ARGUMENT",
    "PLANTED_TOOL",
    "PLANTED_HANDLE",
    "PLANTED-CONVERSATION",
    "PLANTED-PARAMETER",
    "FROM flights",
    _LICENCE,
)


@dataclass(slots=True)
class Told:
    """What a client did, and what was sent about it."""

    sent: Sent
    calls: Counter[str] = field(default_factory=Counter[str])
    refused: int = 0
    handle: str = ""
    cache: dict[str, Any] = field(default_factory=dict[str, Any])


def _script() -> str:
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "the project is not installed in this environment"
    return script


@pytest.fixture(scope="module", params=["stdio", "http", "http-2025", "sse", "redis", "talkative"])
async def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A conversation over a transport, and everything that was sent until the server had ended."""
    folder = tmp_path_factory.mktemp("watched")
    sent, environ = watched(folder)
    told = Told(sent)
    environ |= {"NEW_RELIC_LICENSE_KEY": _LICENCE, "UDS_STATE_DIR": str(folder / "state")}
    file = folder / "newrelic.ini"
    file.write_text(_TALKATIVE)
    talkative = {"NEW_RELIC_CONFIG_FILE": str(file), "UDS_LOG_LEVEL": "DEBUG"}
    environ |= {"talkative": talkative, "stdio": _NOISY}.get(request.param, {})
    with anyio.fail_after(_WITHIN_S), _redis_for(request.param, folder) as more:
        async with _connected(request.param, folder, environ | more) as client:
            await _converse(client, told)
    return told


@contextmanager
def _redis_for(transport: str, folder: Path) -> Generator[dict[str, str]]:
    if transport != "redis":
        yield {}
        return
    if redis_binary() is None:
        pytest.skip("redis-server is not installed")
    with redis_server(folder / "redis") as redis:
        yield {"STATE_STORE_TYPE": "redis", "REDIS_URL": redis.url}


@asynccontextmanager
async def _connected(transport: str, folder: Path, environ: dict[str, str]) -> AsyncGenerator[Client]:
    """A client of a server of its own, which ends with the block."""
    if transport == "stdio":
        command = StdioServerParameters(command=_script(), env={**os.environ, **environ})
        async with Client(command) as client:
            yield client
        return
    serving = UdsProcess(folder, environ, arguments=("--legacy-sse",) if transport == "sse" else ())
    with uds_processes([serving]):
        address = f"{serving.address}/mcp?token=PLANTED-PARAMETER"
        over = sse_client(f"{serving.address}/sse") if transport == "sse" else address
        async with Client(over, mode="legacy" if transport in {"sse", "http-2025"} else "auto") as client:
            yield client
        assert serving.stop() == 0


async def _converse(client: Client, told: Told) -> None:
    async def call(tool: str, /, **arguments: Any) -> dict[str, Any]:
        told.calls[tool if not tool.startswith("PLANTED") else "unknown"] += 1
        meta: Any = {"threadId": "PLANTED-CONVERSATION"}
        result = await client.call_tool(tool, arguments, meta=meta)
        told.refused += bool(result.is_error)
        return result.structured_content or {}

    opened = await call("open_session", goal="PLANTED-GOAL", label="PLANTED-LABEL")
    told.handle = opened["session"]
    await call("remember", session=told.handle, kind="finding", value="PLANTED-FINDING", evidence="PLANTED-VALUE")
    await call("remember", session=told.handle, kind="context", key="PLANTED-KEY", value={"a": "PLANTED-VALUE"})
    await call("describe_schema", schema="flights", session=told.handle)
    for turn in range(_TURNS):
        query = f"SELECT {turn}, count(*) FROM flights WHERE carrier <> 'PLANTED_LITERAL'"
        async with asyncio.TaskGroup() as together:
            together.create_task(call("run_query", query=query))
            together.create_task(call("describe_schema", schema="PLANTED_SCHEMA"))
            together.create_task(call("describe_schema", schema="flights"))
            together.create_task(call("profile_attribute", schema="flights", attribute="PLANTED_ATTRIBUTE"))
    await call("run_query", query="SELECT PLANTED_ATTRIBUTE FROM flights")
    await call("recall", session="PLANTED_HANDLE")
    await call("list_schemas", PLANTED_ARGUMENT="PLANTED-VALUE")
    with contextlib.suppress(Exception):
        await call("PLANTED_TOOL")
    await client.read_resource(f"uds://sessions/{told.handle}")
    await call("close_session", session=told.handle)
    told.cache = (await call("cache", action="status"))["memory"]


async def test_each_call_is_one_transaction_and_one_event(told: Told) -> None:
    assert Counter(_tool_of(each) for each in told.sent.transactions() if _tool_of(each)) == told.calls
    assert Counter(each["tool"] for each in told.sent.events()) == told.calls


async def test_requests_that_only_carry_calls_are_none(told: Told) -> None:
    others = {each["name"].split("/", 1)[1] for each in told.sent.transactions() if not _tool_of(each)}
    assert others <= {"MCP/resources/read", "MCP/server/discover", "MCP/initialize", "MCP/tools/list"}


async def test_calls_that_run_at_the_same_time_do_not_mix(told: Told) -> None:
    """Those that ask the engine, those that fail at once and those that the cache answers, all at once."""
    for each in told.sent.transactions():
        tool = _tool_of(each)
        if tool is None:
            continue
        assert each["uds.tool"] == tool
        if tool == "run_query":
            assert each.get("uds.cached") is not True
            assert each["databaseCallCount"] >= 1
        if tool == "profile_attribute":
            assert each["uds.error_code"] == "unknown_attribute"
        if each.get("uds.error_code") == "unknown_schema":
            assert tool == "describe_schema"
            assert "uds.source" not in each
        if each.get("uds.cached"):
            assert tool == "describe_schema"
            assert each["uds.tier"] == "memory"
            assert "databaseCallCount" not in each
    told_of = [each for each in told.sent.transactions() if _tool_of(each)]
    assert sum(bool(each.get("uds.cached")) for each in told_of) == _TURNS
    assert sum(each.get("uds.error_code") == "unknown_schema" for each in told_of) == _TURNS


async def test_what_went_wrong_has_its_code_and_is_expected(told: Told) -> None:
    codes = Counter(each["error_code"] for each in told.sent.events() if "error_code" in each)
    assert codes["unknown_schema"] == codes["unknown_attribute"] == _TURNS
    assert codes["query_rejected"] == codes["invalid_argument"] == 1
    assert codes["unknown_session"] + codes["quota_spent"] == 1  # the latter while Redis is still being asked who it is
    assert codes.total() >= told.refused
    assert told.sent.errors()
    assert all(each["error.expected"] for each in told.sent.errors())
    assert "sources.errors:UnknownSchema" in {each["error.class"] for each in told.sent.errors()}


async def test_nothing_of_what_was_asked_or_answered_is_sent(told: Told) -> None:
    assert "UdsToolCall" in told.sent.text
    assert [secret for secret in (*_SECRETS, told.handle) if secret in told.sent.text] == []


async def test_counts_are_those_of_the_cache_and_of_the_sessions(told: Told) -> None:
    metrics = told.sent.metrics()
    for name in ("hits", "misses", "loads"):
        assert metrics[f"Custom/uds/cache/{name}"][0] == told.cache[name]
    assert metrics["Custom/uds/sessions/opened"][0] == 1
    assert metrics["Custom/uds/sessions/closed"][0] == 1
    count, total_s, _, least_s, most_s, _ = metrics["Custom/uds/journal/commits"]
    assert count >= 4
    assert 0 < least_s <= total_s / count <= most_s


async def test_stores_are_segments_with_the_names_of_their_operations_only(told: Told) -> None:
    operations = {name for name in told.sent.metrics() if name.startswith("Datastore/operation/")}
    assert {"Datastore/operation/DuckDB/query", "Datastore/operation/DuckDB/measure"} <= operations
    assert any(
        name.startswith(("Datastore/operation/SQLite/append", "Datastore/operation/Redis/")) for name in operations
    )
    assert all(name.rpartition("/")[2].replace("_", "").isalpha() for name in operations)
    assert not any(name.startswith("Datastore/statement/") for name in told.sent.metrics())


def _tool_of(transaction: dict[str, Any]) -> str | None:
    head, _, tool = transaction["name"].partition("/MCP/tools/call ")
    return tool if head in {"WebTransaction", "OtherTransaction"} else None


async def test_a_stream_that_stays_open_spoils_no_average(tmp_path: Path) -> None:
    sent, environ = watched(tmp_path)
    serving = UdsProcess(tmp_path, environ)
    with anyio.fail_after(_WITHIN_S), uds_processes([serving]):
        async with Client(f"{serving.address}/mcp") as client:
            opened: Any = await client.call_tool("open_session", {})
            session = opened.structured_content["session"]
            async with client.listen(resource_subscriptions=[f"uds://sessions/{session}"]) as listening:
                await client.call_tool("remember", {"session": session, "kind": "finding", "value": "x"})
                assert isinstance(await anext(aiter(listening)), ResourceUpdated)
        assert serving.stop() == 0
    assert {each["name"].split("/", 1)[1] for each in sent.transactions()} == {
        "MCP/server/discover",
        "MCP/tools/list",
        "MCP/tools/call open_session",
        "MCP/tools/call remember",
    }


def _scene(name: str, folder: Path) -> tuple[Any, Sent]:
    """What a scene with the agent in its own process saw, and what was sent about it."""
    sent, environ = watched(folder)
    ran = subprocess.run(
        [sys.executable, "-P", str(_ROOT / "tests" / "apm_scenes.py"), name],
        env={**os.environ, **environ, "UDS_STATE_DIR": str(folder / "state")},
        capture_output=True,
        text=True,
        check=False,
        timeout=_WITHIN_S,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1]), sent


def test_a_defect_is_an_unexpected_error_with_its_place_and_without_its_text(tmp_path: Path) -> None:
    failed, sent = _scene("defect", tmp_path)
    assert failed
    (error,) = sent.errors()
    assert error["error.class"] == "builtins:RuntimeError"
    assert not error["error.expected"]
    assert error["uds.error_code"] == "internal_error"
    assert "apm_scenes.py" in sent.text
    assert "PLANTED-VALUE" not in sent.text


def test_a_call_that_is_given_up_takes_no_other_with_it(tmp_path: Path) -> None:
    (answered, after), sent = _scene("cancelled", tmp_path)
    assert not answered
    assert not after
    told = Counter((each["tool"], each.get("error_code")) for each in sent.events())
    assert told == {
        ("describe_schema", "cancelled"): 1,
        ("describe_schema", None): 1,
        ("run_query", "cancelled"): 1,
        ("run_query", None): 1,
    }
    assert Counter(_tool_of(each) for each in sent.transactions()) == {"describe_schema": 2, "run_query": 2}
    assert sent.errors() == []


def test_a_task_that_outlives_the_call_it_began_in_gets_a_transaction_of_its_own(tmp_path: Path) -> None:
    """As a session does that the first request of a client began."""
    _, sent = _scene("outlived", tmp_path)
    assert [each["name"] for each in sent.transactions()] == [
        "OtherTransaction/MCP/first",
        "OtherTransaction/MCP/second",
    ]


def test_the_spans_of_the_sdk_still_reach_who_asked_for_them(tmp_path: Path) -> None:
    spans, sent = _scene("spans", tmp_path)
    (called,) = (
        span for span in spans if span["name"] == "tools/call describe_schema" and "mcp.protocol.version" in span
    )
    assert called["gen_ai.tool.name"] == "describe_schema"
    assert [each["tool"] for each in sent.events()] == ["describe_schema"]


def test_each_worker_has_an_agent_of_its_own_and_their_watcher_has_none(tmp_path: Path) -> None:
    sent, environ = watched(tmp_path)
    serving = UdsProcess(tmp_path, environ, arguments=("--workers", "2"))
    with uds_processes([serving]):
        watcher = serving.pid
        assert serving.stop() == 0
    assert len(sent.processes) == 2
    assert watcher not in sent.processes


def test_without_a_licence_the_agent_is_not_even_read() -> None:
    asked = (
        "import server.stdio, server.http_serve, sys\n"
        "from server.settings import read_settings\n"
        "from server.telemetry import begin\n"
        "assert begin(read_settings({})) is None\n"
        "print([name for name in sys.modules if name.startswith('newrelic')])"
    )
    answer = subprocess.run([sys.executable, "-P", "-c", asked], capture_output=True, text=True, check=True, cwd=_ROOT)
    assert answer.stdout.strip() == "[]"


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """A collector that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes where only Linux lists them")
def test_a_collector_that_does_not_answer_holds_up_neither_start_nor_stop(tmp_path: Path, deaf: socket.socket) -> None:
    host, port = deaf.getsockname()
    environ = {"NEW_RELIC_LICENSE_KEY": _LICENCE, "NEW_RELIC_HOST": host, "NEW_RELIC_PORT": str(port)}
    serving = UdsProcess(tmp_path, environ | {"NEW_RELIC_STARTUP_TIMEOUT": "30"})
    with uds_processes([serving]):
        deaf.settimeout(_WITHIN_S)
        asking, _ = deaf.accept()
        with asking:
            assert not any(_LICENCE in environ for environ in _environs_below(serving.pid))
            began_s = time.monotonic()
            assert serving.stop() == 0
            assert time.monotonic() - began_s < 2.0


def _environs_below(process: int) -> list[str]:
    """What the processes it started know from their environment: those of the engine."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    below = [int(child) for each in children for child in each.read_text().split()]
    assert below, "no worker of the engine was started"
    return [Path(f"/proc/{child}/environ").read_text(encoding="utf-8", errors="replace") for child in below]


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"NEW_RELIC_CONFIG_FILE": "/nonexistent/newrelic.ini"}, "cannot be started"),
        ({"NEW_RELIC_LICENSE_KEY": _LICENCE, "NEW_RELIC_PORT": "many"}, "not allowed"),
        ({"NEW_RELIC_LICENSE_KEY": _LICENCE, "NEW_RELIC_MONITOR_MODE": "false"}, "does not run"),
    ],
)
async def test_a_server_whose_agent_cannot_start_says_so_and_serves(
    tmp_path: Path, environ: dict[str, str], why: str
) -> None:
    with (tmp_path / "log.txt").open("w+") as log, anyio.fail_after(_WITHIN_S):
        state = {"UDS_STATE_DIR": str(tmp_path)}
        command = StdioServerParameters(command=_script(), env={**os.environ, **environ, **state})
        async with Client(stdio_client(command, errlog=log)) as client:
            answer = await client.call_tool("cache", {"action": "status"})
            assert not answer.is_error
        log.seek(0)
        said = log.read()
    assert why in said
    assert "Traceback" not in said


@contextmanager
def _simulator() -> Generator[dict[str, str]]:
    """What a server must be told to ask a simulated New Relic."""
    pytest.importorskip("graphql", reason="the simulator is an extra")
    command = [_script(), "simulate", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            found = next(filter(None, (re.search(r"listening: (http://\S+)", line) for line in running.stderr)))
            yield {"NEW_RELIC_REGION": found[1], "NEW_RELIC_API_KEY": _USER_KEY, "NEW_RELIC_ACCOUNT_ID": "1"}
        finally:
            running.terminate()


async def test_what_is_asked_of_new_relic_is_a_segment_of_the_call_and_neither_key_nor_nrql_is_sent(
    tmp_path: Path,
) -> None:
    sent, environ = watched(tmp_path)
    with _simulator() as simulated, anyio.fail_after(_WITHIN_S):
        environ |= {"UDS_STATE_DIR": str(tmp_path / "state")} | simulated
        async with _connected("stdio", tmp_path, environ) as client:
            query = "SELECT count(*) FROM flights WHERE carrier = 'PLANTED_LITERAL' SINCE 1 week ago"
            asked = {"source": "newrelic", "dialect": "nrql", "query": query}
            answer = await client.call_tool("run_query", asked)
            assert not answer.is_error, answer.content
    (called,) = (each for each in sent.transactions() if _tool_of(each) == "run_query")
    assert called["uds.source"] == "newrelic"
    assert called["databaseCallCount"] >= 1
    assert sent.metrics()["Custom/uds/newrelic/statements"][0] == sent.metrics()["Datastore/operation/NRDB/nrql"][0]
    assert [secret for secret in (*_SECRETS, _USER_KEY, "SELECT", "SINCE") if secret in sent.text] == []
