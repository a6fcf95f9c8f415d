"""Killed at a random moment, again and again: whether what was acknowledged is there, once, and in one piece.

A child with 16 concurrent writers says which writes were acknowledged and gets SIGKILL; then the file is opened again
and checked. This shows what a dying process leaves behind; what a machine that loses power does depends on its disk,
which is waited for before every answer. Run: python bench/kill_bench.py [--runs 200] [--seed N] [--json FILE]
"""

import asyncio
import json
import os
import random
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path

from load import finding_text
from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row
from shown import unmeasured

from state.limits import Limits
from state.sessions import Sessions
from state.sqlite.journal import SqliteJournal
from state.sqlite.verify import verify_file

WRITERS = 16
SESSIONS = 8
REOPEN_BOUND_MS = 1_000.0
_RUNS_PER_FILE = 10
_LONGEST_S = 0.5
_LIMITS = Limits(events=10_000_000, session_bytes=2**31)
"""Nothing is compacted, so that everything can be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is in the file after a kill."""

    reopened_ms: float
    """Until the first session was read."""
    lost: int
    """Acknowledged and not there, or not at the version that was told."""
    twice: int
    faults: tuple[str, ...]
    """What verification found."""
    unheard: int
    """Written since the file was made, but the child was killed before it could say so."""


async def writing(path: Path, run: int, say: Callable[[str], None]) -> None:
    """Write for ever, and say of each write when it is acknowledged."""
    journal = SqliteJournal(path, clock=time.time)
    sessions = Sessions(journal, clock=time.time, limits=_LIMITS)
    handles = list(await journal.sessions("p"))
    while len(handles) < SESSIONS:
        handles.append((await sessions.open(principal="p")).handle)

    async def write(writer: int) -> None:
        handle = handles[writer % SESSIONS]
        number = 0
        while True:
            key, text, evidence = finding_text(writer, number)
            value = f"{run}-{writer}-{number} {text}"
            kept = await sessions.remember(
                handle, principal="p", kind="finding", key=key, value=value, evidence=evidence
            )
            say(json.dumps([handle, kept.etag, value]))
            number += 1

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))


async def checked(path: Path, acknowledged: list[tuple[str, str, str]]) -> Found:
    """Open the file again, and compare it with what was acknowledged."""
    began_s = time.perf_counter()
    journal = SqliteJournal(path, clock=time.time)
    handles = await journal.sessions("p")
    chapters = {handle: await journal.read(handle) for handle in handles[:1]}
    reopened_ms = (time.perf_counter() - began_s) * 1e3
    chapters |= {handle: await journal.read(handle) for handle in handles[1:]}
    await journal.aclose()
    events = [(handle, event) for handle, chapter in chapters.items() for event in (chapter.events if chapter else ())]
    nonces = {(handle, event.version): event.nonce for handle, event in events}
    places = {(handle, event.body["value"]): event.version for handle, event in events if event.kind == "finding"}
    counts = Counter((handle, event.body["value"]) for handle, event in events if event.kind == "finding")
    lost = 0
    for handle, etag, value in acknowledged:
        version, _, nonce = etag.partition("-")
        there = places.get((handle, value))
        lost += there is None or there > int(version) or nonces.get((handle, int(version))) != nonce
    return Found(
        reopened_ms=reopened_ms,
        lost=lost,
        twice=sum(count - 1 for count in counts.values()),
        faults=tuple(f"{each.session}: {each.fault}" for each in verify_file(path).wrong),
        unheard=len(counts) - len(acknowledged),
    )


def killed(path: Path, run: int, after_s: float) -> list[tuple[str, str, str]]:
    """Start a child, kill it after a while, and return what it was told to be safe."""
    reading, child = forked(lambda say: asyncio.run(writing(path, run, say)))
    until_s = time.perf_counter() + after_s
    text = b""
    while (left_s := until_s - time.perf_counter()) > 0:
        if select.select([reading], [], [], left_s)[0]:
            text += os.read(reading, 2**16)
    os.kill(child, signal.SIGKILL)
    text += rest(reading)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child ended by itself"
    return [tuple(json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]


def forked(work: Callable[[Callable[[str], None]], object]) -> tuple[int, int]:
    """Do some work in a copy of this process; returns where to read what it says, and its id.

    This process has no thread and no open database, so that a copy of it is whole.
    """
    reading, writing_end = os.pipe()
    child = os.fork()
    if child:
        os.close(writing_end)
        return reading, child
    os.close(reading)
    status = 1
    try:
        work(lambda line: _say(writing_end, line))
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def _say(place: int, line: str) -> None:
    """In one piece, however long: what a reader gets of it when the writer dies is a beginning of it."""
    left = f"{line}\n".encode()
    while left:
        left = left[os.write(place, left) :]


def rest(reading: int) -> bytes:
    """All that is still to come."""
    text = b""
    while more := os.read(reading, 2**16):
        text += more
    os.close(reading)
    return text


def found(path: Path, acknowledged: list[tuple[str, str, str]]) -> Found:
    """Check in a copy of this process too."""

    def check(say: Callable[[str], None]) -> None:
        say(json.dumps(asdict(asyncio.run(checked(path, acknowledged)))))

    reading, child = forked(check)
    text = rest(reading)
    os.waitpid(child, 0)
    return Found(**json.loads(text))


def measure(folder: Path, runs: int, seed: int) -> list[Row]:
    chance = random.Random(seed)  # noqa: S311 - moments, no secrets
    results: list[Found] = []
    writes = 0
    acknowledged: list[tuple[str, str, str]] = []
    for run in range(runs):
        if run % _RUNS_PER_FILE == 0:
            acknowledged = []
        path = folder / f"killed_{run // _RUNS_PER_FILE}.db"
        told = killed(path, run, chance.uniform(0.0, _LONGEST_S))
        writes += len(told)
        acknowledged += told
        results.append(found(path, acknowledged))
    name = f"{runs} x kill -9"
    faults = [fault for each in results for fault in each.faults]
    print(*faults[:20], sep="\n", end="\n" * bool(faults))
    unheard = sum(each.unheard for run, each in enumerate(results, start=1) if run % _RUNS_PER_FILE == 0 or run == runs)
    return [
        row(f"{name}: acknowledged and lost", sum(e.lost for e in results), "writes", f"of {writes:,}", bound=0),
        row(f"{name}: there twice", sum(each.twice for each in results), "writes", bound=0),
        row(f"{name}: faults of the file or a chain", len(faults), "faults", bound=0),
        row(f"{name}: written, killed before it was told", unheard, "writes", f"seed {seed}"),
        row(
            f"{name}: longest until readable again",
            max(each.reopened_ms for each in results),
            "ms",
            bound=REOPEN_BOUND_MS,
        ),
    ]


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not hasattr(os, "fork"):
        keep([unmeasured("kill -9", "needs fork")], options.json)
        return
    with scratch() as folder:
        keep(measure(folder, options.runs, options.seed), options.json)


if __name__ == "__main__":
    main()
