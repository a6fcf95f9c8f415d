"""`uds-mcp simulate`: serves files as if they were accounts of New Relic, to this machine only, until asked to stop."""

import asyncio
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Final

from server.exit_codes import EXIT_DONE
from server.exit_codes import EXIT_FAILED
from server.exit_codes import EXIT_WRONG
from server.http_listen import is_loopback
from server.http_told import say
from server.serve_signals import Stop

if TYPE_CHECKING:
    from sources.nrdb.local import LocalNrdb

# What it needs is read only by those who simulate.
# ruff: noqa: PLC0415

_NEEDED: Final = ("graphql", "h11")
_SHOWN: Final = 6


def simulate(data: Path | None, *, host: str, port: int, accounts: Sequence[int], latency_ms: float) -> int:
    """Serve a NerdGraph over a folder of files (None: the bundled sample) and return the exit code.

    Each of `accounts` holds the same rows, moved in time so that the newest are of now. `latency_ms`: of each answer.
    """
    refused = _refusal(data, host, accounts, latency_ms)
    if refused is not None:
        say(f"uds-mcp simulate: {refused}")
        return EXIT_WRONG
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        say("uds-mcp simulate: graphql-core is missing; install the package with its extra, as uds-mcp[simulate]")
        return EXIT_FAILED
    stop = Stop()
    stop.install()
    return _serve(data, host, port, accounts, latency_ms, stop)


def _refusal(data: Path | None, host: str, accounts: Sequence[int], latency_ms: float) -> str | None:
    if data is not None and not data.is_dir():
        return f"--data {data} is no folder"
    if not is_loopback(host):
        return f"--host {host} could be reached from other machines; it serves 127.0.0.1, ::1 or localhost only"
    if any(account < 1 for account in accounts):
        return "--account takes the number of an account, 1 or more"
    if not 0 <= latency_ms <= 60_000:  # noqa: PLR2004 - a minute; also turns away what is no number
        return "--latency-ms takes 0 to 60000"
    return None


def _serve(data: Path | None, host: str, port: int, accounts: Sequence[int], latency_ms: float, stop: Stop) -> int:
    from sources.duckdb.source import bundled_sample
    from sources.nrdb.local import LocalNrdb

    folder = (data or bundled_sample()).resolve()
    try:
        rows = LocalNrdb(folder)
    except (ValueError, OSError) as fault:
        say(f"uds-mcp simulate: {folder} cannot be read: {fault}")
        return EXIT_FAILED
    try:
        if not rows.event_types():
            say(f"uds-mcp simulate: {folder} holds no file that could be an event type: Parquet, CSV or JSON lines")
            return EXIT_FAILED
        say(f"simulating NerdGraph over {folder}: {_told(rows.event_types())}")
        address = "127.0.0.1" if host.lower() == "localhost" else host  # a name would be two sockets, and two ports
        asyncio.run(_until_stopped(rows, address, port, accounts, latency_ms / 1_000, stop))
    except OSError as fault:
        say(f"uds-mcp: cannot listen on {host} port {port}: {fault.strerror or fault}")
        return EXIT_FAILED
    finally:
        rows.close()
    return EXIT_DONE


async def _until_stopped(
    rows: "LocalNrdb", host: str, port: int, accounts: Sequence[int], latency_s: float, stop: Stop
) -> None:
    from server.simulator.accounts import Account
    from server.simulator.app import Simulator
    from server.simulator.wire import listening

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    stop.call_on_stop(lambda: loop.call_soon_threadsafe(stopped.set))
    held = [Account(id=number, name=f"Simulated account {number}", nrdb=rows) for number in dict.fromkeys(accounts)]
    simulator = Simulator(held, latency_s=latency_s)
    try:
        async with listening(simulator, host=host, port=port) as url:
            _announce(url, accounts)
            await stopped.wait()
    finally:
        simulator.close()


def _announce(url: str, accounts: Sequence[int]) -> None:
    from server.simulator.app import KEY

    numbers = ",".join(str(number) for number in dict.fromkeys(accounts))
    say(f"listening: {url} (Ctrl-C ends it)")
    say("Use it from another terminal, or give these variables to your host:")
    say(f"  NEW_RELIC_API_KEY={KEY} NEW_RELIC_ACCOUNT_ID={numbers} NEW_RELIC_REGION={url} uds-mcp")
    say("Event types whose rows are more than a day older than the newest of all take NEW_RELIC_WINDOW=396d as well.")
    say("Its answers come from your files: they show how UDS works, not what New Relic would say.")


def _told(event_types: Sequence[str]) -> str:
    names = ", ".join(event_types[:_SHOWN])
    more = len(event_types) - _SHOWN
    return f"event types {names}{f' and {more} more' if more > 0 else ''}"
