"""A host's name for its conversation finds the session again, and grants nothing."""

from typing import Any

import pytest
from mcp import Client
from mcp.server import MCPServer

from server.mcp_server import build_server
from server.parts import open_parts
from server.settings import read_settings
from tests.promises.conftest import Serve

pytestmark = pytest.mark.anyio


async def _opened(server: MCPServer, meta: Any, **arguments: Any) -> dict[str, Any]:
    async with Client(server) as client:
        result = await client.call_tool("open_session", arguments, meta=meta)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


@pytest.mark.parametrize(
    "key",
    [
        "vscode.conversationId",
        "openai/session",
        "threadId",
        "ai.opencode/sessionID",
        "antigravity.google/conversation_id",
    ],
)
async def test_each_host_that_names_its_conversation_finds_its_session_again(server: MCPServer, key: str) -> None:
    first = await _opened(server, {key: f"one of {key}"}, goal="which airlines are late?")
    again = await _opened(server, {key: f"one of {key}", "claudecode/toolUseId": "another call"}, goal="and when?")
    other = await _opened(server, {key: f"another of {key}"}, goal="which airlines are late?")
    assert again["session"] == first["session"] != other["session"]
    assert again["goal"] == "and when?"
    assert "found again" in again["hints"][0]
    assert not first["hints"]


async def test_a_label_a_parent_or_a_key_opens_another_session_in_the_same_conversation(server: MCPServer) -> None:
    meta = {"threadId": "with labels"}
    first = (await _opened(server, meta))["session"]
    others = [
        (await _opened(server, meta, label="side"))["session"],
        (await _opened(server, meta, parent=first))["session"],
        (await _opened(server, meta, branch_of=first))["session"],
        (await _opened(server, meta, idempotency_key="mine"))["session"],
    ]
    assert len({first, *others}) == 5
    assert (await _opened(server, meta, label="side"))["session"] == others[0]


@pytest.mark.parametrize("meta", [{"threadId": 7}, {"threadId": ""}, {"threadId": "x" * 201}, {"other": "x"}, None])
async def test_what_is_no_name_of_a_conversation_is_ignored(server: MCPServer, meta: dict[str, Any] | None) -> None:
    assert (await _opened(server, meta))["session"] != (await _opened(server, meta))["session"]


async def test_the_environment_names_the_conversation_only_of_a_server_started_for_one_host(tmp_path: Any) -> None:
    settings = read_settings({"UDS_STATE_DIR": str(tmp_path), "CLAUDE_CODE_SESSION_ID": "abc"})
    async with open_parts(settings) as parts:
        alone, shared = build_server(parts, settings, alone=True), build_server(parts, settings)
        first = await _opened(alone, None)
        assert (await _opened(alone, None))["session"] == first["session"]
        assert (await _opened(alone, {"threadId": "t"}))["session"] != first["session"]
        assert (await _opened(shared, None))["session"] != (await _opened(shared, None))["session"]


async def test_no_key_is_looked_at_when_none_is_configured(serve: Serve) -> None:
    async with serve({"UDS_CONVERSATION_KEYS": "none"}) as server:
        meta = {"threadId": "t"}
        assert (await _opened(server, meta))["session"] != (await _opened(server, meta))["session"]


async def test_a_conversation_finds_its_session_after_a_restart(tmp_path: Any) -> None:
    environ = {"UDS_STATE_DIR": str(tmp_path)}
    handles: list[str] = []
    for _ in range(2):
        settings = read_settings(environ)
        async with open_parts(settings) as parts:
            opened = await _opened(build_server(parts, settings), {"openai/session": "s"}, goal="why?")
            handles.append(opened["session"])
    assert handles[0] == handles[1]
