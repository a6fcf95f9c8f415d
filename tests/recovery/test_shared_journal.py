"""Several instances over one Redis that comes and goes: what they answer, what they keep, and what comes of it."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from state import fold
from state.errors import Conflict
from state.errors import StateBusy
from state.errors import UnknownSession
from state.folds import Folds
from state.folds import Standing
from state.journal import Origin
from state.journal import Piece
from state.redis.address import parse
from state.redis.changes import RedisChanges
from state.redis.connect import open_wire
from state.redis.identity import identity
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.sessions import Sessions
from state.shared.journal import SharedJournal
from state.shared.places import Identity
from state.sqlite.journal import SqliteJournal
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed"),
]
PATIENCE_S = 10.0


@dataclass
class Instance:
    sessions: Sessions
    journal: SharedJournal
    stack: AsyncExitStack

    async def remember(self, handle: str, value: Any, key: str | None = None, **more: Any) -> Any:
        kind: Any = "finding" if key is None else "context"
        return await self.sessions.remember(handle, principal="ann", kind=kind, key=key, value=value, **more)

    async def seen(self, handle: str) -> Any:
        return await self.sessions.get(handle, principal="ann")

    async def shared(self, handle: str) -> Any:
        """As all see it: an answer that is marked may always come when the machine is slow."""
        async with asyncio.timeout(PATIENCE_S):
            while (session := await self.seen(handle)).local:  # noqa: ASYNC110 - nobody tells when that ends
                await asyncio.sleep(0.005)
        return session

    async def findings(self, handle: str) -> list[Any]:
        return [each.value for each in (await self.shared(handle)).findings]

    async def alone(self, handle: str) -> list[Any]:
        return [each.value for each in (await self.seen(handle)).findings]


Open = Callable[..., Any]


@pytest.fixture
def redis(tmp_path: Path) -> Generator[RedisServer]:
    server = RedisServer(tmp_path / "redis", options=["--appendonly", "yes", "--appendfsync", "always"])
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def instance(redis: RedisServer, tmp_path: Path) -> AsyncGenerator[Open]:
    """Opens an instance with a state directory of this name; those of one name are of one machine."""
    async with AsyncExitStack() as every:

        async def opened(
            name: str,
            clock: Callable[[], float] = time.time,
            kind: type[RedisJournal] = RedisJournal,
            gate: "Gate | None" = None,
        ) -> Instance:
            async def identified() -> Identity:
                if gate is not None:
                    gate.passed()
                return await identity(wire, Keys())

            stack = await every.enter_async_context(AsyncExitStack())
            wire, origin = open_wire(parse(redis.url)), secrets.token_hex(4)
            stack.push_async_callback(wire.aclose)
            local = SqliteJournal(tmp_path / name / "journal.db", clock=clock)
            stack.push_async_callback(local.aclose)
            changes = RedisChanges(wire, keys=Keys(), origin=origin)
            stack.push_async_callback(changes.aclose)
            remote = kind(wire, keys=Keys(), clock=clock, origin=origin)
            stack.push_async_callback(remote.aclose)
            journal = SharedJournal(
                remote,
                local,
                wire,
                changes=changes,
                clock=clock,
                where=name,
                durable_at=str(tmp_path / name),
                identify=identified,
                settling_s=0.05,
            )
            stack.push_async_callback(journal.aclose)
            return Instance(Sessions(journal, clock=clock), journal, stack)

        yield opened


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


async def joined(*instances: Instance) -> None:
    """Wait until nothing is wrong with any of them."""
    await until(lambda: all(each.journal.notice() is None for each in instances))


async def gone(redis: RedisServer, *instances: Instance) -> None:
    redis.kill()
    await until(lambda: all(each.journal.away for each in instances))


async def known_to_nobody(instance: Instance, handle: str) -> None:
    """Said as soon as nobody can be giving it back any more."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await instance.seen(handle)
            except UnknownSession:
                return
            except StateBusy:
                await asyncio.sleep(0.005)


