"""The command line: what can be asked of `uds-mcp`, in words a person enjoys, and its exit codes.

The commands for the file with the state are in `server.state_commands`.
"""

import argparse
import sys
import textwrap
from collections.abc import Callable
from collections.abc import Sequence

from server import __version__
from server.exit_codes import EXIT_DONE
from server.exit_codes import EXIT_FAILED
from server.exit_codes import EXIT_WRONG
from server.settings import Settings
from server.settings import SettingsFault
from server.settings import read_own_settings
from server.settings import read_settings
from server.state_commands import add_state_commands
from server.state_commands import dashes_last
from server.state_commands import run_state_command

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
  uds-mcp sessions                            list what is remembered
  uds-mcp backup ~/uds-backup.db              keep a copy of it
"""


def run(arguments: Sequence[str]) -> int:
    """Do what the command line says and return the exit code of the process."""
    asked = _parser().parse_args(dashes_last(arguments))
    try:
        settings = read_own_settings()
    except SettingsFault as fault:
        _tell(_fault_text(fault))
        return EXIT_WRONG
    for name in settings.unknown:
        _tell(f"uds-mcp: {name} is not a setting; `uds-mcp --help` lists them all")
    match asked.command:
        case "serve":
            return _serve(settings, asked)
        case "doctor":
            return _doctor(settings, as_json=asked.json)
        case "demo" | "cluster-demo":
            return _demo(asked)
        case "stdio" | None:
            return _stdio(settings)
        case _:
            return run_state_command(settings, asked)


def _stdio(settings: Settings) -> int:
    from server.serve_signals import Stop  # noqa: PLC0415 - the wire must be claimed before anything heavy is read
    from server.stdio_wire import claim_wire  # noqa: PLC0415

    try:
        wire = claim_wire()
    except OSError as fault:
        _tell(f"uds-mcp: standard input and output are needed to speak MCP over them: {fault}")
        return EXIT_FAILED
    stop = Stop()
    stop.install()
    _log(settings)
    from server.parts import prestart  # noqa: PLC0415

    source = prestart(settings)
    from server.stdio import serve_stdio  # noqa: PLC0415 - reads the SDK while the engine starts

    return _until_refused(lambda: serve_stdio(settings, wire, stop, source))


def _serve(settings: Settings, asked: argparse.Namespace) -> int:
    if not asked.http:
        _tell("uds-mcp serve: add --http to serve over HTTP; `uds-mcp` alone serves over standard input and output")
        return EXIT_WRONG
    from server.serving import serve  # noqa: PLC0415 - not for those who speak stdio

    return serve(settings, asked, _until_refused)


def _until_refused(serve: Callable[[], None]) -> int:
    from server.state_store import StateRefused  # noqa: PLC0415

    try:
        serve()
    except StateRefused as refused:
        _tell(f"uds-mcp: {refused}")
        return EXIT_FAILED
    return EXIT_DONE


def _doctor(settings: Settings, *, as_json: bool) -> int:
    from server.doctor import examine  # noqa: PLC0415
    from server.doctor_report import report  # noqa: PLC0415

    _log(settings)
    examined = examine(settings)
    print(report(examined, as_json=as_json))  # noqa: T201 - the answer of the command
    return EXIT_DONE if examined.ok else EXIT_FAILED


def _demo(asked: argparse.Namespace) -> int:
    from server.cluster_demo import show_cluster  # noqa: PLC0415
    from server.demo import show  # noqa: PLC0415

    shown = show() if asked.command == "demo" else show_cluster(asked.store)
    return EXIT_DONE if shown else EXIT_FAILED


def _log(settings: Settings) -> None:
    from server.logs import log_to_stderr  # noqa: PLC0415

    log_to_stderr(settings.log_level)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="uds-mcp",
        description=_ABOUT,
        epilog=f"{_EXAMPLES}\n{_settings_text()}",
        formatter_class=_wide,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"uds-mcp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
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
    doctor = commands.add_parser("doctor", help="check settings, sources, limits and the state directory")
    doctor.add_argument("--json", action="store_true", help="for a program to read")
    add_state_commands(commands)
    return parser


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


def _fault_text(fault: SettingsFault) -> str:
    count = len(fault.faults)
    head = f"uds-mcp: {count} setting{' is' if count == 1 else 's are'} not allowed:"
    return "\n".join(
        [head, *(f"  {each.variable}={each.value}\n      allowed: {each.allowed}" for each in fault.faults)]
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - what the command says to the operator
