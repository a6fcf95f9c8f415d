"""Several processes that serve one address: started, watched, started again when one dies, and stopped together.

The one that watches serves nothing and imports nothing heavy, so that there is little of it to fail.
"""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from types import FrameType
from typing import Final

from server.exit_codes import EXIT_DONE
from server.exit_codes import EXIT_FAILED
from server.http_told import say
from server.worker_link import Worker
from server.worker_link import start_worker
from server.worker_lives import Lives

WORKERS_MOST: Final = 32
_GONE_WITHIN_S = 1.75
"""Workers leave by themselves within 1.7 s; whoever is here longer is killed, so that all are gone within two."""


@dataclass(slots=True, kw_only=True)
class _Place:
    """Of one worker, and of those that come after it."""

    number: int
    start: Callable[[], Worker]
    worker: Worker | None = None
    started_s: float = 0.0
    is_ready: bool = False
    lives: Lives = field(default_factory=Lives)
    due_s: float | None = 0.0
    """When the next one is started. None: not now."""


class Crew:
    """The workers of one address. Lives on the main thread, because signals arrive there."""

    def __init__(self, starts: Sequence[Callable[[], Worker]], *, all_ready: Callable[[], None]) -> None:
        self._places = [_Place(number=number, start=start) for number, start in enumerate(starts, 1)]
        self._all_ready: Callable[[], None] | None = all_ready
        self._selector = selectors.DefaultSelector()
        self._asked = 0
        self._given_up = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code says whether that was the reason."""
        awake, waking = socket.socketpair()
        with awake, waking:
            for end in (awake, waking):
                end.setblocking(False)  # noqa: FBT003 - as a signal must never wait
            signal.set_wakeup_fd(waking.fileno())
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._is_asked)
            self._selector.register(awake, selectors.EVENT_READ, None)
            while not self._asked and not self._given_up:
                self._start_due()
                self._listen(awake, self._until_due_s())
            self._end(awake)
            signal.set_wakeup_fd(-1)
        return EXIT_FAILED if self._given_up else EXIT_DONE

    def _is_asked(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked += 1

    def _start_due(self) -> None:
        now_s = time.monotonic()
        for place in self._places:
            if place.due_s is not None and place.due_s <= now_s:
                self._start(place, now_s)

    def _start(self, place: _Place, now_s: float) -> None:
        place.due_s, place.started_s, place.is_ready = None, now_s, False
        try:
            place.worker = place.start()
        except OSError as fault:
            say(f"uds-mcp: worker {place.number} cannot be started: {fault}")
            self._judge(place, code=1)
            return
        self._selector.register(place.worker.link, selectors.EVENT_READ, place)

    def _until_due_s(self) -> float | None:
        due_s = [place.due_s for place in self._places if place.due_s is not None]
        return max(0.0, min(due_s) - time.monotonic()) if due_s else None

    def _listen(self, awake: socket.socket, patience_s: float | None) -> None:
        for key, _ in self._selector.select(patience_s):
            if key.fileobj is awake:
                awake.recv(64)
            else:
                self._hear(key.data)

    def _hear(self, place: _Place) -> None:
        worker = place.worker
        if worker is None:
            return
        if worker.hears_ready():
            place.is_ready = True
            self._tell_all_ready()
            return
        self._selector.unregister(worker.link)
        place.worker = None
        code = worker.ended()
        if not self._asked and not self._given_up:
            say(f"uds-mcp: worker {place.number} (process {worker.running.pid}) ended with {_told(code)}")
            self._judge(place, code)

    def _judge(self, place: _Place, code: int) -> None:
        now_s = time.monotonic()
        place.lives = place.lives.after(lived_s=now_s - place.started_s, was_ready=place.is_ready)
        place.is_ready = False
        if place.lives.is_hopeless(code):
            say(f"uds-mcp: worker {place.number} cannot be kept running, so all of them stop")
            self._given_up = True
            return
        place.due_s = now_s + place.lives.pause_s

    def _tell_all_ready(self) -> None:
        if self._all_ready is not None and all(place.is_ready for place in self._places):
            self._all_ready()
            self._all_ready = None

    def _end(self, awake: socket.socket) -> None:
        """Ask all to stop, and see to it that they do. Asked twice ourselves, nobody is waited for."""
        asked = self._asked
        deadline_s = time.monotonic() + _GONE_WITHIN_S
        for worker in self._workers():
            worker.running.terminate()
        while self._workers() and self._asked <= max(asked, 1):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            self._listen(awake, left_s)
        for worker in self._workers():
            worker.running.kill()
            worker.ended()

    def _workers(self) -> list[Worker]:
        return [place.worker for place in self._places if place.worker is not None]


def serve_workers(arguments: Sequence[str], listening: Sequence[socket.socket], ready: Callable[[], None]) -> int:
    """Serve with one worker for each socket until asked to stop; `ready` is called once, when all of them answer.

    `arguments`: of our own command, for each of them. Returns the exit code.
    """
    return Crew([_start_on(arguments, each) for each in listening], all_ready=ready).run()


def _start_on(arguments: Sequence[str], listening: socket.socket) -> Callable[[], Worker]:
    return lambda: start_worker(arguments, listening)


def refusal(*, store: str, legacy_sse: bool) -> str | None:
    """Why these settings and several workers do not go together. None: they do."""
    if os.name != "posix":
        return (
            "a socket cannot be handed to other processes on this system; start several servers on ports of their own"
        )
    if store == "memory":
        return (
            "STATE_STORE_TYPE=memory keeps sessions inside one process, so what one worker remembers the others would "
            "not know; use sqlite or redis"
        )
    if legacy_sse:
        return (
            "--legacy-sse ties each client to the process that holds its stream, and its messages may arrive at "
            "another; use one worker, or Streamable HTTP, which every worker answers"
        )
    return None


def _told(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
