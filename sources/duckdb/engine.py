"""DuckDB as the server sees it: rows for a statement, from jailed worker processes.

The server never imports duckdb: what hostile SQL or a hostile file can do happens in a process that can be killed.
"""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from typing import cast

from sources.duckdb import wire
from sources.duckdb.limits import EngineLimits
from sources.duckdb.pool import EngineStatistics
from sources.duckdb.pool import Pool
from sources.duckdb.pool_worker import WorkerDied
from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import SourceError
from sources.errors import SourceUnreachable
from sources.errors import TooLarge
from sources.protocol import EngineLimit
from sources.protocol import Json
from sources.protocol import Progress
from sources.protocol import silent

MOUNT: Final = "sources.duckdb.mount:mount"
_MEMORY_DEATHS: Final = frozenset({-6, -9})
"""Exit codes of a worker that could not get memory (SIGABRT) or was killed for taking too much (SIGKILL)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    columns: tuple[tuple[str, str], ...]
    """Name and DuckDB type; a name that appears twice gets a number."""
    rows: tuple[tuple[Json, ...], ...]
    more: bool
    """There are rows behind these, left out because of `limit` or the limit of bytes."""
    cut: bool
    """Some value was shortened; it ends in an ellipsis."""
    took_ms: float
    bytes: int
    """Size of the rows as JSON, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Rows of a guest's query, and what is known about it."""

    rows: Rows
    repeatable: bool
    schemas: tuple[str, ...]
    diagnosis: str | None


