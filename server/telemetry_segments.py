"""Which methods of the engine, the journals and the wire to Redis are watched, from outside: they know no agent.

A segment has the name of its operation and nothing else: no statement, no key, no parameter.
"""

import functools
import time
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Any
from typing import Concatenate
from typing import ParamSpec
from typing import TypeVar

from server.telemetry_counts import Meter
from sources.duckdb.engine import Engine
from state.memory import MemoryJournal
from state.sessions import Sessions
from state.sqlite.journal import SqliteJournal

if TYPE_CHECKING:
    from server.telemetry import Agent
    from state.sessions import Closed

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate[S, P], Awaitable[R]]


@dataclass(frozen=True, slots=True)
class _Watched:
    owner: type
    name: str
    method: Callable[..., Awaitable[Any]]


def instrument(agent: "Agent", meter: Meter, *, redis: bool = False, newrelic: bool = False) -> Callable[[], None]:
    """Watch from now on, in this process. Returns what ends it. `redis`, `newrelic`: whether they are used."""
    watched = [*_watched(agent, meter, redis=redis)]
    if redis:
        watched += _watched_redis(agent, meter)
    if newrelic:
        watched += _watched_newrelic(agent, meter)
    before = [(each.owner, each.name, vars(each.owner)[each.name]) for each in watched]
    for each in watched:
        setattr(each.owner, each.name, each.method)

    def undo() -> None:
        for owner, name, method in reversed(before):
            setattr(owner, name, method)

    return undo


def _watched(agent: "Agent", meter: Meter, *, redis: bool) -> Iterator[_Watched]:
    yield _Watched(Engine, "run", _segment(agent, Engine.run, "DuckDB", "measure"))
    yield _Watched(Engine, "run_untrusted", _segment(agent, Engine.run_untrusted, "DuckDB", "query"))
    yield _Watched(Sessions, "close", _closing(meter, Sessions.close))
    yield _Watched(SqliteJournal, "read", _segment(agent, SqliteJournal.read, "SQLite", "read"))
    yield _Watched(SqliteJournal, "verify", _segment(agent, SqliteJournal.verify, "SQLite", "verify"))
    append = _segment(agent, SqliteJournal.append, "SQLite", "append")
    compact = _segment(agent, SqliteJournal.compact, "SQLite", "compact")
    # Beside Redis it only carries on while that is away, and what it took in is written again when that is back.
    yield _Watched(SqliteJournal, "append", append if redis else _commit(meter, append))
    yield _Watched(SqliteJournal, "compact", compact if redis else _commit(meter, compact))
    if not redis:
        yield _Watched(MemoryJournal, "append", _commit(meter, MemoryJournal.append))
        yield _Watched(MemoryJournal, "compact", _commit(meter, MemoryJournal.compact))


def _watched_redis(agent: "Agent", meter: Meter) -> Iterator[_Watched]:
    from state.redis.connect import RedisWire  # noqa: PLC0415 - only for those who use Redis
    from state.shared.journal import SharedJournal  # noqa: PLC0415

    yield _Watched(RedisWire, "call", _segment_named(agent, RedisWire.call, "Redis", _command))
    yield _Watched(RedisWire, "run", _segment_named(agent, RedisWire.run, "Redis", _script))
    yield _Watched(SharedJournal, "append", _commit(meter, SharedJournal.append))
    yield _Watched(SharedJournal, "compact", _commit(meter, SharedJournal.compact))


def _watched_newrelic(agent: "Agent", meter: Meter) -> Iterator[_Watched]:
    """The agent's own hooks see only requests, which carry the questions of many calls and belong to none."""
    from sources.newrelic.client import NerdGraph  # noqa: PLC0415 - an HTTP client that most servers never need

    asked = _timed(meter, "newrelic/statements", NerdGraph.nrql)
    yield _Watched(NerdGraph, "nrql", _segment(agent, asked, "NRDB", "nrql"))
    yield _Watched(NerdGraph, "graphql", _segment(agent, NerdGraph.graphql, "NRDB", "graphql"))


def _command(*parts: Any) -> str:
    return str(parts[0])


def _script(script: Any, *_rest: Any) -> str:
    return script.name


def _segment(agent: "Agent", method: Method[S, P, R], product: str, operation: str) -> Method[S, P, R]:
    return _segment_named(agent, method, product, lambda *_: operation)


def _segment_named(
    agent: "Agent", method: Method[S, P, R], product: str, operation: Callable[..., str]
) -> Method[S, P, R]:
    @functools.wraps(method)
    async def watched(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with agent.segment(product, operation(*args)):
            return await method(self, *args, **kwargs)

    return watched


def _timed(meter: Meter, name: str, method: Method[S, P, R]) -> Method[S, P, R]:
    """Also those that fail: waiting for nothing is waiting too."""

    @functools.wraps(method)
    async def watched(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        began_s = time.perf_counter()
        try:
            return await method(self, *args, **kwargs)
        finally:
            meter.time(name, time.perf_counter() - began_s)

    return watched


def _commit(meter: Meter, method: Method[S, P, R]) -> Method[S, P, R]:
    """Those that were refused count as none. What is written after nothing opens a session."""

    @functools.wraps(method)
    async def watched(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        began_s = time.perf_counter()
        head = await method(self, *args, **kwargs)
        meter.time("journal/commits", time.perf_counter() - began_s)
        if kwargs.get("expected", head) is None:
            meter.count("sessions/opened")
        return head

    return watched


def _closing(meter: Meter, method: Method[S, P, "Closed"]) -> Method[S, P, "Closed"]:
    @functools.wraps(method)
    async def watched(self: S, /, *args: P.args, **kwargs: P.kwargs) -> "Closed":
        closed = await method(self, *args, **kwargs)
        meter.time("sessions/closed", max(0.0, closed.session.moved_at - closed.session.created_at))
        return closed

    return watched