async def test_what_one_writes_the_other_reads_at_once(instance: Open) -> None:
    a, b = await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann", goal="why")).handle
    for number in range(20):
        writer, reader = (a, b) if number % 2 else (b, a)
        await writer.remember(handle, number)
        assert (await reader.findings(handle))[-1] == number
    assert not (await b.seen(handle)).local


async def test_an_eventual_look_asks_nobody(instance: Open) -> None:
    a, b = await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann")).handle
    await b.remember(handle, "new")
    known = await a.sessions.get(handle, principal="ann", level="eventual")
    assert known.findings == (), "as it was last seen here"
    assert await a.findings(handle) == ["new"]
    assert (await a.sessions.get(handle, principal="ann", level="strong")).findings


async def test_without_redis_calls_go_on_and_are_marked(redis: RedisServer, instance: Open) -> None:
    a = await instance("a")
    handle = (await a.sessions.open(principal="ann", goal="why")).handle
    await a.remember(handle, "before")
    await gone(redis, a)
    written = await a.remember(handle, "meanwhile")
    assert (written.local, await a.alone(handle)) == (True, ["before", "meanwhile"])
    assert [each.handle for each in await a.sessions.of(principal="ann", limit=10)] == [handle]
    fresh = await a.sessions.open(principal="ann", label="new")
    assert (await a.remember(fresh.handle, 1)).local
    assert "degraded" in (a.journal.notice() or "")
    with pytest.raises(StateBusy):
        await a.sessions.get(handle, principal="ann", level="strong")
    with pytest.raises(UnknownSession):
        await a.sessions.get(handle, principal="eve")


async def test_a_session_that_only_redis_knows_is_not_said_to_be_unknown(redis: RedisServer, instance: Open) -> None:
    a, b = await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann")).handle
    await gone(redis, a, b)
    with pytest.raises(StateBusy, match="Try again later"):
        await b.seen(handle)


async def test_what_was_written_meanwhile_arrives_as_it_is_and_its_etags_stay_true(
    redis: RedisServer, instance: Open
) -> None:
    a, b = await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann")).handle
    await a.remember(handle, "one", "k")
    await gone(redis, a, b)
    written = await a.remember(handle, "two", "k")
    redis.start()
    await joined(a, b)
    seen = await b.shared(handle)
    assert (seen.etag, seen.context["k"].value, seen.local) == (written.etag, "two", False)
    await b.remember(handle, "three", "k", expect=written.etag)
    assert (await a.shared(handle)).context["k"].value == "three"


async def test_two_that_wrote_the_same_field_get_the_later_value_and_an_event_with_both(
    redis: RedisServer, instance: Open
) -> None:
    a, b = await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann")).handle
    await b.seen(handle)
    await gone(redis, a, b)
    await a.remember(handle, "of a", "k")
    await a.remember(handle, "found by a")
    stale = await b.remember(handle, "of b, later", "k")
    await b.remember(handle, "found by b")
    redis.start()
    await joined(a, b)
    for one in (a, b):
        seen = await one.shared(handle)
        assert seen.context["k"].value == "of b, later"
        assert sorted(each.value for each in seen.findings) == ["found by a", "found by b"]
    events = await a.sessions.histories.events(handle, principal="ann")
    (resolved,) = [event.body for event in events if event.kind == fold.RESOLVED]
    assert {resolved["ours"]["value"], resolved["theirs"]["value"]} == {"of a", "of b, later"}
    assert (await a.sessions.histories.verify(handle, principal="ann")).ok
    if stale.etag.partition("-")[2] not in {event.nonce for event in events}:
        with pytest.raises(Conflict):
            await a.remember(handle, "x", "k", expect=stale.etag)


async def test_a_session_opened_meanwhile_is_everyones_afterwards(redis: RedisServer, instance: Open) -> None:
    a, b = await instance("a"), await instance("b")
    await gone(redis, a, b)
    handle = (await a.sessions.open(principal="ann", goal="why", conversation="chat")).handle
    assert (await a.sessions.open(principal="ann", conversation="chat")).handle == handle
    await a.remember(handle, 1)
    redis.start()
    await joined(a, b)
    assert await b.findings(handle) == [1]
    assert (await b.sessions.open(principal="ann", conversation="chat")).handle == handle


