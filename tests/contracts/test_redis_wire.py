"""What a wire to Redis promises: over a real server, and over fakeredis as far as that goes."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Generator
from pathlib import Path

import fakeredis
import pytest

from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.connect import wire_over
from state.redis.wire import Away
from state.redis.wire import Refused
from state.redis.wire import Script
from state.redis.wire import Wire
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.redis_server import redis_server
from tests.redis_topologies import papers

pytestmark = pytest.mark.anyio

_NEEDS_SERVER = pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed")
_ECHO = Script("echo", "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")
_DEADLINE_S = 0.25
_PATIENT = "?socket_timeout=5"
"""Where deadlines are not what is looked at: the machine may be busy."""
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


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    """One server for all tests that do it no harm."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer]:
    """One that may be killed."""
    with redis_server(tmp_path) as one:
        yield one


@pytest.fixture(params=["fake", pytest.param("7.0", marks=_NEEDS_SERVER), "6.2"])
async def wire(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Wire]:
    with contextlib.ExitStack() as stack:
        match request.param:
            case "fake":
                opened = wire_over(fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer()), deadline_s=5)
            case "7.0":
                server: RedisServer = request.getfixturevalue("lasting")
                server.ask("FLUSHALL")
                opened = open_wire(parse(server.url + _PATIENT))
            case _:
                binary = shutil.which("redis-server-6.2")
                if binary is None:
                    pytest.skip("no redis-server-6.2 on the path")
                older = RedisServer(tmp_path, binary=binary)
                older.start()
                stack.callback(older.kill)
                opened = open_wire(parse(older.url + _PATIENT))
        async with closing(opened):
            yield opened


async def test_answers_are_bytes_numbers_none_and_lists_of_them(wire: Wire) -> None:
    assert await wire.call("SET", "uds:r:a", b"\x00\xff", key="uds:r:a") == b"OK"
    assert await wire.call("GET", "uds:r:a", key="uds:r:a") == b"\x00\xff"
    assert await wire.call("GET", "uds:r:b", key="uds:r:b") is None
    assert await wire.call("HSET", "uds:{s}:h", "é", 7, key="uds:{s}:h") == 1
    assert await wire.call("HGETALL", "uds:{s}:h", key="uds:{s}:h") == ["é".encode(), b"7"]


async def test_an_error_reply_is_refused_with_its_code_and_hurts_no_call_beside_it(wire: Wire) -> None:
    await wire.call("SET", "uds:r:a", "text", key="uds:r:a")
    answers = await asyncio.gather(
        wire.call("GET", "uds:r:a", key="uds:r:a"),
        wire.call("HGET", "uds:r:a", "f", key="uds:r:a"),
        wire.call("STRLEN", "uds:r:a", key="uds:r:a"),
        return_exceptions=True,
    )
    assert answers[0] == b"text"
    assert isinstance(answers[1], Refused)
    assert answers[1].code == "WRONGTYPE"
    assert answers[2] == 4
    with pytest.raises(Refused) as refused:
        await wire.call("INCR", "uds:r:a", key="uds:r:a")
    assert refused.value.code == "ERR"


async def test_a_script_is_sent_whole_only_where_it_is_not_known(wire: Wire) -> None:
    assert await wire.run(_ECHO, ["uds:{s}:n"], [5], again=False) == [b"uds:{s}:n", b"5", 1]
    assert await wire.run(_ECHO, ["uds:{s}:n"], ["six"], again=False) == [b"uds:{s}:n", b"six", 2]
    await wire.call("SCRIPT", "FLUSH", key="uds:{s}:n")
    assert await wire.run(_ECHO, ["uds:{s}:n"], [7], again=False) == [b"uds:{s}:n", b"7", 3]


async def test_what_goes_wrong_inside_a_script_is_refused(wire: Wire) -> None:
    with pytest.raises(Refused):
        await wire.run(Script("bad", "return redis.call('NOSUCH', KEYS[1])"), ["uds:{s}:n"], [], again=True)


async def test_each_of_a_thousand_callers_gets_its_own_answer(wire: Wire) -> None:
    keys = [f"uds:r:{number}" for number in range(1_000)]
    await asyncio.gather(*(wire.call("SET", key, f"value of {key}", key=key) for key in keys))
    answers = await asyncio.gather(*(wire.call("GET", key, key=key) for key in keys))
    assert answers == [f"value of {key}".encode() for key in keys]


