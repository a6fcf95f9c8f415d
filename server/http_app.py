"""The ASGI application: Streamable HTTP on `/mcp`, the health routes, legacy SSE when asked for, and who may call."""

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.routing import Route

from server.http_listen import in_url
from server.http_listen import is_any
from server.http_listen import is_loopback
from server.settings import Settings

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_SSE_PATHS = ("/sse", "/messages")


def build_app(
    server: MCPServer, settings: Settings, *, host: str, legacy_sse: bool, stateless: bool = False
) -> Starlette:
    """Put every HTTP route of the server into one application.

    `stateless`: clients of before 2026-07-28 get no `Mcp-Session-Id`, so that any process may answer their next
    request. They lose what needs a standing connection: questions from server to client, and notices of changes.
    """
    security = transport_security(settings, host)
    app = server.streamable_http_app(
        json_response=False, stateless_http=stateless, transport_security=security, host=host
    )
    if legacy_sse:
        sse = server.sse_app(transport_security=security, host=host)
        app.router.routes.extend(
            route for route in sse.routes if isinstance(route, Route | Mount) and route.path in _SSE_PATHS
        )
    return app


def transport_security(settings: Settings, host: str) -> TransportSecuritySettings:
    """Refuse calls under any name but loopback, the address listened on and those that the operator allows.

    A web page can make a browser call a server on its own machine under a name of the page's choosing; the Host and
    Origin headers are what gives that away. Source: the MCP specification on DNS rebinding.
    """
    names = (*_LOOPBACK, *(() if is_loopback(host) or is_any(host) else (in_url(host),)))
    hosts = [*names, *settings.allowed_hosts]
    origins = [f"{scheme}://{name}" for name in names for scheme in ("http", "https")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[form for name in hosts for form in _with_any_port(name)],
        allowed_origins=[*(form for name in origins for form in _with_any_port(name)), *settings.allowed_origins],
    )


def _with_any_port(name: str) -> tuple[str, ...]:
    has_port = name.rpartition("]")[2].rpartition("://")[2].count(":") > 0
    return (name,) if has_port else (name, f"{name}:*")
