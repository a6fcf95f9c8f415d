"""Every change is heard once and in order, whatever becomes of connections and of Redis; or it is told that not."""

import asyncio
from collections.abc import AsyncGenerator
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from itertools import combinations
from pathlib import Path

import anyio
import pytest

from state.changes import Change
from state.changes import Missed
from state.changes import ResourceMoved
from state.changes import ResultsOutdated
from state.changes import SessionMoved
from state.redis.address import parse
from state.redis.announcing import ANNOUNCE
from state.redis.announcing import LOG_LENGTH
from state.redis.announcing import session_text
from state.redis.changes import RedisChanges
from state.redis.connect import open_wire
from state.redis.keys import Keys
from state.redis.wire import Script
from state.redis.wire import Wire
from tests.contracts.changes_contract import WITHIN_S
from tests.contracts.changes_contract import Ear
from tests.fault_proxy import FaultProxy
from tests.fault_proxy import fault_proxy
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.redis_server import redis_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed"),
]

KEYS = Keys()
_APPEND = Script("append", ANNOUNCE + "return announce(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])")
"""All that a journal's append tells others."""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@asynccontextmanager
async def opened(url: str, origin: str, *, every_s: float = 0.1) -> AsyncGenerator[tuple[RedisChanges, Wire]]:
    async with AsyncExitStack() as stack:
        wire = open_wire(parse(url))
        stack.push_async_callback(wire.aclose)
        changes = RedisChanges(wire, keys=KEYS, origin=origin, every_s=every_s)
        stack.push_async_callback(changes.aclose)
        assert await changes.begun(WITHIN_S)
        yield changes, wire


@pytest.fixture
async def here(server: RedisServer) -> AsyncIterator[RedisChanges]:
    async with opened(server.url, "here") as (changes, _):
        yield changes


@pytest.fixture
async def there(server: RedisServer) -> AsyncIterator[RedisChanges]:
    async with opened(server.url, "there") as (changes, _):
        yield changes


def uri(number: int) -> ResourceMoved:
    return ResourceMoved(uri=f"u{number}")


async def until(reached: Callable[[], bool]) -> None:
    """Wait for what a server does in its own time."""
    with anyio.fail_after(WITHIN_S):
        while not reached():  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.005)


async def append(wire: Wire, origin: str, session_id: str, version: int) -> None:
    names = (KEYS.sequence, KEYS.log, KEYS.epoch)
    text = session_text(origin, session_id, version)
    await wire.run(_APPEND, names, (KEYS.channel, text), again=False)


