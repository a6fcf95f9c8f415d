"""What a server says of its address to whoever started it, on standard error and whatever the log level.

Standard library only: the process that watches over workers says it too.
"""

import logging
import socket
import sys

from server.http_listen import Listen
from server.http_listen import in_url
from server.http_listen import is_any
from server.http_listen import is_loopback
from server.settings import Settings


def announce(listen: Listen, listening: socket.socket, *, workers: int = 1) -> None:
    """Say where it can be called, once it answers there."""
    host = "127.0.0.1" if is_any(listen.host) else in_url(listen.host)
    address = f"http://{host}:{listening.getsockname()[1]}"
    by = "" if workers == 1 else f" with {workers} workers"
    say(f"uds-mcp is listening: {address}/mcp{by} (health: {address}/health, {address}/ready)")
    if listen.legacy_sse:
        say(f"legacy SSE: {address}/sse")


def warn_who_can_call(settings: Settings, host: str) -> None:
    """Say when others than this machine's own users can call, and when they are turned away by name."""
    if is_loopback(host):
        return
    say(f"warning: {host} can be reached from other machines and there is no authentication: keep it behind one.")
    if is_any(host) and not settings.allowed_hosts:
        say("warning: only calls to localhost are answered until UDS_ALLOWED_HOSTS names the server's other names.")


def say(line: str) -> None:
    """Tell the operator."""
    try:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - said to the operator whatever the log level
    except OSError:
        logging.getLogger(__name__).info(line)
