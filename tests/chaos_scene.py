"""Servers of ours before one Redis, each on a machine of its own as far as it can tell, and what can befall them.

Each server reaches Redis through a proxy of its own and keeps its state in a folder of its own. A fault lasts as long
as its block; when that is left everything is whole again.
"""

import asyncio
import random
import shutil
from collections.abc import AsyncGenerator
from collections.abc import Generator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AsyncExitStack
from contextlib import ExitStack
from contextlib import asynccontextmanager
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fault_proxy import FaultProxy
from tests.fault_proxy import fault_proxy
from tests.redis_server import RedisServer
from tests.uds_process import UdsProcess
from tests.uds_process import uds_processes

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
"""For a Redis that is to come back with everything it acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What runs."""

    redis: RedisServer
    servers: Sequence[UdsProcess]
    proxies: Sequence[FaultProxy]
    """Before Redis, one for each server."""

    @property
    def addresses(self) -> list[str]:
        return [each.address for each in self.servers]


@contextmanager
def scene(
    folder: Path, *, servers: int, options: Sequence[str] = DURABLE, environ: Mapping[str, str] | None = None
) -> Generator[Scene]:
    """Start all of it, and end all of it. `options` and `environ`: of Redis, and of the servers."""
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis", options=options)
        redis.start()
        stack.callback(redis.kill)
        proxies = [stack.enter_context(fault_proxy(redis.port)) for _ in range(servers)]
        made = [
            UdsProcess(folder / f"server-{number}", {**store_environ(proxy.port), **(environ or {})})
            for number, proxy in enumerate(proxies)
        ]
        stack.enter_context(uds_processes(made))
        yield Scene(redis=redis, servers=made, proxies=proxies)


def store_environ(port: int) -> dict[str, str]:
    """Settings of a server whose sessions are kept in the Redis behind this port."""
    return {"STATE_STORE_TYPE": "redis", "REDIS_URL": f"redis://127.0.0.1:{port}/0"}


@asynccontextmanager
async def proxies_away(scene: Scene, chance: random.Random) -> AsyncGenerator[None]:
    """Some servers lose Redis: resets, and no new connections."""
    hit = _some(scene.proxies, chance)
    for each in hit:
        each.away()
    yield
    _heal(hit)


@asynccontextmanager
async def proxies_frozen(scene: Scene, chance: random.Random) -> AsyncGenerator[None]:
    """Some servers hear nothing of Redis any more, with all connections open."""
    hit = _some(scene.proxies, chance)
    for each in hit:
        each.freeze(up=chance.random() < 0.5, down=True)
    yield
    _heal(hit)


@asynccontextmanager
async def proxies_slow(scene: Scene, chance: random.Random) -> AsyncGenerator[None]:
    """Everything takes longer, up to about as long as a command may take."""
    hit = _some(scene.proxies, chance)
    for each in hit:
        each.delay(up_s=chance.random() * 0.15, down_s=chance.random() * 0.15)
    yield
    _heal(hit)


@asynccontextmanager
async def proxies_cut(scene: Scene, chance: random.Random) -> AsyncGenerator[None]:
    """All connections are reset, once."""
    for each in _some(scene.proxies, chance):
        each.cut()
    yield


@asynccontextmanager
async def answers_lost(scene: Scene, chance: random.Random) -> AsyncGenerator[None]:
    """Scripts are carried out, and their answers are cut off."""
    hit = _some(scene.proxies, chance)
    for each in hit:
        each.snip(after_bytes=chance.choice((0, 3)), asked=b"EVALSHA", times=3)
    yield
    _heal(hit)


@asynccontextmanager
async def redis_frozen(scene: Scene, _chance: random.Random) -> AsyncGenerator[None]:
    scene.redis.freeze()
    yield
    scene.redis.thaw()


@asynccontextmanager
async def redis_killed(scene: Scene, _chance: random.Random) -> AsyncGenerator[None]:
    """It comes back with what it had written to disk: everything, if it is durable."""
    scene.redis.kill()
    yield
    await asyncio.to_thread(scene.redis.start)


@asynccontextmanager
async def redis_emptied(scene: Scene, _chance: random.Random) -> AsyncGenerator[None]:
    """It comes back with nothing."""
    scene.redis.kill()
    for each in scene.redis.folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        elif each.name != "log.txt":
            each.unlink()
    yield
    await asyncio.to_thread(scene.redis.start)


@asynccontextmanager
async def redis_paused(scene: Scene, _chance: random.Random) -> AsyncGenerator[None]:
    """It holds every command back for half a second."""
    scene.redis.ask("CLIENT", "PAUSE", "500", "ALL")
    yield


@asynccontextmanager
async def clients_killed(scene: Scene, chance: random.Random) -> AsyncGenerator[None]:
    """It throws clients out: those that listen, or those that ask."""
    for _ in range(5):
        scene.redis.ask("CLIENT", "KILL", "TYPE", chance.choice(("pubsub", "normal")))
        await asyncio.sleep(0.05)
    yield


@asynccontextmanager
async def server_killed(scene: Scene, chance: random.Random) -> AsyncGenerator[None]:
    hit = chance.choice(scene.servers)
    hit.kill()
    yield
    await asyncio.to_thread(hit.start)


@asynccontextmanager
async def server_frozen(scene: Scene, chance: random.Random) -> AsyncGenerator[None]:
    hit = chance.choice(scene.servers)
    hit.freeze()
    yield
    hit.thaw()


FAULTS = {
    each.__name__: each
    for each in (
        *(proxies_away, proxies_frozen, proxies_slow, proxies_cut, answers_lost),
        *(redis_frozen, redis_killed, redis_paused, clients_killed, server_killed, server_frozen),
    )
}
"""Those that lose nothing for good, however they meet; `redis_emptied` does, so it is asked for by itself."""


async def befall(scene: Scene, chance: random.Random, names: Sequence[str], *, lasting_s: float) -> None:
    """Some faults at once, for a while."""
    async with AsyncExitStack() as stack:
        for name in sorted(names, key=_turn):
            await stack.enter_async_context(FAULTS[name](scene, chance))
        await asyncio.sleep(lasting_s)


def _turn(name: str) -> int:
    """Who is frozen cannot be asked, and who is dead can neither be frozen nor asked."""
    if name in {"redis_killed", "server_killed"}:
        return 2
    return 1 if name.endswith("_frozen") else 0


def _some(proxies: Sequence[FaultProxy], chance: random.Random) -> list[FaultProxy]:
    return chance.sample(list(proxies), chance.randint(1, len(proxies)))


def _heal(proxies: Sequence[FaultProxy]) -> None:
    for each in proxies:
        each.heal()
