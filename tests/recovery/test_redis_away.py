"""Redis goes away and comes back: calls go on, say so, and nothing that was acknowledged is missing afterwards."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from collections.abc import Iterator
from collections.abc import Sequence

import pytest

from tests.chaos_scene import Scene
from tests.chaos_scene import scene
from tests.invariants import converged
from tests.redis_server import redis_binary
from tests.uds_process import Caller
from tests.uds_process import Told
from tests.uds_process import callers

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed"),
    pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL"),
]
_ANSWERED_WITHIN_S = 3.0
"""Far more than the deadline of a command, because test machines are busy; without one it would be for ever."""
_JOINED_WITHIN_S = 20.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("away"), servers=2) as made:
        yield made


@pytest.fixture
async def servers(running: Scene) -> AsyncIterator[list[Caller]]:
    async with callers(running.addresses, within_s=10.0) as made:
        yield made


async def _session(servers: Sequence[Caller], *, known_to: Sequence[int] = (0, 1)) -> str:
    """A new session that these servers have read."""
    session = str((await servers[known_to[0]].ask("open_session", label="away"))["session"])
    await _remember(servers[known_to[0]], session, "before")
    for place in known_to:
        await servers[place].ask("recall", session=session)
    return session


async def _remember(server: Caller, session: str, value: str, key: str | None = None) -> Told:
    kind = {"kind": "finding"} if key is None else {"kind": "context", "key": key}
    return await server.call("remember", session=session, value=value, **kind)


async def _findings(server: Caller, session: str) -> list[str]:
    told = await server.whole(session)
    assert told.answer is not None, told
    return [each["value"] for each in told.answer["findings"]]


@pytest.mark.parametrize("fault", ["killed", "frozen", "cut off", "silent"])
async def test_calls_go_on_and_say_that_they_may_lack_something(
    running: Scene, servers: list[Caller], fault: str
) -> None:
    session = await _session(servers)
    _break(running, fault)
    slowest_s = 0.0
    for number in range(5):
        for server in servers:
            began_at = time.monotonic()
            written = await _remember(server, session, f"{fault} {number} {id(server)}")
            read = await server.call("recall", session=session)
            slowest_s = max(slowest_s, time.monotonic() - began_at)
            assert written.degraded, written
            assert read.degraded, read
    _mend(running, fault)
    await converged(running.addresses, [session], within_s=_JOINED_WITHIN_S)
    wanted = sorted(["before", *(f"{fault} {number} {id(server)}" for number in range(5) for server in servers)])
    assert [sorted(await _findings(server, session)) for server in servers] == [wanted, wanted]
    assert slowest_s < 2 * _ANSWERED_WITHIN_S
    assert not (await servers[0].call("recall", session=session)).degraded


def _break(running: Scene, fault: str) -> None:
    match fault:
        case "killed":
            running.redis.kill()
        case "frozen":
            running.redis.freeze()
        case _:
            for proxy in running.proxies:
                proxy.away() if fault == "cut off" else proxy.freeze()


def _mend(running: Scene, fault: str) -> None:
    match fault:
        case "killed":
            running.redis.start()
        case "frozen":
            running.redis.thaw()
        case _:
            for proxy in running.proxies:
                proxy.heal()


async def test_a_session_that_is_not_known_here_is_not_called_unknown(running: Scene, servers: list[Caller]) -> None:
    session = await _session(servers, known_to=(0,))
    running.proxies[1].away()
    reading = await servers[1].call("recall", session=session)
    writing = await _remember(servers[1], session, "not now")
    running.proxies[1].heal()
    for told in (reading, writing):
        assert told.code == "quota_spent", told
        assert "retry_after_s" in str(told.refusal)
    await converged(running.addresses, [session], within_s=_JOINED_WITHIN_S)
    assert await _findings(servers[1], session) == ["before"]


async def test_what_both_sides_of_a_cut_wrote_is_joined_and_nothing_is_dropped_silently(
    running: Scene, servers: list[Caller]
) -> None:
    session = await _session(servers)
    running.proxies[1].away()
    told = [
        await _remember(servers[1], session, "apart first", key="k"),
        await _remember(servers[1], session, "apart only", key="only"),
        await _remember(servers[1], session, "apart finding"),
        await _remember(servers[0], session, "together later", key="k"),
        await _remember(servers[0], session, "together finding"),
    ]
    assert [each.degraded is not None for each in told] == [True, True, True, False, False]
    running.proxies[1].heal()
    await converged(running.addresses, [session], within_s=_JOINED_WITHIN_S)
    for server in servers:
        whole = (await server.whole(session)).answer
        assert whole is not None
        assert whole["context"] == {"k": "together later", "only": "apart only"}
        assert sorted(await _findings(server, session)) == ["apart finding", "before", "together finding"]
    history = await servers[0].ask("session_history", session=session)
    assert history["verified"]
    met = [each["summary"] for each in history["events"] if each["kind"] == "resolved"]
    assert len(met) == 1
    assert "apart first" in met[0]
    assert "together later" in met[0]


async def test_of_two_values_the_later_one_is_kept_though_it_was_written_apart(
    running: Scene, servers: list[Caller]
) -> None:
    session = await _session(servers)
    running.proxies[1].away()
    await _remember(servers[0], session, "together first", key="k")
    await _remember(servers[1], session, "apart later", key="k")
    running.proxies[1].heal()
    await converged(running.addresses, [session], within_s=_JOINED_WITHIN_S)
    for server in servers:
        assert (await server.ask("recall", session=session))["context"] == {"k": "apart later"}


async def test_what_was_written_apart_outlives_the_process_and_is_brought_by_the_next_one(
    running: Scene, servers: list[Caller]
) -> None:
    session = await _session(servers)
    running.proxies[1].away()
    told = [await _remember(servers[1], session, f"apart {number}") for number in range(20)]
    assert all(each.degraded for each in told), told
    running.servers[1].kill()
    await asyncio.to_thread(running.servers[1].start)
    still = await _remember(servers[1], session, "after the crash")
    running.proxies[1].heal()
    await converged(running.addresses, [session], within_s=_JOINED_WITHIN_S)
    found = await _findings(servers[0], session)
    acknowledged = [f"apart {number}" for number in range(20)] + ["after the crash"] * (still.answer is not None)
    assert sorted(found) == sorted(["before", *acknowledged])


@pytest.mark.parametrize("after_bytes", [0, 2])
async def test_a_write_whose_answer_was_lost_on_the_way_from_redis_is_there_once(
    running: Scene, servers: list[Caller], after_bytes: int
) -> None:
    session = await _session(servers)
    wanted = ["before"]
    for number in range(10):
        running.proxies[0].snip(after_bytes=after_bytes, asked=b"EVALSHA")
        told = await _remember(servers[0], session, f"{number}")
        if told.answer is not None:
            wanted.append(f"{number}")
    running.proxies[0].heal()
    await converged(running.addresses, [session], within_s=_JOINED_WITHIN_S)
    assert sorted(await _findings(servers[1], session)) == sorted(wanted)
    assert len(wanted) > 5


async def test_one_wish_is_carried_out_once_though_it_was_asked_for_on_both_sides_of_a_cut(
    running: Scene, servers: list[Caller]
) -> None:
    session = await _session(servers)
    wish = {"session": session, "kind": "finding", "value": "once", "idempotency_key": "one wish"}
    running.proxies[1].away()
    await servers[1].ask("remember", **wish)
    await servers[0].ask("remember", **wish)
    running.proxies[1].heal()
    await converged(running.addresses, [session], within_s=_JOINED_WITHIN_S)
    assert sorted(await _findings(servers[0], session)) == ["before", "once"]
