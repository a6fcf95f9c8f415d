"""Several processes on one session: each keeps findings as if it were alone, and every one of them must be there once.

Run: python bench/sharing_bench.py [--processes 4] [--appends 2000] [--json FILE]
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row

from state.errors import StateBusy
from state.journal import Draft
from state.journal import Head
from state.journal import VersionMoved
from state.sessions import Sessions
from state.sqlite.journal import SqliteJournal

_WRITERS = 4
"""In each process."""
_KEYS = 32


class Counting(SqliteJournal):
    """Counts the appends that came second."""

    refused = 0

    async def append(
        self,
        session_id: str,
        *,
        expected: Head | None,
        drafts: Sequence[Draft],
        expires_at: float,
        nonce: str | None = None,
    ) -> Head:
        try:
            return await super().append(
                session_id, expected=expected, drafts=drafts, expires_at=expires_at, nonce=nonce
            )
        except VersionMoved:
            self.refused += 1
            raise


async def opened(path: Path) -> str:
    """A session for all to write to."""
    journal = SqliteJournal(path, clock=time.time)
    handle = (await Sessions(journal, clock=time.time).open(principal="p", goal="together")).handle
    await journal.aclose()
    return handle


async def share(path: Path, handle: str, name: str, appends: int) -> dict[str, Any]:
    """What one process does once it is told to go: keep `appends` values, several at a time."""
    journal = Counting(path, clock=time.time)
    sessions = Sessions(journal, clock=time.time)
    await sessions.get(handle, principal="p")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began_at = time.time()
    acknowledged: list[str] = []
    busy = 0

    async def write(numbers: range) -> None:
        nonlocal busy
        for number in numbers:
            value = f"{name}-{number}"
            key = f"k{number % _KEYS}"
            try:
                await sessions.remember(handle, principal="p", kind="finding", key=key, value=value)
            except StateBusy:
                busy += 1
                continue
            acknowledged.append(value)

    await asyncio.gather(*(write(range(first, appends, _WRITERS)) for first in range(_WRITERS)))
    ended_at = time.time()
    await journal.aclose()
    times = {"began_at": began_at, "ended_at": ended_at}
    return {**times, "acknowledged": acknowledged, "refused": journal.refused, "busy": busy}


def shares(path: Path, handle: str, processes: int, appends: int) -> list[dict[str, Any]]:
    """All processes begin together, once each of them is ready."""
    commands = [
        [sys.executable, __file__, "--share", str(path), handle, f"p{number}", str(appends // processes)]
        for number in range(processes)
    ]
    started = [subprocess.Popen(each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for each in commands]
    for each in started:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    told = [each.stdin for each in started if each.stdin is not None]
    for stdin in told:
        stdin.write("go\n")
        stdin.flush()
    return [json.loads(each.communicate(timeout=300)[0]) for each in started]


async def history(path: Path, handle: str) -> tuple[list[str], bool]:
    """The values in the order of their versions; and whether these have no gap and the chain verifies."""
    journal = SqliteJournal(path, clock=time.time)
    chapter = await journal.read(handle)
    verdict = await journal.verify(handle)
    await journal.aclose()
    if chapter is None or verdict is None:
        return [], False
    values = [event.body["value"] for event in chapter.events if event.kind == "finding"]
    linear = [event.version for event in chapter.events] == list(range(1, len(chapter.events) + 1))
    return values, linear and verdict.ok


def measure(folder: Path, processes: int, appends: int) -> list[Row]:
    path = folder / "shared.db"
    handle = asyncio.run(opened(path))
    told = shares(path, handle, processes, appends)
    kept, linear = asyncio.run(history(path, handle))
    wanted = {value for each in told for value in each["acknowledged"]}
    took_s = max(each["ended_at"] for each in told) - min(each["began_at"] for each in told)
    turns = sum(before[:2] != after[:2] for before, after in pairwise(kept))
    refused, busy = (sum(each[what] for each in told) for what in ("refused", "busy"))
    name = f"{processes} processes, one session"
    return [
        row(f"{name}: acknowledged and lost", len(wanted - set(kept)), "appends", f"of {len(wanted):,}", bound=0),
        row(f"{name}: there twice", len(kept) - len(set(kept)), "appends", bound=0),
        row(f"{name}: given up", busy, "appends", "held by others for 5 s", bound=0),
        row(f"{name}: linear, and the chain verifies", int(linear), "yes = 1", least=1),
        row(f"{name}: remembered", len(wanted) / took_s, "per s", f"{turns} changes of writer in the history"),
        row(f"{name}: came second, decided again", refused / max(len(wanted), 1), "each", f"{refused} in all"),
    ]


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--appends", type=int, default=2_000)
    parser.add_argument("--share", nargs=4, help="be one of the processes (used by itself)")
    options = parser.parse_args()
    if options.share:
        path, handle, name, appends = options.share
        print(json.dumps(asyncio.run(share(Path(path), handle, name, int(appends)))))
        return
    with scratch() as folder:
        keep(measure(folder, options.processes, options.appends), options.json)


if __name__ == "__main__":
    main()
