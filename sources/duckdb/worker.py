"""The process that runs DuckDB: reads frames on its main thread, runs one query at a time on a second one.

The main thread only reads, so an interrupt or the end of the server is noticed even while a query computes.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING
from typing import Any
from typing import BinaryIO
from typing import Final
from typing import cast

from sources.duckdb import wire
from sources.duckdb.limits import no_file_writes
from sources.duckdb.limits import rlimits
from sources.duckdb.worker_memory import release_library_pages
from sources.protocol import EngineLimit
from sources.protocol import Json

if TYPE_CHECKING:
    from sources.duckdb.worker_calls import Answering

_TICK_S: Final = 0.25
_STACK_BYTES: Final = 16 * 2**20
_NESTING: Final = 20_000
_LOST: Final = 70
_NICENESS: Final = 5
"""Queries give way to the server, which answers others meanwhile, and to what else the machine is used for."""
_RESTING_S: Final = 5.0
"""Without a call for this long a worker gives back what it does not need."""


def main() -> None:
    """Serve until standard input ends. `sys.argv[1]`: bytes of address space."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server decides when we end
    in_force = rlimits(int(sys.argv[1]))
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    reading, writing = _own_wire()
    import duckdb  # noqa: PLC0415 - after the limits, so that they hold for everything it allocates

    first = wire.read_frame(reading.read)
    if first is None:
        return
    sys.setrecursionlimit(_NESTING)
    threading.stack_size(_STACK_BYTES)
    send = _Sender(writing)
    try:
        session = _opened(duckdb, first, in_force, send)
    except (duckdb.Error, OSError, ValueError, LookupError, TypeError, ImportError, MemoryError) as error:
        send({"fault": {"kind": "unreachable", "reason": f"{type(error).__name__}: {error}"[:500], "remedy": ""}})
        return
    _serve(session, reading)
    os._exit(0)  # a query may still be running on the other thread; nobody waits for it


def _own_wire() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for frames alone: whatever prints lands on standard error."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - does not exist elsewhere

        msvcrt.setmode(0, os.O_BINARY)
        msvcrt.setmode(1, os.O_BINARY)
    reading, writing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return reading, writing


class _Sender:
    """Writes whole frames, one at a time, from any thread."""

    def __init__(self, writing: BinaryIO) -> None:
        self._writing = writing
        self._turn = threading.Lock()

    def __call__(self, frame: wire.Frame) -> None:
        self.body(json.dumps(frame, allow_nan=False, separators=(",", ":")))

    def body(self, body: str) -> None:
        with self._turn:
            self._writing.write(wire.framed(body))
            self._writing.flush()


def _opened(duckdb: Any, first: wire.Frame, in_force: tuple[EngineLimit, ...], send: _Sender) -> "_Session":
    from sources.duckdb.jail import jail  # noqa: PLC0415 - not needed before there is a mount
    from sources.duckdb.jail_settings import lock_down  # noqa: PLC0415 - imports duckdb, so after the limits
    from sources.duckdb.jail_settings import session  # noqa: PLC0415 - imports duckdb, so after the limits
    from sources.duckdb.worker_calls import Answering  # noqa: PLC0415 - imports duckdb

    readable = [str(path) for path in cast("list[Json]", first["readable"])]
    mount = _mount_entry(first)
    in_force += (no_file_writes(), *jail(readable))
    limits = cast("dict[str, Any]", first["limits"])
    connection = duckdb.connect(":memory:", config={"temp_directory": "", "threads": limits["threads"]})
    catalogue = mount(connection, cast("dict[str, Json]", first["plan"]))
    cursor = session(connection)
    in_force += lock_down(connection, readable, limits)
    session = _Session(Answering(connection, cursor, limits), send)
    release_library_pages()
    send({"mounted": catalogue, "limits": [_limit_json(limit) for limit in in_force], "pid": os.getpid()})
    return session


def _limit_json(limit: EngineLimit) -> Json:
    return {"name": limit.name, "value": limit.value, "in_force": limit.in_force, "why": limit.why}


def _mount_entry(first: wire.Frame) -> Callable[[Any, dict[str, Json]], Json]:
    """The function that mounts, imported while this process may still write its compiled form."""
    if set(cast("dict[str, Json]", first["plan"])) == {"statements"}:
        return _run_statements
    module, _, name = str(first["entry"]).partition(":")
    return cast("Callable[[Any, dict[str, Json]], Json]", getattr(import_module(module), name))


def _run_statements(connection: Any, plan: dict[str, Json]) -> Json:
    """The plain plan: run these trusted statements; there is no catalogue."""
    for statement in cast("list[str]", plan["statements"]):
        connection.execute(statement)
    return {}


class _Session:
    """The calls of one worker: at most one at a time."""

    def __init__(self, answering: "Answering", send: _Sender) -> None:
        self._answering = answering
        self._send = send
        self._calls: list[wire.Frame] = []
        self._waiting = threading.Semaphore(0)
        self._busy = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()
        threading.Thread(target=self._tick, daemon=True).start()

    def take(self, frame: wire.Frame) -> None:
        if frame.get("op") == "interrupt":
            self._answering.interrupt(frame.get("call"))
            return
        self._calls.append(frame)
        self._waiting.release()

    def _work(self) -> None:
        while True:
            if not self._waiting.acquire(timeout=_RESTING_S):
                release_library_pages()
                self._waiting.acquire()
            call = self._calls.pop(0)
            self._busy.set()
            try:
                body, lost = self._answering.answer(call)
            finally:
                self._busy.clear()
            self._send.body(body)
            if lost:
                os._exit(_LOST)

    def _tick(self) -> None:
        """Tell how far the query is, and repeat an interrupt that came between two of its statements."""
        while self._busy.wait():
            time.sleep(_TICK_S)
            progress = self._answering.progress()
            if progress is not None:
                self._send(progress)


def _serve(session: _Session, reading: BinaryIO) -> None:
    while (frame := wire.read_frame(reading.read)) is not None:
        session.take(frame)