async def test_what_a_process_wrote_before_it_died_is_brought_by_the_next(redis: RedisServer, instance: Open) -> None:
    a, b = await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann")).handle
    await gone(redis, a, b)
    await a.remember(handle, "kept")
    await a.stack.aclose()
    again = await instance("a")
    assert await again.alone(handle) == ["kept"], "it starts without Redis and knows what was written here"
    redis.start()
    await joined(again, b)
    assert await b.findings(handle) == ["kept"]


async def test_processes_of_one_machine_see_what_each_other_wrote_meanwhile(redis: RedisServer, instance: Open) -> None:
    a, twin, b = await instance("a"), await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann")).handle
    await twin.seen(handle)
    await gone(redis, a, twin, b)
    for number in range(6):
        await (a if number % 2 else twin).remember(handle, number)
    assert await a.alone(handle) == await twin.alone(handle) == list(range(6))
    redis.start()
    await joined(a, twin, b)
    assert await b.findings(handle) == list(range(6)), "each once, though both brought them"


async def test_an_instance_that_starts_without_redis_heals(redis: RedisServer, instance: Open) -> None:
    redis.kill()
    a = await instance("a")
    with pytest.raises(StateBusy):
        await a.seen("some-handle-of-another-day")
    handle = (await a.sessions.open(principal="ann")).handle
    redis.start()
    await joined(a)
    b = await instance("b")
    assert (await b.shared(handle)).local is False
    await known_to_nobody(a, "some-handle-of-another-day")


async def test_a_session_closed_meanwhile_is_closed_for_all(redis: RedisServer, instance: Open) -> None:
    a, b = await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann")).handle
    await b.seen(handle)
    await gone(redis, a, b)
    await a.sessions.close(handle, principal="ann")
    with pytest.raises((UnknownSession, StateBusy)):
        await a.seen(handle)
    redis.start()
    await joined(a, b)
    for one in (a, b):
        with pytest.raises(UnknownSession):
            await one.seen(handle)


async def test_a_session_closed_by_one_while_another_went_on_stays_open(redis: RedisServer, instance: Open) -> None:
    a, b = await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann")).handle
    await b.seen(handle)
    await gone(redis, a, b)
    await a.sessions.close(handle, principal="ann")
    await b.remember(handle, "still at it")
    redis.start()
    await joined(a, b)
    assert await b.findings(handle) == ["still at it"]
    assert await a.findings(handle) == ["still at it"]


async def test_an_emptied_redis_gets_back_what_instances_know(redis: RedisServer, instance: Open) -> None:
    a, b = await instance("a"), await instance("b")
    handle = (await a.sessions.open(principal="ann", goal="why")).handle
    for number in range(10):
        await (a if number % 2 else b).remember(handle, number)
    await a.seen(handle)
    redis.ask("FLUSHALL")
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if sorted(await b.findings(handle)) == sorted(await a.findings(handle)) == list(range(10)):
                    break
            except StateBusy:
                await asyncio.sleep(0.01)
    assert (await a.shared(handle)).goals[0].text == "why"


async def test_a_wrong_clock_decides_nothing(redis: RedisServer, instance: Open) -> None:
    a = await instance("a", lambda: time.time() - 600)
    b = await instance("b", lambda: time.time() + 600)
    handle = (await b.sessions.open(principal="ann", ttl_s=300)).handle
    await a.remember(handle, "first", "k")
    await b.remember(handle, "second", "k")
    await a.remember(handle, "third", "k")
    assert (await b.shared(handle)).context["k"].value == "third"
    await gone(redis, a, b)
    await a.remember(handle, "fourth", "k")
    redis.start()
    await joined(a, b)
    assert (await b.shared(handle)).context["k"].value == "fourth", "what follows from something is later than it"


