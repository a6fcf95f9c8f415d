"""What the command line accepts, in words a person enjoys; what it then does is in `server.cli`."""

import argparse
import textwrap
from pathlib import Path

from server import __version__
from server.settings import read_settings
from server.state_commands import Commands
from server.state_commands import add_state_commands

_PORT_MOST = 65535

_STATELESS = (
    "keep nothing for older clients between their requests, so that a load balancer may send each request to another "
    "server; so it is anyhow with several workers, and with STATE_STORE_TYPE=redis"
)

_ABOUT = """\
UDS lets an AI assistant discover data it has never seen, and remember what it learned.

Without a command it serves MCP over standard input and output, which is what a host such as
Claude Code, Claude Desktop, Cursor, VS Code or Codex starts."""

_EXAMPLES = """\
examples:
  uds-mcp demo                                see it work, on a sample of real data
  uds-mcp doctor                              check settings, sources and limits
  UDS_DATA=~/data uds-mcp                     serve a folder of files over stdio
  uds-mcp serve --http --port 8000            serve http://127.0.0.1:8000/mcp
  uds-mcp serve --http --workers 4            the same, with four processes
  uds-mcp doctor --source newrelic            check what UDS assumes about New Relic, live
  uds-mcp simulate --data ~/data              try NRQL on files, without an account
  uds-mcp sessions                            list what is remembered
  uds-mcp backup ~/uds-backup.db              keep a copy of it
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="uds-mcp",
        description=_ABOUT,
        epilog=f"{_EXAMPLES}\n{_settings_text()}",
        formatter_class=_wide,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"uds-mcp {__version__}")
    commands = made.add_subparsers(dest="command", metavar="command", title="commands")
    commands.add_parser("stdio", help="serve MCP over standard input and output (the default)")
    serve = commands.add_parser("serve", help="serve MCP over HTTP", allow_abbrev=False)
    serve.add_argument("--http", action="store_true", help="serve Streamable HTTP on /mcp, with /health and /ready")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8000, help="0 takes any free one (default: %(default)s)")
    serve.add_argument("--legacy-sse", action="store_true", help="also serve the old HTTP+SSE transport on /sse")
    serve.add_argument("--workers", type=_workers, default=1, help="processes that serve it (default: %(default)s)")
    serve.add_argument("--stateless", action="store_true", help=_STATELESS)
    serve.add_argument("--inherited", help=argparse.SUPPRESS)  # how a worker is started by the one that watches it
    commands.add_parser("demo", help="watch a client discover the bundled sample, and keep what it finds")
    cluster = commands.add_parser(
        "cluster-demo", help="watch two servers share a memory, while one is killed and Redis stops", allow_abbrev=False
    )
    cluster.add_argument("--store", choices=("redis", "sqlite"), default="redis", help="what they share")
    _add_newrelic(commands)
    add_state_commands(commands)
    return made


def _add_newrelic(commands: Commands) -> None:
    doctor = commands.add_parser("doctor", help="check settings, sources, limits and the state directory")
    doctor.add_argument("--json", action="store_true", help="for a program to read")
    doctor.add_argument(
        "--source", choices=("newrelic",), help="ask New Relic itself, and compare its answers with what UDS assumes"
    )
    commands.add_parser("newrelic-demo", help="watch a client discover a New Relic account that is simulated here")
    simulate = commands.add_parser(
        "simulate", help="serve a NerdGraph of your own over files, to try NRQL without an account", allow_abbrev=False
    )
    simulate.add_argument("--data", type=Path, help="a folder of files that become event types (default: the sample)")
    simulate.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    simulate.add_argument("--port", type=_port, default=8123, help="0 takes any free one (default: %(default)s)")
    simulate.add_argument(
        "--account", type=int, action="append", help="its number; may be given several times (default: 1)"
    )
    simulate.add_argument(
        "--latency-ms", type=float, default=0.0, help="how long every answer waits (default: %(default)s)"
    )


def _wide(prog: str) -> argparse.RawDescriptionHelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=12, width=100)


def _workers(text: str) -> int:
    from server.workers import WORKERS_MOST  # noqa: PLC0415

    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= WORKERS_MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes from 1 to {WORKERS_MOST}")
    return int(text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _PORT_MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to {_PORT_MOST}")
    return int(text)


def _settings_text() -> str:
    lines = ["settings, from the environment:"]
    for row in read_settings({}).described():
        told = textwrap.wrap(f"{row.meaning} (default: {row.default})", 74)
        lines += [f"  {row.name}", *(f"      {line}" for line in told)]
    return "\n".join(lines)
