"""Many writers that call as fast as they are answered, for a while. Standard library only: neighbours use it too."""

import asyncio
import time
from collections.abc import Awaitable
from collections.abc import Callable
from dataclasses import dataclass

Call = Callable[[int, int], Awaitable[object]]
"""Given the number of the writer, and which of its calls this is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of it."""

    calls: int
    """Those that were answered."""
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    longest_ms: float


async def loaded(call: Call, *, writers: int, seconds: float) -> Load:
    """Every writer calls, waits for the answer and calls again; no call begins after `seconds`."""
    times_s: list[float] = []
    started_s = time.perf_counter()
    until_s = started_s + seconds

    async def write(writer: int) -> None:
        number = 0
        begun_s = time.perf_counter()
        while begun_s < until_s:
            await call(writer, number)
            ended_s = time.perf_counter()
            times_s.append(ended_s - begun_s)
            begun_s = ended_s
            number += 1

    await asyncio.gather(*(write(writer) for writer in range(writers)))
    took_s = time.perf_counter() - started_s
    return summed_up(times_s, took_s)


def summed_up(times_s: list[float], took_s: float) -> Load:
    """`times_s`: of each call; sorted in place."""
    times_s.sort()
    calls = len(times_s)
    return Load(
        calls=calls,
        per_s=calls / took_s,
        p50_ms=times_s[calls // 2] * 1e3,
        p95_ms=times_s[calls * 95 // 100] * 1e3,
        p99_ms=times_s[calls * 99 // 100] * 1e3,
        longest_ms=times_s[-1] * 1e3,
    )


def finding_text(writer: int, number: int) -> tuple[str, str, str]:
    """Key, value and evidence of what a writer keeps: about 300 bytes, in a session that comes to hold 64 of them."""
    value = f"Carrier {writer} is late on {number % 100} % of its flights, most of all in the evening and in January."
    evidence = "SELECT carrier, avg(dep_delay), count(*) FROM flights WHERE dep_delay > 15 GROUP BY carrier ORDER BY 2"
    return f"how late is carrier {(writer + number) % 64}", value, evidence
