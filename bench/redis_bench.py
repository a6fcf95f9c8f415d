"""Sessions in Redis: what an append costs beside Redis's own speed, when others see it, and what a call costs without.

One redis-server on loopback (appendonly yes, everysec, as the README advises), one process of ours unless it says two.
The ceiling is `redis-benchmark` with the same script, which opens a session with each call. The plain pool is the same
journal over redis-py's own connection pool, one call for each command.
Run: python bench/redis_bench.py [--seconds 2] [--json FILE]
"""

import asyncio
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from collections.abc import Awaitable
from collections.abc import Sequence
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from load import Load
from load import loaded
from load import summed_up
from scratch import scratch
from shown import Row
from shown import asked
from shown import keep
from shown import row
from shown import unmeasured

from state.changes import Change
from state.changes import SessionMoved
from state.journal import Draft
from state.journal import Quota
from state.redis.address import parse
from state.redis.changes import RedisChanges
from state.redis.connect import open_wire
from state.redis.identity import identity
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.redis.wire import Part
from state.redis.wire import Script
from state.redis.wire import Wire
from state.sessions import Sessions
from state.shared.journal import SharedJournal
from state.sqlite.journal import SqliteJournal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.redis_server import RedisServer
from tests.redis_server import redis_binary

_CALLERS = (1, 16, 64)
_ROOM = Quota(sessions=10**6, events=10**9, size_bytes=10**12)
_BODY = {"key": "k", "value": "x" * 380}
"""An event of 427 bytes, as in the reference of other numbers."""
_WRITES = 600
_PAUSE_S = 0.003
_THINKING_S = 0.01
_CEILING_CALLS = 20_000
_DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")


def draft() -> Draft:
    return Draft(at=time.time(), kind="context", actor="p", body=_BODY)


