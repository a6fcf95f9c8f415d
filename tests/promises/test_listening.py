"""Who listens hears of a change once, wherever it was made; and is asked to look again when that cannot be known."""

from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.promises.conftest import Ask
from tests.promises.conftest import asking
from tests.promises.conftest import serve
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.redis_server import redis_server

pytestmark = pytest.mark.anyio

_WITHIN_S = 10.0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    if redis_binary() is None:
        pytest.skip("redis-server is not installed")
    with redis_server(tmp_path / "redis") as running:
        yield running


@asynccontextmanager
async def _instances(environ: dict[str, str], many: int) -> AsyncGenerator[list[Client]]:
    """A client for each of several servers; all share what `environ` says they share."""
    async with AsyncExitStack() as stack:
        clients: list[Client] = []
        for _ in range(many):
            server = await stack.enter_async_context(serve(environ))
            clients.append(await stack.enter_async_context(Client(server)))
        yield clients


@pytest.fixture
async def two_over_redis(redis: RedisServer) -> AsyncGenerator[list[Client]]:
    """Clients of two servers that share a Redis."""
    async with _instances({"STATE_STORE_TYPE": "redis", "REDIS_URL": redis.url}, 2) as clients:
        yield clients


@pytest.fixture(params=["sqlite", "redis"])
async def two(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[list[Client]]:
    """Clients of two servers that share a file, or a Redis."""
    if request.param == "sqlite":
        environ = {"STATE_STORE_TYPE": "sqlite", "UDS_STATE_DIR": str(tmp_path / "state")}
    else:
        environ = {"STATE_STORE_TYPE": "redis", "REDIS_URL": request.getfixturevalue("redis").url}
    async with _instances(environ, 2) as clients:
        yield clients


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def one(request: pytest.FixtureRequest) -> AsyncGenerator[Client]:
    environ = {"STATE_STORE_TYPE": request.param}
    if request.param == "redis":
        environ["REDIS_URL"] = request.getfixturevalue("redis").url
    async with _instances(environ, 1) as (client,):
        yield client


async def _opened(ask: Ask) -> str:
    return (await ask("open_session"))["session"]


async def _kept(ask: Ask, session: str) -> None:
    await ask("remember", session=session, kind="finding", value="x")


def _uri(session: str) -> str:
    return f"uds://sessions/{session}"


async def _next(events: Any) -> str:
    """The URI of the next event."""
    with anyio.fail_after(_WITHIN_S):
        return (await anext(events)).uri


async def _until(ask: Ask, reached: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until the cache is as it should be."""
    with anyio.fail_after(_WITHIN_S):
        while not reached(await ask("cache", action="status")):  # noqa: ASYNC110 - it happens in another server
            await anyio.sleep(0.01)


async def test_a_write_is_told_once_and_before_the_next_one(one: Client) -> None:
    ask = asking(one)
    first, second = [await _opened(ask) for _ in range(2)]
    uris = [_uri(first), _uri(second)]
    async with one.listen(resource_subscriptions=uris) as listening:
        events = aiter(listening)
        for _ in range(3):
            for session in (first, second):
                await _kept(ask, session)
                assert await _next(events) == _uri(session)
        await _kept(ask, second)
        assert await _next(events) == _uri(second)


async def test_what_a_discovery_call_notes_is_told(one: Client) -> None:
    ask = asking(one)
    session = await _opened(ask)
    async with one.listen(resource_subscriptions=[_uri(session)]) as events:
        await ask("describe_schema", schema="flights", session=session)
        assert await _next(aiter(events)) == _uri(session)


async def test_who_listens_at_one_instance_hears_what_was_written_at_another(two: list[Client]) -> None:
    here, there = two
    ask_here, ask_there = asking(here), asking(there)
    session, other = [await _opened(ask_here) for _ in range(2)]
    async with here.listen(resource_subscriptions=[_uri(session)]) as listening:
        events = aiter(listening)
        for _ in range(3):
            await _kept(ask_there, other)
            await _kept(ask_there, session)
            assert await _next(events) == _uri(session)
            assert len((await ask_here("recall", session=session))["findings"]) > 0
    async with there.listen(resource_subscriptions=[_uri(other)]) as listening:
        await _kept(ask_here, other)
        assert await _next(aiter(listening)) == _uri(other)


async def test_own_writes_are_not_told_again_when_the_other_instances_come(two: list[Client]) -> None:
    """Of each session its opening may still be told once: it was written a moment before anybody listened."""
    here, there = two
    ask_here, ask_there = asking(here), asking(there)
    own, other = [await _opened(ask_here) for _ in range(2)]
    openings = {_uri(own), _uri(other)}
    async with here.listen(resource_subscriptions=[_uri(own), _uri(other)]) as listening:
        events = aiter(listening)

        async def told(uri: str) -> None:
            found = await _next(events)
            while found != uri and found in openings:
                openings.remove(found)
                found = await _next(events)
            assert found == uri

        for _ in range(4):
            await _kept(ask_here, own)
            await told(_uri(own))
            await _kept(ask_there, other)
            await told(_uri(other))


async def test_what_was_measured_at_one_instance_is_told_at_another(two_over_redis: list[Client]) -> None:
    here, there = two_over_redis
    uri = "uds://schemas/duckdb/flights"
    async with here.listen(resource_subscriptions=[uri]) as listening:
        await asking(there)("describe_schema", schema="flights")
        assert await _next(aiter(listening)) == uri


async def test_what_is_declared_outdated_at_one_instance_is_measured_anew_at_another(two: list[Client]) -> None:
    here, there = (asking(client) for client in two)
    for arguments in ({"schema": "flights"}, {"pattern": "*/fl*"}, {}):
        await there("describe_schema", schema="flights")
        assert (await there("describe_schema", schema="flights"))["provenance"]["cached"]
        await here("cache", action="invalidate", **arguments)
        await _until(there, lambda status: status["memory"]["entries"] == 0)
        assert not (await there("describe_schema", schema="flights"))["provenance"]["cached"]


async def test_who_listens_is_asked_to_look_again_when_redis_comes_back_as_another(
    redis: RedisServer, two_over_redis: list[Client]
) -> None:
    """Nobody wrote to the session since; but what was acknowledged may be lost, and nothing but a look can tell."""
    here, _ = two_over_redis
    session = await _opened(asking(here))
    async with here.listen(resource_subscriptions=[_uri(session)]) as listening:
        events = aiter(listening)
        redis.kill()
        redis.start()
        assert await _next(events) == _uri(session)


async def test_without_redis_who_listens_hears_what_is_written_here(
    redis: RedisServer, two_over_redis: list[Client]
) -> None:
    here, _ = two_over_redis
    ask = asking(here)
    session = await _opened(ask)
    await _kept(ask, session)
    async with here.listen(resource_subscriptions=[_uri(session)]) as listening:
        redis.kill()
        await _kept(ask, session)
        assert await _next(aiter(listening)) == _uri(session)


async def test_who_stops_listening_leaves_nothing_behind(two: list[Client]) -> None:
    here, there = two
    session = await _opened(asking(here))
    for _ in range(3):
        async with here.listen(resource_subscriptions=[_uri(session)]) as listening:
            await _kept(asking(there), session)
            assert await _next(aiter(listening)) == _uri(session)