class Defective(RedisJournal):
    """What nobody has thought of, the first times."""

    defects = 3

    async def append_as(self, *arguments: Any, **options: Any) -> Any:
        if self.defects:
            self.defects -= 1
            raise RuntimeError("nobody has thought of this")
        return await super().append_as(*arguments, **options)

    async def append(self, session_id: str, **options: Any) -> Any:
        nonce = options.pop("nonce")
        piece = Piece(nonce=nonce, drafts=tuple(options.pop("drafts")))
        return await super().append_as(session_id, pieces=(piece,), **options)


async def test_a_defect_while_joining_is_told_and_does_not_end_the_trying(
    redis: RedisServer, instance: Open, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await instance("a", kind=Defective), await instance("b")
    handle = (await a.sessions.open(principal="ann")).handle
    await gone(redis, a, b)
    await a.remember(handle, "kept")
    redis.start()
    await until(lambda: "a defect of this server" in (a.journal.notice() or ""))
    await joined(a, b)
    assert await b.findings(handle) == ["kept"]
    (logged,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert logged.exc_info is not None, "with its traceback, and once"


async def test_each_change_is_told_once(redis: RedisServer, instance: Open, caplog: pytest.LogCaptureFixture) -> None:
    a = await instance("a")
    handle = (await a.sessions.open(principal="ann")).handle
    with caplog.at_level(logging.WARNING):
        await gone(redis, a)
        for number in range(20):
            await a.remember(handle, number)
        redis.start()
        await joined(a)
    told = [record.getMessage().split(" (")[0].split(" after")[0] for record in caplog.records]
    assert [each for each in told if each.startswith("Redis")] == [
        "Redis cannot be reached",
        "Redis is back",
        "Redis is not the one it was",
    ]


class Forgetful:
    """Copies of an instance that has just started."""

    def known(self, handle: str) -> Standing | None:
        _ = handle

    def copied(self) -> tuple[str, ...]:
        return ()

    def copy(self, handle: str) -> Origin | None:
        _ = handle


async def test_events_wait_for_their_session_to_be_given_back_by_another(
    redis: RedisServer, instance: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        wire = open_wire(parse(redis.url))
        stack.push_async_callback(wire.aclose)
        another = Folds(RedisJournal(wire, keys=Keys(), clock=time.time, origin="another"))
        a, gone_by_then = await instance("a"), await instance("b")
        handle = (await gone_by_then.sessions.open(principal="ann", goal="why")).handle
        await gone_by_then.stack.aclose()
        assert await another.load(handle) is not None
        await a.remember(handle, "known to one alone")
        a.journal.lean_on(Forgetful())
        redis.ask("FLUSHALL")
        await until(lambda: "is not the one it was" in caplog.text)
        origin = another.copy(handle)
        assert origin is not None
        assert await RedisJournal(wire, keys=Keys(), clock=time.time, origin="another").adopt(handle, origin)
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await another.load(handle)) or not found.session.findings:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        assert [each.value for each in found.session.findings] == ["known to one alone"]
        assert found.session.goals[0].text == "why"


async def test_nothing_is_brought_to_a_redis_before_it_is_known_which_one_it_is(
    redis: RedisServer, instance: Open
) -> None:
    """Else nobody would miss what it then lost."""
    a = await instance("a")
    await gone(redis, a)
    handle = (await a.sessions.open(principal="ann", goal="why")).handle
    await a.stack.aclose()
    redis.start()
    gate = Gate()
    await instance("a", gate=gate)
    await until(lambda: gate.asked >= 3)
    assert b":0" in redis.ask("EXISTS", f"uds:{{s}}:h:{handle}")
    gate.open = True
    await until(lambda: b":1" in redis.ask("EXISTS", f"uds:{{s}}:h:{handle}"))


class Gate:
    """Whether it may be told which Redis answers."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.open = is_open
        self.asked = 0

    def passed(self) -> None:
        self.asked += 1
        if not self.open:
            raise StateBusy("not now")
