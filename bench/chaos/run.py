"""The long run: servers that share a Redis, under faults drawn by chance, round after round, each checked on its own.

Run: python bench/chaos/run.py [--minutes 10] [--processes 4] [--seed N] [--emptied] [--json FILE]
`--emptied` also lets Redis come back without its data. The exit code is 1 when a promise was broken.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE.parent), str(_HERE.parents[1])]  # the other benchmarks, and the tests

from neighbours import neighbours_python  # noqa: E402
from neighbours import told  # noqa: E402
from shown import Row  # noqa: E402
from shown import asked  # noqa: E402
from shown import keep  # noqa: E402
from shown import row  # noqa: E402
from shown import unmeasured  # noqa: E402

from tests.chaos_load import Load  # noqa: E402
from tests.chaos_load import Record  # noqa: E402
from tests.chaos_load import Timed  # noqa: E402
from tests.chaos_load import loaded  # noqa: E402
from tests.chaos_load import opened  # noqa: E402
from tests.chaos_scene import FAULTS  # noqa: E402
from tests.chaos_scene import Scene  # noqa: E402
from tests.chaos_scene import befall  # noqa: E402
from tests.chaos_scene import redis_emptied  # noqa: E402
from tests.chaos_scene import scene  # noqa: E402
from tests.invariants import NeverTheSame  # noqa: E402
from tests.invariants import broken  # noqa: E402
from tests.invariants import converged  # noqa: E402
from tests.invariants import doubled  # noqa: E402
from tests.invariants import endings  # noqa: E402
from tests.invariants import lost  # noqa: E402
from tests.invariants import unmarked  # noqa: E402
from tests.uds_process import Told  # noqa: E402
from tests.uds_process import callers  # noqa: E402

_ROUND_S = 15.0
_CONVERGED_WITHIN_S = 60.0
_PENDING = 1_000
_SESSIONS = 5
_SETTLED_S = 0.1
"""The first calls after Redis went away may wait for it; later ones must not."""
_TIMED_S = 10.0
_SLOWER_MOST = 1.2
"""So many times as long as with Redis a call may take without it."""


@dataclass(slots=True, kw_only=True)
class Sums:
    """What came of all rounds."""

    calls: int = 0
    acknowledged: int = 0
    degraded: int = 0
    lost: int = 0
    doubled: int = 0
    unmarked: int = 0
    others: int = 0
    """Promises broken in another way: a chain, servers that disagree, a live session called unknown."""
    converged_s: list[float] = field(default_factory=list[float])


async def one_round(running: Scene, sums: Sums, seed: int, *, emptied: bool) -> None:
    """Load and faults for a while, and then all checks, on sessions of this round alone."""
    chance = random.Random(seed)  # noqa: S311 - what befalls whom is no secret
    sessions = await opened(running.addresses[0], 3)
    record, names = Record(), sorted(FAULTS)
    load = Load(
        addresses=running.addresses,
        sessions=sessions,
        clients=8,
        seconds=_ROUND_S,
        seed=seed,
        within_s=3.0,
        pause_s=0.02,
    )
    loading = asyncio.create_task(loaded(load, record))
    until_at = time.monotonic() + _ROUND_S - 2
    while time.monotonic() < until_at:
        await asyncio.sleep(chance.random() * 0.5)
        together = chance.sample(names, chance.choice((1, 1, 2, 3)))
        print(f"  {' '.join(together)}", flush=True)
        await befall(running, chance, together, lasting_s=0.3 + chance.random())
    if emptied:
        async with redis_emptied(running, chance):
            await asyncio.sleep(chance.random())
    await loading
    await _sum_up(running, sums, record, sessions, emptied=emptied)


async def _sum_up(running: Scene, sums: Sums, record: Record, sessions: Sequence[str], *, emptied: bool) -> None:
    sums.calls += len(record.timed)
    sums.acknowledged += len(record.acknowledged)
    sums.degraded += sum(each.degraded for each in record.acknowledged)
    try:
        sums.converged_s.append(await converged(running.addresses, sessions, within_s=_CONVERGED_WITHIN_S))
    except NeverTheSame as fault:
        sums.others += 1
        print(f"BROKEN: {str(fault)[:1_000]}", flush=True)
    ends = await endings(running.addresses, sessions)
    faults = broken(record, ends, emptied=emptied)
    print(*(f"BROKEN: {each[:600]}" for each in faults[:20]), sep="\n", end="\n" * bool(faults), flush=True)
    counted = 0
    if not emptied:
        counts = lost(record, ends), doubled(record, ends), len(unmarked(record))
        sums.lost, sums.doubled, sums.unmarked = (
            sums.lost + counts[0],
            sums.doubled + counts[1],
            sums.unmarked + counts[2],
        )
        counted = sum(counts)
    sums.others += max(0, len(faults) - counted)


async def pending(running: Scene) -> float:
    """How long it takes to bring what one server wrote while it was cut off, and to agree on it; in seconds."""
    sessions = await opened(running.addresses[0], _SESSIONS)
    running.proxies[0].away()
    async with callers([running.addresses[0]] * _SESSIONS, within_s=10.0) as clients:

        async def write(place: int) -> None:
            for number in range(_PENDING // _SESSIONS):
                await clients[place].ask("remember", session=sessions[place], kind="finding", value=f"pending {number}")

        await asyncio.gather(*(write(place) for place in range(_SESSIONS)))
    running.proxies[0].heal()
    began_s = time.monotonic()
    async with callers([running.addresses[-1]]) as (elsewhere,):
        for session in sessions:
            while not _has_all(await elsewhere.whole(session)):
                if time.monotonic() - began_s > _CONVERGED_WITHIN_S:
                    return _CONVERGED_WITHIN_S
                await asyncio.sleep(0.02)
    return time.monotonic() - began_s


def _has_all(whole: Told) -> bool:
    return whole.answer is not None and len(whole.answer["findings"]) == _PENDING // _SESSIONS


async def timed(running: Scene, *, away: bool) -> list[Timed]:
    """Calls of four clients at an easy pace, with Redis or without it."""
    sessions = await opened(running.addresses[0], 3)
    async with callers(running.addresses) as clients:
        for client in clients:
            for session in sessions:
                await client.ask("recall", session=session)
    if away:
        running.redis.kill()
    began_at = time.monotonic()
    record = Record()
    load = Load(
        addresses=running.addresses, sessions=sessions, clients=4, seconds=_TIMED_S, seed=int(away), pause_s=0.02
    )
    await loaded(load, record)
    if away:
        await asyncio.to_thread(running.redis.start)
        await converged(running.addresses, sessions, within_s=_CONVERGED_WITHIN_S)
    return [each for each in record.timed if each.began_at - began_at > _SETTLED_S]


def _latency(name: str, calls: Sequence[Timed], most_ms: float | None = None) -> list[Row]:
    took_ms = sorted(each.took_s * 1e3 for each in calls)
    p99 = took_ms[len(took_ms) * 99 // 100]
    return [
        row(f"{name}: p50", statistics.median(took_ms), "ms", f"{len(took_ms)} calls"),
        row(f"{name}: p99", p99, "ms", f"longest {took_ms[-1]:.0f} ms", bound=most_ms),
    ]


def neighbour(redis_url: str) -> Row:
    """What a session of FastMCP keeps of 20 distinct keys that are set at the same time, on the same Redis."""
    name = "FastMCP session: 20 concurrent sets, lost"
    python = neighbours_python()
    if python is None:
        return unmeasured(name, "its environment cannot be made here")
    found = told(python, "chaos/neighbour_store.py", redis_url)
    return row(name, found["lost"], "writes", f"of 20, {found['version']}")


async def measure(folder: Path, *, minutes: float, processes: int, seed: int, emptied: bool) -> list[Row]:
    sums = Sums()
    with scene(folder, servers=processes) as running:
        until_at = time.monotonic() + minutes * 60
        rounds = 0
        while time.monotonic() < until_at:
            print(f"round {rounds}, seed {seed + rounds}", flush=True)
            await one_round(running, sums, seed + rounds, emptied=emptied)
            rounds += 1
        rows = _rows(sums, f"{rounds} rounds, {processes} processes", seed)
        joined_s = await pending(running)
        rows.append(row("1,000 events written apart: until all are seen elsewhere", joined_s, "s", bound=2.0))
        present = _latency("a call with Redis", await timed(running, away=False))
        most_ms = round(present[-1]["value"] * _SLOWER_MOST, 3)
        away = _latency("a call without Redis, after 100 ms", await timed(running, away=True), most_ms)
        rows += [*present, *away]
        rows.append(await asyncio.to_thread(neighbour, running.redis.url))
    return rows


def _rows(sums: Sums, name: str, seed: int) -> list[Row]:
    longest_s = max(sums.converged_s, default=0.0)
    return [
        row(
            f"{name}: acknowledged",
            sums.acknowledged,
            "writes",
            f"{sums.degraded} apart, {sums.calls} calls, seed {seed}",
        ),
        row(f"{name}: acknowledged and lost", sums.lost, "writes", bound=0),
        row(f"{name}: there twice", sums.doubled, "writes", bound=0),
        row(f"{name}: stale and not marked", sums.unmarked, "answers", bound=0),
        row(f"{name}: promises broken otherwise", sums.others, "times", bound=0),
        row(f"{name}: longest until all agreed", longest_s, "s", "after the last fault of a round"),
    ]


def main() -> int:
    parser = asked(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--emptied", action="store_true")
    told_by = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="uds-chaos-") as folder:
        measuring = measure(
            Path(folder),
            minutes=told_by.minutes,
            processes=told_by.processes,
            seed=told_by.seed,
            emptied=told_by.emptied,
        )
        rows = asyncio.run(measuring)
    keep(rows, told_by.json)
    return 0 if all(each["ok"] is not False for each in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
