"""Keeping a session's values, beside what a user might take instead: FastMCP's sessions and py-key-value on disk.

The same work for each: 64 concurrent writers, each with keys of its own, on one session. How many writes are answered,
whether all of them are there afterwards (also when four processes share the place), and whether they are after kill -9.
Nothing here shows what losing power does: that depends on whether the disk is waited for, which the table says.
Run: python bench/neighbours_bench.py [--seconds 1.5] [--kills 3] [--json FILE]
"""

import json
import random
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neighbours import neighbours_python
from neighbours import told
from neighbours import versions
from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row
from shown import unmeasured

PROCESSES = 4
_WRITERS = 64
_NEIGHBOUR = str(Path(__file__).with_name("neighbour.py"))
_START_S = 4.0
"""Until the slowest of several processes has started and opened its place."""
_ROUNDS = 3
_OURS = "uds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A place for values, and what its makers say of it."""

    kind: str
    name: str
    waits: str
    """Whether an answer means that the disk has it."""
    shared: bool = True
    """Whether several processes can use it."""


KINDS = (
    Kind(kind=_OURS, name="UDS, remember", waits="answers after fsync (SQLite WAL, synchronous=FULL)"),
    Kind(kind="fastmcp-memory", name="FastMCP session, default store", waits="memory only", shared=False),
    Kind(kind="fastmcp-disk", name="FastMCP session, DiskStore", waits="no fsync (SQLite WAL, synchronous=NORMAL)"),
    Kind(kind="disk", name="DiskStore, a key each", waits="no fsync (SQLite WAL, synchronous=NORMAL)"),
    Kind(kind="disk-waiting", name="DiskStore, made to wait", waits="answers after fsync (set below the store)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """Who runs which kind."""

    ours: str
    theirs: Path

    def of(self, kind: Kind) -> str:
        return self.ours if kind.kind == _OURS else str(self.theirs)


def alone(python: Python, kind: Kind, folder: Path, seconds: float) -> dict[str, Any]:
    """All writers in one process."""
    folder.mkdir()
    options = ("--writers", _WRITERS, "--seconds", seconds)
    return told(python.of(kind), _NEIGHBOUR, "write", kind.kind, folder, *options)


def together(python: Python, kind: Kind, folder: Path, seconds: float) -> tuple[int, int]:
    """The writers spread over several processes: keys whose last acknowledged value is not there, and keys."""
    folder.mkdir()
    told(python.of(kind), _NEIGHBOUR, "read", kind.kind, folder)  # the place is made by one
    each = _WRITERS // PROCESSES
    command = [python.of(kind), _NEIGHBOUR, "write", kind.kind, str(folder), "--writers", str(each)]
    command += ["--seconds", str(seconds), "--go-at", str(time.time() + _START_S)]
    started = [
        subprocess.Popen([*command, "--first", str(each * place)], stdout=subprocess.PIPE, text=True)
        for place in range(PROCESSES)
    ]
    last: dict[str, str] = {}
    for process in started:
        last |= json.loads(process.communicate(timeout=120)[0].splitlines()[-1])["last"]
    kept = told(python.of(kind), _NEIGHBOUR, "read", kind.kind, folder)
    return sum(kept.get(key) != number for key, number in last.items()), len(last)


def killed(python: Python, kind: Kind, folder: Path, after_s: float) -> tuple[int, int]:
    """Keys whose last acknowledged value, or a later one, is not there after SIGKILL; and keys."""
    folder.mkdir()
    command = [python.of(kind), _NEIGHBOUR, "acknowledge", kind.kind, str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [child.stdout.readline()]
    until_s = time.perf_counter() + after_s
    while time.perf_counter() < until_s:
        said.append(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    said += child.stdout.readlines()
    child.wait()
    last = {key: int(number) for key, number in (line.split() for line in said if line.endswith("\n"))}
    kept = told(python.of(kind), _NEIGHBOUR, "read", kind.kind, folder)
    return sum(int(kept.get(key, -1)) < number for key, number in last.items()), len(last)


def rates(python: Python, folder: Path, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """All kinds in turn, so that drift of the machine hits all alike."""
    found: dict[str, list[dict[str, Any]]] = {kind.kind: [] for kind in KINDS}
    for turn in range(_ROUNDS):
        for kind in KINDS:
            found[kind.kind].append(alone(python, kind, folder / f"{kind.kind}-alone-{turn}", seconds))
    return found


def kind_rows(python: Python, kind: Kind, folder: Path, kills: int) -> list[Row]:
    """What is left of what was acknowledged."""
    bound = 0 if kind.kind == _OURS else None
    chance = random.Random(kind.kind)  # noqa: S311 - moments, no secrets
    rows: list[Row] = []
    if kind.shared:
        lost, of = together(python, kind, folder / f"{kind.kind}-together", 1.0)
        name = f"{kind.name}: lost, {PROCESSES} processes"
        rows.append(row(name, lost, "keys", f"of {of} acknowledged, each process its own keys", bound=bound))
    deaths = [
        killed(python, kind, folder / f"{kind.kind}-killed-{turn}", chance.uniform(0.1, 0.6)) for turn in range(kills)
    ]
    lost, of = (sum(counts) for counts in zip(*deaths, strict=True))
    return [*rows, row(f"{kind.name}: lost, {kills} x kill -9", lost, "keys", f"of {of} acknowledged", bound=bound)]


def rate_rows(found: dict[str, list[dict[str, Any]]]) -> list[Row]:
    """Answered writes each second, as a share of ours, and what was lost by writers of one process."""
    rows: list[Row] = []
    ours = statistics.median(each["per_s"] for each in found[_OURS])
    for kind in KINDS:
        loads = found[kind.kind]
        per_s = statistics.median(each["per_s"] for each in loads)
        lost = max(each["lost"] for each in loads)
        reference = None if kind.kind == _OURS else ours
        versus = kind.waits if reference is None else f"{kind.waits}; UDS"
        rows.append(row(f"{kind.name}: {_WRITERS} writers", per_s, "per s", versus, reference))
        bound = 0 if kind.kind == _OURS else None
        rows.append(row(f"{kind.name}: lost, one process", lost, "keys", f"of {len(loads[0]['last'])}", bound=bound))
    return rows


def measure(folder: Path, theirs: Path, seconds: float, kills: int) -> list[Row]:
    python = Python(ours=sys.executable, theirs=theirs)
    print(versions(theirs, "fastmcp", "py-key-value-aio", "diskcache"), flush=True)
    rows = rate_rows(rates(python, folder, seconds))
    for kind in KINDS:
        rows += kind_rows(python, kind, folder, kills)
    return rows


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--kills", type=int, default=3)
    options = parser.parse_args()
    theirs = neighbours_python()
    if theirs is None:
        keep([unmeasured("neighbours", "they could not be installed")], options.json)
        return
    with scratch() as folder:
        keep(measure(folder, theirs, options.seconds, options.kills), options.json)


if __name__ == "__main__":
    main()
