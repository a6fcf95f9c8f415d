"""Several servers share sessions while they and their Redis are killed, frozen and cut off: what was promised holds.

What befalls whom is drawn by chance; what is checked is not. The seed is printed, and CHAOS_SEED sets it.
"""

import asyncio
import os
import random
from collections.abc import Awaitable
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos_load import Load
from tests.chaos_load import Record
from tests.chaos_load import loaded
from tests.chaos_load import opened
from tests.chaos_scene import FAULTS
from tests.chaos_scene import Scene
from tests.chaos_scene import befall
from tests.chaos_scene import scene
from tests.invariants import broken
from tests.invariants import converged
from tests.invariants import endings
from tests.redis_server import redis_binary
from tests.uds_process import UdsProcess
from tests.uds_process import uds_processes

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL"),
]
needs_redis = pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed")
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))

_SECONDS_MOST = 60.0
_ACKNOWLEDGED_LEAST = 60
"""Before the last fault is over and after it: so much is done, however busy the machine is."""
_CONVERGED_WITHIN_S = 30.0


async def _lived_through(addresses: Sequence[str], faults: Awaitable[None]) -> Record:
    """Everything that clients were told while the faults happened and for a while after; all promises hold."""
    print(f"CHAOS_SEED={SEED}")  # noqa: T201 - shown when the test fails
    sessions = await opened(addresses[0], 3)
    record = Record()
    over = asyncio.Event()
    load = Load(
        addresses=addresses,
        sessions=sessions,
        clients=6,
        seconds=_SECONDS_MOST,
        seed=SEED,
        within_s=3.0,
        enough=lambda: over.is_set() and len(record.acknowledged) >= _ACKNOWLEDGED_LEAST,
    )
    running = asyncio.create_task(loaded(load, record))
    await faults
    over.set()
    await running
    await converged(addresses, sessions, within_s=_CONVERGED_WITHIN_S)
    assert broken(record, await endings(addresses, sessions)) == []
    assert len(record.acknowledged) >= _ACKNOWLEDGED_LEAST, record.outcomes()
    return record


async def test_processes_that_share_a_state_file_tell_one_history_though_they_are_killed(tmp_path: Path) -> None:
    environ = {"STATE_STORE_TYPE": "sqlite", "UDS_STATE_DIR": str(tmp_path / "state")}
    servers = [UdsProcess(tmp_path / f"server-{number}", environ) for number in range(3)]
    with uds_processes(servers):
        record = await _lived_through([each.address for each in servers], _hurt(servers))
    assert record.outcomes().get("lost"), "no fault was felt"


async def _hurt(servers: list[UdsProcess]) -> None:
    chance = _chance()
    for number in range(3):
        await asyncio.sleep(0.4 + chance.random() * 0.4)
        hurt = chance.choice(servers)
        if number == 1:
            hurt.freeze()
            await asyncio.sleep(0.3)
            hurt.thaw()
        else:
            hurt.kill()
            await asyncio.to_thread(hurt.start)


@needs_redis
async def test_servers_that_share_a_redis_tell_one_history_whatever_befalls_them(tmp_path: Path) -> None:
    with scene(tmp_path, servers=3) as running:
        record = await _lived_through(running.addresses, _each_once(running))
    assert record.was_degraded, "Redis was never missed"


async def _each_once(running: Scene) -> None:
    """Every kind of fault, in an order drawn by chance, and now and then two at once."""
    chance = _chance()
    names = chance.sample(sorted(FAULTS), len(FAULTS))
    while names:
        await asyncio.sleep(chance.random() * 0.4)
        together = [names.pop() for _ in range(min(len(names), chance.choice((1, 1, 2))))]
        print(*together)  # noqa: T201 - shown when the test fails
        await befall(running, chance, together, lasting_s=0.3 + chance.random() * 0.7)


def _chance() -> random.Random:
    return random.Random(SEED)  # noqa: S311 - what befalls whom is no secret
