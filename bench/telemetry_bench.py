"""What being watched by New Relic APM costs a tool call, over the in-memory client and in CPU time; and when it is off.

The agent changes a process for good, so each side is measured in processes of its own, in turn. With the agent in its
rehearsal mode everything is done but sending. Run: python bench/telemetry_bench.py [--json FILE]
"""

import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from shown import Row
from shown import asked
from shown import keep
from shown import row
from shown import unmeasured

from server.settings import read_settings
from server.telemetry import begin
from server.telemetry import counted

OFF_BOUND_US = 30.0
ON_BOUND_US = 1_500.0
_ROUNDS = 5
_CALLS = 300
_BATCHES = 10
_ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "describe_schema, cached": ("describe_schema", {"schema": "flights"}),
    "cache status": ("cache", {"action": "status"}),
    "describe_schema, refused": ("describe_schema", {"schema": "none"}),
}


async def calls() -> dict[str, float]:
    """Microseconds of CPU of each call in this process, client included; watched if the environment says so."""
    settings = read_settings(os.environ)
    telemetry = begin(settings)
    from mcp import Client  # noqa: PLC0415 - the agent comes first

    from server.mcp_server import build_server  # noqa: PLC0415
    from server.parts import open_parts  # noqa: PLC0415

    async with (
        open_parts(settings) as parts,
        counted(telemetry, parts),
        Client(build_server(parts, settings, telemetry=telemetry)) as client,
    ):
        found: dict[str, float] = {}
        for name, (tool, arguments) in _ASKED.items():
            batches: list[float] = []
            for _ in range(_BATCHES):
                began_s = time.process_time()
                for _ in range(_CALLS // _BATCHES):
                    await client.call_tool(tool, arguments)
                batches.append((time.process_time() - began_s) / (_CALLS // _BATCHES) * 1e6)
            found[name] = statistics.median(batches)
        return found


def side(*, watched: bool) -> dict[str, float]:
    """One process of either side."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NEW_RELIC_")}
    if watched:
        environ["NEW_RELIC_DEVELOPER_MODE"] = "true"
    with tempfile.TemporaryDirectory(prefix="uds-bench-") as state:
        environ["UDS_STATE_DIR"] = state
        ran = subprocess.run(
            [sys.executable, __file__, "--calls"], env=environ, capture_output=True, text=True, check=True
        )
    return json.loads(ran.stdout.splitlines()[-1])


def unwatched_us() -> float:
    """All that is left of it in a call that nobody watches: a fault is told to nobody."""
    from server.registration import noticed_by_nobody  # noqa: PLC0415 - reads the SDK

    fault = ValueError()
    began_s = time.process_time()
    for _ in range(100_000):
        noticed_by_nobody(fault, "unknown_schema")
    return (time.process_time() - began_s) / 100_000 * 1e6


def measure() -> list[Row]:
    """Medians of processes in turn, so that drift of the machine hits both sides alike."""
    rows = [row("not watched: what is left in a call that fails", unwatched_us(), "us", bound=OFF_BOUND_US)]
    if importlib.util.find_spec("newrelic") is None:
        return [*rows, unmeasured("watched", "the APM agent is not installed")]
    seen: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for _ in range(_ROUNDS):
        for watched, found in seen.items():
            found.append(side(watched=watched))
    for name in _ASKED:
        off, on = (statistics.median(each[name] for each in found) for found in seen.values())
        rows.append(row(f"watched: {name}, above not watched", on - off, "us", "a call", off, ON_BOUND_US))
    return rows


if __name__ == "__main__":
    if sys.argv[1:] == ["--calls"]:
        print(json.dumps(asyncio.run(calls())))
    else:
        wanted = asked(__doc__).parse_args()
        measured = measure()
        keep(measured, wanted.json)
        sys.exit(any(each["ok"] is False for each in measured))