class PlainPool:
    """What stands for the wire when redis-py is used as it comes."""

    def __init__(self, url: str, connections: int) -> None:
        from redis.asyncio import ConnectionPool  # noqa: PLC0415
        from redis.asyncio import Redis  # noqa: PLC0415

        pool: Any = ConnectionPool.from_url(url, max_connections=connections)  # pyright: ignore[reportUnknownMemberType]
        self._client: Any = Redis(connection_pool=pool)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part], *, again: bool) -> Any:
        from redis.exceptions import NoScriptError  # noqa: PLC0415

        _ = again
        try:
            return await self._client.evalsha(script.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self._client.eval(script.text, len(keys), *keys, *arguments)

    async def aclose(self) -> None:
        await self._client.aclose()


class Recording:
    """Notes the last script that was run, for another program to repeat."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.command: list[str] = []
        self.last = b""
        """The last argument, which may hold any bytes: it is read from standard input."""

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part], *, again: bool) -> Any:
        *rest, last = arguments
        texts = ["x" * len(part) if isinstance(part, bytes) else str(part) for part in rest]
        self.command = ["EVALSHA", script.digest, str(len(keys)), *keys, *texts]
        self.last = last if isinstance(last, bytes) else str(last).encode()
        return await self._wire.run(script, keys, arguments, again=again)


def journal_over(wire: Any) -> RedisJournal:
    return RedisJournal(wire, keys=Keys(), clock=time.time, origin="bench", quota=_ROOM)


async def appended(journal: RedisJournal, callers: int, seconds: float) -> Load:
    """Every caller appends to a session of its own, knowing where it stands."""
    ids = [f"{secrets.token_hex(8)}" for _ in range(callers)]
    end = time.time() + 3_600
    heads = {each: await journal.append(each, expected=None, drafts=[draft()], expires_at=end) for each in ids}

    async def call(caller: int, _number: int) -> None:
        each = ids[caller]
        heads[each] = await journal.append(each, expected=heads[each], drafts=[draft()], expires_at=end)

    return await loaded(call, writers=callers, seconds=seconds)


async def through_ours(url: str, callers: int, seconds: float) -> Load:
    wire = open_wire(parse(f"{url}?socket_timeout=5"))
    try:
        return await appended(journal_over(wire), callers, seconds)
    finally:
        await wire.aclose()


async def through_pool(url: str, callers: int, seconds: float) -> Load:
    pool = PlainPool(url, connections=max(_CALLERS))
    try:
        return await appended(journal_over(pool), callers, seconds)
    finally:
        await pool.aclose()


async def ceiling(url: str, port: int, callers: int) -> tuple[float, float]:
    """Calls a second and the p95 in ms that redis-benchmark gets from the script."""
    wire = open_wire(parse(f"{url}?socket_timeout=5"))
    recording = Recording(wire)
    name = "__rand_int__"
    await journal_over(recording).append(name, expected=None, drafts=[draft()], expires_at=time.time() + 3_600)
    await wire.aclose()
    command = ["redis-benchmark", "-p", str(port), "-c", str(callers), "-n", str(_CEILING_CALLS), "-r", "1000000000"]
    command += ["--csv", "-x", *recording.command]
    ended = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, input=recording.last)
    numbers = ended.stdout.decode("latin-1").splitlines()[-1].rsplit('","', 7)
    per_s, _average, _least, _p50, p95, _p99, _most = (float(each.strip('"')) for each in numbers[-7:])
    return per_s, p95


async def append_rows(server: RedisServer, seconds: float) -> list[Row]:
    rows: list[Row] = []
    for callers in _CALLERS:
        server.ask("FLUSHALL")
        top, top_p95 = await ceiling(server.url, server.port, callers)
        server.ask("FLUSHALL")
        pool = await through_pool(server.url, callers, seconds)
        server.ask("FLUSHALL")
        ours = await through_ours(server.url, callers, seconds)
        what = f"append, {callers} callers in one process"
        rows += [
            row(f"{what}: rate", ours.per_s, "/s", "redis-benchmark, same script", top),
            row(f"{what}: rate", ours.per_s, "/s", "redis-py's pool", pool.per_s),
            row(f"{what}: p50", ours.p50_ms, "ms", "redis-py's pool", pool.p50_ms),
            row(f"{what}: p95", ours.p95_ms, "ms", "redis-py's pool", pool.p95_ms),
            row(f"{what}: p95", ours.p95_ms, "ms", "redis-benchmark, same script", top_p95),
        ]
    return rows


async def reader(url: str) -> None:
    """A process of its own: hears of each write, reads it, and says when it had it."""
    wire = open_wire(parse(f"{url}?socket_timeout=5"))
    changes = RedisChanges(wire, keys=Keys(), origin="reader")
    journal = journal_over(wire)
    moved: asyncio.Queue[str] = asyncio.Queue()

    def heard(change: Change) -> None:
        if isinstance(change, SessionMoved):
            moved.put_nowait(change.session_id)

    changes.listen(heard)
    print("ready", flush=True)
    version = 0
    while version < _WRITES:
        chapter = await journal.read(await moved.get(), after=version)
        if chapter is not None and chapter.head.version > version:
            now = time.monotonic()
            for event in chapter.events:
                print(event.version, now, flush=True)
            version = chapter.head.version
    await changes.aclose()
    await wire.aclose()


async def visible(url: str) -> list[float]:
    """Milliseconds from the beginning of each write until another process has read it."""
    command = [sys.executable, __file__, "--reader", url]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    await asyncio.sleep(0.5)  # until it listens
    wire = open_wire(parse(f"{url}?socket_timeout=5"))
    journal, head, begun = journal_over(wire), None, [0.0]
    for _ in range(_WRITES):
        begun.append(time.monotonic())
        head = await journal.append("s", expected=head, drafts=[draft()], expires_at=time.time() + 3_600)
        await asyncio.sleep(_PAUSE_S)
    lines = (await process.stdout.read()).decode().splitlines()
    await process.wait()
    await wire.aclose()
    return [(float(at) - begun[int(version)]) * 1e3 for version, at in (line.split() for line in lines)]


@asynccontextmanager
async def instance(url: str, folder: Path) -> AsyncGenerator[Sessions]:
    """What a server is made of."""
    async with AsyncExitStack() as stack:
        wire = open_wire(parse(url))
        stack.push_async_callback(wire.aclose)
        local = SqliteJournal(folder / "journal.db", clock=time.time)
        stack.push_async_callback(local.aclose)
        changes = RedisChanges(wire, keys=Keys(), origin="bench")
        stack.push_async_callback(changes.aclose)
        journal = SharedJournal(
            journal_over(wire),
            local,
            wire,
            changes=changes,
            clock=time.time,
            where="bench",
            durable_at="here",
            identify=lambda: identity(wire, Keys()),
        )
        stack.push_async_callback(journal.aclose)
        yield Sessions(journal, clock=time.time)


async def mixed(sessions: Sessions, handles: Sequence[str], seconds: float) -> Load:
    """Three looks at a session for each value kept in it, and a pause after each: the same load in all cases."""
    times_s: list[float] = []
    until_s = time.perf_counter() + seconds

    async def call(handle: str) -> None:
        number = 0
        while (begun_s := time.perf_counter()) < until_s:
            if number % 4:
                await sessions.get(handle, principal="p")
            else:
                await sessions.remember(handle, principal="p", kind="context", key=f"k{number % 32}", value=_BODY)
            times_s.append(time.perf_counter() - begun_s)
            number += 1
            await asyncio.sleep(_THINKING_S)

    await asyncio.gather(*(call(each) for each in handles))
    return summed_up(times_s, seconds)


async def without(server: RedisServer, folder: Path, seconds: float) -> list[Row]:
    """The same calls with Redis, and once it has been gone for 100 ms."""
    rows: list[Row] = []
    for callers in (1, 16):
        server.ask("FLUSHALL")
        async with instance(server.url, folder / f"away{callers}") as sessions:
            handles = [(await sessions.open(principal="p", label=str(each))).handle for each in range(callers)]
            await mixed(sessions, handles, 0.5)
            present = await mixed(sessions, handles, seconds)
            server.kill()
            await _quietly(mixed(sessions, handles, 0.1))
            away = await mixed(sessions, handles, seconds)
        server.start()
        what = f"a look or write with Redis stopped, {callers} callers"
        rows += [
            row(f"{what}: p99", away.p99_ms, "ms", "with Redis", present.p99_ms),
            row(f"{what}: p50", away.p50_ms, "ms", "with Redis", present.p50_ms),
        ]
    return rows


async def _quietly(load: Awaitable[Load]) -> None:
    """The first 100 ms, in which Redis is found to be gone."""
    await load


def measured(seconds: float) -> list[Row]:
    with scratch() as folder:
        server = RedisServer(folder / "redis", options=_DURABLE)
        server.start()
        try:
            rows = asyncio.run(append_rows(server, seconds))
            server.ask("FLUSHALL")
            times_ms = asyncio.run(visible(server.url))
            cut = statistics.quantiles(times_ms, n=100)
            rows.append(row("a write of one process read by another: p50", cut[49], "ms"))
            rows.append(row("a write of one process read by another: p99", cut[98], "ms", bound=5.0))
            rows += asyncio.run(without(server, folder, seconds))
        finally:
            server.kill()
    return rows


def main() -> None:
    parser = asked(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--reader", metavar="URL")
    told = parser.parse_args()
    if told.reader:
        asyncio.run(reader(told.reader))
    elif redis_binary() is None or redis_binary("redis-benchmark") is None:
        keep([unmeasured("sessions in Redis", "redis-server is not installed")], told.json)
    else:
        keep(measured(told.seconds), told.json)


if __name__ == "__main__":
    main()
