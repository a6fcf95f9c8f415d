"""What sessions cost: looking, remembering, 10,000 open ones in memory, and 100,000 that expire together.

Run: python bench/state_bench.py [--json FILE]
"""

import asyncio
import gc
import json
import mmap
import subprocess
import sys
import time
from collections.abc import Awaitable
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shown import Row
from shown import asked
from shown import keep
from shown import row

from state.memory import MemoryJournal
from state.sessions import Sessions

OPEN_SESSIONS = 10_000
MEMORY_BOUND_MB = 60.0
LOOK_BOUND_US = 20.0
EXPIRING = 100_000
STALL_BOUND_MS = 20.0
_PER_PRINCIPAL = 500
_LOOPS = 2_000


class Clock:
    """Moved by hand, so that sessions expire together when we say so."""

    def __init__(self) -> None:
        self.now_s = 1.0e9

    def __call__(self) -> float:
        return self.now_s


async def _each_us(call: Callable[[int], Awaitable[Any]]) -> float:
    """CPU time, which other programs on the machine change little."""
    started = time.process_time()
    for number in range(_LOOPS):
        await call(number)
    return (time.process_time() - started) / _LOOPS * 1e6


async def calls() -> list[Row]:
    """On a session of ordinary size; the ratio is to reading and writing the same as one JSON text."""
    sessions = Sessions(MemoryJournal(time.time), clock=time.time)
    handle = (await sessions.open(principal="p", goal="why are flights late?")).handle
    for number in range(20):
        await sessions.remember(handle, principal="p", kind="finding", key=f"finding {number}", value="x" * 100)
        await sessions.note_explored(handle, principal="p", source="s", schema=f"t{number}", attributes=("a", "b"))
    whole = json.dumps([{"key": f"finding {number}", "value": "x" * 100} for number in range(40)])

    async def rewrite(_number: int) -> None:
        json.dumps(json.loads(whole))

    async def look(_number: int) -> None:
        await sessions.get(handle, principal="p")

    async def write(number: int) -> None:
        await sessions.remember(handle, principal="p", kind="context", key=f"k{number % 20}", value={"n": number})

    async def note_known(_number: int) -> None:
        await sessions.note_explored(handle, principal="p", source="s", schema="t1", attributes=("a", "b"))

    rewriting = await _each_us(rewrite)
    versus = "decode and encode 40 entries as JSON"
    return [
        row("get, unmoved session", await _each_us(look), "us", versus, rewriting, LOOK_BOUND_US),
        row("note_explored, nothing new", await _each_us(note_known), "us", versus, rewriting, None),
        row("remember", await _each_us(write), "us", versus, rewriting, None),
    ]


async def stall() -> list[Row]:
    """The longest the event loop stood still from the moment all sessions had expired until all were gone."""
    clock = Clock()
    sessions = Sessions(MemoryJournal(clock), clock=clock, ttl_s=60.0)
    for number in range(EXPIRING):
        await sessions.open(principal=f"p{number // _PER_PRINCIPAL}")
    gc.collect()
    clock.now_s += 62.0
    gaps = [0.0]
    opened = 0
    last = time.perf_counter()
    while sessions.statistics().sessions > opened:
        opened += 1
        await sessions.open(principal=f"q{opened // _PER_PRINCIPAL}")
        await asyncio.sleep(0)
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
    name = f"longest stall, {EXPIRING:,} sessions expire together"
    return [row(name, max(gaps) * 1e3, "ms", "giving all of it back", sum(gaps) * 1e3, STALL_BOUND_MS)]


async def fill() -> None:
    """Open sessions with a goal and two findings each, and say what that added to this process's memory."""
    sessions = Sessions(MemoryJournal(time.time), clock=time.time)
    await _session(sessions, 0)
    gc.collect()
    before = _rss_mb()
    for number in range(OPEN_SESSIONS):
        await _session(sessions, number)
    gc.collect()
    print(json.dumps({"added_mb": _rss_mb() - before, "sessions": sessions.statistics().sessions}))


async def _session(sessions: Sessions, number: int) -> None:
    principal = f"p{number // _PER_PRINCIPAL}"
    opened = await sessions.open(principal=principal, goal=f"Which carriers are late most often in month {number}?")
    for finding in ("Delays pile up in the evening", "Two carriers cause half of all delays"):
        await sessions.remember(
            opened.handle,
            principal=principal,
            kind="finding",
            key=None,
            value=f"{finding} ({number})",
            evidence="SELECT carrier, avg(dep_delay) FROM flights GROUP BY carrier",
        )


def memory() -> list[Row]:
    """In a process of its own, so that nothing else is counted. Nothing where the system does not tell."""
    if sys.platform != "linux":
        return []
    command = [sys.executable, __file__, "--fill"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    name = f"memory of {OPEN_SESSIONS:,} open sessions"
    return [row(name, told["added_mb"], "MB", "bound", MEMORY_BOUND_MB, MEMORY_BOUND_MB)]


def _rss_mb() -> float:
    """Resident memory of this process now. Only told by Linux."""
    with Path("/proc/self/statm").open() as fields:
        return int(fields.read().split()[1]) * mmap.PAGESIZE / 2**20


async def measure() -> list[Row]:
    return [*await calls(), *await stall()]


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--fill", action="store_true", help="only fill memory and tell how much (used by itself)")
    options = parser.parse_args()
    if options.fill:
        asyncio.run(fill())
        return
    rows = [*asyncio.run(measure()), *memory()]
    keep(rows, options.json)


if __name__ == "__main__":
    main()