class Engine:
    """A few workers over one mount. Safe to call from many tasks of one event loop."""

    def __init__(
        self,
        *,
        mount: dict[str, Json],
        readable: tuple[str, ...],
        limits: EngineLimits | None = None,
        workers: int = 2,
        entry: str = MOUNT,
    ) -> None:
        """`mount`: the plan that `entry` makes views of in each worker. `readable`: absolute files and folders."""
        self._limits = limits or EngineLimits()
        self._entry = entry
        self._numbers = itertools.count(1)
        self._catalogue: dict[str, Json] | None = None
        self._pool = Pool(self._first_frame(mount, readable), self._limits, workers)

    def prestart(self) -> None:
        """Spawn the first worker now; returns at once and needs no event loop."""
        self._pool.prestart()

    async def ready(self) -> dict[str, Json]:
        """The catalogue of the mount. Raises `SourceUnreachable`."""
        if self._catalogue is None:
            worker = await self._pool.acquire(asyncio.get_running_loop().time() + self._limits.start_s)
            self._catalogue = worker.catalogue
            self._pool.release(worker)
        return self._catalogue

    async def run(
        self,
        sql: str,
        parameters: Sequence[Json] = (),
        *,
        within_s: float,
        limit: int = 10_000,
        progress: Progress = silent,
    ) -> Rows:
        """Run our own text, unguarded but behind the same walls.

        Raises `QueryRejected`, `QueryTimeout`, `TooLarge`, `QuotaSpent`, `SourceUnreachable`.
        """
        call: wire.Frame = {"sql": sql, "parameters": list(parameters), "guarded": False, "limit": limit, "offset": 0}
        return _rows(await self._answered(call, within_s, progress))

    async def run_untrusted(
        self, sql: str, *, limit: int, offset: int, within_s: float, progress: Progress = silent
    ) -> Answer:
        """Run a guest's text if it is one read-only query over known schemas. Raises as `run`."""
        self._check(sql, offset)
        bounded = max(1, min(limit, self._limits.answer_rows))
        call: wire.Frame = {"sql": sql, "parameters": [], "guarded": True, "limit": bounded, "offset": max(0, offset)}
        answered = await self._answered(call, within_s, progress)
        return Answer(
            rows=_rows(answered),
            repeatable=bool(answered["repeatable"]),
            schemas=tuple(str(name) for name in cast("list[Json]", answered["schemas"])),
            diagnosis=cast("str | None", answered["diagnosis"]),
        )

    async def remount(self, mount: dict[str, Json], readable: tuple[str, ...]) -> None:
        """Serve another mount from now on; running calls end on the old one. Raises `SourceUnreachable`."""
        self._catalogue = None
        self._pool.remount(self._first_frame(mount, readable))
        await self.ready()

    def statistics(self) -> EngineStatistics:
        return self._pool.statistics()

    def limits_in_force(self) -> tuple[EngineLimit, ...]:
        """What the newest worker reported; empty before the first is up."""
        reported = cast("list[dict[str, str | bool]]", self._pool.reported)
        return tuple(
            EngineLimit(
                name=str(limit["name"]),
                value=str(limit["value"]),
                in_force=bool(limit["in_force"]),
                why=str(limit["why"]),
            )
            for limit in reported
        )

    async def aclose(self) -> None:
        """Kill and reap all workers, within a second."""
        await self._pool.aclose()

    def _first_frame(self, mount: dict[str, Json], readable: tuple[str, ...]) -> bytes:
        return wire.packed(
            {"plan": mount, "readable": list(readable), "entry": self._entry, "limits": self._limits.as_json()}
        )

    def _check(self, sql: str, offset: int) -> None:
        size = len(sql.encode("utf-8", "surrogatepass"))
        if size > self._limits.query_bytes:
            raise QueryRejected(
                f"the query has {size} bytes, the limit is {self._limits.query_bytes}", "Send a shorter query."
            )
        if offset > self._limits.offset_rows:
            raise QueryRejected(
                f"offset {offset} is over the limit of {self._limits.offset_rows}",
                "Filter or aggregate instead of paging.",
            )

    async def _answered(self, call: wire.Frame, within_s: float, progress: Progress) -> wire.Frame:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        worker = await self._pool.acquire(deadline)
        number = self._pool.queries = next(self._numbers)
        answer = worker.ask(call | {"call": number, "within_s": deadline - loop.time()}, progress)
        try:
            async with asyncio.timeout_at(deadline):
                answered = await asyncio.shield(answer)
        except (TimeoutError, asyncio.CancelledError) as stop:
            self._pool.settle(worker, number, answer)
            if isinstance(stop, TimeoutError):
                raise QueryTimeout(within_s) from None
            raise
        except WorkerDied as death:
            self._pool.release(worker)
            raise self._death(death) from death
        if answered.get("lost"):
            worker.kill()
        self._pool.release(worker)
        if "fault" in answered:
            raise self._fault(cast("wire.Frame", answered["fault"]), within_s)
        return answered

    def _death(self, death: WorkerDied) -> SourceError:
        if death.code in _MEMORY_DEATHS:
            return TooLarge(self._too_large())
        return SourceUnreachable(f"the engine's worker ended unexpectedly (code {death.code}); it was replaced")

    def _too_large(self) -> str:
        megabytes = self._limits.memory_bytes // 1_000_000
        return f"the query needed more memory than the engine's limit of {megabytes} MB; aggregate or filter more"

    def _fault(self, fault: wire.Frame, within_s: float) -> SourceError:
        reason = str(fault["reason"])
        match fault["kind"]:
            case "timeout":
                return QueryTimeout(min(within_s, self._limits.execution_s))
            case "too_large":
                return TooLarge(self._too_large() if "memory" in reason else reason)
            case "unreachable":
                return SourceUnreachable(reason)
            case _:
                return QueryRejected(reason, str(fault["remedy"]))


def _rows(answered: wire.Frame) -> Rows:
    listed = cast("list[list[Json]]", answered["rows"])
    columns = cast("list[tuple[str, str]]", answered["columns"])
    return Rows(
        columns=tuple((name, kind) for name, kind in columns),
        rows=tuple(tuple(row) for row in listed),
        more=bool(answered["more"]),
        cut=bool(answered["cut"]),
        took_ms=cast("float", answered["took_ms"]),
        bytes=cast("int", answered["bytes"]),
    )
