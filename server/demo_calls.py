"""The demo's own MCP client: it starts the installed command as a host would, and times every call it makes."""

import os
import shutil
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp import StdioServerParameters
from mcp_types import CallToolResult
from mcp_types import TextContent

Answer = dict[str, Any]
"""The structured content of a tool's answer, as the tool contract has it."""

_START_WITHIN_S = 30.0
_CALL_WITHIN_S = 30.0


class DemoFailed(Exception):
    """The server did not do what the demo asked; the text says what it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer and how long the client waited for it, the way to the server and back included."""

    answer: Answer
    waited_ms: float


@dataclass(frozen=True, slots=True)
class Caller:
    """A connected client."""

    client: Client
    protocol: str
    started_ms: float
    """From starting the process to its first answer."""

    async def __call__(self, tool: str, **arguments: Any) -> Told:
        """Call a tool. Raises `DemoFailed` when it refuses."""
        started_s = time.perf_counter()
        with anyio.fail_after(_CALL_WITHIN_S):
            result = await self.client.call_tool(tool, arguments)
        waited_ms = (time.perf_counter() - started_s) * 1000
        if result.is_error or result.structured_content is None:
            raise DemoFailed(f"{tool}: {_text_of(result)}")
        return Told(answer=result.structured_content, waited_ms=waited_ms)


@asynccontextmanager
async def connected(command: StdioServerParameters) -> AsyncGenerator[Caller]:
    """Start the server and connect to it. Only what every program needs is inherited, so settings are the defaults."""
    started_s = time.perf_counter()
    with anyio.fail_after(_START_WITHIN_S) as starting:
        async with Client(command) as client:
            await client.list_tools()
            starting.deadline = float("inf")
            yield Caller(client, client.protocol_version, (time.perf_counter() - started_s) * 1000)


def own_command() -> StdioServerParameters:
    """The console script that was installed with this interpreter, or else the package itself."""
    script = shutil.which("uds-mcp", path=os.pathsep.join((str(Path(sys.executable).parent), *_folder_of_this())))
    if script is not None:
        return StdioServerParameters(command=script, args=[])
    # -P: a folder named `server` where the demo happens to be started must not be taken for ours.
    return StdioServerParameters(command=sys.executable, args=["-P", "-m", "server"])


def _folder_of_this() -> tuple[str, ...]:
    started_as = Path(sys.argv[0])
    return (str(started_as.absolute().parent),) if started_as.stem == "uds-mcp" else ()


def _text_of(result: CallToolResult) -> str:
    return " ".join(part.text for part in result.content if isinstance(part, TextContent)) or "an empty answer"
