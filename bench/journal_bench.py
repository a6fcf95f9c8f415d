"""What is remembered for good: acknowledged writes each second, how long each takes, and what a look costs.

Below MCP, on a file of this checkout's disk, with the disk waited for before every answer. Beside it in the same run:
the same appends through aiosqlite, and how often this disk can be waited for at all.
Run: python bench/journal_bench.py [--seconds 1.5] [--rounds 3] [--json FILE]
"""

import asyncio
import sqlite3
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextlib import closing
from pathlib import Path

from load import Load
from load import finding_text
from load import loaded
from neighbours import neighbours_python
from neighbours import told
from neighbours import versions
from scratch import file_system
from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row
from shown import unmeasured

from state.event_text import encoded
from state.journal import Draft
from state.sessions import Sessions
from state.sqlite.journal import SqliteJournal

PER_S_LEAST = 10_000
TIMES_ONE_BY_ONE_LEAST = 10
P99_BOUND_MS = 25.0
LOOK_BOUND_US = 60.0
_MANY = 64
_LOOKS = 2_000

Shape = tuple[int, int]
"""Writers, and sessions they write to."""

_SHAPES: tuple[Shape, ...] = ((1, 1), (8, 8), (_MANY, _MANY), (256, 256), (_MANY, 1))


@asynccontextmanager
async def kept_in(path: Path) -> AsyncGenerator[Sessions]:
    """Sessions over a file, closed at the end."""
    journal = SqliteJournal(path, clock=time.time)
    try:
        yield Sessions(journal, clock=time.time)
    finally:
        await journal.aclose()


async def remembering(folder: Path, shape: Shape, seconds: float) -> Load:
    """Every writer keeps findings in its session, or in the one of all."""
    writers, sessions = shape
    async with kept_in(folder / f"journal_{time.time_ns()}.db") as kept:
        handles = [(await kept.open(principal="p", goal="why are flights late?")).handle for _ in range(sessions)]

        async def remember(writer: int, number: int) -> None:
            key, value, evidence = finding_text(writer, number)
            handle = handles[writer % sessions]
            await kept.remember(handle, principal="p", kind="finding", key=key, value=value, evidence=evidence)

        return await loaded(remember, writers=writers, seconds=seconds)


def disk_waits_per_s(folder: Path, seconds: float) -> float:
    """A bare loop of `INSERT; COMMIT` of the same text: what the disk allows a program that waits for every write."""
    key, value, evidence = finding_text(1, 1)
    body = {"key": key, "value": value, "evidence": evidence}
    content = encoded(Draft(at=time.time(), kind="finding", actor="p", body=body))
    with closing(sqlite3.connect(folder / f"bare_{time.time_ns()}.db", isolation_level=None)) as bare:
        bare.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE events (content TEXT)")
        commits = 0
        started_s = time.perf_counter()
        while time.perf_counter() - started_s < seconds:
            bare.execute("INSERT INTO events VALUES (?)", (content,))
            commits += 1
        return commits / (time.perf_counter() - started_s)


def throughput(folder: Path, rounds: int, seconds: float) -> list[Row]:
    """Ours and theirs take turns, so that whatever else the machine does meets both."""
    python = neighbours_python()
    ours: dict[Shape, list[Load]] = {shape: [] for shape in _SHAPES}
    theirs: dict[Shape, list[Load]] = {shape: [] for shape in _SHAPES if shape[0] == _MANY}
    waits: list[float] = []
    for _ in range(rounds):
        waits.append(disk_waits_per_s(folder, seconds / 2))
        for shape in _SHAPES:
            ours[shape].append(asyncio.run(remembering(folder, shape, seconds)))
            if python is not None and shape in theirs:
                theirs[shape].append(one_by_one(python, folder, shape, seconds))
    disk_per_s = statistics.median(waits)
    name = "aiosqlite" if python is None else versions(python, "aiosqlite")
    rows = [row(f"INSERT; COMMIT one by one, bare, on {file_system()}", disk_per_s, "per s")]
    for shape, loads in ours.items():
        rows += _shape_rows(shape, loads, disk_per_s)
        if shape in theirs:
            rows.append(_versus_row(shape, loads, theirs[shape], name))
    return rows


def one_by_one(python: Path, folder: Path, shape: Shape, seconds: float) -> Load:
    """The same load on aiosqlite."""
    writers, sessions = shape
    options = ("--writers", writers, "--sessions", sessions, "--seconds", seconds)
    return Load(**told(python, "one_by_one.py", folder, *options))


def _named(shape: Shape) -> str:
    writers, sessions = shape
    return f"{writers} writer{'s' * (writers > 1)} on {sessions} session{'s' * (sessions > 1)}"


def _shape_rows(shape: Shape, loads: list[Load], disk_per_s: float) -> list[Row]:
    per_s = statistics.median(each.per_s for each in loads)
    p50_ms, p99_ms = (statistics.median(getattr(each, name) for each in loads) for name in ("p50_ms", "p99_ms"))
    promised = shape[0] == _MANY
    least, most = (PER_S_LEAST, P99_BOUND_MS) if promised else (None, None)
    return [
        row(f"remember, {_named(shape)}", per_s, "per s", "bare commits", disk_per_s, least=least),
        row(f"   each, p50, {_named(shape)}", p50_ms, "ms"),
        row(f"   each, p99, {_named(shape)}", p99_ms, "ms", bound=most),
    ]


def _versus_row(shape: Shape, loads: list[Load], theirs: list[Load], name: str) -> Row:
    if not theirs:
        return unmeasured(f"   times aiosqlite, {_named(shape)}", "aiosqlite could not be installed")
    times = statistics.median(mine.per_s / other.per_s for mine, other in zip(loads, theirs, strict=True))
    per_s, p99_ms = (statistics.median(getattr(each, field) for each in theirs) for field in ("per_s", "p99_ms"))
    versus = f"{name}, a commit each: {per_s:,.0f} per s, p99 {p99_ms:.0f} ms"
    return row(f"   times aiosqlite, {_named(shape)}", times, "x", versus, least=TIMES_ONE_BY_ONE_LEAST)


async def look_us(path: Path) -> float:
    """CPU of `get` of a session that has not moved, the question whether it has included."""
    async with kept_in(path) as kept:
        handle = (await kept.open(principal="p", goal="why are flights late?")).handle
        for number in range(40):
            key, value, evidence = finding_text(1, number)
            await kept.remember(handle, principal="p", kind="finding", key=key, value=value, evidence=evidence)
        await kept.get(handle, principal="p")
        seen: list[float] = []
        for _ in range(5):
            started_s = time.process_time()
            for _ in range(_LOOKS):
                await kept.get(handle, principal="p")
            seen.append((time.process_time() - started_s) / _LOOKS * 1e6)
        return statistics.median(seen)


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with scratch() as folder:
        rows = throughput(folder, options.rounds, options.seconds)
        rows.append(
            row("get, unmoved session on disk", asyncio.run(look_us(folder / "look.db")), "us", bound=LOOK_BOUND_US)
        )
    keep(rows, options.json)


if __name__ == "__main__":
    main()
