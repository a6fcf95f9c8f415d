"""Serving many clients over HTTP until the process is asked to stop."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable
from collections.abc import Generator

import anyio
import uvicorn

from server.health import add_health_routes
from server.http_app import build_app
from server.http_listen import Listen
from server.http_listen import in_url
from server.http_listen import is_any
from server.http_listen import is_loopback
from server.mcp_server import build_server
from server.parts import open_parts
from server.serve_signals import Stop
from server.settings import Settings
from sources.duckdb.source import DuckDBSource

_GRACE_S = 1
"""Calls that are still running are cancelled after this long, so that the process is gone within two seconds."""

_LEAVE_WITHIN_S = 1.2
"""The engine is taken down after this long, even while the SDK still waits for clients that stopped listening."""


def serve_http(settings: Settings, listen: Listen, listening: socket.socket, stop: Stop, source: DuckDBSource) -> None:
    """Serve on the bound socket until `stop` is asked for."""
    _warn_who_can_call(settings, listen.host)
    asyncio.run(_serve(settings, listen, listening, stop, source))


class _Uvicorn(uvicorn.Server):
    """Announces itself once it listens, and leaves signals to the process."""

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
    settings: Settings, listen: Listen, listening: socket.socket, stop: Stop, prestarted: DuckDBSource
) -> None:
    async with open_parts(settings, prestarted) as parts:
        server = build_server(parts, settings)
        add_health_routes(server, parts)
        app = build_app(server, settings, host=listen.host, legacy_sse=listen.legacy_sse)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=_GRACE_S, server_header=False
        )
        web = _Uvicorn(config, lambda: _announce(listen, listening))
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


def _announce(listen: Listen, listening: socket.socket) -> None:
    host = "127.0.0.1" if is_any(listen.host) else in_url(listen.host)
    address = f"http://{host}:{listening.getsockname()[1]}"
    _say(f"uds-mcp is listening: {address}/mcp (health: {address}/health, {address}/ready)")
    if listen.legacy_sse:
        _say(f"legacy SSE: {address}/sse")


def _warn_who_can_call(settings: Settings, host: str) -> None:
    if is_loopback(host):
        return
    _say(f"warning: {host} can be reached from other machines and there is no authentication: keep it behind one.")
    if is_any(host) and not settings.allowed_hosts:
        _say("warning: only calls to localhost are answered until UDS_ALLOWED_HOSTS names the server's other names.")


def _say(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - said to the operator whatever the log level
    except OSError:
        logging.getLogger(__name__).info(line)
