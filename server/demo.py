"""`uds-mcp demo`: a real client discovers the bundled sample over stdio, and a person watches.

Every number on the screen comes out of an answer, or is a time that the client measured itself.
"""

import asyncio
import os
import sys
import tempfile
import time
from typing import cast

from mcp import MCPError
from mcp import StdioServerParameters
from rich.console import Console

from server.demo_calls import Caller
from server.demo_calls import DemoFailed
from server.demo_calls import connected
from server.demo_calls import own_command
from server.demo_scenes import GOAL
from server.demo_scenes import play
from server.demo_scenes import play_on
from server.demo_shown import Screen

_PIPED_WIDTH = 110
"""Columns when the output is no terminal, so that a log shows the same tables."""


class _Patient(Console):
    """Plays on for nobody when the reader of the output (`| head`) has left, instead of falling apart."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(command: StdioServerParameters | None = None) -> bool:
    """Play the demo against the server that `command` starts; False when it failed, which is then told on stderr.

    None: our own server on the bundled sample.
    """
    failure: str | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="uds-demo-") as state:
            asyncio.run(_play(Screen(console()), _keeping_in(state, command or own_command())))
    except* (DemoFailed, MCPError, OSError, KeyError) as failed:
        failure = told_of(failed)
    if failure is not None:
        print(f"uds-mcp demo: {failure}", file=sys.stderr)  # noqa: T201 - said to the person who runs it
        print("`uds-mcp doctor` says what is missing here", file=sys.stderr)  # noqa: T201
    return failure is None


async def _play(screen: Screen, command: StdioServerParameters) -> None:
    started_s = time.perf_counter()
    screen.title("UDS: discover data you have never seen, and remember what you learned", f"goal: {GOAL}")
    async with connected(command) as call:
        _introduce(screen, call)
        await play(screen, call)
    screen.gap()
    screen.title("The host ends the server.", "A new conversation starts another one, and asks what is known.")
    async with connected(command) as call:
        _introduce(screen, call)
        await play_on(screen, call)
    screen.gap()
    screen.title(f"Done in {time.perf_counter() - started_s:.1f} s.", "README.md says how to connect your own host.")


def _keeping_in(folder: str, command: StdioServerParameters) -> StdioServerParameters:
    """The demo's sessions are nobody's memory."""
    return command.model_copy(update={"env": {**(command.env or {}), "UDS_STATE_DIR": folder}})


def _introduce(screen: Screen, call: Caller) -> None:
    server = call.client.server_info
    named = f"{server.name} {server.version}" if server else "the server"
    screen.line(
        f"started {named} as a host would, over stdio; MCP {call.protocol}; "
        f"first answer after {call.started_ms:,.0f} ms"
    )


def console() -> Console:
    """Where a demo is shown."""
    return _Patient(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def told_of(failed: BaseException) -> str:
    """What went wrong, for a person."""
    match _innermost(failed):
        case TimeoutError():
            return "the server did not answer in time"
        case KeyError() as missing:
            return f"the answer has no {missing}"
        case fault:
            return str(fault)


def _innermost(failed: BaseException) -> BaseException:
    if not isinstance(failed, BaseExceptionGroup):
        return failed
    return _innermost(cast("BaseExceptionGroup[BaseException]", failed).exceptions[0])
