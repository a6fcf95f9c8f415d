"""Serving one client over standard input and output, until it closes them or the process is asked to stop."""

import asyncio
from typing import TYPE_CHECKING
from typing import cast

import anyio
from mcp.server.stdio import stdio_server

from server.mcp_server import build_server
from server.parts import open_parts
from server.serve_signals import Stop
from server.settings import Settings
from server.stdio_lines import Incoming
from server.stdio_lines import Outgoing
from server.stdio_wire import Wire
from server.telemetry import Telemetry
from server.telemetry import counted
from sources.duckdb.source import DuckDBSource

if TYPE_CHECKING:
    from anyio import AsyncFile


def serve_stdio(
    settings: Settings, wire: Wire, stop: Stop, prestarted: DuckDBSource | None, telemetry: Telemetry | None = None
) -> None:
    """Serve until the client closes its end or `stop` is asked for."""
    try:
        asyncio.run(_serve(settings, wire, stop, prestarted, telemetry))
    finally:
        if telemetry is not None:
            telemetry.end()


async def _serve(
    settings: Settings, wire: Wire, stop: Stop, prestarted: DuckDBSource | None, telemetry: Telemetry | None
) -> None:
    loop = asyncio.get_running_loop()
    # The SDK iterates over one and calls write() and flush() of the other; that is all it needs of a file.
    incoming = cast("AsyncFile[str]", Incoming(wire.incoming))
    outgoing = cast("AsyncFile[str]", Outgoing(wire.outgoing))
    async with open_parts(settings, prestarted) as parts, counted(telemetry, parts):
        # The public run() takes no streams, and its own claim of the descriptors is given back before the process ends.
        built = build_server(parts, settings, alone=True, telemetry=telemetry)
        server = built._lowlevel_server  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        with anyio.CancelScope() as serving:
            stop.call_on_stop(lambda: loop.call_soon_threadsafe(serving.cancel))
            async with stdio_server(incoming, outgoing) as (requests, answers):
                await server.run(requests, answers, server.create_initialization_options())