async def test_callers_who_are_cancelled_hurt_nobody_else(wire: Wire) -> None:
    await wire.call("SET", "uds:r:0", 0, key="uds:r:0")
    asking = [asyncio.create_task(wire.call("INCRBY", "uds:r:0", 1, key="uds:r:0")) for _ in range(50)]
    for task in asking[::2]:
        task.cancel()  # before anything was sent
    await asyncio.sleep(0)
    for task in asking[1::4]:
        task.cancel()  # while it waits or is under way
    answers = await asyncio.gather(*asking, return_exceptions=True)
    counts = [answer for answer in answers if isinstance(answer, int)]
    assert counts == sorted(set(counts))
    assert len(counts) >= 12
    assert await wire.call("GET", "uds:r:0", key="uds:r:0") is not None


async def test_a_channel_says_that_it_listens_and_then_what_is_published(wire: Wire) -> None:
    heard: list[bytes] = []
    async with contextlib.aclosing(wire.messages("uds:{s}:changes")) as messages, asyncio.timeout(5):
        async for message in messages:
            heard.append(message)
            if message == b"":
                for number in range(3):
                    await wire.call("PUBLISH", "uds:{s}:changes", f"m{number}", key="uds:{s}:changes")
            if len(heard) == 4:
                break
    assert heard == [b"", b"m0", b"m1", b"m2"]


async def test_after_closing_everything_is_refused_and_nothing_is_left_running(wire: Wire) -> None:
    before = asyncio.all_tasks()
    await wire.call("PING", key="uds:r:a")
    listening = wire.messages("uds:{s}:changes")
    assert await anext(listening) == b""
    await wire.aclose()
    with pytest.raises(Away) as away:
        await wire.call("PING", key="uds:r:a")
    assert not away.value.sent
    with pytest.raises(Away):
        await anext(listening)
    assert asyncio.all_tasks() <= before


@_NEEDS_SERVER
async def test_a_small_pool_is_enough_for_many_callers(lasting: RedisServer) -> None:
    async with closing(open_wire(parse(lasting.url + _PATIENT), pool_size=2)) as wire:
        await asyncio.gather(*(wire.call("GET", "uds:r:a", key="uds:r:a") for _ in range(1_000)))
        listed = await wire.call("CLIENT", "LIST", key="uds:r:a")
    assert 1 <= listed.count(b"cmd=get") + listed.count(b"cmd=client|list") <= 2


@_NEEDS_SERVER
async def test_a_frozen_server_costs_each_call_its_deadline_then_nothing(server: RedisServer) -> None:
    told: list[bool] = []
    async with closing(open_wire(parse(server.url))) as wire:
        wire.watch(lambda up, _why: told.append(up))
        await wire.call("PING", key="uds:r:a")
        server.freeze()
        began = time.monotonic()
        with pytest.raises(Away) as away:
            await wire.call("INCR", "uds:r:a", key="uds:r:a")
        assert away.value.sent
        assert _DEADLINE_S * 0.9 <= time.monotonic() - began < _DEADLINE_S + _SLACK_S
        with pytest.raises(Away):
            await wire.run(_ECHO, ["uds:{s}:n"], [1], again=True)
        await until(lambda: not wire.up)
        began = time.monotonic()
        with pytest.raises(Away) as refused:
            await wire.call("INCR", "uds:r:a", key="uds:r:a")
        assert not refused.value.sent
        assert 0 < refused.value.retry_after_s < 2
        assert time.monotonic() - began < 0.1
        server.thaw()
        await until(lambda: wire.up)
        assert await wire.call("GET", "uds:r:a", key="uds:r:a") == b"1"
    assert told == [False, True]


