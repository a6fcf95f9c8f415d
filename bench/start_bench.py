"""How long a host waits for the first answer, and how much memory an idle server holds, against a bare SDK server.

    python bench/start_bench.py [--rounds 7] [--json FILE]

Both servers are started alternately, so that whatever else the machine does meets both. Memory is the resident set of
the server and its workers, after the engine has answered once; it is measured on Linux only.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_START_BOUND_S = 0.4
_MEMORY_BOUND_MB = 60.0
_ROUNDS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One number of the project's promises, and the number it is compared with."""

    name: str
    value: float
    unit: str
    versus: float
    ratio: float
    bound: float
    ok: bool


@dataclass(frozen=True, slots=True)
class Round:
    start_s: float
    resident_mb: float
    private_mb: float
    """Resident memory without the pages that other processes share, such as those of libraries on disk."""


class Client:
    """The least client: JSON lines on the pipes of a process it starts."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._number = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._send(id=self._number, method=method, params=params)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == self._number:
                return message["result"]
        raise SystemExit(f"{method}: the server ended without an answer")

    def open(self) -> None:
        client = {"name": "bench", "version": "1"}
        self.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        self._send(method="notifications/initialized")

    def memory_mb(self, *kinds: str) -> float:
        """Memory of these kinds of the process and everything it started; 0 where the system does not list it."""
        if sys.platform != "linux":
            return 0.0
        return sum(_memory_kb(process, kinds) for process in _tree(self._process.pid)) / 1024

    def close(self) -> None:
        self._process.communicate(timeout=30)

    def _send(self, **message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()


def measure(rounds: int) -> list[Measured]:
    """Start both servers `rounds` times, after one start of each that only warms the disk cache."""
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    if script is None:
        raise SystemExit("install the project into this environment first: make test does")
    ours, bare = [script], [sys.executable, str(Path(__file__).with_name("bare_server.py"))]
    _round(bare, _nothing)
    _round(ours, _wake_engine)
    pairs = [(_round(ours, _wake_engine), _round(bare, _nothing)) for _ in range(rounds)]
    starts = [statistics.median(pair[side].start_s for pair in pairs) for side in (0, 1)]
    resident = [statistics.median(pair[side].resident_mb for pair in pairs) for side in (0, 1)]
    private = [statistics.median(pair[side].private_mb for pair in pairs) for side in (0, 1)]
    measured = [_measured("start: spawn to first tools/list, above the bare SDK's", starts, "s", _START_BOUND_S)]
    if sys.platform == "linux":
        measured += [
            _measured("idle resident memory with worker, above the bare SDK's", resident, "MB", _MEMORY_BOUND_MB),
            _measured("idle private memory with worker, above the bare SDK's", private, "MB", _MEMORY_BOUND_MB),
        ]
    return measured


def _round(command: list[str], wake: Callable[[Client], None]) -> Round:
    started_s = time.perf_counter()
    client = Client(command)
    client.open()
    client.ask("tools/list")
    start_s = time.perf_counter() - started_s
    wake(client)
    measured = Round(start_s, client.memory_mb("Rss:"), client.memory_mb("Private_Clean:", "Private_Dirty:"))
    client.close()
    return measured


def _wake_engine(client: Client) -> None:
    client.ask("tools/call", name="list_schemas", arguments={})


def _nothing(_client: Client) -> None:
    """The bare server has no engine to wake."""


def _measured(name: str, sides: list[float], unit: str, bound: float) -> Measured:
    above = sides[0] - sides[1]
    return Measured(
        name=name,
        value=round(above, 3),
        unit=unit,
        versus=round(sides[1], 3),
        ratio=round(sides[0] / sides[1], 3),
        bound=bound,
        ok=above <= bound,
    )


def _tree(root: int) -> list[int]:
    found = [root]
    for process in found:
        tasks = Path(f"/proc/{process}/task")
        found += [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    return found


def _memory_kb(process: int, kinds: tuple[str, ...]) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(kinds))


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=_ROUNDS)
    asked.add_argument("--json", type=Path)
    told = asked.parse_args()
    measured = measure(told.rounds)
    for each in measured:
        verdict = "ok" if each.ok else "MISSED"
        print(f"{each.name}: {each.value:g} {each.unit} (bare {each.versus:g}, bound {each.bound:g}) {verdict}")
    if told.json:
        told.json.write_text(json.dumps([asdict(each) for each in measured], indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
