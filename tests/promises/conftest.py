"""A whole server over the bundled sample, and a real client on it, in both protocol eras."""

import json
import tempfile
from collections.abc import AsyncGenerator
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from contextlib import asynccontextmanager
from typing import Any
from typing import Protocol

import pytest
from mcp import Client
from mcp.server import MCPServer
from mcp_types import TextContent

from server.mcp_server import build_server
from server.parts import Parts
from server.parts import open_parts
from server.settings import read_settings

Answer = dict[str, Any]
Serve = Callable[..., AbstractAsyncContextManager[MCPServer]]


class Ask(Protocol):
    """Call a tool and get its answer, which both forms must carry whole."""

    async def __call__(self, tool: str, /, **arguments: Any) -> Answer: ...


class Refusal(Protocol):
    """Call a tool that must refuse, and get the text of its error."""

    async def __call__(self, tool: str, /, **arguments: Any) -> str: ...


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serve(environ: Mapping[str, str]) -> AsyncGenerator[MCPServer]:
    """A server with the given environment, taken down at the end."""
    with tempfile.TemporaryDirectory(prefix="uds-tests-state-") as state:
        settings = read_settings({"UDS_STATE_DIR": state, **environ})
        async with open_parts(settings) as parts:
            yield build_server(parts, settings)


@pytest.fixture(scope="module", name="serve")
def serve_fixture() -> Serve:
    return serve


@pytest.fixture(scope="module")
async def parts(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    state = tmp_path_factory.mktemp("state")
    async with open_parts(read_settings({"UDS_STATE_DIR": str(state)})) as built:
        yield built


@pytest.fixture(scope="module")
def server(parts: Parts) -> MCPServer:
    return build_server(parts, read_settings({}))


@pytest.fixture(params=["2026-07-28", "legacy"])
async def client(server: MCPServer, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    mode = "legacy" if request.param == "legacy" else "auto"
    async with Client(server, mode=mode) as connected:
        yield connected


@pytest.fixture
async def modern(server: MCPServer) -> AsyncIterator[Client]:
    """One era where the era cannot matter."""
    async with Client(server) as connected:
        yield connected


@pytest.fixture
def ask(modern: Client) -> Ask:
    return asking(modern)


@pytest.fixture
def refusal(modern: Client) -> Refusal:
    return refusing(modern)


def asking(client: Client) -> Ask:
    """Bind `Ask` to a client."""

    async def ask(tool: str, /, **arguments: Any) -> Answer:
        result = await client.call_tool(tool, arguments)
        text = _text(result.content)
        assert not result.is_error, text
        assert json.loads(text) == result.structured_content
        return json.loads(text)

    return ask


def refusing(client: Client) -> Refusal:
    """Bind `Refusal` to a client."""

    async def refusal(tool: str, /, **arguments: Any) -> str:
        result = await client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        return _text(result.content)

    return refusal


def _text(content: list[Any]) -> str:
    (block,) = content
    assert isinstance(block, TextContent)
    return block.text
