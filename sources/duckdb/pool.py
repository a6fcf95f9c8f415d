"""Which worker serves which call: a few workers, callers served in the order they came, dead workers replaced."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Final
from typing import cast

from sources.duckdb.limits import EngineLimits
from sources.duckdb.pool_worker import Frame
from sources.duckdb.pool_worker import Worker
from sources.duckdb.pool_worker import WorkerDied
from sources.errors import QuotaSpent
from sources.errors import SourceUnreachable

if TYPE_CHECKING:
    from sources.protocol import Json

log: Final = logging.getLogger(__name__)
_RETRY_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """`workers` and `busy` are now, the others since the start; `killed` counts every worker that ended."""

    workers: int
    busy: int
    spawned: int
    killed: int
    queries: int


class Pool:
    """At most `size` workers of the newest mount. Belongs to one event loop, except `prestart`."""

    def __init__(self, mount: bytes, limits: EngineLimits, size: int) -> None:
        self._mount = mount
        self._limits = limits
        self._size = size
        self._starting: set[Worker] = set()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._prestarted: Worker | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._retiring: dict[Worker, asyncio.TimerHandle] = {}
        self._closed = False
        self._spawned = 0
        self._killed = 0
        self.queries = 0
        self.reported: list[Json] = []
        """The limits that the newest worker said are in force."""

    def prestart(self) -> None:
        """Spawn the first worker without waiting for it, and without an event loop."""
        if self._prestarted is None and not self._workers():
            self._prestarted = self._spawned_worker()

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(
            workers=len(self._workers()) + (self._prestarted is not None),
            busy=len(self._busy),
            spawned=self._spawned,
            killed=self._killed,
            queries=self.queries,
        )

    async def acquire(self, deadline: float) -> Worker:
        """A mounted worker for the caller alone, in turn. `deadline` is an instant of the loop's clock.

        Raises `QuotaSpent` when all were busy until then, `SourceUnreachable` when none can be started.
        """
        if self._closed:
            raise SourceUnreachable("the engine is closed")
        self._adopt()
        for worker in [worker for worker in self._idle if not worker.alive]:
            self._discard(worker)
        if self._idle and not self._waiting:
            return self._taken(self._idle.pop())
        if len(self._current()) < self._size and len(self._starting) <= len(self._waiting):
            self._start()
        return await self._turn(deadline)

    def release(self, worker: Worker) -> None:
        """Give it back; a dead one is replaced, one of an older mount is ended."""
        self._busy.discard(worker)
        if worker.dead or self._closed or worker.mount is not self._mount:
            self._discard(worker)
            return
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(self._taken(worker))
                return
        self._idle.append(worker)
        self._later(self._limits.idle_s, self._retire, worker)

    def settle(self, worker: Worker, call: int, answer: asyncio.Future[Frame]) -> None:
        """Stop a call whose caller went away: interrupt, a moment of grace, kill; then release the worker."""
        self._background(self._settled(worker, call, answer))

    def remount(self, mount: bytes) -> None:
        """Serve by new workers from now on; busy ones end when their call does."""
        self._mount = mount
        self._adopt()
        for worker in [*self._idle, *self._starting]:
            self._discard(worker)
        self._start()

    async def aclose(self) -> None:
        """Kill and reap every worker; pending calls and waiting callers fail with `SourceUnreachable`."""
        self._closed = True
        workers = [*self._workers(), *([self._prestarted] if self._prestarted else [])]
        self._fail_waiting(SourceUnreachable("the engine is closed"))
        for worker in workers:
            self._discard(worker)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(worker.reap) for worker in workers))

    def _workers(self) -> set[Worker]:
        return {*self._starting, *self._idle, *self._busy}

    def _current(self) -> list[Worker]:
        return [worker for worker in self._workers() if worker.mount is self._mount]

    def _spawned_worker(self) -> Worker:
        self._spawned += 1
        return Worker(self._mount, self._limits.address_space_bytes)

    def _adopt(self) -> None:
        if self._prestarted is not None:
            worker, self._prestarted = self._prestarted, None
            self._bring_up(worker)

    def _start(self) -> None:
        self._bring_up(self._spawned_worker())

    def _bring_up(self, worker: Worker) -> None:
        self._starting.add(worker)
        self._background(self._brought_up(worker))

    async def _brought_up(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limits.start_s):
                first = await asyncio.wrap_future(worker.mounted)
        except (WorkerDied, TimeoutError) as error:
            self._not_started(worker, str(error) or "it took too long")
            return
        if "mounted" not in first:
            self._not_started(worker, str(cast("Frame", first.get("fault") or {}).get("reason")))
            return
        if worker not in self._starting:
            return
        worker.catalogue = cast("dict[str, Json]", first["mounted"])
        self.reported = cast("list[Json]", first["limits"])
        worker.on_end = _on_loop(loop, lambda: self._ended(worker))
        self._starting.discard(worker)
        self.release(worker)

    def _not_started(self, worker: Worker, reason: str) -> None:
        stale = worker not in self._starting
        self._starting.discard(worker)
        worker.kill()
        if stale:
            return
        log.warning("a worker of the engine did not start: %s", reason)
        if not self._current():
            self._fail_waiting(SourceUnreachable(f"the engine did not start: {reason}", self._limits.start_s))

    def _ended(self, worker: Worker) -> None:
        if worker in self._idle:
            self._discard(worker)

    def _discard(self, worker: Worker) -> None:
        if handle := self._retiring.pop(worker, None):
            handle.cancel()
        self._starting.discard(worker)
        self._busy.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        worker.kill()
        self._killed += 1
        if not self._closed and not self._current() and worker.mount is self._mount:
            self._start()

    def _retire(self, worker: Worker) -> None:
        if len(self._workers()) > 1:
            self._end_idle(worker)
        else:
            self._later(self._limits.rest_s, self._end_idle, worker)

    def _end_idle(self, worker: Worker) -> None:
        del self._retiring[worker]
        if worker in self._idle:
            self._idle.remove(worker)
            worker.kill()
            self._killed += 1

    def _later(self, after_s: float, act: Callable[[Worker], None], worker: Worker) -> None:
        self._retiring[worker] = asyncio.get_running_loop().call_later(after_s, act, worker)

    def _taken(self, worker: Worker) -> Worker:
        if handle := self._retiring.pop(worker, None):
            handle.cancel()
        self._busy.add(worker)
        return worker

    async def _turn(self, deadline: float) -> Worker:
        turn: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                return await turn
        except TimeoutError:
            self._unturned(turn)
            if not self._busy:
                raise SourceUnreachable("the engine is still starting; try again in a moment") from None
            raise QuotaSpent("all workers of the engine were busy", _RETRY_AFTER_S) from None
        except asyncio.CancelledError:
            self._unturned(turn)
            raise

    def _unturned(self, turn: asyncio.Future[Worker]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self.release(turn.result())

    async def _settled(self, worker: Worker, call: int, answer: asyncio.Future[Frame]) -> None:
        try:
            worker.interrupt(call)
            await asyncio.wait({answer}, timeout=self._limits.grace_s)
            if not answer.done():
                worker.kill()
        finally:
            self.release(worker)

    def _fail_waiting(self, error: SourceUnreachable) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(error)

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _on_loop(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> Callable[[], None]:
    def scheduled() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            loop.call_soon_threadsafe(act)

    return scheduled
