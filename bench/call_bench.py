"""What a cached call costs above an empty tool on the bare SDK, over the in-memory client, in CPU time.

Both servers live in one process and are asked in turn, so that drift of the machine hits both alike.
Run: python bench/call_bench.py [--json FILE]
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.server import MCPServer
from mcp_types import CallToolResult
from mcp_types import TextContent

from server.mcp_server import build_server
from server.parts import open_parts
from server.settings import read_settings

ROUNDS = 30
CALLS = 100
BOUND_US = 100


def bare_server(payload: str, structured: dict[str, Any]) -> MCPServer:
    """The SDK alone: an empty tool as anybody writes it, one stripped of all the SDK can leave out, and our payload."""
    server = MCPServer("bare", log_level="WARNING")

    @server.tool()
    async def empty() -> str:  # pyright: ignore[reportUnusedFunction]
        return ""

    @server.tool(structured_output=False)
    async def stripped() -> CallToolResult:  # pyright: ignore[reportUnusedFunction]
        return CallToolResult(content=[])

    @server.tool(structured_output=False)
    async def ready_made() -> CallToolResult:  # pyright: ignore[reportUnusedFunction]
        return CallToolResult(content=[TextContent(type="text", text=payload)], structured_content=structured)

    return server


async def cpu_us(call: Callable[[], Awaitable[Any]]) -> float:
    """CPU time of one call in this process, client included."""
    started = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - started) / CALLS * 1e6


async def measure() -> list[dict[str, Any]]:
    """Ask in turn and take the median of the differences."""
    settings = read_settings({})
    async with open_parts(settings) as parts, Client(build_server(parts, settings)) as ours:
        first = await ours.call_tool("describe_schema", {"schema": "flights"})
        content: Any = first.content[0]
        async with Client(bare_server(content.text, first.structured_content or {})) as bare:
            asked: dict[str, Callable[[], Awaitable[Any]]] = {
                "empty tool, bare SDK": lambda: bare.call_tool("empty", {}),
                "empty tool without schema or content, bare SDK": lambda: bare.call_tool("stripped", {}),
                "ready-made payload, bare SDK": lambda: bare.call_tool("ready_made", {}),
                "describe_schema, cached": lambda: ours.call_tool("describe_schema", {"schema": "flights"}),
                "list_schemas": lambda: ours.call_tool("list_schemas", {}),
                "cache status": lambda: ours.call_tool("cache", {"action": "status"}),
            }
            seen: dict[str, list[float]] = {name: [] for name in asked}
            for _ in range(ROUNDS):
                for name, call in asked.items():
                    seen[name].append(await cpu_us(call))
    return rows(seen, len(content.text))


def rows(seen: dict[str, list[float]], payload_chars: int) -> list[dict[str, Any]]:
    """Every tool against the empty one."""
    empty = seen["empty tool, bare SDK"]
    found: list[dict[str, Any]] = []
    for name, values in seen.items():
        added = statistics.median(mine - bare for mine, bare in zip(values, empty, strict=True))
        ratio = statistics.median(mine / bare for mine, bare in zip(values, empty, strict=True))
        bound = BOUND_US if name == "describe_schema, cached" else None
        found.append(
            {
                "name": f"{name} ({payload_chars} characters)" if "describe" in name or "ready" in name else name,
                "value": round(added, 1),
                "unit": "us CPU above the empty tool",
                "versus": f"empty tool {statistics.median(empty):.0f} us",
                "ratio": round(ratio, 2),
                "bound": bound,
                "ok": bound is None or added <= bound,
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = asyncio.run(measure())
    for row in found:
        print(f"{row['name']:55} {row['value']:8} {row['unit']:30} x{row['ratio']} {'ok' if row['ok'] else 'OVER'}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
