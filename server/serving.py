"""`uds-mcp serve`: which address, by one process or several, and what is told before anything heavy is read."""

import argparse
import functools
import socket
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import ExitStack

from server.exit_codes import EXIT_FAILED
from server.exit_codes import EXIT_WRONG
from server.http_listen import Listen
from server.http_listen import bind
from server.http_listen import bind_each
from server.http_told import announce
from server.http_told import say
from server.http_told import warn_who_can_call
from server.logs import log_to_stderr
from server.serve_signals import Stop
from server.settings import Settings


def serve(settings: Settings, asked: argparse.Namespace, until_refused: Callable[[Callable[[], None]], int]) -> int:
    """Serve over HTTP until asked to stop, and return the exit code."""
    stateless = asked.stateless or asked.workers > 1 or settings.store == "redis"
    listen = Listen(host=asked.host, port=asked.port, legacy_sse=asked.legacy_sse, stateless=stateless)
    if asked.inherited is not None:
        return _as_worker(settings, listen, asked.inherited, until_refused)
    if asked.workers > 1:
        from server.workers import refusal  # noqa: PLC0415 - most serve alone

        refused = refusal(store=settings.store, legacy_sse=asked.legacy_sse)
        if refused is not None:
            say(f"uds-mcp serve --workers: {refused}")
            return EXIT_WRONG
    try:
        listening = bind_each(listen, asked.workers) if asked.workers > 1 else [bind(listen)]
    except OSError as fault:
        say(f"uds-mcp: cannot listen on {listen.host} port {listen.port}: {fault.strerror or fault}")
        return EXIT_FAILED
    with ExitStack() as closing:
        for each in listening:
            closing.enter_context(each)
        warn_who_can_call(settings, listen.host)
        if asked.workers > 1:
            return _watch(settings, listen, listening)
        alone = listening[0]
        return until_refused(_serving(settings, listen, alone, lambda: announce(listen, alone)))


def _as_worker(
    settings: Settings, listen: Listen, descriptors: str, until_refused: Callable[[Callable[[], None]], int]
) -> int:
    from server.worker_link import inherited  # noqa: PLC0415

    try:
        listening, watcher = inherited(descriptors)
    except (OSError, ValueError) as fault:
        say(f"uds-mcp: a worker is started by `uds-mcp serve --workers` only: {fault}")
        return EXIT_WRONG
    with listening:
        serving = _serving(settings, listen, listening, watcher.tell_ready)
        watcher.stop_with_it()
        return until_refused(serving)


def _serving(
    settings: Settings, listen: Listen, listening: socket.socket, ready: Callable[[], None]
) -> Callable[[], None]:
    """Everything is set up to be stopped; what is returned serves."""
    stop = Stop()
    stop.install()
    log_to_stderr(settings.log_level)
    from server.parts import prestart  # noqa: PLC0415 - a port in use is told before anything heavy is read

    source = prestart(settings)
    from server.telemetry import begin  # noqa: PLC0415 - as above

    telemetry = begin(settings)  # before what it watches is read
    from server.http_serve import serve_http  # noqa: PLC0415 - reads the SDK while the engine starts

    return functools.partial(serve_http, settings, listen, listening, stop, source, ready, telemetry)


def _watch(settings: Settings, listen: Listen, listening: Sequence[socket.socket]) -> int:
    from server.workers import serve_workers  # noqa: PLC0415

    log_to_stderr(settings.log_level)
    arguments = ["serve", "--http", "--stateless", "--host", listen.host, "--port", str(listen.port)]
    return serve_workers(arguments, listening, lambda: announce(listen, listening[0], workers=len(listening)))
