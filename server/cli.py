"""The command line: what can be asked of `uds-mcp`, in words a person enjoys, and its exit codes.

The commands for the file with the state are in `server.state_commands`.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from collections.abc import Sequence

from server.cli_parser import parser
from server.exit_codes import EXIT_DONE
from server.exit_codes import EXIT_FAILED
from server.exit_codes import EXIT_WRONG
from server.settings import Settings
from server.settings import SettingsFault
from server.settings import read_own_settings
from server.state_commands import dashes_last
from server.state_commands import run_state_command

_SERVING = (None, "stdio", "serve")
"""Commands that need every setting to be right."""


def run(arguments: Sequence[str]) -> int:
    """Do what the command line says and return the exit code of the process."""
    asked = parser().parse_args(dashes_last(arguments))
    try:
        settings = read_own_settings()
    except SettingsFault as fault:
        _tell(_fault_text(fault))
        return EXIT_WRONG
    for name in settings.unknown:
        _tell(f"uds-mcp: {name} is not a setting; `uds-mcp --help` lists them all")
    if settings.newrelic_key is not None and not settings.newrelic_accounts and asked.command in _SERVING:
        _tell("uds-mcp: NEW_RELIC_ACCOUNT_ID is not set; `uds-mcp doctor --source newrelic` lists your accounts")
        return EXIT_WRONG
    return _done(settings, asked)


def _done(settings: Settings, asked: argparse.Namespace) -> int:
    commands: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
        "serve": _serve,
        "doctor": _doctor,
        "demo": _demo,
        "cluster-demo": _demo,
        "newrelic-demo": _newrelic_demo,
        "simulate": _simulate,
        "stdio": _stdio,
    }
    return commands.get(asked.command or "stdio", run_state_command)(settings, asked)


def _stdio(settings: Settings, _asked: argparse.Namespace) -> int:
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
    from server.telemetry import begin  # noqa: PLC0415 - as above

    telemetry = begin(settings)  # before what it watches is read
    from server.stdio import serve_stdio  # noqa: PLC0415 - reads the SDK while the engine starts

    return _until_refused(lambda: serve_stdio(settings, wire, stop, source, telemetry))


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


def _doctor(settings: Settings, asked: argparse.Namespace) -> int:
    if asked.source == "newrelic":
        from server.doctor_newrelic import doctor_newrelic  # noqa: PLC0415

        _log(settings)
        return doctor_newrelic(settings, as_json=asked.json)
    from server.doctor import examine  # noqa: PLC0415
    from server.doctor_report import report  # noqa: PLC0415

    _log(settings)
    examined = examine(settings)
    print(report(examined, as_json=asked.json))  # noqa: T201 - the answer of the command
    return EXIT_DONE if examined.ok else EXIT_FAILED


def _demo(_settings: Settings, asked: argparse.Namespace) -> int:
    from server.cluster_demo import show_cluster  # noqa: PLC0415
    from server.demo import show  # noqa: PLC0415

    shown = show() if asked.command == "demo" else show_cluster(asked.store)
    return EXIT_DONE if shown else EXIT_FAILED


def _newrelic_demo(_settings: Settings, _asked: argparse.Namespace) -> int:
    if importlib.util.find_spec("graphql") is None or importlib.util.find_spec("httpx") is None:
        _tell("uds-mcp newrelic-demo: install the package with its extras, as uds-mcp[newrelic,simulate]")
        return EXIT_FAILED
    from server.newrelic_demo import show_newrelic  # noqa: PLC0415

    return EXIT_DONE if show_newrelic() else EXIT_FAILED


def _simulate(settings: Settings, asked: argparse.Namespace) -> int:
    from server.simulate import simulate  # noqa: PLC0415

    _log(settings)
    return simulate(
        asked.data, host=asked.host, port=asked.port, accounts=tuple(asked.account or (1,)), latency_ms=asked.latency_ms
    )


def _log(settings: Settings) -> None:
    from server.logs import log_to_stderr  # noqa: PLC0415

    log_to_stderr(settings.log_level)


def _fault_text(fault: SettingsFault) -> str:
    count = len(fault.faults)
    head = f"uds-mcp: {count} setting{' is' if count == 1 else 's are'} not allowed:"
    return "\n".join(
        [head, *(f"  {each.variable}={each.value}\n      allowed: {each.allowed}" for each in fault.faults)]
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - what the command says to the operator
