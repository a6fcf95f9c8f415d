"""`uds-mcp newrelic-demo`: a real client discovers a New Relic account that is simulated on this machine.

The simulator serves the bundled sample as event types; what goes wrong on the screen goes wrong on purpose.
"""

import asyncio
import sys
import tempfile
import time

from mcp import Client
from mcp import MCPError
from mcp import StdioServerParameters

from server.demo import console
from server.demo import told_of
from server.demo_calls import Caller
from server.demo_calls import DemoFailed
from server.demo_calls import connected
from server.demo_calls import own_command
from server.demo_shown import Screen
from server.newrelic_scenes import play
from server.simulator.accounts import Account
from server.simulator.app import KEY
from server.simulator.app import Simulator
from server.simulator.wire import listening
from sources.duckdb.source import bundled_sample
from sources.nrdb.local import LocalNrdb

_ACCOUNT = 1
_LATENCY_S = 0.15
"""Of every answer of the simulator: about what a request over a continent takes."""


def show_newrelic() -> bool:
    """Play it; False when it failed, which is then told on stderr."""
    failure: str | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="uds-newrelic-demo-") as state:
            asyncio.run(_play(Screen(console()), state))
    except* (DemoFailed, MCPError, OSError, KeyError) as failed:
        failure = told_of(failed)
    if failure is not None:
        print(f"uds-mcp newrelic-demo: {failure}", file=sys.stderr)  # noqa: T201 - said to the person who runs it
    return failure is None


async def _play(screen: Screen, state: str) -> None:
    started_s = time.perf_counter()
    screen.title(
        "UDS: a New Relic account you have never seen",
        "Simulated on this machine: NerdGraph over the bundled sample, each request taking 150 ms.",
    )
    nrdb = LocalNrdb(bundled_sample())
    simulator = Simulator([Account(id=_ACCOUNT, name="Simulated account", nrdb=nrdb)], latency_s=_LATENCY_S)
    try:
        async with listening(simulator) as url, connected(_command(url, state)) as call:
            _introduce(screen, call)
            await play(screen, call, lambda: _sent(simulator))
    finally:
        simulator.close()
        nrdb.close()
    screen.gap()
    took = f"Done in {time.perf_counter() - started_s:.1f} s."
    screen.title(took, "README.md says how to point it at an account of your own, and what of this is proven.")


def _sent(simulator: Simulator) -> tuple[int, int]:
    """Requests and NRQL statements so far."""
    received = list(simulator.received)
    return len(received), sum(len(each.texts) for each in received)


def _command(url: str, state: str) -> StdioServerParameters:
    told = {
        "NEW_RELIC_API_KEY": KEY,
        "NEW_RELIC_ACCOUNT_ID": str(_ACCOUNT),
        "NEW_RELIC_REGION": url,
        "UDS_STATE_DIR": state,
    }
    command = own_command()
    return command.model_copy(update={"env": {**(command.env or {}), **told}})


def _introduce(screen: Screen, call: Caller) -> None:
    client: Client = call.client
    named = client.server_info.name if client.server_info else "the server"
    screen.line(f"started {named} over stdio; MCP {call.protocol}; first answer after {call.started_ms:,.0f} ms")
