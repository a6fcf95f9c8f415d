"""The MCP server object: our tools, resources, prompts and completions on the SDK."""

from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.mcpserver.resources.templates import ResourceSecurity

from server import __version__
from server.completions import add_completions
from server.faults import ANTICIPATED
from server.faults import fault_text
from server.instructions import INSTRUCTIONS
from server.parts import Parts
from server.prompts import add_prompts
from server.registration import Conversations
from server.registration import RegisteredTool
from server.registration import noticed_by_nobody
from server.registration import principal
from server.request_keys import KeyRing
from server.request_keys import security
from server.settings import Settings
from server.subscriptions import SharedSubscriptions
from server.telemetry import Telemetry
from tools.call import Call

_ANY_NAME = ResourceSecurity(exempt_params={"source", "schema"})
"""Schema names are looked up in a catalogue, never used as paths, and may hold anything a file name may."""


def build_server(
    parts: Parts,
    settings: Settings,
    *,
    alone: bool = False,
    ring: KeyRing | None = None,
    telemetry: Telemetry | None = None,
) -> MCPServer:
    """Build the one server object that every transport serves.

    `alone`: this process was started for one host only. `ring`: the keys it shares with other processes, so that any of
    them can go on with a call of several rounds; None: it shares them with nobody. `telemetry`: who is told of calls.
    """
    bus = SharedSubscriptions(parts.changes)
    parts.watch(bus.moved)
    keys = tuple(key for key in settings.conversation_keys if not key.startswith("env:"))
    conversations = Conversations(keys=keys, own=settings.own_conversation if alone else None)
    noticed = noticed_by_nobody
    if telemetry is not None:
        telemetry.knows(tool.name for tool in parts.tools)
        noticed = telemetry.noticed
    server = MCPServer(
        "uds",
        title="Universal Data Synthesizer",
        description="Discover data you have never seen, and remember what you learned.",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=[RegisteredTool.of(tool, conversations, noticed) for tool in parts.tools],
        subscriptions=bus,
        middleware=[bus.watching] if telemetry is None else [telemetry.watching, bus.watching],
        request_state_security=security(ring) if ring is not None else None,
        log_level=settings.log_level,
    )
    _add_resources(server, parts)
    add_prompts(server)
    add_completions(server, parts.ports)
    return server


def _add_resources(server: MCPServer, parts: Parts) -> None:
    @server.resource(
        "uds://sessions/{session}",
        name="session",
        title="A session",
        description="The whole of a session: goals, context, preferences, findings, explored schemas.",
        mime_type="application/json",
    )
    async def session(session: str, ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        _ = ctx
        try:
            return await parts.resources.session(Call(principal=principal()), session)
        except ANTICIPATED as fault:
            raise ResourceNotFoundError(fault_text(fault)) from fault

    @server.resource(
        "uds://schemas/{source}/{schema}",
        name="schema",
        title="A schema",
        description="What is known of a schema, with the age of what was measured.",
        mime_type="application/json",
        security=_ANY_NAME,
    )
    async def schema(source: str, schema: str, ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        _ = ctx
        try:
            return await parts.resources.schema(Call(principal=principal()), source, schema)
        except ANTICIPATED as fault:
            raise ResourceNotFoundError(fault_text(fault)) from fault