async def test_channels_that_are_cut_all_the_time_lose_no_change_and_double_none(server: RedisServer) -> None:
    """Two write 1,000 changes each, to sessions of their own and to one another's; three listen."""
    done = asyncio.Event()

    async def cut() -> None:
        while not done.is_set():
            await asyncio.to_thread(server.ask, "CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.01)

    async def write(changes: RedisChanges, wire: Wire, origin: str) -> None:
        for number in range(1, 501):
            await append(wire, origin, origin, number)
            changes.publish(ResourceMoved(uri=f"{origin}/{number}"))

    async with AsyncExitStack() as stack:
        (a, wire_a), (b, wire_b), (c, _) = [
            await stack.enter_async_context(opened(server.url, origin)) for origin in "abc"
        ]
        ear_a, ear_b, ear_c = Ear(a), Ear(b), Ear(c)
        async with asyncio.TaskGroup() as group:
            cutting = group.create_task(cut())
            await asyncio.gather(write(a, wire_a, "a"), write(b, wire_b, "b"))
            for ear in (ear_a, ear_b, ear_c):
                await ear.until_many(2_000 if ear is ear_c else 1_500)
            done.set()
            await cutting
        moved = {
            origin: [SessionMoved(session_id=origin, version=number) for number in range(1, 501)] for origin in "ab"
        }
        uris = {origin: [ResourceMoved(uri=f"{origin}/{number}") for number in range(1, 501)] for origin in "ab"}
        for ear, others in ((ear_a, "b"), (ear_b, "a"), (ear_c, "ab")):
            for origin in others:
                assert [change for change in ear.heard if change in moved[origin]] == moved[origin]
                assert [change for change in ear.heard if change in uris[origin]] == uris[origin]
        assert [len(ear.heard) for ear in (ear_a, ear_b, ear_c)] == [1_500, 1_500, 2_000]
        told = [changes.statistics() for changes in (a, b, c)]
        assert min(each.reconnects for each in told) > 0
        assert min(each.repaired for each in told) > 0
        assert max(each.missed for each in told) == 0


async def test_all_hear_the_changes_of_all_others_in_one_order(server: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        instances = [await stack.enter_async_context(opened(server.url, origin)) for origin in "abcd"]
        ears = [Ear(changes) for changes, _ in instances]
        for number in range(100):
            for origin, (changes, _) in zip("abcd", instances, strict=True):
                changes.publish(ResultsOutdated(pattern=f"{origin}{number}"))
            await asyncio.sleep(0)
        for ear in ears:
            await ear.until_many(400)
        for one, other in combinations("abcd", 2):
            heard = [_of_others(ears["abcd".index(origin)], than=one + other) for origin in (one, other)]
            assert len(heard[0]) == 200
            assert heard[0] == heard[1]


def _of_others(ear: Ear, *, than: str) -> list[Change]:
    return [each for each in ear.heard if isinstance(each, ResultsOutdated) and (each.pattern or "")[0] not in than]


async def test_what_is_published_while_redis_hangs_is_heard_when_it_goes_on(server: RedisServer) -> None:
    async with opened(server.url, "here") as (here, wire), opened(server.url, "there") as (there, _):
        ear = Ear(there)
        here.publish(uri(0))
        await ear.until(uri(0))
        server.freeze()
        for number in range(1, 101):
            here.publish(uri(number))
        await until(lambda: not wire.up)
        assert here.statistics().waiting >= 100 - 64
        server.thaw()
        await ear.until(uri(100))
        assert ear.heard == [uri(number) for number in range(101)]
        assert there.statistics().missed == 0


async def test_a_subscriber_that_hears_nothing_for_a_while_catches_up(server: RedisServer) -> None:
    with fault_proxy(server.port) as proxy:
        async with opened(server.url, "here") as (here, _), _behind(proxy) as there:
            ear = Ear(there)
            proxy.freeze()
            for number in range(700):
                here.publish(uri(number))
            await until(lambda: here.statistics().waiting == 0)
            proxy.heal()
            await ear.until_many(700)
            assert ear.heard == [uri(number) for number in range(700)]


async def test_a_log_that_was_trimmed_meanwhile_is_told_once_and_what_follows_is_heard(server: RedisServer) -> None:
    with fault_proxy(server.port) as proxy:
        async with opened(server.url, "here") as (here, _), _behind(proxy) as there:
            ear = Ear(there)
            proxy.away()
            for number in range(300):
                here.publish(uri(number))
            await until(lambda: here.statistics().waiting == 0)
            server.ask("XTRIM", KEYS.log, "MAXLEN", "10")
            proxy.heal()
            await ear.until(Missed())
            here.publish(uri(300))
            await ear.until(uri(300))
            assert ear.heard == [Missed(), uri(300)]


async def test_everything_deleted_is_told_once_to_everyone(
    server: RedisServer, here: RedisChanges, there: RedisChanges
) -> None:
    ears = [Ear(here), Ear(there)]
    here.publish(uri(1))
    await ears[1].until(uri(1))
    server.ask("FLUSHALL")
    for ear in ears:
        await ear.until(Missed())
    there.publish(uri(2))
    for ear in ears:
        await ear.until(uri(2))
        assert ear.heard == [uri(1), Missed(), uri(2)]


@pytest.mark.parametrize(
    "options", [["--appendonly", "yes", "--appendfsync", "always"], []], ids=["with all it had", "empty"]
)
async def test_a_restart_is_told_once_to_everyone_and_listening_goes_on(tmp_path: Path, options: list[str]) -> None:
    """Whether or not all is there again: another server may have lost what was acknowledged."""
    with redis_server(tmp_path / "redis", options=options) as server:
        async with opened(server.url, "here") as (here, wire), opened(server.url, "there") as (there, _):
            ears = [Ear(here), Ear(there)]
            here.publish(uri(1))
            await ears[1].until(uri(1))
            server.kill()
            await until(lambda: not wire.up)
            here.publish(uri(2))
            server.start()
            for ear in ears:
                await ear.until(Missed())
            here.publish(uri(3))
            await ears[1].until(uri(3))
            assert ears[0].heard == [uri(1), uri(2), Missed(), uri(3)]
            assert [each.statistics().missed for each in (here, there)] == [1, 1]


async def test_forgotten_scripts_are_no_harm(server: RedisServer, here: RedisChanges, there: RedisChanges) -> None:
    ear = Ear(there)
    for number in range(5):
        server.ask("SCRIPT", "FLUSH")
        here.publish(uri(number))
        await ear.until(uri(number))
    assert ear.heard == [uri(number) for number in range(5)]


@pytest.mark.parametrize(
    "spoilt",
    [("XADD", KEYS.log, "99-0", "c", "x"), ("SET", KEYS.log, "x"), ("SET", KEYS.sequence, "x")],
    ids=["a log that is ahead", "a log that is none", "a sequence that is none"],
)
async def test_keys_that_others_spoilt_are_made_anew_and_everyone_is_told(
    server: RedisServer, here: RedisChanges, there: RedisChanges, spoilt: tuple[str, ...]
) -> None:
    ear = Ear(there)
    here.publish(uri(1))
    await ear.until(uri(1))
    server.ask("DEL", spoilt[1])
    assert not server.ask(*spoilt).startswith(b"-")
    here.publish(uri(2))
    await ear.until(Missed())
    await until(lambda: here.statistics().missed == 1)
    here.publish(uri(3))
    await ear.until(uri(3))
    assert ear.heard[-1] == uri(3)


async def test_what_was_sent_but_not_answered_is_told_once(server: RedisServer) -> None:
    with fault_proxy(server.port) as proxy:
        async with opened(server.url, "there") as (there, _), _behind(proxy) as here:
            ear = Ear(there)
            here.publish(uri(0))
            await ear.until(uri(0))
            for number in range(1, 6):
                cut = proxy.snipped
                proxy.snip(asked=f'"u","u{number}"'.encode())
                here.publish(uri(number))
                await until(lambda cut=cut: proxy.snipped > cut)  # pyright: ignore[reportUnknownLambdaType]
                await until(lambda: here.statistics().waiting == 0)
            here.publish(uri(6))
            await ear.until(uri(6))
            assert ear.heard == [uri(number) for number in range(7)]


async def test_who_may_not_listen_to_the_channel_hears_by_the_heartbeat(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = "~uds:* -@all +evalsha +eval +get +set +del +incr +xadd +xrange +publish +ping"
    server.ask("ACL", "SETUSER", "poor", "on", ">secret", "resetkeys", "resetchannels", *allowed.split())
    url = server.url.replace("redis://", "redis://poor:secret@")
    async with opened(server.url, "here") as (here, _), opened(url, "there", every_s=0.05) as (there, _):
        ears = [Ear(here), Ear(there)]
        for number in range(1, 4):
            here.publish(uri(number))
            await ears[1].until(uri(number))
        there.publish(uri(4))
        await ears[0].until(uri(4))
        assert [ear.heard for ear in ears] == [[uri(number) for number in range(1, 5)]] * 2
    assert caplog.text.count("NOPERM") == 1


async def test_the_log_stays_within_its_bound(server: RedisServer, here: RedisChanges) -> None:
    for number in range(LOG_LENGTH + 2_000):
        here.publish(uri(number))
        if number % 500 == 0:
            await until(lambda: here.statistics().waiting == 0)
    await until(lambda: here.statistics().waiting == 0)
    kept = int(server.ask("XLEN", KEYS.log).strip(b":\r\n"))
    assert LOG_LENGTH <= kept <= LOG_LENGTH + 200


@asynccontextmanager
async def _behind(proxy: FaultProxy) -> AsyncGenerator[RedisChanges]:
    async with opened(f"redis://127.0.0.1:{proxy.port}/0", "behind") as (changes, _):
        yield changes
