"""The two routes a supervisor asks: is the process alive, and can it answer questions about data now."""

import asyncio

from mcp.server import MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse

from server import __version__
from server.parts import Parts
from sources.abilities import Gathering
from sources.errors import SourceError
from sources.protocol import Source

_PATIENCE_S = 2.0
"""A source that takes longer to list its schemas is not ready."""


def add_health_routes(server: MCPServer, parts: Parts) -> None:
    """Add `/health` and `/ready`; they need no Host that is allowed, because probes call by address.

    A server whose state is not kept as it should be answers all the same, so it is ready; `state` says what is wrong.
    """

    @server.custom_route("/health", methods=["GET"])
    async def health(_request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse({"status": "ok", "version": __version__})

    @server.custom_route("/ready", methods=["GET"])
    async def ready(_request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        states = await asyncio.gather(*(_state_of(source) for source in parts.sources))
        is_ready = all(state == "ok" for state in states)
        sources = {source.name: state for source, state in zip(parts.sources, states, strict=True)}
        body = {
            "status": "ready" if is_ready else "not_ready",
            "sources": sources,
            "state": parts.state_notice() or "ok",
        }
        return JSONResponse(body, status_code=200 if is_ready else 503)


async def _state_of(source: Source) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            if isinstance(source, Gathering):
                await source.fingerprint()  # probes come every few seconds, and must not count all rows each time
            else:
                await source.schemas()
    except (SourceError, TimeoutError):
        return "unreachable"
    return "ok"
