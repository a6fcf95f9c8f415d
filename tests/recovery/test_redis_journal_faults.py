"""What becomes of sessions when answers are lost, and Redis is restarted, full, forbidding, or drops what it has."""

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from state.errors import StateError
from state.errors import StateUnavailable
from state.journal import Head
from state.journal import Origin
from state.journal import Piece
from state.journal import VersionMoved
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.redis.wire import Away
from tests.conftest import ManualClock
from tests.contracts.journal_contract import draft
from tests.contracts.journal_contract import folded
from tests.contracts.journal_contract import found
from tests.contracts.journal_contract import went_on
from tests.contracts.journal_contract import written
from tests.fault_proxy import fault_proxy
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary

Opened = Callable[..., Awaitable[RedisJournal]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    if redis_binary() is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def opened(server: RedisServer, clock: ManualClock) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        async def journal(*, port: int = 0, user: str = "", deadline_s: float = 2.0) -> RedisJournal:
            address = parse(f"redis://{user}127.0.0.1:{port or server.port}/0?socket_timeout={deadline_s}")
            wire = open_wire(address)
            stack.push_async_callback(wire.aclose)
            made = RedisJournal(wire, keys=Keys(), clock=clock, origin="here", shared_clock=clock)
            stack.push_async_callback(made.aclose)
            return made

        yield journal


async def _until_answered(ask: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(10):
        while True:
            try:
                await ask()
            except Away:
                await asyncio.sleep(0.02)
            else:
                return


@pytest.mark.anyio
async def test_a_write_whose_answer_is_lost_is_neither_lost_nor_doubled(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    with fault_proxy(server.port) as proxy:
        journal = await opened(port=proxy.port)
        head = await written(journal, clock, "s")
        for number in range(20):
            proxy.snip(after_bytes=number % 3, asked=b"EVAL")
            head = await went_on(journal, clock, "s", head, {"n": number})
        assert proxy.snipped == 20, "no answer was lost: this proved nothing"
        events = (await found(journal, "s")).events
        assert [event.body["n"] for event in events[1:]] == list(range(20))
        verdict = await journal.verify("s")
        assert verdict is not None
        assert verdict.ok


@pytest.mark.anyio
async def test_who_adopts_discards_or_revives_and_gets_no_answer_is_told_what_became_of_it(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    with fault_proxy(server.port) as proxy:
        journal = await opened(port=proxy.port)
        head = await written(journal, clock, "s")
        await journal.adopt("known", _origin(head, clock() + 100))  # so that Redis knows all scripts
        await journal.discard("known", expected=head)
        await journal.revive("nobody", expires_at=clock())
        proxy.snip(asked=b"EVAL")
        assert await journal.adopt("a", _origin(head, clock() + 100))
        assert not await journal.adopt("a", _origin(head, clock() + 100))
        proxy.snip(asked=b"EVAL")
        await journal.discard("a", expected=head)
        end = await journal.append("s", expected=head, drafts=[draft()], expires_at=clock())
        proxy.snip(asked=b"EVAL")
        assert await journal.revive("s", expires_at=clock() + 100) == end
        assert (proxy.snipped, await journal.held()) == (3, ("s",))


@pytest.mark.anyio
async def test_what_stays_unknown_is_said_and_can_be_asked_again(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    with fault_proxy(server.port) as proxy:
        journal, other = await opened(port=proxy.port, deadline_s=0.2), await opened()
        head = await written(journal, clock, "s")
        proxy.freeze(up=False)
        with pytest.raises(Away) as away:
            await journal.append("s", expected=head, drafts=[draft()], expires_at=clock() + 100, nonce="mine")
        assert away.value.sent
        assert await _wrote(other, "s", "mine")
        moved = await went_on(other, clock, "s", (await found(other, "s")).head)
        proxy.heal()
        await _until_answered(lambda: journal.read("s"))
        again = await journal.append("s", expected=head, drafts=[draft()], expires_at=clock() + 100, nonce="mine")
        assert again == Head(version=2, nonce="mine")
        assert (await found(journal, "s")).head == moved


async def _wrote(journal: RedisJournal, session_id: str, nonce: str) -> bool:
    return any(event.nonce == nonce for event in (await found(journal, session_id)).events)


@pytest.mark.anyio
async def test_a_touch_while_redis_is_away_never_raises_and_is_told_later(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    with fault_proxy(server.port) as proxy:
        journal, other = await opened(port=proxy.port, deadline_s=0.2), await opened()
        await written(journal, clock, "s")
        proxy.away()
        await journal.touch("s", expires_at=clock() + 1)
        await journal.touch("s", expires_at=clock() + 500)
        with pytest.raises(Away):
            await journal.read("s")
        proxy.heal()
        with anyio.fail_after(10):
            while (await found(other, "s")).expires_at != clock() + 500:  # noqa: ASYNC110 - told in its own time
                await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_scripts_that_redis_forgot_are_told_again(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened()
    head = await written(journal, clock, "s")
    for number in range(3):
        server.ask("SCRIPT", "FLUSH")
        head = await went_on(journal, clock, "s", head, {"n": number})
        server.ask("SCRIPT", "FLUSH")
        assert (await found(journal, "s")).head == head


@pytest.mark.anyio
async def test_after_a_restart_without_what_was_there_sessions_are_unknown(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened()
    head = await written(journal, clock, "s")
    server.kill()
    server.start()
    await _until_answered(lambda: journal.read("s"))
    assert await journal.read("s") is None
    assert (await journal.sessions("ann"), await journal.held()) == ((), ())
    with pytest.raises(VersionMoved) as refused:
        await went_on(journal, clock, "s", head)
    assert refused.value.head is None
    assert (await written(journal, clock, "s")).version == 1


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["h:s", "e:s", "ends", "o:ann", "q:ann", "c:s"])
async def test_what_redis_dropped_is_noticed_and_never_answered_wrongly(
    opened: Opened, server: RedisServer, clock: ManualClock, key: str
) -> None:
    journal = await opened()
    first = await written(journal, clock, "s", {"n": 1})
    second = await went_on(journal, clock, "s", first, {"n": 2})
    head = await journal.compact("s", expected=second, checkpoint=folded(first), draft=draft())
    assert server.ask("DEL", Keys().tag + key).startswith(b":1")
    asked: dict[str, list[Callable[[], Awaitable[object]]]] = {
        "h:s": [lambda: journal.read("s"), lambda: went_on(journal, clock, "s", head), lambda: journal.marks("ann")],
        "e:s": [lambda: journal.read("s"), lambda: went_on(journal, clock, "s", head)],
        "ends": [
            lambda: journal.read("s"),
            lambda: journal.sessions("ann"),
            lambda: went_on(journal, clock, "s", head),
        ],
        "o:ann": [lambda: journal.sessions("ann"), lambda: journal.past("ann"), lambda: journal.marks("ann")],
        "q:ann": [lambda: journal.sessions("ann"), lambda: written(journal, clock, "t")],
        "c:s": [lambda: journal.checkpoint("s")],
    }
    for ask in asked[key]:
        with pytest.raises(StateUnavailable, match="noeviction"):
            await ask()


@pytest.mark.anyio
async def test_events_that_were_changed_in_redis_are_not_believed(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened()
    head = await written(journal, clock, "s", *[{"n": n} for n in range(4)])
    await written(journal, clock, "t")
    server.ask("LSET", f"{Keys().tag}e:s", "2", "x" * 200)
    for after in (0, 2, 3):
        with pytest.raises(StateUnavailable, match="not as it was written"):
            await journal.read("s", after=after)
    server.ask("LSET", f"{Keys().tag}e:s", "0", "\x01")
    verdict = await journal.verify("s")
    assert verdict is not None
    assert (verdict.ok, head.version) == (False, 4)
    assert (await found(journal, "t")).head.version == 1


@pytest.mark.anyio
async def test_a_checkpoint_that_was_changed_gives_way_to_an_older_one(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened()
    first = await written(journal, clock, "s")
    journal.keep_checkpoint("s", folded(first))
    second = await went_on(journal, clock, "s", first)
    journal.keep_checkpoint("s", folded(second))
    assert await journal.checkpoint("s") == folded(second)
    server.ask("HSET", f"{Keys().tag}c:s", "2", "something else that is long enough for a digest")
    assert await journal.checkpoint("s") == folded(first)


@pytest.mark.anyio
async def test_a_full_redis_refuses_what_needs_room_whole_and_takes_what_gives_room(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened()
    head = await written(journal, clock, "s")
    await written(journal, clock, "t")
    before = _contents(server)
    server.ask("CONFIG", "SET", "maxmemory", "1")
    ends = clock() + 100
    for needs_room in (
        lambda: went_on(journal, clock, "s", head),
        lambda: written(journal, clock, "u"),
        lambda: journal.append_as("s", expected=head, pieces=_BROUGHT, expires_at=ends, forced=True),
        lambda: journal.adopt("a", _origin(head, ends)),
        lambda: journal.revive("s", expires_at=ends),
    ):
        with pytest.raises(StateUnavailable, match="maxmemory"):
            await needs_room()
    assert _contents(server) == before
    assert (await found(journal, "s")).head == head
    head = await journal.compact("s", expected=head, checkpoint=folded(head), draft=draft())
    await journal.append("s", expected=head, drafts=[draft()], expires_at=clock())
    await journal.discard("t", expected=(await found(journal, "t")).head)
    assert (await journal.sessions("ann"), await journal.past("ann")) == ((), ("s",))


_COMMANDS = (
    *("hset", "hincrby", "hdel", "rpush", "ltrim", "pexpire", "zadd", "zrem", "incr", "xadd", "publish", "unlink"),
    *("del", "hget", "hmget", "lindex", "llen", "zscore", "time"),
)


@pytest.mark.anyio
@pytest.mark.parametrize("command", _COMMANDS)
async def test_who_lacks_a_permission_is_told_before_anything_is_written(
    opened: Opened, server: RedisServer, clock: ManualClock, command: str
) -> None:
    head = await written(await opened(), clock, "s")
    before = _contents(server)
    server.ask("ACL", "SETUSER", "poor", "on", ">secret", "~uds:*", "&uds:*", "+@all", f"-{command}")
    journal = await opened(user="poor:secret@")
    for write in _writes(journal, clock, head):
        with pytest.raises(StateUnavailable, match="ACL"):
            await write()
    assert _contents(server) == before


_ENOUGH = (
    *("+ping", "+eval", "+evalsha", "+time", "+exists", "+del", "+unlink", "+pexpire", "+incr", "+xadd", "+publish"),
    *("+hset", "+hget", "+hmget", "+hincrby", "+hdel", "+hkeys", "+rpush", "+llen", "+lindex", "+lrange", "+ltrim"),
    *("+zadd", "+zrem", "+zcard", "+zscore", "+zrange", "+zrevrange", "+zrangebyscore"),
)


@pytest.mark.anyio
async def test_these_permissions_are_enough(opened: Opened, server: RedisServer, clock: ManualClock) -> None:
    server.ask("ACL", "SETUSER", "frugal", "on", ">secret", "~uds:*", "resetchannels", "&uds:*", "-@all", *_ENOUGH)
    journal = await opened(user="frugal:secret@")
    head = await journal.append("s", expected=None, drafts=[draft(key="once")], expires_at=clock() + 100)
    journal.keep_checkpoint("s", folded(head))
    assert await journal.checkpoint("s") == folded(head)
    await journal.touch("s", expires_at=clock() + 200)
    head = await journal.compact("s", expected=head, checkpoint=folded(head), draft=draft())
    head = await journal.append("s", expected=head, drafts=[draft()], expires_at=clock())
    assert await journal.past("ann") == ("s",)
    assert await journal.revive("s", expires_at=clock() + 100) == head
    assert (await journal.sessions("ann"), set(await journal.marks("ann"))) == (("s",), {"s"})
    await journal.adopt("a", _origin(head, clock() + 50))
    clock.advance(2_000)
    await written(journal, clock, "t")
    await journal.discard("s", expected=head)
    clock.advance(40 * 86_400)
    await written(journal, clock, "u")
    assert await journal.held() == ("u",)


@pytest.mark.anyio
async def test_who_may_not_come_in_or_touch_these_keys_is_told_what_to_check(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    server.ask("ACL", "SETUSER", "other", "on", ">secret", "~other:*", "&*", "+@all")
    journal = await opened(user="other:secret@")
    with pytest.raises(StateUnavailable, match="REDIS_URL"):
        await written(journal, clock, "s")
    with pytest.raises(StateError):
        await (await opened(user="other:wrong@")).read("s")


_BROUGHT = (Piece(nonce="brought", drafts=(draft(), draft())),)


def _origin(head: Head, ends: float) -> Origin:
    return Origin(owner="ann", key="k", checkpoint=folded(head), expires_at=ends)


def _writes(journal: RedisJournal, clock: ManualClock, head: Head) -> list[Callable[[], Awaitable[object]]]:
    """Everything that writes, each as its first attempt would be."""
    ends = clock() + 100
    return [
        lambda: went_on(journal, clock, "s", head),
        lambda: written(journal, clock, "t"),
        lambda: journal.append_as("s", expected=head, pieces=_BROUGHT, expires_at=ends, forced=True),
        lambda: journal.compact("s", expected=head, checkpoint=folded(head), draft=draft()),
        lambda: journal.append("s", expected=head, drafts=[draft()], expires_at=clock()),
        lambda: journal.adopt("a", _origin(head, ends)),
        lambda: journal.discard("s", expected=head),
        lambda: journal.revive("s", expires_at=ends),
    ]


def _contents(server: RedisServer) -> dict[bytes, bytes]:
    """All keys with what they hold."""
    names = [each for each in server.ask("KEYS", "*").split(b"\r\n") if each.startswith(b"uds")]
    return {each: server.ask("DUMP", each.decode()) for each in names}