@_NEEDS_SERVER
async def test_a_server_that_went_and_came_back_between_calls_is_never_noticed(server: RedisServer) -> None:
    async with closing(open_wire(parse(server.url + _PATIENT))) as wire:
        await asyncio.gather(*(wire.call("PING", key="uds:r:a") for _ in range(10)))
        await wire.run(_ECHO, ["uds:{s}:n"], [1], again=False)
        server.kill()
        server.start()
        await asyncio.sleep(0)  # the loop hears that connections were closed
        assert await wire.call("INCR", "uds:r:a", key="uds:r:a") == 1
        assert await wire.run(_ECHO, ["uds:{s}:n"], [1], again=False) == [b"uds:{s}:n", b"1", 1]
        assert wire.up


@_NEEDS_SERVER
async def test_a_server_that_is_gone_is_known_at_once_and_found_again(server: RedisServer) -> None:
    told: list[bool] = []
    async with closing(open_wire(parse(server.url))) as wire:
        wire.watch(lambda up, _why: told.append(up))
        await wire.call("PING", key="uds:r:a")
        server.kill()
        began = time.monotonic()
        with pytest.raises(Away):
            await wire.call("PING", key="uds:r:a")
        await until(lambda: not wire.up)
        with pytest.raises(Away) as away:
            await wire.call("PING", key="uds:r:a")
        assert not away.value.sent
        assert time.monotonic() - began < _SLACK_S
        server.start()
        await until(lambda: wire.up)
        assert await wire.call("PING", key="uds:r:a") == b"PONG"
    assert told == [False, True]


@_NEEDS_SERVER
async def test_where_nobody_ever_was_the_first_call_says_so(tmp_path: Path) -> None:
    async with closing(open_wire(parse(RedisServer(tmp_path).url))) as wire:
        assert wire.up
        with pytest.raises(Away) as away:
            await wire.call("PING", key="uds:r:a")
        assert not away.value.sent
        assert not wire.up
        with pytest.raises(Away):
            await anext(wire.messages("uds:{s}:changes"))


@_NEEDS_SERVER
async def test_a_late_answer_reaches_nobody(server: RedisServer) -> None:
    async with closing(open_wire(parse(server.url), pool_size=1)) as wire:
        for name in "ab":
            await wire.call("SET", f"uds:r:{name}", name, key="uds:r:a")
        server.ask("CLIENT", "PAUSE", "400", "ALL")
        with pytest.raises(Away) as away:
            await wire.call("GET", "uds:r:a", key="uds:r:a")
        assert away.value.sent
        await until(lambda: wire.up)
        server.ask("CLIENT", "UNPAUSE")
        assert await wire.call("GET", "uds:r:b", key="uds:r:b") == b"b"


@_NEEDS_SERVER
async def test_a_subscriber_is_told_when_its_connection_is_killed(server: RedisServer) -> None:
    async with closing(open_wire(parse(server.url + _PATIENT))) as wire:
        listening = wire.messages("uds:{s}:changes")
        assert await anext(listening) == b""
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        with pytest.raises(Away):
            async with asyncio.timeout(5):
                await anext(listening)
        with pytest.raises(StopAsyncIteration):
            await anext(listening)
        again = wire.messages("uds:{s}:changes")
        assert await anext(again) == b""
        await again.aclose()


@_NEEDS_SERVER
@pytest.mark.slow
async def test_a_subscriber_is_told_when_nobody_answers_any_more(server: RedisServer) -> None:
    async with closing(open_wire(parse(server.url))) as wire:
        listening = wire.messages("uds:{s}:changes")
        assert await anext(listening) == b""
        server.freeze()
        with pytest.raises(Away):
            async with asyncio.timeout(4):
                await anext(listening)


@_NEEDS_SERVER
@pytest.mark.slow
async def test_a_subscriber_may_hear_nothing_for_long(server: RedisServer) -> None:
    async with closing(open_wire(parse(server.url + _PATIENT))) as wire:
        listening = wire.messages("uds:{s}:changes")
        assert await anext(listening) == b""
        hearing = asyncio.ensure_future(anext(listening))
        done, _ = await asyncio.wait([hearing], timeout=2.5)
        assert not done
        await wire.call("PUBLISH", "uds:{s}:changes", "m", key="uds:{s}:changes")
        assert await hearing == b"m"
        await listening.aclose()


