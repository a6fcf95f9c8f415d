"""A simulated account for `newrelic_bench.py`, in a process of its own; it remembers its answers.

Rows are measured by the real local engine once, so that later answers take their latency and little else. On standard
input it is told `counted` (answers how many requests and statements came since the last time) or ends with it.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

from server.simulator.accounts import Account
from server.simulator.app import Simulator
from server.simulator.wire import listening
from sources.nrdb.local import LocalNrdb

_ROWS = 500
_WINDOW = re.compile(r"(SINCE|UNTIL) \d{13}")


class Remembering:
    """An NRDB that knows its answers: the window's edges move by minutes, and its rows do not."""

    def __init__(self, nrdb: LocalNrdb) -> None:
        self._nrdb = nrdb
        self._known: dict[str, Mapping[str, Any]] = {}

    def run(self, text: str) -> Mapping[str, Any]:
        key = _WINDOW.sub(r"\1", text)
        if key not in self._known:
            self._known[key] = self._nrdb.run(text)
        return self._known[key]

    def event_types(self) -> tuple[str, ...]:
        return self._nrdb.event_types()


def tables(types: int, attributes: int) -> dict[str, str]:
    """Rows of the last day; every third attribute is text, every fifth is mostly missing."""
    columns = ", ".join(
        f"CASE WHEN {number} % 5 = 0 AND i % 4 > 0 THEN NULL "
        + (f"ELSE 'v' || ((i * {number + 7}) % 97)::VARCHAR" if number % 3 == 0 else f"ELSE (i * {number + 3}) % 1009")
        + f' END AS "attribute.{number}"'
        for number in range(attributes)
    )
    return {f"Type{number:03}": f"SELECT {columns} FROM range({_ROWS}) t(i)" for number in range(types)}


async def serve(types: int, attributes: int, latency_s: float) -> None:
    nrdb = LocalNrdb(tables=tables(types, attributes), clock=time.time)
    simulator = Simulator([Account(id=1, nrdb=Remembering(nrdb))], latency_s=latency_s)
    async with listening(simulator) as url:
        print(url, flush=True)
        while (await asyncio.to_thread(sys.stdin.readline)).strip() == "counted":
            received = list(simulator.received)
            simulator.received.clear()
            print(json.dumps([len(received), sum(len(each.texts) for each in received)]), flush=True)
    simulator.close()
    nrdb.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
