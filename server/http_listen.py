"""Where an HTTP server listens, and what its address means.

Standard library only, so that a busy port is told at once.
"""

import ipaddress
import os
import socket
import sys
from dataclasses import dataclass
from dataclasses import replace

_BACKLOG = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where to listen; port 0 takes any free one."""

    host: str
    port: int
    legacy_sse: bool
    stateless: bool = False
    """Nothing is kept for a connection between its requests, so that others may answer the next one."""


def bind_each(listen: Listen, count: int) -> list[socket.socket]:
    """One socket for each of several processes, all on one address. Raises `OSError`, as `bind`.

    Where several processes accept from one socket, whoever wakes first takes all that waits: of 16 clients that came at
    once, mostly one process got all 16. Linux spreads connections over sockets that share a port; other systems do not,
    so there it is the same socket for all. A socket whose process is being started again holds its clients meanwhile.
    """
    alone = bind(listen)  # the option below would let a second server share the port as well
    if sys.platform != "linux":
        return [alone] * count
    port = alone.getsockname()[1]
    alone.close()
    sharing = replace(listen, port=port)
    return [bind(sharing, shares_port=True) for _ in range(count)]


def bind(listen: Listen, *, shares_port: bool = False) -> socket.socket:
    """Bind a socket. Raises `OSError`, most often because the port is in use or the name is unknown."""
    family, kind, proto, _, address = socket.getaddrinfo(
        listen.host or None, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, proto)
    try:
        if os.name == "posix":  # elsewhere the option lets two servers share one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_any(host: str) -> bool:
    """Whether the address means every interface, so that it says nothing about the names callers use."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def in_url(host: str) -> str:
    """The host as it is written in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host
