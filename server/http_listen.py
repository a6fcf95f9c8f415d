"""Where an HTTP server listens, and what its address means.

Standard library only, so that a busy port is told at once.
"""

import ipaddress
import os
import socket
from dataclasses import dataclass

_BACKLOG = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where to listen; port 0 takes any free one."""

    host: str
    port: int
    legacy_sse: bool
    stateless: bool = False
    """Nothing is kept for a connection between its requests, so that others may answer the next one."""


def bind(listen: Listen) -> socket.socket:
    """Bind a socket. Raises `OSError`, most often because the port is in use or the name is unknown."""
    family, kind, proto, _, address = socket.getaddrinfo(
        listen.host or None, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, proto)
    try:
        if os.name == "posix":  # elsewhere the option lets two servers share one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
