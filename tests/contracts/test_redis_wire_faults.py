"""What a wire does when Redis hangs up, says "not now", is far away, full or not the master."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from state.redis import line
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.wire import Away
from state.redis.wire import Script
from state.redis.wire import Wire
from tests.redis_actor import Actor
from tests.redis_actor import naming
from tests.redis_actor import taking_turns
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.redis_server import redis_server

pytestmark = pytest.mark.anyio

_NEEDS_SERVER = pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed")
_ECHO = Script("echo", "return redis.call('INCR', KEYS[1])")
_SLACK_S = 0.75
"""On a busy machine."""


@contextlib.asynccontextmanager
async def closing(wire: Wire) -> AsyncGenerator[Wire]:
    try:
        yield wire
    finally:
        await wire.aclose()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer]:
    """One that may be harmed."""
    with redis_server(tmp_path) as one:
        yield one


def wire_to(actor: Actor, options: str = "?socket_timeout=5", *, pool_size: int = 10, retries: int = 3) -> Wire:
    url = f"redis://127.0.0.1:{actor.port}/{options}"
    return open_wire(parse(url), pool_size=pool_size, retries=retries)


async def test_what_may_have_been_carried_out_is_not_sent_again() -> None:
    async with Actor(taking_turns(None)) as actor, closing(wire_to(actor)) as wire:
        with pytest.raises(Away) as away:
            await wire.call("INCR", "uds:r:a", key="uds:r:a")
        assert away.value.sent
        assert actor.times(b"INCR") == 1


async def test_what_may_run_twice_is_sent_again() -> None:
    async with Actor(taking_turns(None, b":1\r\n")) as actor:
        async with closing(wire_to(actor)) as wire:
            assert await wire.run(_ECHO, ["uds:{s}:n"], [], again=True) == 1
        assert actor.times(b"EVALSHA") == 2


async def test_it_is_sent_again_only_as_often_as_allowed() -> None:
    async with Actor(taking_turns(None, None, None)) as actor:
        async with closing(wire_to(actor, retries=1)) as wire:
            with pytest.raises(Away) as away:
                await wire.run(_ECHO, ["uds:{s}:n"], [], again=True)
            assert away.value.sent
        assert actor.times(b"EVALSHA") == 2


@pytest.mark.parametrize(
    "reply",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-READONLY You can't write against a read only replica. script: f00, on @user_script:1.\r\n",
        b"-ERR Error running script (call to f_f00): @user_script:1: @user_script: 1: -READONLY You can't write.\r\n",
        b"-ERR max number of clients reached\r\n",
    ],
)
async def test_whoever_says_not_now_is_asked_again_and_has_carried_out_nothing(reply: bytes) -> None:
    async with Actor(taking_turns(reply, b":1\r\n", *[reply] * 4)) as actor, closing(wire_to(actor)) as wire:
        assert await wire.call("INCR", "uds:r:a", key="uds:r:a") == 1
        with pytest.raises(Away) as away:
            await wire.call("INCR", "uds:r:a", key="uds:r:a")
        assert not away.value.sent


async def test_a_server_that_still_reads_its_files_is_away_until_it_has() -> None:
    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    async with Actor(lambda _: b":1\r\n") as actor, closing(wire_to(actor)) as wire:
        actor.greeting = loading
        with pytest.raises(Away, match="reading its files") as away:
            await wire.call("INCR", "uds:r:a", key="uds:r:a")
        assert not away.value.sent
        assert not wire.up
        actor.greeting = b"+PONG\r\n"
        await until(lambda: wire.up)
        assert await wire.call("INCR", "uds:r:a", key="uds:r:a") == 1


async def test_a_server_full_of_clients_is_used_over_the_connections_there_are() -> None:
    full = b"-ERR max number of clients reached\r\n"
    async with Actor(lambda _: b":1\r\n") as actor, closing(wire_to(actor)) as wire:
        await wire.call("INCR", "uds:r:a", key="uds:r:a")
        actor.greeting = full
        for _ in range(20):
            answers = await asyncio.gather(
                *(wire.call("INCR", "uds:r:a", "x" * (2 << 20), key="uds:r:a") for _ in range(3))
            )
            assert answers == [1, 1, 1]


async def test_too_many_who_wait_are_turned_away_unsent() -> None:
    async with Actor(lambda _: b"") as actor:
        async with closing(wire_to(actor, "?socket_timeout=20", pool_size=1)) as wire:
            big = b"x" * (1 << 20)
            asking = [asyncio.create_task(wire.call("SET", "uds:r:a", big, key="uds:r:a")) for _ in range(80)]
            done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            assert done
            assert waiting
            turned_away: list[Any] = [task.exception() for task in done]
            assert all(isinstance(error, Away) and not error.sent for error in turned_away)
        await asyncio.gather(*asking, return_exceptions=True)


async def test_a_process_that_was_busy_itself_still_takes_the_answer() -> None:
    async with Actor(lambda _: b":1\r\n") as actor, closing(wire_to(actor, "?socket_timeout=0.1")) as wire:
        await wire.call("INCR", "uds:r:a", key="uds:r:a")
        asking = asyncio.create_task(wire.call("INCR", "uds:r:a", key="uds:r:a"))
        for _ in range(3):
            await asyncio.sleep(0)  # it is sent
        time.sleep(0.2)  # noqa: ASYNC251 - the loop is held up on purpose
        assert await asking == 1


async def test_a_connection_that_was_cut_while_it_rested_leaves_nobody_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line, "IDLE_MOST_S", -1.0)  # it has rested long enough at once
    async with Actor(lambda _: b":1\r\n") as actor, closing(wire_to(actor, "?socket_timeout=1")) as wire:
        assert await wire.call("INCR", "uds:r:a", key="uds:r:a") == 1
        actor.cut()
        assert await wire.call("INCR", "uds:r:a", key="uds:r:a") == 1
        assert actor.times(b"INCR") == 2


async def test_a_far_server_is_reached_though_connecting_takes_longer_than_a_call_may() -> None:
    async with Actor(lambda _: b":1\r\n", far_s=0.4) as actor, closing(wire_to(actor, "?socket_timeout=0.1")) as wire:
        began = time.monotonic()
        with pytest.raises(Away) as away:
            await wire.call("INCR", "uds:r:a", key="uds:r:a")
        assert not away.value.sent
        assert time.monotonic() - began < 0.2 + _SLACK_S
        await until(lambda: actor.times(b"DEL") == 1)
        await until(lambda: wire.up)
        for _ in range(3):  # more connections are made, which takes as long again
            asking = [wire.call("INCR", "uds:r:a", key="uds:r:a") for _ in range(3)]
            assert await asyncio.gather(*asking) == [1, 1, 1]
        assert wire.up


def through(*sentinels: Actor) -> Wire:
    return open_wire(
        parse(f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in sentinels)}/main?socket_timeout=5")
    )


@_NEEDS_SERVER
async def test_a_replica_that_sentinels_name_is_not_taken_for_the_master(server: RedisServer) -> None:
    server.ask("REPLICAOF", "127.0.0.1", "1")
    async with Actor(naming(server.port)) as sentinel, closing(through(sentinel)) as wire:
        with pytest.raises(Away, match="no master yet") as away:
            await wire.call("GET", "uds:r:a", key="uds:r:a")
        assert not away.value.sent
        server.ask("REPLICAOF", "NO", "ONE")
        await until(lambda: wire.up)
        assert await wire.call("GET", "uds:r:a", key="uds:r:a") is None


@_NEEDS_SERVER
async def test_what_most_sentinels_say_is_believed(server: RedisServer, tmp_path: Path) -> None:
    with redis_server(tmp_path / "cut off") as stale:
        stale.ask("SET", "uds:r:a", "stale")
        parts = [naming(stale.port), naming(server.port), naming(server.port)]
        async with contextlib.AsyncExitStack() as stack:
            sentinels = [await stack.enter_async_context(Actor(part)) for part in parts]
            wire = await stack.enter_async_context(closing(through(*sentinels)))
            assert await wire.call("GET", "uds:r:a", key="uds:r:a") is None
