"""Serving many clients over HTTP until the process is asked to stop."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable
from collections.abc import Generator

import anyio
import uvicorn

from server.health import add_health_routes
from server.http_app import build_app
from server.http_listen import Listen
from server.mcp_server import build_server
from server.parts import open_parts
from server.request_keys import ring_of
from server.request_keys_shared import kept_shared
from server.serve_signals import Stop
from server.settings import Settings
from server.telemetry import Telemetry
from server.telemetry import counted
from sources.duckdb.source import DuckDBSource

_GRACE_S = 1
"""Calls that are still running are cancelled after this long, so that the process is gone within two seconds."""

_LEAVE_WITHIN_S = 1.2
"""The engine is taken down after this long, even while the SDK still waits for clients that stopped listening."""


def serve_http(
    settings: Settings,
    listen: Listen,
    listening: socket.socket,
    stop: Stop,
    source: DuckDBSource | None,
    ready: Callable[[], None],
    telemetry: Telemetry | None = None,
) -> None:
    """Serve on the bound socket until `stop` is asked for. `ready` is called as soon as calls are answered."""
    try:
        asyncio.run(_serve(settings, listen, listening, stop, source, ready, telemetry))
    finally:
        if telemetry is not None:
            telemetry.end()


class _Uvicorn(uvicorn.Server):
    """Tells once it listens, and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def _serve(
    settings: Settings,
    listen: Listen,
    listening: socket.socket,
    stop: Stop,
    prestarted: DuckDBSource | None,
    ready: Callable[[], None],
    telemetry: Telemetry | None,
) -> None:
    ring = ring_of(settings)
    async with (
        open_parts(settings, prestarted) as parts,
        kept_shared(ring, parts.store.wire, parts.store.keys),
        counted(telemetry, parts),
    ):
        server = build_server(parts, settings, ring=ring, telemetry=telemetry)
        add_health_routes(server, parts)
        app = build_app(server, settings, host=listen.host, legacy_sse=listen.legacy_sse, stateless=listen.stateless)
        config = uvicorn.Config(
            app if telemetry is None else telemetry.around(app),
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
            server_header=False,
        )
        web = _Uvicorn(config, ready)
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as serving:
            stop.call_on_stop(lambda: loop.call_soon_threadsafe(_leave, web, serving))
            await web.serve(sockets=[listening])


def _leave(web: uvicorn.Server, serving: anyio.CancelScope) -> None:
    for name in ("uvicorn.error", "mcp"):
        # Streams and calls that are cut off now are no defects, and their tracebacks would bury the ones that are.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    web.handle_exit(signal.SIGTERM, None)
    serving.deadline = anyio.current_time() + _LEAVE_WITHIN_S
