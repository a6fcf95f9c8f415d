"""100,000 live sessions of about 2 KB in one file: what they take of memory and pauses, and how all expire at once.

Each part runs in a process of its own, so that nothing else is counted.
Run: python bench/crowd_bench.py [--sessions 100000] [--json FILE]
"""

import asyncio
import gc
import json
import mmap
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row

from state import decisions
from state import fold
from state.journal import Draft
from state.sessions import Sessions
from state.sqlite.journal import SqliteJournal

MEMORY_BOUND_MB = 300.0
PAUSE_BOUND_MS = 50.0
STALL_BOUND_MS = 20.0
_PER_PRINCIPAL = 500
_AT_ONCE = 512
_LOOKS_AT_ONCE = 32
_TTL_S = 3_600.0
_BEGAN_AT = 1.0e9
_EXPIRING_MOST_S = 120.0


class Clock:
    """Moved by hand, so that sessions expire together when we say so."""

    def __init__(self) -> None:
        self.now = _BEGAN_AT

    def __call__(self) -> float:
        return self.now


def owner_of(number: int) -> str:
    """Of session `number`: nobody has more than a quota allows."""
    return f"p{number // _PER_PRINCIPAL}"


def drafts_of(number: int) -> tuple[Draft, ...]:
    """The events of a session with a goal and six findings: about 2 KB."""
    goal = f"Which carriers are late most often in month {number}, and is it the weather or the airport?"
    bodies = [(fold.OPENED, decisions.opening(f"s{number}", label=None, goal=goal, ttl_s=_TTL_S))]
    for place in range(6):
        value = f"Delays of carrier {place} pile up in the evening; two airports cause half of all of them ({number})."
        evidence = "SELECT carrier, avg(dep_delay) FROM flights WHERE dep_delay > 15 GROUP BY carrier ORDER BY 2 DESC"
        bodies.append((fold.FINDING, {"key": f"carrier {place}", "value": value, "evidence": evidence}))
    return tuple(Draft(at=_BEGAN_AT, kind=kind, actor=owner_of(number), body=body) for kind, body in bodies)


async def fill(path: Path, sessions: int) -> dict[str, Any]:
    """Create the sessions, many to a transaction."""
    journal = SqliteJournal(path, clock=Clock())
    started_s = time.perf_counter()
    for first in range(0, sessions, _AT_ONCE):
        await asyncio.gather(
            *(
                journal.append(f"s{number}", expected=None, drafts=drafts_of(number), expires_at=_BEGAN_AT + _TTL_S)
                for number in range(first, min(first + _AT_ONCE, sessions))
            )
        )
    took_s = time.perf_counter() - started_s
    held = journal.statistics()
    await journal.aclose()
    return {"per_s": sessions / took_s, "bytes_each": held.size_bytes / held.sessions}


async def touch_all(path: Path, sessions: int) -> dict[str, Any]:
    """Look at each once, and say what that added to this process; then collect garbage once."""
    journal = SqliteJournal(path, clock=Clock())
    kept = Sessions(journal, clock=Clock(), ttl_s=_TTL_S)
    await kept.get("s0", principal="p0")
    before_ms = collected_ms()
    before_mb = rss_mb()
    started_s = time.perf_counter()
    for first in range(0, sessions, _LOOKS_AT_ONCE):
        some = range(first, min(first + _LOOKS_AT_ONCE, sessions))
        await asyncio.gather(*(kept.get(f"s{number}", principal=owner_of(number)) for number in some))
    each_us = (time.perf_counter() - started_s) / sessions * 1e6
    added_mb = rss_mb() - before_mb
    pause_ms = collected_ms()
    await journal.aclose()
    return {"added_mb": added_mb, "pause_ms": pause_ms, "before_ms": before_ms, "each_us": each_us}


def collected_ms() -> float:
    """CPU of one full collection that finds nothing to free."""
    gc.collect()
    started_s = time.thread_time()
    gc.collect()
    return (time.thread_time() - started_s) * 1e3


async def expire_all(path: Path, sessions: int) -> dict[str, Any]:
    """All of them expire at one moment, and are ended while somebody else goes on to work."""
    clock = Clock()
    journal = SqliteJournal(path, clock=clock)
    kept = Sessions(journal, clock=clock, ttl_s=10 * _TTL_S)
    handle = (await kept.open(principal="alive")).handle
    gaps: list[float] = []
    beating = asyncio.create_task(heartbeat(gaps))
    clock.now += _TTL_S + 1.0
    appends: list[float] = []
    started_s = time.perf_counter()
    while journal.statistics().sessions > 1 and time.perf_counter() - started_s < _EXPIRING_MOST_S:
        began_s = time.perf_counter()
        await kept.remember(handle, principal="alive", kind="context", key=f"k{len(appends) % 20}", value="x" * 100)
        appends.append(time.perf_counter() - began_s)
    took_s = time.perf_counter() - started_s
    left = journal.statistics().sessions - 1
    beating.cancel()
    await journal.aclose()
    return {
        "stall_ms": max(gaps) * 1e3,
        "append_ms": max(appends) * 1e3,
        "appends": len(appends),
        "took_s": took_s,
        "left": left,
        "sessions": sessions,
    }


async def heartbeat(gaps: list[float]) -> None:
    """How long the loop did not come round."""
    last_s = time.perf_counter()
    while True:
        await asyncio.sleep(0)
        now_s = time.perf_counter()
        gaps.append(now_s - last_s)
        last_s = now_s


def rss_mb() -> float:
    """Resident memory of this process now. 0 where the system does not tell."""
    place = Path("/proc/self/statm")
    if not place.exists():
        return 0.0
    return int(place.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE / 2**20


PARTS = {"fill": fill, "touch": touch_all, "expire": expire_all}


def part(name: str, path: Path, sessions: int) -> dict[str, Any]:
    """What a part says of itself."""
    command = [sys.executable, __file__, "--part", name, str(path), "--sessions", str(sessions)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(folder: Path, sessions: int) -> list[Row]:
    path = folder / "crowd.db"
    filled, touched, expired = (part(name, path, sessions) for name in PARTS)
    many = f"{sessions:,} sessions"
    while_ending = f"{expired['appends']:,} appends in {expired['took_s']:.1f} s"
    return [
        row(f"{many}: created in bulk", filled["per_s"], "per s", f"{filled['bytes_each']:,.0f} bytes each"),
        row(f"{many}: memory after a look at each", touched["added_mb"], "MB", bound=MEMORY_BOUND_MB),
        row(
            f"{many}: gc.collect() then", touched["pause_ms"], "ms CPU", "before", touched["before_ms"], PAUSE_BOUND_MS
        ),
        row(f"{many}: a first look", touched["each_us"], "us"),
        row(f"{many} expire together: longest stall", expired["stall_ms"], "ms", while_ending, bound=STALL_BOUND_MS),
        row(f"{many} expire together: longest append", expired["append_ms"], "ms"),
        row(f"{many} expire together: not ended after all", expired["left"], "sessions", bound=0),
    ]


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--part", nargs=2, metavar=("PART", "FILE"), help="do one part (used by itself)")
    options = parser.parse_args()
    if options.part:
        name, path = options.part
        print(json.dumps(asyncio.run(PARTS[name](Path(path), options.sessions))))
        return
    with scratch() as folder:
        keep(measure(folder, options.sessions), options.json)


if __name__ == "__main__":
    main()