@_NEEDS_SERVER
async def test_a_replica_counts_as_away_until_it_takes_writes(server: RedisServer) -> None:
    async with closing(open_wire(parse(server.url + _PATIENT))) as wire:
        await wire.call("PING", key="uds:r:a")
        server.ask("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(Away) as away:
            await wire.run(_ECHO, ["uds:{s}:n"], [1], again=False)
        assert not away.value.sent
        await until(lambda: not wire.up)
        server.ask("REPLICAOF", "NO", "ONE")
        await until(lambda: wire.up)
        assert await wire.run(_ECHO, ["uds:{s}:n"], [1], again=False) == [b"uds:{s}:n", b"1", 1]


ACL = (
    "ACL SETUSER uds on >secret resetkeys resetchannels ~uds:* &uds:* -@all +@read +@write +@scripting +@pubsub "
    "+@connection -@dangerous +time +info +role +cluster|slots"
)
"""As the README gives it."""


@_NEEDS_SERVER
async def test_a_user_who_may_do_little_is_enough(server: RedisServer) -> None:
    assert server.ask(*ACL.split()).startswith(b"+OK")
    url = server.url.replace("redis://", "redis://uds:secret@") + _PATIENT
    async with closing(open_wire(parse(url))) as wire:
        assert await wire.run(Script("get", "return redis.call('GET', KEYS[1])"), ["uds:{s}:n"], [], again=True) is None
        with pytest.raises(Refused) as refused:
            await wire.call("GET", "others:a", key="others:a")
        assert refused.value.code == "NOPERM"
        listening = wire.messages("uds:{s}:changes")
        assert await anext(listening) == b""
        await listening.aclose()
        assert wire.up


@_NEEDS_SERVER
async def test_a_wrong_password_is_refused_and_repeated_nowhere(server: RedisServer) -> None:
    assert server.ask(*ACL.split()).startswith(b"+OK")
    url = server.url.replace("redis://", "redis://uds:not-it@") + _PATIENT
    async with closing(open_wire(parse(url))) as wire:
        with pytest.raises(Refused) as refused:
            await wire.call("GET", "uds:r:a", key="uds:r:a")
        assert refused.value.code == "WRONGPASS"
        with pytest.raises(Refused):
            await anext(wire.messages("uds:{s}:changes"))
        assert "not-it" not in str(refused.value)


@_NEEDS_SERVER
async def test_encrypted_with_papers_on_both_sides(lasting: RedisServer, tmp_path: Path) -> None:
    if lasting.ask("CONFIG", "GET", "tls-port") == b"*0\r\n":
        pytest.skip("this redis-server was built without TLS")
    ours, others = papers(tmp_path / "ours"), papers(tmp_path / "others")
    tls = RedisServer(tmp_path / "probe").port
    with redis_server(tmp_path / "server", options=["--tls-port", str(tls), *ours.server_options]):
        async with closing(open_wire(parse(f"rediss://127.0.0.1:{tls}/1{_PATIENT}&{ours.url_options}"))) as wire:
            assert await wire.call("SET", "uds:r:a", "x" * 100_000, key="uds:r:a") == b"OK"
            assert await wire.call("STRLEN", "uds:r:a", key="uds:r:a") == 100_000
        async with closing(open_wire(parse(f"rediss://127.0.0.1:{tls}/1{_PATIENT}&{others.url_options}"))) as wire:
            with pytest.raises(Away, match="certificate"):
                await wire.call("PING", key="uds:r:a")


@_NEEDS_SERVER
async def test_over_a_socket_of_the_file_system(tmp_path: Path) -> None:
    with redis_server(tmp_path, options=["--unixsocket", str(tmp_path / "redis.sock")]):
        async with closing(open_wire(parse(f"unix://{tmp_path}/redis.sock{_PATIENT}&db=2"))) as wire:
            assert await wire.call("PING", key="uds:r:a") == b"PONG"


def test_redis_is_imported_only_when_a_wire_is_opened() -> None:
    look = "import sys, state.redis.connect; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], cwd=Path(__file__).parents[2], check=False).returncode == 0


async def test_a_call_into_the_void_names_no_place(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    async with closing(open_wire(parse(server.url))) as wire:
        with pytest.raises(Away) as away:
            await wire.call("PING", key="uds:r:a")
    assert "refused" in str(away.value)
    assert str(server.port) not in str(away.value)
